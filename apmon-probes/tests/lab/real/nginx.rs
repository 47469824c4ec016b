//! nginx: plain HTTP/1.1, and HTTP/1.1 and HTTP/2 over TLS.

use std::{fs::File, net::SocketAddr, path::Path};

use super::{Binding, Program, Service, loopback, write};
use crate::lab::Certificate;

const PROGRAM: Program = Program {
    name: "nginx",
    package: "nginx-light",
};

/// A server whose two ports answer alike:
///
/// | path | answer |
/// |---|---|
/// | `/` | a page of 4 kB with [`Nginx::TITLE`], gzipped if the client accepts it |
/// | `/redirect/1` | 301 to `/redirect/2` (absolute), 302 to `/redirect/3` (relative), 308 to `/` |
/// | `/loop` | 302 to `/loop/back`, which redirects back |
/// | `/to-http`, `/to-https` | 302 to `/` of the other port |
/// | `/post` | `posted` for a POST; otherwise 405 |
/// | `/echo` | the request's body |
/// | `/private/` | [`Nginx::SECRET`] for `user` with the password `pass word`; otherwise 401 |
/// | `/header` | `x-lab=VALUE of that header; host=...; protocol=HTTP/1.1 or HTTP/2.0` |
/// | `/big` | [`Nginx::BIG`] zero bytes, then `the end` |
/// | `/status/204`, `/status/503` | that status |
/// | any other | 404 |
pub struct Nginx {
    _service: Service,
    http: u16,
    https: u16,
}

impl Nginx {
    pub const TITLE: &str = "<title>apmon lab</title>";
    pub const SECRET: &str = "the private page";
    /// More than a probe reads.
    pub const BIG: u64 = 6 * 1024 * 1024;

    #[track_caller]
    pub fn start(certificate: &Certificate) -> Self {
        let (service, [http, https]) = Service::start(
            &PROGRAM,
            [Binding::Tcp; 2],
            |command, directory, [http, https]| {
                write(directory, "nginx.conf", config(certificate, http, https));
                pages(directory);
                command.arg("-p").arg(directory);
                // `-e`: otherwise it complains about the log of the system's nginx.
                command.args(["-c", "nginx.conf", "-e", "stderr"]);
            },
        );
        Self {
            _service: service,
            http,
            https,
        }
    }

    pub fn http(&self) -> SocketAddr {
        loopback(self.http)
    }

    pub fn https(&self) -> SocketAddr {
        loopback(self.https)
    }
}

fn pages(directory: &Path) {
    let text = "All services run in the lab.\n".repeat(170);
    write(directory, "www/index.html", format!("{}\n{text}", Nginx::TITLE));
    write(directory, "www/private/index.html", Nginx::SECRET);
    write(directory, "users", "user:{PLAIN}pass word\n");
    let big = write(directory, "www/big", "");
    // A sparse file: only the end occupies disk space.
    let big = File::options().write(true).open(big).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&big, b"the end", Nginx::BIG).unwrap();
    std::fs::create_dir_all(directory.join("tmp")).unwrap();
}

/// The configuration: a single process, so that ending it ends everything, which
/// runs as the current user. Paths are relative to the prefix.
fn config(certificate: &Certificate, http: u16, https: u16) -> String {
    let cert = certificate.path("cert.pem");
    let key = certificate.path("key.pem");
    let (cert, key) = (cert.display(), key.display());
    format!(
        "\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {{
    worker_connections 64;
}}
http {{
    access_log off;
    default_type text/plain;
    types {{
        text/html html;
    }}
    gzip on; # text/html always
    gzip_types text/plain;
    client_body_buffer_size 1m; # $request_body is what fits in here
    client_body_temp_path tmp/body;
    proxy_temp_path tmp/proxy;
    fastcgi_temp_path tmp/fastcgi;
    uwsgi_temp_path tmp/uwsgi;
    scgi_temp_path tmp/scgi;
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{https} ssl http2;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        root www;
        location = /redirect/1 {{ return 301 /redirect/2; }}
        location = /redirect/2 {{ absolute_redirect off; return 302 /redirect/3; }}
        location = /redirect/3 {{ return 308 /; }}
        location = /loop {{ return 302 /loop/back; }}
        location = /loop/back {{ return 302 /loop; }}
        location = /to-http {{ return 302 http://127.0.0.1:{http}/; }}
        location = /to-https {{ return 302 https://127.0.0.1:{https}/; }}
        location = /post {{
            if ($request_method != POST) {{ return 405; }}
            return 200 posted;
        }}
        # nginx reads the body of a request only to forward it: forward it to
        # this server, and insert it into the answer in place of a mark.
        location = /echo {{
            proxy_pass http://127.0.0.1:{http}/mark;
            proxy_method GET;
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
            proxy_set_header Accept-Encoding '';
            sub_filter_types *;
            sub_filter MARK $request_body;
        }}
        location = /mark {{ return 200 MARK; }}
        location /private/ {{
            auth_basic lab;
            auth_basic_user_file users;
        }}
        location = /header {{
            return 200 'x-lab=$http_x_lab; host=$http_host; protocol=$server_protocol';
        }}
        location = /status/204 {{ return 204; }}
        location = /status/503 {{ return 503; }}
    }}
}}
"
    )
}
