//! aiosmtpd, an SMTP server in Python.

use std::net::SocketAddr;

use super::{Binding, Program, Service, loopback, write};
use crate::lab::Certificate;

/// Debian's own Python, since another one would not find Debian's packages.
const PROGRAM: Program = Program {
    name: "/usr/bin/python3",
    package: "python3-aiosmtpd",
};

/// A server that greets with `220 lab Python SMTP ...`.
pub struct Smtp {
    _service: Service,
    starttls: u16,
    implicit: u16,
}

impl Smtp {
    #[track_caller]
    pub fn start(certificate: &Certificate) -> Self {
        let aiosmtpd = Program {
            name: "aiosmtpd",
            ..PROGRAM
        };
        aiosmtpd.path();
        let (service, [starttls, implicit]) =
            Service::start(&PROGRAM, [Binding::Tcp; 2], |command, directory, ports| {
                command.arg(write(directory, "smtp.py", include_str!("smtp.py")));
                command.args(ports.map(|port| port.to_string()));
                command.args(["cert.pem", "key.pem"].map(|name| certificate.path(name)));
            });
        Self {
            _service: service,
            starttls,
            implicit,
        }
    }

    /// Plain SMTP with optional STARTTLS, as on port 587.
    pub fn starttls(&self) -> SocketAddr {
        loopback(self.starttls)
    }

    /// TLS from the first byte, as on port 465.
    pub fn implicit(&self) -> SocketAddr {
        loopback(self.implicit)
    }
}
