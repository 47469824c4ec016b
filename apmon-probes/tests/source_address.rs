//! `source_address`: where checks are made from. On a network of our own; needs root and iproute2.
#![cfg(feature = "quic")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::net::IpAddr;

use apmon_core::{FailureClass, Services, Verdict};

use lab::{
    LONG, SHORT, STALL, check,
    named::{Servers, network},
    namespace::{
        BOTH_USERS, TestNetwork, assert_failure, check_all, run_in_namespace, sections_of_every_kind,
    },
    parse, reason,
};

#[test]
fn every_kind_is_checked_from_its_source_address() {
    run_in_namespace(
        "every_kind_is_checked_from_its_source_address",
        network,
        BOTH_USERS,
        || async {
            let servers = Servers::start().await;
            let from = |source: &str, host: &str| -> Vec<String> {
                let sections = servers.sections(host).into_iter();
                sections
                    .map(|section| format!("{section}\nsource_address: {source}"))
                    .collect()
            };
            for host in ["127.0.0.1", "alive", "refusing"] {
                for (section, outcome, _) in check_all(from("127.0.0.77", host), LONG).await {
                    assert_eq!(reason(&outcome), "up", "{section}");
                }
            }
            for (kind, port) in [("tcp", servers.tcp), ("udp", servers.udp), ("http", servers.http)] {
                let address = format!("{kind}://127.0.0.1:{port}");
                let section = format!(
                    "type: {kind}\nname: x\naddress: {address}\nsend: x\nexpect: from 127.0.0.77\n\
                     source_address: [127.0.0.77, '::1']"
                );
                assert_eq!(reason(&check(&section, LONG).await), "up", "{section}");
            }
            let section = format!(
                "type: quic\nname: x\naddress: https://127.0.0.1:{}/\nexpect: from 127.0.0.77\n\
                 source_address: 127.0.0.77",
                servers.quic
            );
            assert_eq!(reason(&check(&section, LONG).await), "up");
            // The system chooses for the other family.
            let section = "type: ping\nname: x\naddress: localhost\nsource_address: '::1'";
            assert_eq!(reason(&check(section, LONG).await), "up");

            for host in ["127.0.0.1", "alive", "dead"] {
                for (section, outcome, took) in check_all(from("10.77.0.99", host), LONG).await {
                    assert_eq!(outcome.verdict(), Verdict::Unknown, "{section}");
                    assert_eq!(
                        outcome.failure().unwrap().class,
                        FailureClass::NoRoute,
                        "{section}"
                    );
                    assert_eq!(
                        reason(&outcome),
                        "source_address 10.77.0.99 is not an address of this machine",
                        "{section}"
                    );
                    assert!(took < STALL, "{section}");
                }
            }
        },
    );
}

/// The ICMP packets of a check carry its source address: the other end answers to it.
#[test]
fn a_ping_leaves_from_its_source_address() {
    let set_up = |test: &TestNetwork| {
        network(test);
        // What asks from the first address gets no answer.
        test.far("route add blackhole 10.77.0.1");
    };
    run_in_namespace(
        "a_ping_leaves_from_its_source_address",
        set_up,
        BOTH_USERS,
        || async {
            let section = "type: ping\nname: x\naddress: 10.77.0.2";
            let from = format!("{section}\nsource_address: 10.77.0.3");
            assert_eq!(reason(&check(&from, LONG).await), "up");
            assert_ne!(reason(&check(section, SHORT).await), "up");
        },
    );
}

/// Packets from one address may leave by another cable than others.
#[test]
fn a_pulled_cable_on_the_way_from_the_source_address_is_our_own_fault() {
    let set_up = |test: &TestNetwork| {
        network(test);
        test.near("link add near1 type veth peer name peer1");
        test.near("addr add 10.99.0.1/24 dev near1");
        test.near("link set near1 up");
        test.near("rule add from 10.99.0.1 table 99");
        test.near("route add default dev near1 table 99");
    };
    run_in_namespace(
        "a_pulled_cable_on_the_way_from_the_source_address_is_our_own_fault",
        set_up,
        BOTH_USERS,
        || async {
            // 10.88.0.9 is silent.
            let sections = sections_of_every_kind("10.88.0.9");
            let from = sections
                .iter()
                .map(|section| format!("{section}\nsource_address: 10.99.0.1"));
            for (section, outcome, _) in check_all(from.collect(), SHORT).await {
                assert_failure(
                    &section,
                    &outcome,
                    Verdict::Unknown,
                    FailureClass::NoRoute,
                    "no carrier on near1",
                );
            }
            for (section, outcome, _) in check_all(sections, SHORT).await {
                assert_failure(&section, &outcome, Verdict::Down, FailureClass::TimedOut, "");
            }
        },
    );
}

#[test]
fn an_impossible_source_address_is_an_error_of_the_site_file() {
    let of_monitor = |address: &str, options: &str| {
        parse(&format!("type: tcp\nname: x\naddress: '{address}'\n{options}")).map(|_| ())
    };
    for (address, options, text) in [
        (
            "tcp://nas:22",
            "source_address: eth0",
            "\"source_address\" must be an IPv4 or IPv6 address of this machine, not \"eth0\"",
        ),
        (
            "tcp://nas:22",
            "source_address: 10.0.0.0/8",
            "\"source_address\" must be an IPv4 or IPv6 address of this machine, not \"10.0.0.0/8\"",
        ),
        (
            "tcp://nas:22",
            "source_address: 0.0.0.0",
            "0.0.0.0 stands for every address; leave the option out instead",
        ),
        (
            "tcp://nas:22",
            "source_address: [10.0.0.1, 10.0.0.2]",
            "\"source_address\" contains two IPv4 addresses; give at most one of each family",
        ),
        (
            "tcp://nas:22",
            "source_address: []",
            "\"source_address\" must not be an empty list",
        ),
        (
            "tcp://nas:22",
            "source_address: 239.1.1.1",
            "239.1.1.1 belongs to more than one machine",
        ),
        (
            "tcp://nas:22",
            "source_address: fe80::1",
            "fe80::1 is a link-local address, from which other networks cannot be reached",
        ),
        (
            "tcp://[::1]:22",
            "source_address: 10.0.0.1",
            "\"source_address\" is an IPv4 address, but that of the target is an IPv6 address",
        ),
        (
            "tcp://nas:22",
            "source_address: 10.0.0.1\naddress_family: ipv6",
            "\"source_address\" is an IPv4 address, but address_family is ipv6",
        ),
        (
            "tcp://nas:22",
            "addresses: both",
            "\"addresses\" must be any or first or all, not \"both\"",
        ),
    ] {
        let error = of_monitor(address, options).unwrap_err().to_string();
        assert!(error.contains(text), "{options}: {error}");
    }
    of_monitor("tcp://[::1]:22", "source_address: [10.0.0.1, '2001:db8::1']").unwrap();
}

#[test]
fn the_options_of_the_site_apply_to_its_monitors() {
    let site = |options: &str| {
        let text = format!(
            "site:\n  name: Lab\n{options}monitors:\n  - type: tcp\n    name: v4\n    address: tcp://10.0.0.1:22\n\
             \x20 - type: tcp\n    name: v6\n    address: 'tcp://[::1]:22'\n\
             \x20 - type: tcp\n    name: own\n    address: tcp://nas:22\n    addresses: first\n    source_address: 10.0.0.9\n"
        );
        apmon_core::config::parse(
            "lab.yaml".as_ref(),
            &text,
            apmon_probes::KINDS,
            &[],
            &apmon_core::config::ProcessEnvironment,
        )
        .unwrap()
    };
    let before = site("");
    let after = site("  addresses: all\n  source_address: 10.0.0.5\n");
    let options = |n: usize| after.monitors[n].options();
    for n in [0, 1] {
        assert_eq!(options(n)["addresses"], "all");
        assert_eq!(options(n)["source_address"][0], "10.0.0.5");
        assert_ne!(before.monitors[n].checksum, after.monitors[n].checksum);
    }
    assert_eq!(options(2)["addresses"], "first");
    assert_eq!(options(2)["source_address"][0], "10.0.0.9");
    assert_eq!(before.monitors[2].checksum, after.monitors[2].checksum);
    assert_eq!(before.monitors[0].options()["addresses"], "any");
    let source = after.monitors[1].reach.source;
    assert_eq!(
        source.toward(IpAddr::from([10, 0, 0, 1])),
        Some([10, 0, 0, 5].into())
    );
    assert_eq!(source.toward("::1".parse().unwrap()), None);
    // Written out, the default is the same monitor.
    let same = site("  addresses: any\n");
    assert_eq!(before.monitors[0].checksum, same.monitors[0].checksum);
    let _ = after.monitors[0].build(&Services::default());
}
