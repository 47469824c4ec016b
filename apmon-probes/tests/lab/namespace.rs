//! A network of our own: two network namespaces and a cable between them.
//!
//! Each test runs twice: once outside, where it sets up the network, and once
//! as a process inside the near namespace, where it checks. It needs root and
//! iproute2, and fails without them.

use std::{
    future::Future,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use apmon_core::{FailureClass, Metric, Outcome, Stopwatch, Verdict};

use super::{STALL, check, reason};

/// The environment variable that names the test that the process inside runs.
const TEST_VARIABLE: &str = "APMON_NAMESPACE_TEST";

/// What the process inside prints when the test has run to its end.
const FINISHED: &str = "the test ran to its end";

/// When the kernel gives up resolving a neighbour: after three attempts, a second
/// apart.
pub const ARP_TIMEOUT: Duration = Duration::from_secs(5);

/// When it has given up even on a machine that suspends processes for a while.
pub const ARP_FAILED: Duration = ARP_TIMEOUT.saturating_add(STALL);

/// The user that runs the checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum User {
    /// All capabilities, not in `ping_group_range`: uses a raw socket.
    Root,
    /// No capabilities: uses a datagram socket, if the kernel allows it.
    Nobody,
}

/// Both users in turn.
pub const BOTH_USERS: &[User] = &[User::Root, User::Nobody];

/// Two namespaces: `10.77.0.1` and `fd77::1` on `near0`, and at the other end of
/// the cable, `far0`, `10.77.0.2` and `fd77::2`.
pub struct TestNetwork {
    near: String,
    far: String,
}

impl TestNetwork {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "apmon-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let network = Self {
            near: format!("{name}-near"),
            far: format!("{name}-far"),
        };
        ip(&format!("netns add {}", network.near));
        ip(&format!("netns add {}", network.far));
        ip(&format!(
            "link add near0 netns {} type veth peer name far0 netns {}",
            network.near, network.far
        ));
        for (end, device, host) in [(&network.near, "near0", 1), (&network.far, "far0", 2)] {
            ip(&format!("-n {end} link set lo up"));
            ip(&format!("-n {end} addr add 10.77.0.{host}/16 dev {device}"));
            ip(&format!("-n {end} addr add fd77::{host}/64 dev {device} nodad"));
            ip(&format!("-n {end} link set {device} up"));
        }
        network
    }

    /// Runs `ip` in the near namespace.
    pub fn near(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.near));
    }

    /// Runs `ip` in the far namespace.
    pub fn far(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.far));
    }

    /// Sets a kernel parameter below `net` in the near namespace.
    pub fn set_near(&self, parameter: &str, value: &str) {
        set_parameter(&self.near, parameter, value);
    }

    /// Sets a kernel parameter below `net` in the far namespace.
    pub fn set_far(&self, parameter: &str, value: &str) {
        set_parameter(&self.far, parameter, value);
    }

    /// Gives the near namespace a hosts file of its own.
    pub fn names(&self, hosts: &str) {
        let folder = self.files();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("hosts"), hosts).unwrap();
    }

    /// Where `ip netns exec` finds files of /etc for the near namespace.
    fn files(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.near)
    }

    /// Allows only [`User::Nobody`] a datagram ICMP socket. A user who may have one
    /// gets no raw one.
    pub fn allow_nobody(&self) {
        self.set_near("ipv4/ping_group_range", "65534 65534");
    }

    /// Allows only [`User::Root`] a datagram ICMP socket.
    pub fn allow_root(&self) {
        self.set_near("ipv4/ping_group_range", "0 0");
    }

    /// Runs the test `name` of this program once more, inside.
    fn run_inside(&self, name: &str, user: User) {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.near]);
        let directory = tempfile::tempdir().unwrap();
        match user {
            User::Root => command.arg(&program),
            User::Nobody => command
                .args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
                .args(["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"])
                .arg(executable_copy(&program, directory.path())),
        };
        let output = command
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .env(TEST_VARIABLE, name)
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && stdout.contains(FINISHED),
            "{user:?}: {}\n{stdout}{stderr}",
            output.status
        );
    }
}

impl Drop for TestNetwork {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.files());
        for name in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

/// A copy that every user may execute: the build directory may be private.
fn executable_copy(program: &Path, directory: &Path) -> std::path::PathBuf {
    let for_everyone = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory, for_everyone.clone()).unwrap();
    let copy = directory.join("test");
    std::fs::copy(program, &copy).unwrap();
    std::fs::set_permissions(&copy, for_everyone).unwrap();
    copy
}

#[track_caller]
fn set_parameter(namespace: &str, parameter: &str, value: &str) {
    let write = format!("echo '{value}' > /proc/sys/net/{parameter}");
    run(Command::new("ip").args(["netns", "exec", namespace, "sh", "-c", &write]));
}

#[track_caller]
fn ip(arguments: &str) {
    run(Command::new("ip").args(arguments.split_whitespace()));
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command
        .output()
        .expect("this test needs the ip command (apt install iproute2)");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "this test needs root, to create network namespaces: {command:?}: {stderr}"
    );
}

/// Outside: sets up a network for each of `users` and runs the test `name` inside.
/// Inside: runs `test`.
#[allow(clippy::print_stdout)] // how the process inside reports to the one outside
#[track_caller]
pub fn run_in_namespace<F: Future<Output = ()>>(
    name: &str,
    set_up: impl Fn(&TestNetwork),
    users: &[User],
    test: impl FnOnce() -> F,
) {
    if std::env::var(TEST_VARIABLE).is_ok_and(|inside| inside == name) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(test());
        println!("{FINISHED}");
        return;
    }
    for user in users {
        // Each gets a network that has not yet reached a rate limit of the kernel.
        let network = TestNetwork::new();
        set_up(&network);
        network.run_inside(name, *user);
    }
}

/// A section for every kind that connects to `address`. The sections of `udp` and
/// `tcp` expect an answer, so that silence is not enough.
pub fn sections_of_every_kind(address: &str) -> Vec<String> {
    let at = |scheme| match address.contains(':') {
        true => format!("'{scheme}://[{address}]:9'"),
        false => format!("'{scheme}://{address}:9'"),
    };
    vec![
        format!("type: ping\nname: x\naddress: '{address}'"),
        format!("type: ping\nname: x\naddress: '{address}'\ncount: 3"),
        format!("type: tcp\nname: x\naddress: {}", at("tcp")),
        format!("type: udp\nname: x\naddress: {}\nsend: x\nexpect: y", at("udp")),
        format!("type: dns\nname: x\naddress: {}\nquery: lan", at("dns")),
        format!("type: http\nname: x\naddress: {}", at("http")),
        format!("type: http\nname: x\naddress: {}", at("https")),
        format!("type: quic\nname: x\naddress: {}", at("https")),
    ]
}

/// Runs all checks concurrently. Returns each section with its outcome and the
/// time it took.
pub async fn check_all(sections: Vec<String>, timeout: Duration) -> Vec<(String, Outcome, Duration)> {
    let checks: Vec<_> = sections
        .into_iter()
        .map(|section| async move {
            let watch = Stopwatch::start();
            let outcome = check(&section, timeout).await;
            (section, outcome, watch.elapsed())
        })
        .collect();
    // Concurrent on a single thread: the tasks need not be Send.
    let local = tokio::task::LocalSet::new();
    let tasks: Vec<_> = checks.into_iter().map(|check| local.spawn_local(check)).collect();
    local.await;
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

#[track_caller]
pub fn assert_failure(section: &str, outcome: &Outcome, verdict: Verdict, class: FailureClass, text: &str) {
    let reason = reason(outcome);
    assert_eq!(outcome.verdict(), verdict, "{section}: {reason}");
    assert_eq!(outcome.failure().unwrap().class, class, "{section}: {reason}");
    assert!(reason.contains(text), "{section}: {reason}");
}

/// The value of a metric.
pub fn metric(outcome: &Outcome, name: &str) -> Option<f64> {
    let mut all = outcome.metrics.iter();
    all.find(|metric| metric.name == name).map(Metric::value)
}
