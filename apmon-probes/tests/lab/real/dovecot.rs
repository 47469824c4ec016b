//! Dovecot: IMAP and POP3.

use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

use super::{Binding, Program, Service, is_root, loopback, write};
use crate::lab::Certificate;

const PROGRAM: Program = Program {
    name: "dovecot",
    package: "dovecot-imapd dovecot-pop3d",
};

/// A server where every user has the password `secret` and no mail.
pub struct Dovecot {
    _service: Service,
    imap: u16,
    imaps: u16,
    pop3: u16,
    pop3s: u16,
}

impl Dovecot {
    #[track_caller]
    pub fn start(certificate: &Certificate) -> Self {
        for name in ["/usr/lib/dovecot/imap-login", "/usr/lib/dovecot/pop3-login"] {
            Program { name, ..PROGRAM }.path();
        }
        let (service, [imap, imaps, pop3, pop3s]) =
            Service::start(&PROGRAM, [Binding::Tcp; 4], |command, directory, ports| {
                let mail = directory.join("mail");
                fs::create_dir(&mail).unwrap();
                fs::set_permissions(mail, Permissions::from_mode(0o777)).unwrap();
                let config = write(directory, "dovecot.conf", config(certificate, directory, ports));
                command.arg("-F").arg("-c").arg(config);
            });
        Self {
            _service: service,
            imap,
            imaps,
            pop3,
            pop3s,
        }
    }

    /// Plain IMAP, with STARTTLS.
    pub fn imap(&self) -> SocketAddr {
        loopback(self.imap)
    }

    pub fn imaps(&self) -> SocketAddr {
        loopback(self.imaps)
    }

    /// Plain POP3, with STLS.
    pub fn pop3(&self) -> SocketAddr {
        loopback(self.pop3)
    }

    pub fn pop3s(&self) -> SocketAddr {
        loopback(self.pop3s)
    }
}

fn config(certificate: &Certificate, directory: &Path, [imap, imaps, pop3, pop3s]: [u16; 4]) -> String {
    let cert = certificate.path("cert.pem");
    let key = certificate.path("key.pem");
    let (cert, key) = (cert.display(), key.display());
    let directory = directory.display();
    // Without the right to switch to Debian's users for Dovecot, everything runs as
    // the current user; with it, the owner of the mail may not be root.
    let (users, owner) = if is_root() {
        (String::new(), "uid=65534 gid=65534".to_owned())
    } else {
        let [user, group, uid, gid] = ["-un", "-gn", "-u", "-g"].map(id);
        let users = format!(
            "default_internal_user = {user}\ndefault_internal_group = {group}\ndefault_login_user = {user}\n"
        );
        (users, format!("uid={uid} gid={gid}"))
    };
    // `chroot`: a chroot needs root, and more files than are there.
    format!(
        "\
base_dir = {directory}/run
state_dir = {directory}/state
log_path = /dev/stderr
{users}protocols = imap pop3
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
mail_location = maildir:{directory}/mail/%u
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = {owner} home={directory}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {imaps}
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {pop3}
  }}
  inet_listener pop3s {{
    address = 127.0.0.1
    port = {pop3s}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"
    )
}

/// The output of the command `id`.
fn id(option: &str) -> String {
    let output = Command::new("id").arg(option).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
