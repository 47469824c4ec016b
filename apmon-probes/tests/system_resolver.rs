//! `resolver: system` against a name server that works, fails or is silent, in a
//! namespace with a hosts file and a resolv.conf of our own.
#![cfg(feature = "hickory")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{net::UdpSocket, process::Command, sync::Arc, time::Duration};

use apmon_core::{Monitor, Outcome, Services, Stopwatch, Verdict, config};
use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{RData, Record, RecordType, rdata},
};
use tokio::net::TcpListener;

use lab::{LONG, SHORT, STALL, check_within, reason};

const INSIDE: &str = "APMON_TEST_INSIDE_NAMESPACE";

/// Runs this test again in a namespace with files of our own and port 53 free.
#[test]
fn the_system_resolves_names_and_a_silent_server_delays_nobody() {
    if std::env::var_os(INSIDE).is_some() {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(inside());
        return;
    }
    let files = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("hosts", "127.0.0.1 localhost nas my_nas\n::1 localhost six\n"),
        // It waits no longer than the test needs: see `PATIENCE`.
        (
            "resolv.conf",
            "nameserver 127.0.0.1\noptions timeout:5 attempts:1\n",
        ),
        ("nsswitch.conf", "hosts: files dns\n"),
    ] {
        std::fs::write(files.path().join(name), text).unwrap();
    }
    let script = "set -e; cd \"$0\"; ip link set lo up
        for file in hosts resolv.conf nsswitch.conf; do mount --bind $file /etc/$file; done
        exec \"$@\"";
    let status = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "--net",
            "sh",
            "-c",
            script,
        ])
        .arg(files.path())
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "the_system_resolves_names_and_a_silent_server_delays_nobody",
            "--nocapture",
        ])
        .env(INSIDE, "yes")
        .status()
        .expect("this test needs unshare (apt install util-linux)");
    assert!(
        status.success(),
        "it failed in its namespace; it needs unshare --user --mount --net, mount --bind, and ip (apt install iproute2)"
    );
}

/// How long the system waits for a name server, by our resolv.conf: longer than
/// this process stands still, and less than [`LONG`].
const PATIENCE: Duration = STALL;

/// A name server that answers by the first label, on a thread of its own.
fn name_server() {
    let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        loop {
            let (n, from) = socket.recv_from(&mut buffer).unwrap();
            let mut message = Message::from_vec(&buffer[..n]).unwrap();
            let query = message.queries()[0].clone();
            message.set_message_type(MessageType::Response);
            message.set_recursion_available(true);
            let name = query.name().to_ascii().to_ascii_lowercase();
            match (name.split('.').next().unwrap(), query.query_type()) {
                ("web", RecordType::A) => {
                    let data = RData::A(rdata::A::new(127, 0, 0, 1));
                    message.add_answer(Record::from_rdata(query.name().clone(), 60, data));
                }
                ("web", _) => {}
                ("failing", _) => _ = message.set_response_code(ResponseCode::ServFail),
                ("gone", _) => _ = message.set_response_code(ResponseCode::NXDomain),
                _ => continue,
            }
            socket.send_to(&message.to_vec().unwrap(), from).unwrap();
        }
    });
}

/// A monitor of a TCP port whose name the system looks up.
fn monitor(host: &str, port: u16, more: &str, services: &Services) -> Arc<dyn Monitor> {
    let text = format!(
        "site: {{name: Lab, resolver: system}}\nmonitors:\n  - {{type: tcp, name: x, address: 'tcp://{host}:{port}'{more}}}\n"
    );
    let site = config::parse(
        "lab.yaml".as_ref(),
        &text,
        apmon_probes::KINDS,
        &[],
        &config::ProcessEnvironment,
    );
    site.unwrap_or_else(|error| panic!("{error}")).monitors[0].build(services)
}

async fn check(monitor: Arc<dyn Monitor>, timeout: Duration) -> Outcome {
    monitor.check(&check_within(timeout)).await.outcome
}

async fn inside() {
    name_server();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let services = Services::default();

    for host in ["web.example", "WEB.example.", "nas", "my_nas", "localhost"] {
        let outcome = check(monitor(host, port, "", &services), LONG).await;
        assert_eq!(reason(&outcome), "up", "{host}");
    }
    for (host, more, verdict, expected) in [
        (
            "gone.example",
            "",
            Verdict::Down,
            "resolve: no such name: gone.example",
        ),
        (
            "web.example",
            ", address_family: ipv6",
            Verdict::Down,
            "resolve: no IPv6 address for that name: web.example",
        ),
        (
            "six",
            ", address_family: ipv6",
            Verdict::Down,
            "connect: connection refused (::1)",
        ),
        (
            "failing.example",
            "",
            Verdict::Unknown,
            "resolve: this machine's resolver has no answer at the moment (EAI_AGAIN)",
        ),
        (
            "silent.example",
            "",
            Verdict::Unknown,
            "resolve: this machine's resolver has no answer at the moment (EAI_AGAIN)",
        ),
    ] {
        let outcome = check(monitor(host, port, more, &services), LONG).await;
        assert_eq!(reason(&outcome), expected, "{host}");
        assert_eq!(outcome.verdict(), verdict, "{host}");
    }

    let start = Stopwatch::start();
    let checks: Vec<_> = (0..1_000)
        .map(|n| {
            let monitor = monitor(&format!("silent{n}.example"), port, "", &services);
            tokio::spawn(check(monitor, SHORT))
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    // Monitors with an address, or with a name known already, are not affected.
    for host in ["127.0.0.1", "nas", "web.example"] {
        let outcome = check(monitor(host, port, "", &services), LONG).await;
        assert_eq!(reason(&outcome), "up", "{host}");
    }
    // All threads of the resolver are busy until then.
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    for check in checks {
        let outcome = check.await.unwrap();
        assert_eq!(
            reason(&outcome),
            "resolve: no answer from this machine's resolver within 0.7 secs"
        );
        assert_eq!(outcome.verdict(), Verdict::Unknown);
    }
    // Not one after another: that takes a thousand times as long.
    assert!(start.elapsed() < SHORT + STALL, "{:?}", start.elapsed());
    assert_eq!(threads(), 4);
    // Names that nobody waits for any more are not looked up: else this answer would
    // take 1,250 seconds, and thus never come.
    let outcome = check(monitor("six", port, ", address_family: ipv6", &services), LONG).await;
    assert_eq!(reason(&outcome), "connect: connection refused (::1)");
}

/// Threads of this process that resolve names.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
    names.filter(|name| name.trim() == "apmon-names").count()
}
