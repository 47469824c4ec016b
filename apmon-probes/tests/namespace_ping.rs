//! `ping` on both kinds of sockets, with loss, forged replies and absent hosts. On
//! a network of our own; needs root and iproute2.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{cell::Cell, os::unix::fs::MetadataExt as _, time::Duration};

use apmon_core::{FailureClass, Services, Stopwatch, Verdict};

use lab::{
    CROWD, LONG, MIDWAY, STALL, build, check, check_within,
    namespace::{
        ARP_FAILED, ARP_TIMEOUT, BOTH_USERS, TestNetwork, User, assert_failure, check_all, metric,
        run_in_namespace,
    },
    reason,
};

/// The numbers of open ICMP sockets in this namespace: datagram and raw.
fn open_sockets() -> [usize; 2] {
    ["icmp", "raw"].map(|kind| {
        let table = std::fs::read_to_string(format!("/proc/net/{kind}")).unwrap();
        table.lines().count() - 1
    })
}

#[test]
fn a_neighbour_answers_on_raw_and_on_datagram_sockets() {
    run_in_namespace(
        "a_neighbour_answers_on_raw_and_on_datagram_sockets",
        TestNetwork::allow_nobody,
        BOTH_USERS,
        || async {
            let services = Services::default();
            for address in ["10.77.0.2", "fd77::2", "10.77.0.1", "fd77::1", "127.0.0.1", "::1"] {
                let section = format!("type: ping\nname: x\naddress: '{address}'\ncount: 3");
                let monitor = build(&section, &services);
                let outcome = monitor.check(&check_within(LONG)).await.outcome;
                let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
                let expected = if is_root { [0, 1] } else { [1, 0] };
                assert_eq!(
                    open_sockets(),
                    expected,
                    "[datagram, raw] over IPv4: one for all checks"
                );
                assert_eq!(reason(&outcome), "up", "{address}");
                assert_eq!(metric(&outcome, "loss_pct"), Some(0.0), "{address}");
                assert!(metric(&outcome, "jitter_ms").is_some(), "{address}");
            }
        },
    );
}

#[test]
fn a_missing_permission_is_reported_with_both_remedies() {
    run_in_namespace(
        "a_missing_permission_is_reported_with_both_remedies",
        |_| {},
        &[User::Nobody],
        || async {
            for address in ["10.77.0.2", "fd77::2", "127.0.0.1"] {
                let section = format!("type: ping\nname: x\naddress: '{address}'");
                let outcome = check(&section, LONG).await;
                for remedy in ["net.ipv4.ping_group_range", "setcap cap_net_raw"] {
                    assert_failure(
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
fn loss_is_measured_and_compared_with_its_limit() {
    let set_up = |network: &TestNetwork| {
        network.allow_nobody();
        // The far end answers a few pings and then one per second.
        network.set_far("ipv4/icmp_ratemask", "1");
        network.set_far("ipv4/icmp_ratelimit", "1000");
    };
    run_in_namespace(
        "loss_is_measured_and_compared_with_its_limit",
        set_up,
        BOTH_USERS,
        || async {
            let section = "type: ping\nname: x\naddress: 10.77.0.2\ncount: 20";
            let limited = format!("{section}\nmax_loss_pct: 5");
            let watch = Stopwatch::start();
            let results = check_all(vec![section.to_owned(), limited], LONG).await;
            assert!(
                watch.elapsed() < LONG,
                "the missing replies are not awaited until the deadline"
            );
            let (_, unlimited, _) = &results[0];
            assert_eq!(reason(unlimited), "up");
            let lost = metric(unlimited, "loss_pct").unwrap();
            assert!(lost > 0.0 && lost < 100.0, "{lost}");
            let (section, limited, _) = &results[1];
            assert_failure(
                section,
                limited,
                Verdict::Down,
                FailureClass::Content,
                " of 20 packets lost (",
            );
            assert!(
                reason(limited).ends_with(" %), more than 5 %"),
                "{}",
                reason(limited)
            );
            assert!(metric(limited, "rtt_avg_ms").is_some());
        },
    );
}

#[test]
fn five_thousand_concurrent_pings_without_privileges_lose_nothing() {
    run_in_namespace(
        "five_thousand_concurrent_pings_without_privileges_lose_nothing",
        TestNetwork::allow_nobody,
        &[User::Nobody],
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

/// A socket that receives all ICMP packets to 127.0.0.1, starting now.
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

/// Answers each echo request with the packets of `answer`, in place of the kernel.
/// Never returns.
async fn answer_requests(
    socket: &tokio::net::UdpSocket,
    requests: &Cell<usize>,
    answer: impl Fn(Vec<u8>) -> Vec<Vec<u8>>,
) {
    let mut buffer = [0; 256];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        // After the IP header comes an echo request.
        if buffer[20] == 8 {
            for mut reply in answer(buffer[20..length].to_vec()) {
                reply[0] = 0;
                reply[2..4].copy_from_slice(&[0, 0]);
                let sum = checksum(&reply);
                reply[2..4].copy_from_slice(&sum.to_be_bytes());
                socket.send_to(&reply, from).await.unwrap();
            }
            requests.set(requests.get() + 1);
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

async fn check_with_forged_replies() {
    let single = "type: ping\nname: x\naddress: 127.0.0.1";
    let triple = format!("{single}\ncount: 3\nmax_loss_pct: 0");
    let forgeries = |request: Vec<u8>| {
        let with = |at: usize| {
            let mut reply = request.clone();
            reply[at] ^= 1;
            reply
        };
        // a different identifier, sequence number, first and last byte; one cut short,
        // one too long
        let mut all = vec![with(5), with(7), with(8), with(31)];
        all.push(request[..30].to_vec());
        all.push([request.as_slice(), &[0, 0]].concat());
        all
    };
    let (socket, requests) = (raw_socket(), Cell::new(0));
    let outcome = tokio::select! {
        outcome = check(single, MIDWAY) => outcome,
        () = answer_requests(&socket, &requests, forgeries) => unreachable!("it never returns"),
    };
    assert_eq!(
        reason(&outcome),
        "no reply within 5 secs that returns what was sent: the host, or something on the way, answers with \
         other bytes"
    );
    assert_ne!(requests.get(), 0, "no forged reply was sent");
    // A repeated reply counts once.
    let repeated = |request: Vec<u8>| vec![request.clone(), request];
    let outcome = tokio::select! {
        outcome = check(&triple, LONG) => outcome,
        () = answer_requests(&socket, &requests, repeated) => unreachable!("it never returns"),
    };
    assert_eq!(reason(&outcome), "up");
}

#[test]
fn a_forged_reply_does_not_count_on_a_raw_socket() {
    let set_up = |network: &TestNetwork| network.set_near("ipv4/icmp_echo_ignore_all", "1");
    run_in_namespace(
        "a_forged_reply_does_not_count_on_a_raw_socket",
        set_up,
        &[User::Root],
        check_with_forged_replies,
    );
}

#[test]
fn a_forged_reply_does_not_count_on_a_datagram_socket() {
    let set_up = |network: &TestNetwork| {
        network.allow_root();
        network.set_near("ipv4/icmp_echo_ignore_all", "1");
    };
    run_in_namespace(
        "a_forged_reply_does_not_count_on_a_datagram_socket",
        set_up,
        &[User::Root],
        check_with_forged_replies,
    );
}

/// The kernel returns an error to the next call on the socket. The check that makes
/// the call must not take it for an error of its own host.
#[test]
fn four_hundred_absent_hosts_do_not_disturb_a_present_one() {
    run_in_namespace(
        "four_hundred_absent_hosts_do_not_disturb_a_present_one",
        TestNetwork::allow_nobody,
        BOTH_USERS,
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
                    // The kernel sends at most 50 errors in a burst
                    // (net.ipv4.icmp_msgs_burst).
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                checks
            });
            let present = ping("10.77.0.2");
            while watch.elapsed() < ARP_TIMEOUT + Duration::from_secs(2) {
                let outcome = present.check(&check_within(LONG)).await.outcome;
                assert_eq!(reason(&outcome), "up", "after {:?}", watch.elapsed());
                let latency = outcome.latency.unwrap();
                assert!(latency < STALL, "{latency:?}");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            for check in absent.await.unwrap() {
                let (outcome, took) = check.await.unwrap();
                assert_failure(
                    "absent",
                    &outcome,
                    Verdict::Down,
                    FailureClass::HostUnreachable,
                    "no answer to ARP",
                );
                assert!(took < ARP_FAILED, "{took:?}");
            }
        },
    );
}
