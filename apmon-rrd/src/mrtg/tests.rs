//! The site that the tests share.

use super::*;

/// The moment of all tests: 2026-03-10 13:05:09 in Berlin.
pub(super) const NOW: i64 = 1_773_144_309;

pub(super) fn at(secs_before: i64) -> Timestamp {
    Timestamp::from_second(NOW - secs_before).unwrap()
}

pub(super) fn monitor(kind: &'static str, name: &'static str) -> MonitorView<'static> {
    let family = if matches!(kind, "ports" | "port" | "host") {
        "snmp"
    } else {
        "availability"
    };
    MonitorView {
        name,
        kind,
        address: "192.0.2.1",
        display: true,
        condition: Condition::Up,
        since: None,
        reason: None,
        last_checked: Some(at(20)),
        response_time_ms: Some(12.3),
        disk_space_pct: None,
        percentile: None,
        file: format!(
            "/var/lib/apmon/office.rrd/{}-{family}.rrd",
            crate::safe_name(name)
        )
        .into(),
        device: None,
    }
}

pub(super) fn site(monitors: Vec<MonitorView<'static>>) -> SiteView<'static> {
    SiteView {
        name: "Office",
        monitors,
        generated: at(0),
        zone: TimeZone::get("Europe/Berlin").unwrap(),
    }
}
