//! sshd, the server of OpenSSH, for its banner and its key exchange. Logins are
//! not possible.

use std::{net::SocketAddr, process::Command};

use super::{Binding, Program, Service, is_root, loopback, write};

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
            // A compiled-in path, created by the service that starts the system's
            // sshd, which may not run here.
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let (service, [port]) = Service::start(&PROGRAM, [Binding::Tcp], |command, directory, [port]| {
            let status = Command::new(KEYGEN.path())
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(directory.join("key"))
                .status()
                .unwrap();
            assert!(status.success(), "ssh-keygen: {status}");
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
