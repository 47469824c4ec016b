//! Devices whose name has several addresses, and `source_address`, with a real agent.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{
    net::{IpAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use apmon_core::{
    Failure, FailureClass, Names, Services, Stopwatch, Verdict, WarningClass, WarningLevel,
    config::ResolveOptions,
};
use async_trait::async_trait;
use tokio::time::Instant;

use lab::{LabCheck, LabMonitor, Snmpd};

/// A resolver for which every name has these addresses.
struct Known(Vec<IpAddr>);

#[async_trait]
impl Names for Known {
    async fn addresses(&self, _: &str, _: ResolveOptions, _: Instant) -> Result<Vec<IpAddr>, Failure> {
        Ok(self.0.clone())
    }

    async fn name_of(&self, _: IpAddr, _: Instant) -> Option<String> {
        None
    }
}

/// A monitor of `kind` of the agent's port at `addresses`.
fn monitor(snmpd: &Snmpd, kind: &str, addresses: &[&str], options: &str) -> LabMonitor {
    let services = Services::default();
    let addresses = addresses.iter().map(|address| address.parse().unwrap());
    services.provide_names(Arc::new(Known(addresses.collect())));
    let (port, community) = (snmpd.address().port(), Snmpd::COMMUNITY);
    LabMonitor::with(
        &format!("type: {kind}, address: 'snmp://device.lan:{port}', community: {community}{options}"),
        &services,
    )
}

fn notes(check: &LabCheck) -> Vec<&str> {
    let warnings = check.observation.outcome.warnings.iter();
    let notes = warnings.filter(|warning| warning.class == WarningClass::Address);
    notes
        .map(|note| {
            assert_eq!(note.level, WarningLevel::Note);
            note.text.as_str()
        })
        .collect()
}

const TIMEOUT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_next_address_is_asked_if_one_refuses_or_is_silent() {
    let snmpd = Snmpd::start(&[]);
    let port = snmpd.address().port();
    let silent = UdpSocket::bind(("127.0.0.6", port)).unwrap();
    for kind in ["host", "ports"] {
        let mut one = monitor(&snmpd, kind, &["127.0.0.5", "127.0.0.1"], "").within(TIMEOUT);
        let check = one.check().await;
        assert_eq!(check.reason(), "up", "{kind}");
        assert_eq!(notes(&check).len(), 1, "{kind}");
        assert!(
            notes(&check)[0].starts_with("127.0.0.5 cannot be reached: snmp: "),
            "{:?}",
            notes(&check)
        );

        let watch = Stopwatch::start();
        let mut one = monitor(&snmpd, kind, &["127.0.0.6", "127.0.0.1"], "").within(Duration::from_secs(8));
        let check = one.check().await;
        assert_eq!(check.reason(), "up", "{kind}");
        assert!(
            notes(&check)[0].starts_with("127.0.0.6 cannot be reached: snmp: no answer within 4 secs"),
            "{:?}",
            notes(&check)
        );
        assert!(watch.elapsed() >= Duration::from_secs(4));

        // The first one answers: the others are not asked.
        let mut one = monitor(&snmpd, kind, &["127.0.0.1", "127.0.0.6"], "").within(TIMEOUT);
        let check = one.check().await;
        assert_eq!((check.reason(), notes(&check).len()), ("up", 0), "{kind}");
    }
    drop(silent);
}

#[tokio::test]
async fn a_reason_names_the_addresses_of_a_device() {
    let snmpd = Snmpd::start(&[]);
    for kind in ["host", "ports"] {
        let dead = ["127.0.0.5", "127.0.0.7"];
        let check = monitor(&snmpd, kind, &dead, "").within(TIMEOUT).check().await;
        let outcome = &check.observation.outcome;
        assert_eq!(outcome.verdict(), Verdict::Down);
        assert_eq!(outcome.failure().unwrap().class, FailureClass::Refused);
        assert!(
            check.reason().ends_with(" (127.0.0.5, 127.0.0.7)"),
            "{}",
            check.reason()
        );
        assert_eq!(notes(&check).len(), 0);

        let first = monitor(&snmpd, kind, &["127.0.0.5", "127.0.0.1"], ", addresses: first");
        let check = first.within(TIMEOUT).check().await;
        assert!(check.reason().ends_with(" (127.0.0.5)"), "{}", check.reason());

        let all = monitor(&snmpd, kind, &["127.0.0.1", "127.0.0.5"], ", addresses: all");
        let check = all.within(TIMEOUT).check().await;
        assert_eq!(check.observation.outcome.verdict(), Verdict::Down);
        assert!(
            check.reason().starts_with("1 of 2 addresses: snmp: ")
                && check.reason().ends_with(" (127.0.0.5)"),
            "{}",
            check.reason()
        );
        let all = monitor(&snmpd, kind, &["127.0.0.1"], ", addresses: all");
        assert_eq!(all.within(TIMEOUT).check().await.reason(), "up");
    }
}

#[tokio::test]
async fn a_device_is_asked_from_the_source_address() {
    let snmpd = Snmpd::start(&[]);
    for kind in ["host", "ports"] {
        let from = ", source_address: 127.0.0.77";
        let check = monitor(&snmpd, kind, &["127.0.0.1"], from)
            .within(TIMEOUT)
            .check()
            .await;
        assert_eq!(check.reason(), "up", "{kind}");
        // Without this machine's network in the services, the attempt shows it.
        let from = ", source_address: 198.51.100.7";
        let check = monitor(&snmpd, kind, &["127.0.0.1"], from)
            .within(TIMEOUT)
            .check()
            .await;
        assert_eq!(check.observation.outcome.verdict(), Verdict::Unknown);
        assert_eq!(
            check.reason(),
            "socket: no local address or port available (127.0.0.1)"
        );
    }
}
