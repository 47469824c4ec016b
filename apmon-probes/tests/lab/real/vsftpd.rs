//! vsftpd: FTP with AUTH TLS.

use std::{fs, net::SocketAddr};

use super::{Binding, Program, Service, is_root, loopback, write};
use crate::lab::Certificate;

const PROGRAM: Program = Program {
    name: "vsftpd",
    package: "vsftpd",
};

/// A server that greets with `220 apmon lab` and allows anonymous logins.
pub struct Vsftpd {
    _service: Service,
    port: u16,
}

impl Vsftpd {
    #[track_caller]
    pub fn start(certificate: &Certificate) -> Self {
        let (service, [port]) = Service::start(&PROGRAM, [Binding::Tcp], |command, directory, [port]| {
            for name in ["empty", "pub"] {
                fs::create_dir_all(directory.join(name)).unwrap();
            }
            let cert = certificate.path("cert.pem");
            let key = certificate.path("key.pem");
            // `run_as_launching_user` is needed without root; the sandbox kills vsftpd
            // 3.0.3 on newer kernels.
            let config = format!(
                "background=NO\nlisten=YES\nlisten_ipv6=NO\nlisten_address=127.0.0.1\nlisten_port={port}\n\
                 ftpd_banner=apmon lab\nanonymous_enable=YES\nlocal_enable=NO\nno_anon_password=YES\n\
                 ftp_username=nobody\nnopriv_user=nobody\nanon_root={base}/pub\n\
                 secure_chroot_dir={base}/empty\nseccomp_sandbox=NO\nxferlog_enable=NO\n\
                 run_as_launching_user={launching}\n\
                 ssl_enable=YES\nallow_anon_ssl=YES\nrequire_ssl_reuse=NO\nssl_ciphers=HIGH\n\
                 rsa_cert_file={cert}\nrsa_private_key_file={key}\n",
                base = directory.display(),
                launching = if is_root() { "NO" } else { "YES" },
                cert = cert.display(),
                key = key.display(),
            );
            command.arg(write(directory, "vsftpd.conf", config));
        });
        Self {
            _service: service,
            port,
        }
    }

    pub fn address(&self) -> SocketAddr {
        loopback(self.port)
    }
}
