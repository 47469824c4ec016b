//! An SMTP server: Python's aiosmtpd.

use std::net::SocketAddr;

use super::{Listens, Program, Service, loopback, write};
use crate::lab::Certificate;

/// Debian's own Python, as another one would not see Debian's packages.
const PROGRAM: Program = Program {
    name: "/usr/bin/python3",
    package: "python3-aiosmtpd",
};

/// Says `220 lab Python SMTP ...`.
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
            Service::start(&PROGRAM, [Listens::Tcp; 2], |command, directory, ports| {
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

    /// In clear, with STARTTLS for who wants it, as on port 587.
    pub fn starttls(&self) -> SocketAddr {
        loopback(self.starttls)
    }

    /// TLS from the first byte, as on port 465.
    pub fn implicit(&self) -> SocketAddr {
        loopback(self.implicit)
    }
}
