//! Caddy: HTTP/1.1, HTTP/2 and HTTP/3.

use std::net::{Ipv6Addr, SocketAddr};

use super::{Binding, Program, Service, loopback, write};
use crate::lab::Certificate;

const PROGRAM: Program = Program {
    name: "caddy",
    package: "caddy",
};

/// HTTPS over TCP and QUIC, on one port of 127.0.0.1 and ::1. It answers every path
/// with `caddy PROTOCOL METHOD PATH`, where PROTOCOL is `HTTP/1.1`, `HTTP/2.0` or
/// `HTTP/3.0`; `/redirect` with 302 to `/there`; `/echo` with `body: ` and the
/// request's body (up to 64 kB); `/status/503` with that status.
pub struct Caddy {
    _service: Service,
    port: u16,
}

impl Caddy {
    #[track_caller]
    pub fn start(certificate: &Certificate) -> Self {
        let (service, [port]) =
            Service::start(&PROGRAM, [Binding::Everywhere], |command, directory, [port]| {
                write(directory, "Caddyfile", config(certificate, port));
                command.args(["run", "--config", "Caddyfile", "--adapter", "caddyfile"]);
                // Where it keeps its own certificates and its last configuration.
                for variable in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
                    command.env(variable, directory);
                }
            });
        Self {
            _service: service,
            port,
        }
    }

    /// The address of HTTPS and HTTP/3 on 127.0.0.1.
    pub fn v4(&self) -> SocketAddr {
        loopback(self.port)
    }

    /// The address of HTTPS and HTTP/3 on ::1.
    pub fn v6(&self) -> SocketAddr {
        (Ipv6Addr::LOCALHOST, self.port).into()
    }
}

fn config(certificate: &Certificate, port: u16) -> String {
    let cert = certificate.path("cert.pem");
    let key = certificate.path("key.pem");
    let (cert, key) = (cert.display(), key.display());
    // `default_sni`: a client that connects to an address sends no name, and the
    // certificate does not contain ::1. `grace_period`: if unset, Caddy waits for
    // connected clients before it ends.
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
