//! Caddy: HTTP/1.1, HTTP/2 and HTTP/3.

use std::net::{Ipv6Addr, SocketAddr};

use super::{Listens, Program, Service, loopback, write};
use crate::lab::Certificate;

const PROGRAM: Program = Program {
    name: "caddy",
    package: "caddy",
};

/// https, by TCP and by QUIC, on one port of 127.0.0.1 and of ::1. It answers
/// every path with `caddy PROTOCOL METHOD PATH`, where PROTOCOL is `HTTP/1.1`,
/// `HTTP/2.0` or `HTTP/3.0`; `/redirect` with 302 to `/there`; `/echo` with
/// the body (up to 64 kB) behind `body: `; `/status/503` with that.
pub struct Caddy {
    _service: Service,
    port: u16,
}

impl Caddy {
    #[track_caller]
    pub fn start(certificate: &Certificate) -> Self {
        let (service, [port]) =
            Service::start(&PROGRAM, [Listens::Everywhere], |command, directory, [port]| {
                write(directory, "Caddyfile", config(certificate, port));
                command.args(["run", "--config", "Caddyfile", "--adapter", "caddyfile"]);
                // Its memory: certificates of its own, and its last configuration.
                for variable in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
                    command.env(variable, directory);
                }
            });
        Self {
            _service: service,
            port,
        }
    }

    /// The address of https and of HTTP/3.
    pub fn v4(&self) -> SocketAddr {
        loopback(self.port)
    }

    /// The same on `[::1]`.
    pub fn v6(&self) -> SocketAddr {
        (Ipv6Addr::LOCALHOST, self.port).into()
    }
}

fn config(certificate: &Certificate, port: u16) -> String {
    let cert = certificate.path("cert.pem");
    let key = certificate.path("key.pem");
    let (cert, key) = (cert.display(), key.display());
    // `default_sni`: a client that comes to an address sends no name, and the
    // certificate does not have ::1. `grace_period`: unset, it waits for who is
    // still connected when it is to end.
    format!(
        "\
{{
    admin off
    auto_https off
    default_sni localhost
    grace_period 1ms
    servers {{
        protocols h1 h2 h3
    }}
}}
https://:{port} {{
    bind 127.0.0.1 [::1]
    tls {cert} {key}
    request_body {{
        max_size 64KB
    }}
    redir /redirect /there 302
    respond /echo \"body: {{http.request.body}}\"
    respond /status/503 503
    respond \"caddy {{http.request.proto}} {{http.request.method}} {{http.request.uri.path}}\"
}}
"
    )
}
