//! Real servers to check: each a child process on loopback, with its own ports
//! and files, that ends when its value is dropped.
//!
//! A value must be dropped on the thread that created it: the kernel ends the
//! server with that thread (see `Service::spawn`). Neither a `static` nor a
//! spawned task may hold one.

mod caddy;
mod dovecot;
mod nginx;
mod slapd;
mod smtp;
mod snmpd;
mod sshd;
mod vsftpd;

use std::{
    env,
    fs::{self, File, Permissions},
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::Duration,
};

use apmon_core::Stopwatch;
use tempfile::TempDir;

pub use self::{
    caddy::Caddy, dovecot::Dovecot, nginx::Nginx, slapd::Slapd, smtp::Smtp, snmpd::Snmpd, sshd::Sshd,
    vsftpd::Vsftpd,
};

/// The time limit for a server to start listening; on an idle machine each takes
/// less than a second.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The time limit for a server to end before it is killed.
pub const STOP_TIMEOUT: Duration = super::LONG;
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A program and the Debian package that contains it.
struct Program {
    name: &'static str,
    package: &'static str,
}

impl Program {
    /// The path of the program. Without the program the test fails: a test that
    /// could not run has shown nothing.
    #[track_caller]
    fn path(&self) -> PathBuf {
        let Self { name, package } = self;
        let path = env::var_os("PATH").unwrap_or_default();
        // Debian keeps most servers outside a user's PATH.
        env::split_paths(&path)
            .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
            .map(|directory| directory.join(name))
            .find(|file| file.is_file())
            .unwrap_or_else(|| panic!("this test needs {name} (apt install {package})"))
    }
}

/// How a port of a server is bound once the server is ready.
#[derive(Clone, Copy)]
enum Binding {
    Tcp,
    Udp,
    /// TCP and UDP, on 127.0.0.1 and ::1.
    Everywhere,
}

impl Binding {
    fn is_bound(self, port: u16) -> bool {
        let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
        match self {
            Self::Tcp => is_bound("tcp", v4, port),
            Self::Udp => is_bound("udp", v4, port),
            Self::Everywhere => ["tcp", "udp"]
                .iter()
                .all(|protocol| is_bound(protocol, v4, port) && is_bound(protocol, v6, port)),
        }
    }
}

/// Whether a socket listens on (TCP) or is bound to (UDP) an address. The kernel
/// says so: a trial connection would count as a client, and a trial bind could
/// get in the server's way.
fn is_bound(protocol: &str, ip: IpAddr, port: u16) -> bool {
    // proc_pid_net(5): each 32-bit word of the address in host byte order.
    let (family, address) = match ip {
        IpAddr::V4(ip) => ("", format!("{:08X}", u32::from_ne_bytes(ip.octets()))),
        IpAddr::V6(ip) => {
            let words = ip.octets();
            let words = words.as_chunks::<4>().0.iter();
            (
                "6",
                words
                    .map(|word| format!("{:08X}", u32::from_ne_bytes(*word)))
                    .collect(),
            )
        }
    };
    let local = format!("{address}:{port:04X}");
    // 0A is LISTEN, 07 is the state of a bound datagram socket.
    let state = if protocol == "tcp" { "0A" } else { "07" };
    let sockets = fs::read_to_string(format!("/proc/net/{protocol}{family}")).unwrap_or_default();
    sockets.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(&local) && words.nth(1) == Some(state)
    })
}

/// A port that is free for TCP and UDP on both families.
///
/// It is not one that the kernel picks for port 0: the kernel may hand that out
/// again, to another test or as the local end of a connection, before the server
/// has bound it. Each process (nextest starts one per test) starts at its own
/// port below the kernel's ephemeral range, and uses each port once.
fn free_port() -> u16 {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = process::id().wrapping_mul(67) % COUNT;
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + (start + step) % COUNT;
        let port = u16::try_from(port).unwrap();
        if is_free(port) {
            return port;
        }
    }
    panic!("no free port in {FIRST}..{}", FIRST + COUNT);
}

fn is_free(port: u16) -> bool {
    [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]
        .iter()
        .all(|ip| {
            let address = SocketAddr::new(*ip, port);
            let errors = [TcpListener::bind(address).err(), UdpSocket::bind(address).err()];
            // A machine without IPv6 returns another error, which does not matter.
            let mut errors = errors.iter().flatten();
            errors.all(|error| error.kind() != ErrorKind::AddrInUse)
        })
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Whether this process is root, in which case a server needs an option to accept
/// that, or a user to become.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// The process of a server and its directory.
struct Service {
    program: &'static Program,
    child: Child,
    directory: TempDir,
}

impl Service {
    /// Starts `program`, which `configure` sets up for a directory and the ports,
    /// and waits until it listens on all of them. A second attempt uses other
    /// ports, in case another process has taken one.
    #[track_caller]
    fn start<const N: usize>(
        program: &'static Program,
        bindings: [Binding; N],
        configure: impl Fn(&mut Command, &Path, [u16; N]),
    ) -> (Self, [u16; N]) {
        let mut error = String::new();
        for _ in 0..2 {
            let ports = [(); N].map(|()| free_port());
            let mut service = Self::spawn(program, |command, directory| {
                configure(command, directory, ports);
            });
            let all_bound = || {
                let mut pairs = bindings.iter().zip(ports);
                pairs.all(|(binding, port)| binding.is_bound(port))
            };
            match service.wait_until(all_bound) {
                Ok(()) => return (service, ports),
                Err(message) => error = message,
            }
        }
        panic!("{error}");
    }

    #[track_caller]
    fn spawn(program: &'static Program, configure: impl Fn(&mut Command, &Path)) -> Self {
        let path = program.path();
        let directory = tempfile::tempdir().unwrap();
        // Servers that give up root still need access.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        // A killed test drops nothing, so the kernel ends the server.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]).arg(path);
        configure(&mut command, directory.path());
        let log = File::create(directory.path().join("log")).unwrap();
        let child = command
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("this test needs setpriv (apt install util-linux)");
        Self {
            program,
            child,
            directory,
        }
    }

    /// Waits until `is_ready`. The error contains the output of the server.
    fn wait_until(&mut self, is_ready: impl Fn() -> bool) -> Result<(), String> {
        let waited = Stopwatch::start();
        loop {
            let status = self.child.try_wait().unwrap();
            let name = self.program.name;
            let error = match status {
                Some(status) => format!("{name} ended by itself ({status})"),
                None if is_ready() => return Ok(()),
                None if waited.elapsed() > START_TIMEOUT => {
                    format!("{name} is not ready after {START_TIMEOUT:?}")
                }
                None => {
                    thread::sleep(POLL_INTERVAL);
                    continue;
                }
            };
            return Err(format!("{error}: {}", self.log()));
        }
    }

    /// The output of the server so far.
    fn log(&self) -> String {
        let text = fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // SIGTERM first, since some have children of their own to end. The
        // standard library only knows SIGKILL.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let id = self.child.id().to_string();
            let _ = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &id]).status();
        }
        let waited = Stopwatch::start();
        while self.child.try_wait().is_ok_and(|status| status.is_none()) && waited.elapsed() < STOP_TIMEOUT {
            thread::sleep(POLL_INTERVAL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a file of a server.
fn write(directory: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}
