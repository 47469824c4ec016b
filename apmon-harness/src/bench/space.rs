//! A network namespace with a name server that never answers, and a network of
//! its own without any host.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    fault::{During, Fault},
    process::{self, Running},
};

pub(super) const SPACE: &str = "apmon-bench";

/// The namespace; taken down when dropped.
pub(super) struct Space {
    etc: PathBuf,
    _server: Running,
}

impl Space {
    pub(super) fn make() -> Result<Self, Fault> {
        process::works(Command::new("ip").args(["netns", "del", SPACE]));
        let etc = PathBuf::from("/etc/netns").join(SPACE);
        fs::create_dir_all(&etc).during("make /etc/netns (bench needs root)")?;
        fs::write(etc.join("resolv.conf"), "nameserver 127.0.0.53\n").during("write its resolv.conf")?;
        for args in [
            &["netns", "add", SPACE][..],
            &["-n", SPACE, "link", "set", "lo", "up"],
            // A wire whose far end is open, without ARP: packets to 10.99.0.0/16
            // are sent and lost.
            &[
                "-n", SPACE, "link", "add", "wire", "type", "veth", "peer", "name", "far",
            ],
            &["-n", SPACE, "link", "set", "wire", "arp", "off", "up"],
            &["-n", SPACE, "link", "set", "far", "up"],
            &["-n", SPACE, "address", "add", "10.99.0.1/16", "dev", "wire"],
        ] {
            if !process::works(Command::new("ip").args(args)) {
                return Err(Fault::new(format!(
                    "ip {} failed (bench needs root)",
                    args.join(" ")
                )));
            }
        }
        // A silent name server: a bound socket that is never read.
        let server = Running::start("the silent name server", "ip".into(), |command| {
            command
                .args(["netns", "exec", SPACE, "python3", "-c"])
                .arg("import socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('127.0.0.53', 53))\ntime.sleep(3600)")
                .stdout(Stdio::null())
        })?;
        thread::sleep(Duration::from_secs(1));
        Ok(Self { etc, _server: server })
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        process::works(Command::new("ip").args(["netns", "del", SPACE]));
        let _ = fs::remove_dir_all(&self.etc);
    }
}

/// One of 40,000 addresses without a host.
pub(super) fn nobody(i: usize) -> String {
    format!("10.99.{}.{}", i / 250 + 1, i % 250 + 1)
}
