//! slapd, the server of OpenLDAP.

use std::{fs, net::SocketAddr};

use super::{Binding, Program, Service, loopback, write};
use crate::lab::Certificate;

const PROGRAM: Program = Program {
    name: "slapd",
    package: "slapd",
};

/// An empty directory `dc=lab`. `cn=admin,dc=lab` may bind with `secret`, and
/// anonymous binds are allowed.
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
            [Binding::Tcp; 2],
            |command, directory, [ldap, ldaps]| {
                let cert = certificate.path("cert.pem");
                let key = certificate.path("key.pem");
                let base = directory.display();
                fs::create_dir_all(directory.join("data")).unwrap();
                // ldif: the only backend built into Debian's slapd.
                let config = format!(
                    "include /etc/ldap/schema/core.schema\npidfile {base}/pid\nargsfile {base}/args\n\
                     TLSCertificateFile {cert}\nTLSCertificateKeyFile {key}\n\
                     database ldif\nsuffix dc=lab\ndirectory {base}/data\n\
                     rootdn cn=admin,dc=lab\nrootpw secret\n",
                    cert = cert.display(),
                    key = key.display(),
                );
                command.arg("-f").arg(write(directory, "slapd.conf", config));
                command.arg("-h");
                command.arg(format!("ldap://127.0.0.1:{ldap} ldaps://127.0.0.1:{ldaps}"));
                // Keeps it in the foreground.
                command.args(["-d", "0"]);
            },
        );
        Self {
            _service: service,
            ldap,
            ldaps,
        }
    }

    /// Plain LDAP, with StartTLS.
    pub fn ldap(&self) -> SocketAddr {
        loopback(self.ldap)
    }

    pub fn ldaps(&self) -> SocketAddr {
        loopback(self.ldaps)
    }
}
