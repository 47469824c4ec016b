//! OpenSSH's server, for its banner and its key exchange; nobody can log in.

use std::{net::SocketAddr, process::Command};

use super::{Listens, Program, Service, is_root, loopback, write};

const PROGRAM: Program = Program {
    name: "sshd",
    package: "openssh-server",
};

const KEYGEN: Program = Program {
    name: "ssh-keygen",
    package: "openssh-client",
};

pub struct Sshd {
    _service: Service,
    port: u16,
}

impl Sshd {
    #[track_caller]
    pub fn start() -> Self {
        if is_root() {
            // Compiled in, and made by what starts the system's sshd, which
            // here perhaps nobody did.
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let (service, [port]) = Service::start(&PROGRAM, [Listens::Tcp], |command, directory, [port]| {
            let made = Command::new(KEYGEN.path())
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(directory.join("key"))
                .status()
                .unwrap();
            assert!(made.success(), "ssh-keygen: {made}");
            let config = format!(
                "ListenAddress 127.0.0.1:{port}\nHostKey {}\nPidFile none\nUsePAM no\n\
                 PasswordAuthentication no\nAuthorizedKeysFile none\n",
                directory.join("key").display()
            );
            let config = write(directory, "sshd_config", config);
            command.args(["-D", "-e", "-f"]).arg(config);
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
