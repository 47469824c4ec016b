//! Whose fault it is that nobody answers, on a network of our own: two network
//! namespaces and a cable between them.
//!
//! A row of the table is a test that runs twice: once here, where it lays the
//! cable, and once as a process inside the near namespace, where it looks. It
//! needs root and iproute2, and fails without.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{
    cell::Cell,
    future::Future,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use apmon_core::{FailureClass, Metric, Outcome, Services, Stopwatch, Verdict};

use lab::{CROWD, LONG, MIDWAY, SHORT, STALL, build, check, check_within, reason};

/// Set for the process inside: which row it plays.
const ROW: &str = "APMON_NAMESPACE_ROW";

/// What the process inside says when it has played to the end.
const PLAYED: &str = "the row was played";

/// Where the kernel gives up asking for a neighbour: three times a second apart.
const ARP: Duration = Duration::from_secs(5);

/// When it has given up, on a machine that lets a process stand still too.
const GIVEN_UP: Duration = ARP.saturating_add(STALL);

/// Who looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    /// With all capabilities and no `ping_group_range`: by a raw socket.
    Root,
    /// Without any capability: by a datagram socket, if the kernel lets him.
    Nobody,
}

/// Two namespaces: `10.77.0.1` and `fd77::1` on `near0`, its cable's other end
/// `far0` with `10.77.0.2` and `fd77::2`.
struct Net {
    near: String,
    far: String,
}

impl Net {
    fn lay() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "apmon-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let net = Self {
            near: format!("{name}-near"),
            far: format!("{name}-far"),
        };
        ip(&format!("netns add {}", net.near));
        ip(&format!("netns add {}", net.far));
        ip(&format!(
            "link add near0 netns {} type veth peer name far0 netns {}",
            net.near, net.far
        ));
        for (end, device, host) in [(&net.near, "near0", 1), (&net.far, "far0", 2)] {
            ip(&format!("-n {end} link set lo up"));
            ip(&format!("-n {end} addr add 10.77.0.{host}/16 dev {device}"));
            ip(&format!("-n {end} addr add fd77::{host}/64 dev {device} nodad"));
            ip(&format!("-n {end} link set {device} up"));
        }
        net
    }

    fn near(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.near));
    }

    fn far(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.far));
    }

    /// Writes a setting of the kernel, which is each namespace's own.
    fn set(namespace: &str, setting: &str, value: &str) {
        let write = format!("echo '{value}' > /proc/sys/net/{setting}");
        run(Command::new("ip").args(["netns", "exec", namespace, "sh", "-c", &write]));
    }

    /// Runs this test once more, inside.
    fn play(&self, row: &str, who: Who) {
        let here = std::env::current_exe().unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.near]);
        let directory = tempfile::tempdir().unwrap();
        match who {
            Who::Root => command.arg(&here),
            Who::Nobody => command
                .args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
                .args(["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"])
                .arg(within_reach(&here, directory.path())),
        };
        let output = command
            .args([row, "--exact", "--nocapture", "--test-threads=1"])
            .env(ROW, row)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.contains(PLAYED),
            "{who:?}: {}\n{said}{complained}",
            output.status
        );
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

/// A copy that everybody may execute: the build's directory may be private.
fn within_reach(program: &Path, directory: &Path) -> std::path::PathBuf {
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory, everybody.clone()).unwrap();
    let copy = directory.join("row");
    std::fs::copy(program, &copy).unwrap();
    std::fs::set_permissions(&copy, everybody).unwrap();
    copy
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
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "this test needs root, to make network namespaces: {command:?}: {complaint}"
    );
}

/// Outside: lays the cable, arranges it, and runs the row inside for each of
/// `who`. Inside: plays it.
#[allow(clippy::print_stdout)] // how the process inside tells the one outside
#[track_caller]
fn row<F: Future<Output = ()>>(name: &str, arrange: impl Fn(&Net), who: &[Who], play: impl FnOnce() -> F) {
    if std::env::var(ROW).is_ok_and(|row| row == name) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(play());
        println!("{PLAYED}");
        return;
    }
    for who in who {
        // Each has a kernel that has not yet met a limit of what it tells.
        let net = Net::lay();
        arrange(&net);
        net.play(name, *who);
    }
}

/// So that [`Who::Nobody`] may have a datagram ICMP socket, and he alone: whoever
/// may have one gets no raw one.
fn allow_nobody(net: &Net) {
    Net::set(&net.near, "ipv4/ping_group_range", "65534 65534");
}

/// The same for [`Who::Root`].
fn allow_root(net: &Net) {
    Net::set(&net.near, "ipv4/ping_group_range", "0 0");
}

/// The sections of a look at `address` by every kind that goes by it. Those of
/// udp and tcp expect an answer, so that silence is no answer.
fn every_kind(address: &str) -> Vec<String> {
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

/// All looks at once: each with what it found and how long it took.
async fn check_at(sections: Vec<String>, timeout: Duration) -> Vec<(String, Outcome, Duration)> {
    let checks: Vec<_> = sections
        .into_iter()
        .map(|section| async move {
            let watch = Stopwatch::start();
            let outcome = check(&section, timeout).await;
            (section, outcome, watch.elapsed())
        })
        .collect();
    // On one thread, and yet at once: the tasks need no Send.
    let local = tokio::task::LocalSet::new();
    let tasks: Vec<_> = checks.into_iter().map(|check| local.spawn_local(check)).collect();
    local.await;
    let mut found = Vec::new();
    for task in tasks {
        found.push(task.await.unwrap());
    }
    found
}

#[track_caller]
fn must_be(section: &str, outcome: &Outcome, verdict: Verdict, class: FailureClass, words: &str) {
    let reason = reason(outcome);
    assert_eq!(outcome.verdict(), verdict, "{section}: {reason}");
    assert_eq!(outcome.failure().unwrap().class, class, "{section}: {reason}");
    assert!(reason.contains(words), "{section}: {reason}");
}

fn metric(outcome: &Outcome, name: &str) -> Option<f64> {
    let mut all = outcome.metrics.iter();
    all.find(|metric| metric.name == name).map(Metric::value)
}

/// Open ICMP sockets of this namespace: datagram and raw.
fn sockets() -> [usize; 2] {
    ["icmp", "raw"].map(|kind| {
        let table = std::fs::read_to_string(format!("/proc/net/{kind}")).unwrap();
        table.lines().count() - 1
    })
}

const BOTH: &[Who] = &[Who::Root, Who::Nobody];

#[test]
fn a_neighbour_answers_by_raw_and_by_datagram_socket() {
    row(
        "a_neighbour_answers_by_raw_and_by_datagram_socket",
        allow_nobody,
        BOTH,
        || async {
            let services = Services::default();
            for address in ["10.77.0.2", "fd77::2", "10.77.0.1", "fd77::1", "127.0.0.1", "::1"] {
                let section = format!("type: ping\nname: x\naddress: '{address}'\ncount: 3");
                let monitor = build(&section, &services);
                let outcome = monitor.check(&check_within(LONG)).await.outcome;
                let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
                let expected = if is_root { [0, 1] } else { [1, 0] };
                assert_eq!(sockets(), expected, "[datagram, raw] over IPv4, one for all");
                assert_eq!(reason(&outcome), "up", "{address}");
                assert_eq!(metric(&outcome, "loss_pct"), Some(0.0), "{address}");
                assert!(metric(&outcome, "jitter_ms").is_some(), "{address}");
            }
        },
    );
}

#[test]
fn an_absent_neighbour_is_down_quickly() {
    row(
        "an_absent_neighbour_is_down_quickly",
        allow_nobody,
        BOTH,
        || async {
            let sections = [every_kind("10.77.0.9"), every_kind("fd77::9")].concat();
            for (section, outcome, took) in check_at(sections, LONG).await {
                must_be(
                    &section,
                    &outcome,
                    Verdict::Down,
                    FailureClass::HostUnreachable,
                    "",
                );
                assert!(took < GIVEN_UP, "{section}: {took:?}");
                if section.contains("ping") {
                    assert!(
                        reason(&outcome).contains("does not answer"),
                        "{}",
                        reason(&outcome)
                    );
                    assert_eq!(metric(&outcome, "loss_pct"), Some(100.0));
                }
            }
        },
    );
}

#[test]
fn without_a_route_nothing_is_known() {
    let arrange = |net: &Net| {
        allow_nobody(net);
        net.near("route add unreachable 203.0.113.1");
        net.near("route add blackhole 203.0.113.2");
    };
    row("without_a_route_nothing_is_known", arrange, BOTH, || async {
        let sections = ["198.51.100.7", "2001:db8::7", "203.0.113.1", "203.0.113.2"]
            .map(every_kind)
            .concat();
        for (section, outcome, took) in check_at(sections, LONG).await {
            must_be(&section, &outcome, Verdict::Unknown, FailureClass::NoRoute, "");
            assert!(took < STALL, "{section}: {took:?}");
        }
    });
}

#[test]
fn what_this_machine_forbids_is_unknown() {
    let arrange = |net: &Net| {
        allow_nobody(net);
        net.near("route add prohibit 203.0.113.3");
    };
    row("what_this_machine_forbids_is_unknown", arrange, BOTH, || async {
        for (section, outcome, _) in check_at(every_kind("203.0.113.3"), LONG).await {
            must_be(
                &section,
                &outcome,
                Verdict::Unknown,
                FailureClass::Permission,
                "permission denied on this machine",
            );
        }
    });
}

#[test]
fn a_pulled_cable_is_our_own_trouble() {
    let arrange = |net: &Net| {
        allow_nobody(net);
        net.far("link set far0 down");
    };
    row("a_pulled_cable_is_our_own_trouble", arrange, BOTH, || async {
        let words = "no carrier on near0 (our own cable?)";
        let deaf = "type: udp\nname: x\naddress: udp://10.77.0.2:9\nsend: x";
        let mut sections = [every_kind("10.77.0.2"), every_kind("fd77::2")].concat();
        sections.push(deaf.to_owned());
        // Given up by the kernel, and by our own deadline.
        for timeout in [GIVEN_UP, SHORT] {
            for (section, outcome, _) in check_at(sections.clone(), timeout).await {
                must_be(&section, &outcome, Verdict::Unknown, FailureClass::NoRoute, words);
            }
        }
        let own = check("type: ping\nname: x\naddress: 10.77.0.1", LONG).await;
        assert_eq!(reason(&own), "up");
    });
}

#[test]
fn an_interface_that_is_down_is_our_own_trouble() {
    let arrange = |net: &Net| {
        allow_nobody(net);
        net.near("link set near0 down");
    };
    row(
        "an_interface_that_is_down_is_our_own_trouble",
        arrange,
        BOTH,
        || async {
            let sections = [every_kind("10.77.0.2"), every_kind("fd77::2")].concat();
            for (section, outcome, _) in check_at(sections, LONG).await {
                must_be(&section, &outcome, Verdict::Unknown, FailureClass::NoRoute, "");
            }
        },
    );
}

#[test]
fn a_router_that_has_no_way_is_believed() {
    let arrange = |net: &Net| {
        allow_nobody(net);
        net.near("route add default via 10.77.0.2");
        net.near("-6 route add default via fd77::2");
        Net::set(&net.far, "ipv4/ip_forward", "1");
        Net::set(&net.far, "ipv6/conf/all/forwarding", "1");
        // A router says it rarely; here several looks ask at once.
        Net::set(&net.far, "ipv4/icmp_ratelimit", "0");
        Net::set(&net.far, "ipv6/icmp/ratelimit", "0");
    };
    row("a_router_that_has_no_way_is_believed", arrange, BOTH, || async {
        for (address, router) in [("198.51.100.7", "10.77.0.2"), ("2001:db8::7", "fd77::2")] {
            let mut found = Vec::new();
            // Over IPv4 Linux says it to one host five times in a row, then once
            // a second.
            let mut sections = every_kind(address);
            sections.retain(|section| !section.contains("count"));
            for (i, some) in sections.chunks(4).enumerate() {
                if i > 0 && address.contains('.') {
                    tokio::time::sleep(Duration::from_secs(4)).await;
                }
                found.extend(check_at(some.to_vec(), LONG).await);
            }
            for (section, outcome, took) in found {
                must_be(
                    &section,
                    &outcome,
                    Verdict::Down,
                    FailureClass::HostUnreachable,
                    "network unreachable, says",
                );
                assert!(took < STALL, "{section}: {took:?}");
                if section.contains("ping") {
                    let words = format!("network unreachable, says {router}");
                    assert_eq!(reason(&outcome), words);
                }
            }
        }
    });
}

#[test]
fn without_permission_both_remedies_are_told() {
    row(
        "without_permission_both_remedies_are_told",
        |_| {},
        &[Who::Nobody],
        || async {
            for address in ["10.77.0.2", "fd77::2", "127.0.0.1"] {
                let section = format!("type: ping\nname: x\naddress: '{address}'");
                let outcome = check(&section, LONG).await;
                for remedy in ["net.ipv4.ping_group_range", "setcap cap_net_raw"] {
                    must_be(
                        &section,
                        &outcome,
                        Verdict::Unknown,
                        FailureClass::Permission,
                        remedy,
                    );
                }
            }
        },
    );
}

#[test]
fn loss_is_measured_and_has_its_limit() {
    let arrange = |net: &Net| {
        allow_nobody(net);
        // The far end answers some pings and then one a second.
        Net::set(&net.far, "ipv4/icmp_ratemask", "1");
        Net::set(&net.far, "ipv4/icmp_ratelimit", "1000");
    };
    row("loss_is_measured_and_has_its_limit", arrange, BOTH, || async {
        let section = "type: ping\nname: x\naddress: 10.77.0.2\ncount: 20";
        let limited = format!("{section}\nmax_loss_pct: 5");
        let watch = Stopwatch::start();
        let found = check_at(vec![section.to_owned(), limited], LONG).await;
        assert!(
            watch.elapsed() < LONG,
            "the last replies are not waited for so long"
        );
        let (_, any, _) = &found[0];
        assert_eq!(reason(any), "up");
        let lost = metric(any, "loss_pct").unwrap();
        assert!(lost > 0.0 && lost < 100.0, "{lost}");
        let (section, some, _) = &found[1];
        must_be(
            section,
            some,
            Verdict::Down,
            FailureClass::Content,
            " of 20 packets lost (",
        );
        assert!(reason(some).ends_with(" %), more than 5 %"), "{}", reason(some));
        assert!(metric(some, "rtt_avg_ms").is_some());
    });
}

#[test]
fn five_thousand_hosts_at_once_lose_nothing_without_privileges() {
    row(
        "five_thousand_hosts_at_once_lose_nothing_without_privileges",
        allow_nobody,
        &[Who::Nobody],
        || async {
            let services = Services::default();
            let checks: Vec<_> = (0..5_000_u32)
                .map(|n| format!("127.{}.{}.{}", 10 + n % 50, n / 250, 1 + n % 250))
                .map(|address| build(&format!("type: ping\nname: x\naddress: {address}"), &services))
                .map(|monitor| tokio::spawn(async move { monitor.check(&check_within(CROWD)).await.outcome }))
                .collect();
            for check in checks {
                assert_eq!(reason(&check.await.unwrap()), "up");
            }
        },
    );
}

/// Sees what 127.0.0.1 is asked, and has done so from before the first packet.
fn raw_socket() -> tokio::net::UdpSocket {
    let socket = socket2::Socket::new(
        socket2::Domain::IPV4,
        socket2::Type::RAW,
        Some(socket2::Protocol::ICMPV4),
    )
    .unwrap();
    socket.set_nonblocking(true).unwrap();
    tokio::net::UdpSocket::from_std(socket.into()).unwrap()
}

/// Replies in the kernel's stead, by `answer`, as often as it is asked. Never ends.
async fn liar(socket: &tokio::net::UdpSocket, asked: &Cell<usize>, answer: impl Fn(Vec<u8>) -> Vec<Vec<u8>>) {
    let mut buffer = [0; 256];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        // Behind the IP header, a request.
        if buffer[20] == 8 {
            for mut reply in answer(buffer[20..length].to_vec()) {
                reply[0] = 0;
                reply[2..4].copy_from_slice(&[0, 0]);
                let sum = checksum(&reply);
                reply[2..4].copy_from_slice(&sum.to_be_bytes());
                socket.send_to(&reply, from).await.unwrap();
            }
            asked.set(asked.get() + 1);
        }
    }
}

fn checksum(packet: &[u8]) -> u16 {
    let words = packet.chunks_exact(2);
    let sum: u32 = words
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

async fn forged() {
    let one = "type: ping\nname: x\naddress: 127.0.0.1";
    let three = format!("{one}\ncount: 3\nmax_loss_pct: 0");
    let forgeries = |request: Vec<u8>| {
        let with = |at: usize| {
            let mut reply = request.clone();
            reply[at] ^= 1;
            reply
        };
        // another identifier, number, first and last byte; one cut short, one longer
        let mut all = vec![with(5), with(7), with(8), with(31)];
        all.push(request[..30].to_vec());
        all.push([request.as_slice(), &[0, 0]].concat());
        all
    };
    let (socket, asked) = (raw_socket(), Cell::new(0));
    let outcome = tokio::select! {
        outcome = check(one, MIDWAY) => outcome,
        () = liar(&socket, &asked, forgeries) => unreachable!("it never ends"),
    };
    assert_eq!(reason(&outcome), "no reply within 5 secs");
    assert_ne!(asked.get(), 0, "nobody lied");
    // A repeated reply counts once.
    let honest = |request: Vec<u8>| vec![request.clone(), request];
    let outcome = tokio::select! {
        outcome = check(&three, LONG) => outcome,
        () = liar(&socket, &asked, honest) => unreachable!("it never ends"),
    };
    assert_eq!(reason(&outcome), "up");
}

#[test]
fn a_forged_reply_is_none_on_a_raw_socket() {
    let arrange = |net: &Net| Net::set(&net.near, "ipv4/icmp_echo_ignore_all", "1");
    row(
        "a_forged_reply_is_none_on_a_raw_socket",
        arrange,
        &[Who::Root],
        forged,
    );
}

#[test]
fn a_forged_reply_is_none_on_a_datagram_socket() {
    let arrange = |net: &Net| {
        allow_root(net);
        Net::set(&net.near, "ipv4/icmp_echo_ignore_all", "1");
    };
    row(
        "a_forged_reply_is_none_on_a_datagram_socket",
        arrange,
        &[Who::Root],
        forged,
    );
}

/// The kernel tells an error to whoever uses the socket next: that must not be
/// taken for one of the host that is asked just then.
#[test]
fn four_hundred_absent_hosts_do_not_spoil_the_one_that_is_there() {
    row(
        "four_hundred_absent_hosts_do_not_spoil_the_one_that_is_there",
        allow_nobody,
        BOTH,
        || async {
            let services = Services::default();
            let ping =
                |address: &str| build(&format!("type: ping\nname: x\naddress: '{address}'"), &services);
            let watch = Stopwatch::start();
            let absent: Vec<_> = (0..400)
                .map(|n| ping(&format!("10.77.{}.{}", 1 + n / 200, 1 + n % 200)))
                .collect();
            let absent = tokio::spawn(async move {
                let mut checks = Vec::new();
                for monitor in absent {
                    checks.push(tokio::spawn(async move {
                        let watch = Stopwatch::start();
                        let outcome = monitor.check(&check_within(LONG)).await.outcome;
                        (outcome, watch.elapsed())
                    }));
                    // The kernel tells no more than 50 errors at once
                    // (net.ipv4.icmp_msgs_burst).
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                checks
            });
            let there = ping("10.77.0.2");
            while watch.elapsed() < ARP + Duration::from_secs(2) {
                let outcome = there.check(&check_within(LONG)).await.outcome;
                assert_eq!(reason(&outcome), "up", "after {:?}", watch.elapsed());
                let latency = outcome.latency.unwrap();
                assert!(latency < STALL, "{latency:?}");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            for check in absent.await.unwrap() {
                let (outcome, took) = check.await.unwrap();
                must_be(
                    "absent",
                    &outcome,
                    Verdict::Down,
                    FailureClass::HostUnreachable,
                    "does not answer ARP",
                );
                assert!(took < GIVEN_UP, "{took:?}");
            }
        },
    );
}

/// They share a socket, and what is sent to them waits in its buffer for ARP.
#[test]
fn absent_quic_hosts_do_not_spoil_the_one_that_is_there() {
    row(
        "absent_quic_hosts_do_not_spoil_the_one_that_is_there",
        |_| {},
        BOTH,
        || async {
            let pki = lab::pki::Pki::new();
            pki.leaf("leaf");
            let config = lab::h3::config(&pki.server(&["leaf"]).protocol("h3").config());
            let (server, _) = lab::h3::server(
                move |_| std::sync::Arc::clone(&config),
                |connection| lab::h3::answer(connection, |_| (200, Vec::new(), "hello".to_owned())),
            );
            let services = Services::default();
            let quic = |address: &str| {
                build(
                    &format!("type: quic\nname: x\naddress: 'https://{address}/'"),
                    &services,
                )
            };
            let absent: Vec<_> = (0..300)
                .map(|n| quic(&format!("10.77.{}.{}", 1 + n / 200, 1 + n % 200)))
                .map(|monitor| {
                    tokio::spawn(async move { monitor.check(&check_within(GIVEN_UP)).await.outcome })
                })
                .collect();
            let there = quic(&server.to_string());
            let has_room = std::fs::metadata("/proc/self").unwrap().uid() == 0;
            let watch = Stopwatch::start();
            while watch.elapsed() < ARP {
                let outcome = there.check(&check_within(LONG)).await.outcome;
                // Who may not enlarge the buffer may lack room, and says so.
                match (outcome.verdict(), has_room) {
                    (Verdict::Up, _) => {}
                    (_, false) => must_be(
                        "there",
                        &outcome,
                        Verdict::Unknown,
                        FailureClass::Resources,
                        "wmem_max",
                    ),
                    (_, true) => panic!("{}", reason(&outcome)),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            for check in absent {
                let outcome = check.await.unwrap();
                assert_ne!(outcome.verdict(), Verdict::Up);
            }
        },
    );
}
