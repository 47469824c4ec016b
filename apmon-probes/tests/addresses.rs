//! Names with several addresses, some of which are dead. On a network of our own, with a hosts file
//! of its own; needs root and iproute2.
#![cfg(feature = "quic")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::time::Duration;

use apmon_core::{FailureClass, Stopwatch, Verdict};

use lab::{
    LONG, STALL, check, check_within, explain,
    named::{Servers, network, notes},
    namespace::{User, check_all, run_in_namespace},
    reason,
};

#[test]
fn every_kind_is_up_at_the_second_address_and_notes_the_first() {
    run_in_namespace(
        "every_kind_is_up_at_the_second_address_and_notes_the_first",
        network,
        &[User::Root],
        || async {
            let servers = Servers::start().await;
            for (host, dead, of_ping) in [
                // Pings of 127.0.0.5 are answered.
                ("refusing", "127.0.0.5 cannot be reached: ", false),
                ("silent", "10.88.0.9 cannot be reached: ", true),
                ("absent", "10.77.0.9 cannot be reached: ", true),
            ] {
                let timeout = STALL * 2;
                for (section, outcome, took) in check_all(servers.sections(host), timeout).await {
                    assert_eq!(reason(&outcome), "up", "{section}");
                    let notes = notes(&outcome);
                    match section.contains("ping") && !of_ping {
                        true => assert!(notes.is_empty(), "{section}: {notes:?}"),
                        false => {
                            assert_eq!(notes.len(), 1, "{section}: {notes:?}");
                            assert!(notes[0].starts_with(dead), "{section}: {notes:?}");
                        }
                    }
                    assert!(took < timeout, "{section}: {took:?}");
                }
            }
            // The first one works: the other one is not tried.
            for (section, outcome, _) in check_all(servers.sections("second"), LONG).await {
                assert_eq!(reason(&outcome), "up", "{section}");
                assert!(outcome.warnings.is_empty(), "{section}: {:?}", outcome.warnings);
            }
        },
    );
}

#[test]
fn families_take_turns_and_what_this_machine_cannot_reach_has_none() {
    run_in_namespace(
        "families_take_turns_and_what_this_machine_cannot_reach_has_none",
        network,
        &[User::Root],
        || async {
            let servers = Servers::start().await;
            let tcp = servers.tcp;
            let section = format!("type: tcp\nname: x\naddress: tcp://families:{tcp}");
            let (outcome, steps) = explain(&section, LONG).await;
            assert_eq!(reason(&outcome), "up");
            assert!(
                steps.contains("families is 127.0.0.5, ::1, 127.0.0.6, 127.0.0.1"),
                "{steps}"
            );
            assert_eq!(
                notes(&outcome),
                ["127.0.0.5", "::1", "127.0.0.6"]
                    .map(|address| format!("{address} cannot be reached: connect: connection refused"))
            );
            // Without a route to IPv6 the IPv4 address alone counts.
            let closed = format!("type: tcp\nname: x\naddress: tcp://unroutable:{}", closed().await);
            let outcome = check(&closed, LONG).await;
            assert_eq!(outcome.verdict(), Verdict::Down);
            assert_eq!(
                reason(&outcome),
                "connect: connection refused (127.0.0.1); connect: no route to that network from here (2001:db8::7)"
            );
            for (section, outcome, _) in check_all(servers.sections("nowhere"), LONG).await {
                assert_eq!(
                    outcome.verdict(),
                    Verdict::Unknown,
                    "{section}: {}",
                    reason(&outcome)
                );
            }
        },
    );
}

/// A port of 127.0.0.1 on which nothing listens.
async fn closed() -> u16 {
    lab::closed_port().await.port()
}

#[test]
fn a_reason_names_the_addresses_that_were_tried() {
    run_in_namespace(
        "a_reason_names_the_addresses_that_were_tried",
        network,
        &[User::Root],
        || async {
            let servers = Servers::start().await;
            for (section, outcome, _) in check_all(servers.sections("dead"), LONG).await {
                if section.contains("ping") {
                    continue; // they answer
                }
                assert_eq!(outcome.verdict(), Verdict::Down, "{section}");
                assert_eq!(
                    outcome.failure().unwrap().class,
                    FailureClass::Refused,
                    "{section}"
                );
                assert!(
                    reason(&outcome).ends_with("connection refused (127.0.0.5, 127.0.0.6)"),
                    "{section}: {}",
                    reason(&outcome)
                );
            }
            let watch = Stopwatch::start();
            let timeout = Duration::from_secs(4);
            for (section, outcome, _) in check_all(servers.sections("dumb"), timeout).await {
                assert_eq!(
                    outcome.failure().unwrap().class,
                    FailureClass::TimedOut,
                    "{section}"
                );
                let reason = reason(&outcome);
                assert!(
                    reason.contains(" within 2 secs (10.88.0.9") && reason.ends_with("10.88.0.8)"),
                    "{section}: {reason}"
                );
            }
            assert!(watch.elapsed() >= timeout);
            // What a reached host answers is final, and its address is named.
            let http = servers.http;
            for (path, expected) in [
                (
                    format!("alive:{http}/wrong"),
                    "status 503 Service Unavailable (127.0.0.1)",
                ),
                (
                    format!("refusing:{http}/wrong"),
                    "status 503 Service Unavailable (127.0.0.1)",
                ),
                (
                    format!("second:{http}/wrong"),
                    "status 503 Service Unavailable (127.0.0.1)",
                ),
                (
                    format!("127.0.0.1:{http}/wrong"),
                    "status 503 Service Unavailable",
                ),
            ] {
                let section = format!("type: http\nname: x\naddress: http://{path}");
                assert_eq!(reason(&check(&section, LONG).await), expected, "{path}");
            }
            let section = format!(
                "type: tcp\nname: x\naddress: tcp://alive:{}\nexpect: no",
                servers.tcp
            );
            let outcome = check(&section, LONG).await;
            assert!(reason(&outcome).ends_with(" (127.0.0.1)"), "{}", reason(&outcome));
        },
    );
}

#[test]
fn a_redirect_to_a_name_and_back_tries_its_addresses_too() {
    run_in_namespace(
        "a_redirect_to_a_name_and_back_tries_its_addresses_too",
        network,
        &[User::Root],
        || async {
            let servers = Servers::start().await;
            let http = servers.http;
            let to = async |from: &str, place: &str| {
                let section = format!("type: http\nname: x\naddress: http://{from}:{http}/to/{place}:{http}");
                check(&section, STALL * 2).await
            };
            for from in ["alive", "127.0.0.1", "refusing"] {
                for place in ["refusing", "silent", "127.0.0.1", "alive"] {
                    let outcome = to(from, place).await;
                    assert_eq!(reason(&outcome), "up", "{from} {place}");
                    // An address that has answered comes first.
                    let dead = [
                        from == "refusing",
                        place != "127.0.0.1" && place != "alive" && from == "127.0.0.1",
                    ];
                    let expected = dead.iter().filter(|is_dead| **is_dead).count();
                    assert_eq!(notes(&outcome).len(), expected, "{from} {place}");
                }
                let outcome = to(from, "dead").await;
                let expected = format!(
                    "connect: connection refused (127.0.0.5, 127.0.0.6) (redirected to http://dead:{http}/)"
                );
                assert_eq!(reason(&outcome), expected, "{from}");
            }
            // The addresses of a proxy too; that of the target is not known then.
            let section = format!(
                "type: http\nname: x\naddress: http://alive:{http}/wrong\nproxy: http://refusing:{http}"
            );
            let outcome = check(&section, LONG).await;
            assert_eq!(reason(&outcome), "status 503 Service Unavailable");
            assert_eq!(notes(&outcome).len(), 1);
            let section = format!("type: http\nname: x\naddress: http://alive/\nproxy: http://dead:{http}");
            assert_eq!(
                reason(&check(&section, LONG).await),
                "proxy: connect: connection refused (127.0.0.5, 127.0.0.6)"
            );
            // `apmon pin`
            let by = apmon_probes::pin::By::Tls;
            for host in ["refusing", "silent", "second"] {
                let address = format!("https://{host}:{}/", servers.https);
                let target = apmon_probes::pin::PinTarget::read(&address, by).unwrap();
                target.certificates(&check_within(STALL * 2)).await.unwrap();
            }
            let address = format!("https://refusing:{}/", servers.quic);
            let target = apmon_probes::pin::PinTarget::read(&address, apmon_probes::pin::By::Quic).unwrap();
            target.certificates(&check_within(STALL * 2)).await.unwrap();
            let target = apmon_probes::pin::PinTarget::read("https://dead:9/", by).unwrap();
            let failure = target.certificates(&check_within(LONG)).await.unwrap_err();
            assert_eq!(
                failure.reason,
                "connect: connection refused (127.0.0.5, 127.0.0.6)"
            );
        },
    );
}

#[test]
fn the_option_addresses_says_which_must_answer() {
    run_in_namespace(
        "the_option_addresses_says_which_must_answer",
        network,
        &[User::Root],
        || async {
            let servers = Servers::start().await;
            let with = |option: &str, host: &str| -> Vec<String> {
                let sections = servers.sections(host).into_iter();
                let all = sections.map(|section| format!("{section}\naddresses: {option}"));
                all.filter(|section| !section.contains("ping")).collect()
            };
            for host in ["refusing", "dead"] {
                for (section, outcome, _) in check_all(with("first", host), LONG).await {
                    assert_eq!(
                        outcome.failure().unwrap().class,
                        FailureClass::Refused,
                        "{section}"
                    );
                    assert!(
                        reason(&outcome).ends_with("connection refused (127.0.0.5)"),
                        "{section}: {}",
                        reason(&outcome)
                    );
                }
            }
            for host in ["refusing", "second"] {
                for (section, outcome, _) in check_all(with("all", host), LONG).await {
                    assert_eq!(outcome.verdict(), Verdict::Down, "{section}");
                    let reason = reason(&outcome);
                    assert!(
                        reason.starts_with("1 of 2 addresses: ")
                            && reason.ends_with("connection refused (127.0.0.5)"),
                        "{section}: {reason}"
                    );
                }
            }
            for (section, outcome, _) in check_all(with("all", "alive"), LONG).await {
                assert_eq!(reason(&outcome), "up", "{section}");
            }
            let section = "type: ping\nname: x\naddress: refusing\naddresses: all";
            assert_eq!(reason(&check(section, LONG).await), "up");
        },
    );
}
