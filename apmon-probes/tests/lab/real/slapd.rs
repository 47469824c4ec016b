//! OpenLDAP's server.

use std::{fs, net::SocketAddr};

use super::{Listens, Program, Service, loopback, write};
use crate::lab::Certificate;

const PROGRAM: Program = Program {
    name: "slapd",
    package: "slapd",
};

/// An empty directory `dc=lab`; `cn=admin,dc=lab` may bind with `secret`, and
/// anybody may without a name.
pub struct Slapd {
    _service: Service,
    ldap: u16,
    ldaps: u16,
}

impl Slapd {
    #[track_caller]
    pub fn start(certificate: &Certificate) -> Self {
        let (service, [ldap, ldaps]) = Service::start(
            &PROGRAM,
            [Listens::Tcp; 2],
            |command, directory, [ldap, ldaps]| {
                let cert = certificate.path("cert.pem");
                let key = certificate.path("key.pem");
                let place = directory.display();
                fs::create_dir_all(directory.join("data")).unwrap();
                // ldif: the one backend that is part of Debian's slapd itself.
                let config = format!(
                    "include /etc/ldap/schema/core.schema\npidfile {place}/pid\nargsfile {place}/args\n\
                     TLSCertificateFile {cert}\nTLSCertificateKeyFile {key}\n\
                     database ldif\nsuffix dc=lab\ndirectory {place}/data\n\
                     rootdn cn=admin,dc=lab\nrootpw secret\n",
                    cert = cert.display(),
                    key = key.display(),
                );
                command.arg("-f").arg(write(directory, "slapd.conf", config));
                command.arg("-h");
                command.arg(format!("ldap://127.0.0.1:{ldap} ldaps://127.0.0.1:{ldaps}"));
                // Stays in the foreground.
                command.args(["-d", "0"]);
            },
        );
        Self {
            _service: service,
            ldap,
            ldaps,
        }
    }

    /// In clear, with StartTLS.
    pub fn ldap(&self) -> SocketAddr {
        loopback(self.ldap)
    }

    pub fn ldaps(&self) -> SocketAddr {
        loopback(self.ldaps)
    }
}
