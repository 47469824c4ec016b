//! Whose fault it is that a host does not answer: its own, a router's, or ours.
//! On a network of our own; needs root and iproute2.
#![cfg(feature = "quic")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{os::unix::fs::MetadataExt as _, time::Duration};

use apmon_core::{FailureClass, Services, Stopwatch, Verdict};

use lab::{
    LONG, SHORT, STALL, build, check, check_within,
    namespace::{
        ARP_FAILED, ARP_TIMEOUT, BOTH_USERS, TestNetwork, assert_failure, check_all, metric,
        run_in_namespace, sections_of_every_kind,
    },
    reason,
};

#[test]
fn an_absent_neighbour_is_down_soon() {
    run_in_namespace(
        "an_absent_neighbour_is_down_soon",
        TestNetwork::allow_nobody,
        BOTH_USERS,
        || async {
            let sections = [
                sections_of_every_kind("10.77.0.9"),
                sections_of_every_kind("fd77::9"),
            ]
            .concat();
            for (section, outcome, took) in check_all(sections, LONG).await {
                assert_failure(
                    &section,
                    &outcome,
                    Verdict::Down,
                    FailureClass::HostUnreachable,
                    "",
                );
                assert!(took < ARP_FAILED, "{section}: {took:?}");
                if section.contains("ping") {
                    assert!(reason(&outcome).contains("no answer to "), "{}", reason(&outcome));
                    assert_eq!(metric(&outcome, "loss_pct"), Some(100.0));
                }
            }
        },
    );
}

#[test]
fn a_missing_route_is_unknown() {
    let set_up = |network: &TestNetwork| {
        network.allow_nobody();
        network.near("route add unreachable 203.0.113.1");
        network.near("route add blackhole 203.0.113.2");
    };
    run_in_namespace("a_missing_route_is_unknown", set_up, BOTH_USERS, || async {
        let sections = ["198.51.100.7", "2001:db8::7", "203.0.113.1", "203.0.113.2"]
            .map(sections_of_every_kind)
            .concat();
        for (section, outcome, took) in check_all(sections, LONG).await {
            assert_failure(&section, &outcome, Verdict::Unknown, FailureClass::NoRoute, "");
            assert!(took < STALL, "{section}: {took:?}");
        }
    });
}

#[test]
fn a_connection_that_this_machine_forbids_is_unknown() {
    let set_up = |network: &TestNetwork| {
        network.allow_nobody();
        network.near("route add prohibit 203.0.113.3");
    };
    run_in_namespace(
        "a_connection_that_this_machine_forbids_is_unknown",
        set_up,
        BOTH_USERS,
        || async {
            for (section, outcome, _) in check_all(sections_of_every_kind("203.0.113.3"), LONG).await {
                assert_failure(
                    &section,
                    &outcome,
                    Verdict::Unknown,
                    FailureClass::Permission,
                    "permission denied on this machine",
                );
            }
        },
    );
}

#[test]
fn a_pulled_cable_is_our_own_fault() {
    let set_up = |network: &TestNetwork| {
        network.allow_nobody();
        network.far("link set far0 down");
    };
    run_in_namespace("a_pulled_cable_is_our_own_fault", set_up, BOTH_USERS, || async {
        let text = "no carrier on near0 (this machine's cable?)";
        let without_expect = "type: udp\nname: x\naddress: udp://10.77.0.2:9\nsend: x";
        let mut sections = [
            sections_of_every_kind("10.77.0.2"),
            sections_of_every_kind("fd77::2"),
        ]
        .concat();
        sections.push(without_expect.to_owned());
        // The kernel gives up first, or our own deadline comes first.
        for timeout in [ARP_FAILED, SHORT] {
            for (section, outcome, _) in check_all(sections.clone(), timeout).await {
                assert_failure(&section, &outcome, Verdict::Unknown, FailureClass::NoRoute, text);
            }
        }
        let own = check("type: ping\nname: x\naddress: 10.77.0.1", LONG).await;
        assert_eq!(reason(&own), "up");
    });
}

#[test]
fn an_interface_that_is_down_is_our_own_fault() {
    let set_up = |network: &TestNetwork| {
        network.allow_nobody();
        network.near("link set near0 down");
    };
    run_in_namespace(
        "an_interface_that_is_down_is_our_own_fault",
        set_up,
        BOTH_USERS,
        || async {
            let sections = [
                sections_of_every_kind("10.77.0.2"),
                sections_of_every_kind("fd77::2"),
            ]
            .concat();
            for (section, outcome, _) in check_all(sections, LONG).await {
                assert_failure(&section, &outcome, Verdict::Unknown, FailureClass::NoRoute, "");
            }
        },
    );
}

#[test]
fn a_loopback_interface_that_is_down_is_our_own_fault() {
    let set_up = |network: &TestNetwork| {
        network.allow_nobody();
        network.near("link set lo down");
    };
    run_in_namespace(
        "a_loopback_interface_that_is_down_is_our_own_fault",
        set_up,
        BOTH_USERS,
        || async {
            // Our own address on the cable is reached through it too.
            let addresses = ["127.0.0.1", "127.9.9.9", "::1", "10.77.0.1", "fd77::1"];
            let mut sections = addresses.map(sections_of_every_kind).concat();
            sections.push("type: tcp\nname: x\naddress: tcp://localhost:9".to_owned());
            for (section, outcome, took) in check_all(sections, SHORT).await {
                assert_failure(&section, &outcome, Verdict::Unknown, FailureClass::NoRoute, "");
                assert!(took < STALL, "{section}: {took:?}");
            }
        },
    );
}

#[test]
fn an_error_from_a_router_without_a_route_is_down() {
    let set_up = |network: &TestNetwork| {
        network.allow_nobody();
        network.near("route add default via 10.77.0.2");
        network.near("-6 route add default via fd77::2");
        network.set_far("ipv4/ip_forward", "1");
        network.set_far("ipv6/conf/all/forwarding", "1");
        // Routers limit such errors; here several checks run concurrently.
        network.set_far("ipv4/icmp_ratelimit", "0");
        network.set_far("ipv6/icmp/ratelimit", "0");
    };
    run_in_namespace(
        "an_error_from_a_router_without_a_route_is_down",
        set_up,
        BOTH_USERS,
        || async {
            for (address, router) in [("198.51.100.7", "10.77.0.2"), ("2001:db8::7", "fd77::2")] {
                let mut results = Vec::new();
                // Over IPv4 Linux sends five such errors to a host in a row, then one per
                // second.
                let mut sections = sections_of_every_kind(address);
                sections.retain(|section| !section.contains("count"));
                for (i, chunk) in sections.chunks(4).enumerate() {
                    if i > 0 && address.contains('.') {
                        tokio::time::sleep(Duration::from_secs(4)).await;
                    }
                    results.extend(check_all(chunk.to_vec(), LONG).await);
                }
                for (section, outcome, took) in results {
                    assert_failure(
                        &section,
                        &outcome,
                        Verdict::Down,
                        FailureClass::HostUnreachable,
                        "network unreachable, reported by",
                    );
                    assert!(took < STALL, "{section}: {took:?}");
                    if section.contains("ping") {
                        let expected = format!("network unreachable, reported by {router}");
                        assert_eq!(reason(&outcome), expected);
                    }
                }
            }
        },
    );
}

/// All QUIC hosts share a socket, and what is sent to absent ones waits in its
/// buffer for ARP.
#[test]
fn absent_quic_hosts_do_not_disturb_a_present_one() {
    run_in_namespace(
        "absent_quic_hosts_do_not_disturb_a_present_one",
        |_| {},
        BOTH_USERS,
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
                    tokio::spawn(async move { monitor.check(&check_within(ARP_FAILED)).await.outcome })
                })
                .collect();
            let present = quic(&server.to_string());
            let can_enlarge = std::fs::metadata("/proc/self").unwrap().uid() == 0;
            let watch = Stopwatch::start();
            while watch.elapsed() < ARP_TIMEOUT {
                let outcome = present.check(&check_within(LONG)).await.outcome;
                // Without the right to enlarge the buffer, it may be too small.
                match (outcome.verdict(), can_enlarge) {
                    (Verdict::Up, _) => {}
                    (_, false) => assert_failure(
                        "present",
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
