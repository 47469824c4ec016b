//! `ping` against this machine; needs CAP_NET_RAW or ping_group_range.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{sync::Arc, time::Duration};

use apmon_core::{Monitor, Outcome, Services, Stopwatch, Verdict};

use lab::{CROWD, LONG, SHORT, STALL, build, check, check_within, explain, reason};

#[tokio::test]
async fn this_machine_answers_over_ipv4_and_ipv6_and_by_name() {
    for address in ["127.0.0.1", "127.1.2.3", "'::1'", "localhost"] {
        let outcome = check(&format!("type: ping\nname: x\naddress: {address}"), LONG).await;
        assert_eq!(reason(&outcome), "up", "{address}");
        assert!(outcome.latency.unwrap() < STALL);
    }
}

#[tokio::test]
async fn five_thousand_concurrent_pings_lose_no_reply() {
    let services = Services::default();
    let monitors: Vec<Arc<dyn Monitor>> = (0..5_000_u32)
        .map(|n| {
            let address = format!("127.{}.{}.{}", 10 + n % 50, n / 250, 1 + n % 250);
            build(&format!("type: ping\nname: x\naddress: {address}"), &services)
        })
        .collect();
    let checks: Vec<_> = monitors
        .into_iter()
        .map(|monitor| tokio::spawn(async move { monitor.check(&check_within(CROWD)).await.outcome }))
        .collect();
    let mut lost = Vec::new();
    for check in checks {
        let outcome = check.await.unwrap();
        if outcome.verdict() != Verdict::Up {
            lost.push(reason(&outcome).to_owned());
        }
    }
    assert_eq!(lost, [""; 0]);
}

#[tokio::test]
async fn many_checks_of_one_host_do_not_disturb_each_other() {
    let services = Services::default();
    let checks: Vec<_> = (0..200)
        .map(|_| build("type: ping\nname: x\naddress: 127.0.0.1", &services))
        .map(|monitor| tokio::spawn(async move { monitor.check(&check_within(CROWD)).await.outcome }))
        .collect();
    for check in checks {
        assert_eq!(reason(&check.await.unwrap()), "up");
    }
}

fn metric_names(outcome: &Outcome) -> Vec<&str> {
    outcome
        .metrics
        .iter()
        .map(|metric| metric.name.as_ref())
        .collect()
}

#[tokio::test]
async fn the_latency_of_a_single_packet_is_its_round_trip_time() {
    let outcome = check("type: ping\nname: x\naddress: 127.0.0.1", LONG).await;
    assert_eq!(
        metric_names(&outcome),
        ["loss_pct", "rtt_min_ms", "rtt_avg_ms", "rtt_max_ms"]
    );
    let latency = outcome.latency.unwrap().as_secs_f64() * 1000.0;
    assert!(
        outcome.metrics[1..]
            .iter()
            .all(|metric| metric.value() == latency)
    );
}

#[tokio::test]
async fn several_packets_are_sent_at_an_interval() {
    let watch = Stopwatch::start();
    let section = "type: ping\nname: x\naddress: 127.0.0.1\ncount: 5\nmax_loss_pct: 0\nmax_rtt_ms: 10000";
    let (outcome, steps) = explain(section, LONG).await;
    let took = watch.elapsed();
    assert_eq!(reason(&outcome), "up", "{steps}");
    assert!(took >= Duration::from_millis(800) && took < LONG / 2, "{took:?}");
    assert_eq!(
        metric_names(&outcome),
        ["loss_pct", "rtt_min_ms", "rtt_avg_ms", "rtt_max_ms", "jitter_ms"]
    );
    assert_eq!(outcome.metrics[0].value(), 0.0);
    let latency = outcome.latency.unwrap().as_secs_f64() * 1000.0;
    assert_eq!(
        outcome.metrics[2].value(),
        latency,
        "the latency is the average of one round trip"
    );
    assert_eq!(steps.matches("ping: reply").count(), 5, "{steps}");
    assert!(
        steps.contains("ping: 0 of 5 packets lost (0 %); round trip "),
        "{steps}"
    );
}

#[tokio::test]
async fn a_check_with_a_short_deadline_sends_its_packets_closer_together() {
    // At the usual interval this takes 20 seconds. Half of this deadline is for
    // sending, which leaves time for a stall.
    let section = "type: ping\nname: x\naddress: 127.0.0.1\ncount: 100\nmax_loss_pct: 0";
    let (outcome, steps) = explain(section, STALL * 2).await;
    assert_eq!(reason(&outcome), "up", "{steps}");
    assert_eq!(steps.matches("ping: reply").count(), 100, "{steps}");
}

#[tokio::test]
async fn an_unused_address_is_never_up() {
    // TEST-NET-2 (RFC 5737): silent or without a route.
    let (outcome, steps) = explain("type: ping\nname: x\naddress: 198.51.100.7", SHORT).await;
    assert_ne!(outcome.verdict(), Verdict::Up, "{steps}");
    if outcome.verdict() == Verdict::Down {
        assert!(
            reason(&outcome).contains("no reply within 0.7 secs") || reason(&outcome).contains("unreachable")
        );
    }
}
