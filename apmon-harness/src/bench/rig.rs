//! The targets: a real nginx on many loopback addresses, plain and TLS, and
//! sockets that never answer.

use std::{fs, net::TcpListener, path::Path, process::Command, time::Duration};

use crate::{
    fault::{During, Fault},
    process::{self, Running},
};

/// Connections are spread over this many addresses; with one, TIME_WAIT would be
/// measured.
const ADDRESSES: usize = 64;
const HTTP_PORT: u16 = 28_080;
const HTTPS_PORT: u16 = 28_443;
/// Silent listeners. Each one's queue holds about a hundred connections that are
/// never accepted.
const SILENT: usize = 110;
const SILENT_PORT: u16 = 28_999;
const QUIC_PORT: u16 = 28_444;

pub(super) struct Rig {
    _nginx: Running,
    _caddy: Running,
    _silent: Vec<TcpListener>,
    /// SHA-256 of the TLS certificate.
    pub(super) pin: String,
}

impl Rig {
    pub(super) fn start(folder: &Path) -> Result<Self, Fault> {
        let pin = certificate(folder)?;
        let config = folder.join("nginx.conf");
        fs::write(&config, nginx_config(folder)).during("write nginx.conf")?;
        let program = process::find("nginx").ok_or_else(|| Fault::new("there is no nginx"))?;
        let log = fs::File::create(folder.join("nginx.log")).during("write nginx.log")?;
        let mut nginx = Running::start("nginx", program, |command| {
            command.arg("-c").arg(&config).arg("-p").arg(folder).stderr(log)
        })?;
        let address = format!("127.0.1.1:{HTTP_PORT}");
        let up = process::wait_until(Duration::from_secs(5), || {
            nginx.ended().is_some() || std::net::TcpStream::connect(&address).is_ok()
        });
        if !up || nginx.ended().is_some() {
            return Err(Fault::new(format!(
                "nginx does not run; see {}",
                folder.join("nginx.log").display()
            )));
        }
        let silent = (0..SILENT)
            .map(|i| {
                TcpListener::bind((format!("127.0.2.{}", i + 1), SILENT_PORT)).during("listen on 127.0.2.x")
            })
            .collect::<Result<_, _>>()?;
        let caddy = caddy(folder)?;
        Ok(Self {
            _nginx: nginx,
            _caddy: caddy,
            _silent: silent,
            pin,
        })
    }

    pub(super) fn http(i: usize) -> String {
        format!("127.0.1.{}:{HTTP_PORT}", i % ADDRESSES + 1)
    }

    pub(super) fn https(i: usize) -> String {
        format!("127.0.1.{}:{HTTPS_PORT}", i % ADDRESSES + 1)
    }

    pub(super) fn quic(i: usize) -> String {
        format!("127.0.3.{}:{QUIC_PORT}", i % ADDRESSES + 1)
    }

    /// An address that accepts connections and never answers.
    pub(super) fn silent(i: usize) -> String {
        format!("127.0.2.{}:{SILENT_PORT}", i % SILENT + 1)
    }
}

/// Starts an HTTP/3 server with the same certificate.
fn caddy(folder: &Path) -> Result<Running, Fault> {
    let config = folder.join("Caddyfile");
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    // A socket for all addresses would answer from another address than was asked.
    let addresses: Vec<_> = (1..=ADDRESSES).map(|i| format!("127.0.3.{i}")).collect();
    let addresses = addresses.join(" ");
    let text = format!(
        "{{\n\tadmin off\n\tauto_https disable_redirects\n}}\nhttps://:{QUIC_PORT} {{\n\tbind {addresses}\n\ttls {} {}\n\t\
         respond \"apmon bench ok\"\n}}\n",
        certificate.display(),
        key.display()
    );
    fs::write(&config, text).during("write the Caddyfile")?;
    let program = process::find("caddy").ok_or_else(|| Fault::new("there is no caddy"))?;
    let log = fs::File::create(folder.join("caddy.log")).during("write caddy.log")?;
    let caddy = Running::start("caddy", program, |command| {
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&config)
            .stdout(std::process::Stdio::null())
            .stderr(log)
    })?;
    let address = format!("127.0.3.1:{QUIC_PORT}");
    if !process::wait_until(Duration::from_secs(10), || {
        std::net::TcpStream::connect(&address).is_ok()
    }) {
        let log = folder.join("caddy.log");
        return Err(Fault::new(format!("caddy does not run; see {}", log.display())));
    }
    Ok(caddy)
}

fn nginx_config(folder: &Path) -> String {
    let listen = |port: u16, tls: &str| -> String {
        (1..=ADDRESSES)
            .map(|i| format!("listen 127.0.1.{i}:{port}{tls};\n"))
            .collect()
    };
    let folder = folder.display();
    let scratch: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {folder}/tmp-{name};\n"))
        .collect();
    format!(
        "daemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\nworker_processes 1;\nworker_rlimit_nofile 65536;\n\
         events {{ worker_connections 20000; }}\nhttp {{\naccess_log off;\n{scratch}tcp_nodelay on;\n\
         server {{\n{plain}location / {{ return 200 \"apmon bench ok\\n\"; }}\n}}\n\
         server {{\n{tls}ssl_certificate {folder}/cert.pem;\nssl_certificate_key {folder}/key.pem;\n\
         location / {{ return 200 \"apmon bench ok\\n\"; }}\n}}\n}}\n",
        plain = listen(HTTP_PORT, ""),
        tls = listen(HTTPS_PORT, " ssl"),
    )
}

/// Makes a self-signed certificate; returns its SHA-256.
fn certificate(folder: &Path) -> Result<String, Fault> {
    let openssl = process::find("openssl").ok_or_else(|| Fault::new("there is no openssl"))?;
    let mut make = Command::new(&openssl);
    make.current_dir(folder).args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
    ]);
    make.args([
        "-nodes",
        "-days",
        "30",
        "-subj",
        "/CN=apmon bench",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
    ]);
    if !process::works(&mut make) {
        return Err(Fault::new("openssl made no certificate"));
    }
    let mut print = Command::new(&openssl);
    print
        .current_dir(folder)
        .args(["x509", "-in", "cert.pem", "-noout", "-fingerprint", "-sha256"]);
    let text = process::output(&mut print)?;
    let pin = text.trim().rsplit('=').next().unwrap_or("").to_owned();
    Ok(pin)
}
