//! A network namespace with cables that can be pulled.

use std::{
    fs::{self, File},
    os::fd::AsFd as _,
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace with `lo` and cables, both ends of each within it:
/// `veth0` and `peer0`, `veth1` and `peer1`, ... They carry nothing and have no
/// address; an agent inside counts them among its interfaces.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Creates a namespace with this many cables, all up; 300 cables are 601 interfaces. Needs
    /// root.
    #[track_caller]
    pub fn with_cables(cables: usize) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("apmon-snmp-{}-{count}", process::id());
        ip(&["netns", "add", &name]);
        let namespace = Self { name };
        let mut batch = "link set lo up\n".to_owned();
        for cable in 0..cables {
            let (near, far) = (format!("veth{cable}"), format!("peer{cable}"));
            batch += &format!("link add {near} type veth peer name {far}\n");
            for end in [near, far] {
                // No addresses, so that nothing is sent and counters do not change.
                batch += &format!("link set {end} addrgenmode none up\n");
            }
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), batch).unwrap();
        namespace.ip(&["-batch", file.path().to_str().unwrap()]);
        namespace
    }

    /// The name of the namespace for `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Unplugs a cable at its far end, so that `veth` stays enabled but loses its carrier.
    #[track_caller]
    pub fn pull(&self, cable: usize) {
        self.ip(&["link", "set", &format!("peer{cable}"), "down"]);
    }

    /// Plugs a cable in again.
    #[track_caller]
    pub fn plug(&self, cable: usize) {
        self.ip(&["link", "set", &format!("peer{cable}"), "up"]);
    }

    /// The ifIndex of a device.
    #[track_caller]
    pub fn index(&self, device: &str) -> u32 {
        let line = self.ip(&["-o", "link", "show", "dev", device]);
        line.split(':').next().unwrap().parse().unwrap()
    }

    /// Runs `ip` in the namespace, and returns its output.
    #[track_caller]
    pub fn ip(&self, arguments: &[&str]) -> String {
        ip(&[&["-n", &self.name], arguments].concat())
    }

    /// A command that runs in the namespace.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs `act` in the namespace, on a separate thread. Sockets that it opens and threads that it
    /// starts belong to this network. An agent must not be started there, as it would end with the
    /// thread.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let place = format!("/run/netns/{}", self.name);
        let network = File::open(place).unwrap();
        let enter_and_act = || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            act()
        };
        thread::scope(|scope| match scope.spawn(enter_and_act).join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

#[track_caller]
fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .expect("this test needs the ip command (apt install iproute2)");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "this test needs root, to make network namespaces: ip {arguments:?}: {complaint}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
