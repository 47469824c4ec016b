//! OpenSSL's own server.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use super::Certificate;

/// OpenSSL's own server, for what rustls cannot serve.
pub struct OpensslServer {
    child: Child,
    pub address: SocketAddr,
}

impl OpensslServer {
    pub fn start(certificate: &Certificate, options: &[&str]) -> Self {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-naccept", "4"])
            .arg("-cert")
            .arg(certificate.path("cert.pem"))
            .arg("-key")
            .arg(certificate.path("key.pem"))
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs the openssl binary (apt install openssl)");
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("ACCEPT ").map(|text| text.parse().unwrap()))
            .expect("openssl s_server names its port");
        Self { child, address }
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
