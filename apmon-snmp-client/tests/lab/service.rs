//! Child processes that are ready once started, and end when dropped.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::Duration,
};

use tokio::time::Instant;

/// The most time that an agent takes to listen; on an idle machine, each takes less than a
/// second.
const READY: Duration = Duration::from_secs(30);
/// The time that an agent may take to end before it is killed.
const GOODBYE: Duration = Duration::from_secs(5);
const CHECK_EVERY: Duration = Duration::from_millis(5);

/// The path of a program. On a machine without it, the test fails.
#[track_caller]
pub(super) fn find(name: &str, package: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian keeps most servers outside a user's path.
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|place| place.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("this test needs {name} (apt install {package})"))
}

/// A child process.
pub(super) struct Service {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts a program in `directory`, which contains its log, and waits until it is bound to
    /// `port` on 127.0.0.1. The error contains its log.
    pub(super) fn start(
        name: &'static str,
        command: &Command,
        directory: &Path,
        port: u16,
    ) -> Result<Self, String> {
        let log = directory.join("log");
        let said = File::options().create(true).append(true).open(&log).unwrap();
        // A killed test drops nothing; then the kernel ends the agent.
        let mut guarded = Command::new("setpriv");
        guarded
            .args(["--pdeathsig", "TERM", "--"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            guarded.env(name, value.unwrap_or(OsStr::new("")));
        }
        let child = guarded
            .current_dir(command.get_current_dir().unwrap_or(directory))
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .expect("this test needs setpriv (apt install util-linux)");
        let mut service = Self { name, child, log };
        service.wait_until_bound(port)?;
        Ok(service)
    }

    fn wait_until_bound(&mut self, port: u16) -> Result<(), String> {
        let waited = Instant::now();
        loop {
            let status = self.child.try_wait().unwrap();
            let name = self.name;
            let fault = match status {
                Some(status) => format!("{name} ended by itself ({status})"),
                None if self.is_bound(port) => return Ok(()),
                None if waited.elapsed() > READY => format!("{name} is not ready after {READY:?}"),
                None => {
                    thread::sleep(CHECK_EVERY);
                    continue;
                }
            };
            return Err(format!("{fault}: {}", self.said()));
        }
    }

    /// Whether the process's network has a UDP socket on the port, according to the kernel: the
    /// agent would count a trial request. Requests from now on wait in the socket until the agent
    /// reads it.
    fn is_bound(&self, port: u16) -> bool {
        // proc_pid_net(5): the address in the machine's byte order.
        let ip = u32::from_ne_bytes(Ipv4Addr::LOCALHOST.octets());
        let wanted = format!("{ip:08X}:{port:04X}");
        let sockets = format!("/proc/{}/net/udp", self.child.id());
        let sockets = fs::read_to_string(sockets).unwrap_or_default();
        let mut addresses = sockets.lines().filter_map(|line| line.split_whitespace().nth(1));
        addresses.any(|address| address == wanted)
    }

    /// The log so far.
    pub(super) fn said(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Stops the process with SIGSTOP until it is thawed.
    pub(super) fn freeze(&self) {
        self.signal("STOP");
        self.wait_until_frozen(true);
    }

    pub(super) fn thaw(&self) {
        self.signal("CONT");
        self.wait_until_frozen(false);
    }

    fn wait_until_frozen(&self, wanted: bool) {
        let waited = Instant::now();
        while self.is_frozen() != wanted {
            assert!(waited.elapsed() < GOODBYE, "{} took no signal", self.name);
            thread::sleep(CHECK_EVERY);
        }
    }

    fn is_frozen(&self) -> bool {
        // proc_pid_stat(5): the state follows the name in brackets.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let state = stat.rsplit_once(") ").map(|(_, state)| state);
        state.is_some_and(|state| state.starts_with('T'))
    }

    /// Sends a signal; the standard library knows SIGKILL only.
    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let script = format!("kill -{name} \"$0\"");
        let _ = Command::new("sh").args(["-c", &script, &id]).status();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // SIGTERM lets the agent save its state.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal("TERM");
            self.signal("CONT");
        }
        let waited = Instant::now();
        while self.child.try_wait().is_ok_and(|status| status.is_none()) && waited.elapsed() < GOODBYE {
            thread::sleep(CHECK_EVERY);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts something on a free port, and tries once more on another port if that fails: the
/// first may have been taken meanwhile.
#[track_caller]
pub(super) fn at_a_free_port<T>(start: impl Fn(u16) -> Result<T, String>) -> T {
    start(free_port())
        .or_else(|_| start(free_port()))
        .unwrap_or_else(|said| panic!("{said}"))
}

/// A free port, but not one that the kernel assigns for port 0: it might assign that again, to
/// another test or to a connection, before the agent is bound to it. So each process (nextest
/// starts one per test) begins at its own position below the kernel's range, and uses each port
/// once.
fn free_port() -> u16 {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = process::id().wrapping_mul(67) % COUNT;
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + (start + step) % COUNT).unwrap();
        if is_free(port) {
            return port;
        }
    }
    panic!("no free port in {FIRST}..{}", FIRST + COUNT);
}

fn is_free(port: u16) -> bool {
    let address = loopback(port);
    let errors = [TcpListener::bind(address).err(), UdpSocket::bind(address).err()];
    let mut errors = errors.iter().flatten();
    errors.all(|error| error.kind() != ErrorKind::AddrInUse)
}

pub(super) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Whether this process runs as root.
pub(super) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}
