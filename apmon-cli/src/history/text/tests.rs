use std::path::Path;

use apmon_core::{
    CheckResult, Commit, Delivery, DeliveryFate, IncidentKind, Mac, MonitorState, PortChange,
    PortChangeRecord, PortEvent, PortState, PortStatus, Records, StateStore as _, Stretch, StretchKind,
    Verdict,
};
use apmon_store::{History, SqliteStore};
use jiff::{Timestamp, tz::TimeZone};

use super::*;
use crate::{
    history::{export, ports},
    location::{Search, SiteLocation},
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The rule of Europe/Berlin.
fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn now() -> Timestamp {
    at("2026-11-21T13:05:00Z")
}

fn outage(id: &str, monitor: &str, started: &str, ended: Option<&str>, notifications: u32) -> Incident {
    Incident {
        id: id.into(),
        monitor: monitor.into(),
        kind: IncidentKind::Outage,
        started: at(started),
        ended: ended.map(at),
        reason: Some("connect: connection refused".into()),
        notifications,
    }
}

/// The records of two monitors watched since the middle of October, and a switch.
fn records() -> Records {
    let check = |monitor: &str, moment: &str| CheckResult {
        monitor: monitor.into(),
        at: at(moment),
        verdict: Verdict::Up,
        latency: None,
        reason: None,
        max_gap: Duration::from_secs(140),
        known: Some(at(moment)),
    };
    let stretch = |kind, started, ended| Stretch {
        monitor: "nas-ssh".into(),
        kind,
        started: at(started),
        ended: at(ended),
    };
    let sent = |incident: &str, n: u32, fate| Delivery {
        channel: "mail:ops@example.com".into(),
        notification: format!("{incident}-{n}"),
        incident: incident.into(),
        monitor: "nas-ssh".into(),
        label: "DOWN".into(),
        at: at("2026-10-25T01:00:00Z"),
        tries: 1,
        fate,
        error: None,
    };
    let mut unknown = outage(
        "u",
        "nas-ssh",
        "2026-11-02T10:00:00Z",
        Some("2026-11-02T10:20:00Z"),
        2,
    );
    unknown.kind = IncidentKind::Unknown;
    unknown.reason = Some("no route to host: our cable is out".into());
    let mut notice = outage(
        "n",
        "switch",
        "2026-11-20T10:00:00Z",
        Some("2026-11-20T10:00:00Z"),
        1,
    );
    notice.kind = IncidentKind::Notice("PORT CHANGE".into());
    notice.reason = Some("port 7 is down, \"uplink\", 1 Gbit/s".into());
    Records {
        results: [
            check("nas-ssh", "2026-10-15T08:00:00Z"),
            check("gateway", "2026-10-15T08:00:00Z"),
            // Two hours without a check.
            check("nas-ssh", "2026-11-10T08:00:00Z"),
        ]
        .into(),
        incidents: [
            // In the night when the clocks go back: 2:30 to 2:30.
            outage(
                "1",
                "nas-ssh",
                "2026-10-25T00:30:00Z",
                Some("2026-10-25T01:30:00Z"),
                3,
            ),
            unknown,
            outage(
                "2",
                "nas-ssh",
                "2026-11-05T22:50:00Z",
                Some("2026-11-05T23:10:00Z"),
                2,
            ),
            outage(
                "3",
                "nas-ssh",
                "2026-11-12T09:00:00Z",
                Some("2026-11-12T09:30:00Z"),
                0,
            ),
            notice,
            outage("4", "nas-ssh", "2026-11-21T13:00:00Z", None, 1),
            // Its end is not recorded.
            outage("5", "gateway", "2026-11-01T13:00:00Z", None, 1),
        ]
        .into(),
        deliveries: [
            sent("1", 1, DeliveryFate::Delivered),
            sent("1", 2, DeliveryFate::Replaced),
            sent("1", 3, DeliveryFate::Delivered),
            sent("2", 1, DeliveryFate::Refused),
        ]
        .into(),
        stretches: [
            stretch(
                StretchKind::Unknown,
                "2026-11-02T09:55:00Z",
                "2026-11-02T10:20:00Z",
            ),
            stretch(
                StretchKind::AlarmsOff,
                "2026-11-12T09:00:00Z",
                "2026-11-12T09:30:00Z",
            ),
            stretch(
                StretchKind::Unwatched,
                "2026-11-10T06:00:00Z",
                "2026-11-10T08:00:00Z",
            ),
        ]
        .into(),
        port_changes: changes().into(),
    }
}

fn changes() -> [PortChangeRecord; 6] {
    let state = |oper| PortState {
        oper,
        admin: PortStatus::Up,
    };
    let macs = |last: std::ops::Range<u8>| -> Vec<Mac> {
        last.map(|last| Mac::new([0x18, 0xe8, 0x29, 0x45, 0xf8, last]))
            .collect()
    };
    let stations = |appeared, gone| PortEvent::Stations {
        appeared: macs(appeared),
        gone: macs(gone),
    };
    let change = |monitor: &str, moment, port: &str, event, notified| PortChangeRecord {
        monitor: monitor.into(),
        at: at(moment),
        change: PortChange {
            index: 10_107,
            port: port.into(),
            event,
            notified,
        },
    };
    let (up, down) = (state(PortStatus::Up), state(PortStatus::LowerLayerDown));
    let port = "GigabitEthernet1/0/7";
    [
        change(
            "switch",
            "2026-10-25T00:30:00Z",
            port,
            PortEvent::Added { is: up },
            true,
        ),
        change(
            "switch",
            "2026-11-20T10:00:00Z",
            port,
            PortEvent::State { was: up, is: down },
            true,
        ),
        change(
            "switch",
            "2026-11-20T10:01:00Z",
            port,
            PortEvent::State { was: down, is: up },
            false,
        ),
        change("switch", "2026-11-21T11:00:00Z", port, stations(1..3, 3..5), true),
        change(
            "switch",
            "2026-11-21T12:00:00Z",
            port,
            stations(0..0, 5..6),
            false,
        ),
        change(
            "nas-ssh",
            "2026-11-21T13:00:00Z",
            "eth0, \"uplink\"",
            PortEvent::Removed { was: down },
            true,
        ),
    ]
}

fn filled(path: &Path) {
    let state = |is_up, incident: Option<&str>| {
        let mut state = MonitorState {
            is_up: Some(is_up),
            last_checked: Some(at("2026-11-21T13:04:30Z")),
            ..MonitorState::default()
        };
        state.own.incident = incident.map(Into::into);
        state
    };
    let store = SqliteStore::open(path, TimeZone::UTC, None).unwrap();
    store.keep_history(100_000);
    let mut records = records();
    // Without the gap that the store would record between these checks.
    records.results.truncate(2);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let epoch = store.load().await.unwrap().epoch;
        let commit = Commit {
            epoch,
            history: records.into(),
            states: vec![
                ("nas-ssh".into(), state(false, Some("4")).into()),
                ("gateway".into(), state(true, None).into()),
            ],
            ..Commit::default()
        };
        store.commit(&commit).await.unwrap();
    });
}

fn shown(
    monitor: Option<&str>,
    days: u32,
    write: fn(&mut dyn Write, &[SiteHistory], &TimeFrame) -> anyhow::Result<()>,
) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("home.statefile.db");
    filled(&path);
    let history = History::open(&path).unwrap();
    let mut monitors = history.monitors().unwrap();
    monitors.retain(|name| monitor.is_none_or(|wanted| wanted == name));
    let site = SiteHistory {
        location: SiteLocation {
            stem: "home".into(),
            config: None,
            state_file: "home.statefile.db".into(),
            is_guess: false,
            daemon: None,
            search: Search::default(),
        },
        site: "Home".into(),
        history,
        monitors,
        single: monitor.is_some(),
    };
    let mut out = Vec::new();
    let frame = TimeFrame {
        width: Some(100),
        ..TimeFrame::new(days, now(), berlin())
    };
    write(&mut out, &[site], &frame).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_site() {
    let text = shown(None, 400, write);
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn one_monitor() {
    let text = shown(Some("nas-ssh"), 400, write);
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn one_monitor_with_incidents_only() {
    insta::assert_snapshot!(shown(Some("switch"), 400, write));
}

#[test]
fn the_last_three_days_as_csv() {
    insta::assert_snapshot!(shown(None, 3, export::csv).replace("\r\n", "\n"));
}

#[test]
fn port_changes_of_a_site() {
    let text = shown(None, 400, ports::text);
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn recent_port_changes_of_one_monitor() {
    insta::assert_snapshot!(shown(Some("switch"), 2, ports::text));
    let none = shown(Some("gateway"), 400, ports::text);
    assert!(none.ends_with("days\n\nnone\n"), "{none}");
}

#[test]
fn port_changes_as_csv() {
    insta::assert_snapshot!(shown(None, 400, ports::csv).replace("\r\n", "\n"));
}

#[test]
fn port_changes_as_json() {
    let json: serde_json::Value = serde_json::from_str(&shown(None, 400, ports::json)).unwrap();
    let monitors = &json["sites"][0]["monitors"];
    assert_eq!(
        monitors[0],
        serde_json::json!({"monitor": "gateway", "port_changes": []})
    );
    assert_eq!(
        monitors[2]["port_changes"][1],
        serde_json::json!({
            "at": "2026-11-20T11:00:00+01:00",
            "port_index": 10_107,
            "port": "GigabitEthernet1/0/7",
            "kind": "state",
            "before": "oper=up admin=up",
            "after": "oper=lowerLayerDown admin=up",
            "notified": true,
        })
    );
    assert_eq!(monitors[2]["port_changes"].as_array().unwrap().len(), 5);
}

#[test]
fn json_has_the_same_incidents_and_sums() {
    let json: serde_json::Value = serde_json::from_str(&shown(None, 400, export::json)).unwrap();
    let monitors = json["sites"][0]["monitors"].as_array().unwrap();
    let names: Vec<_> = monitors
        .iter()
        .map(|monitor| monitor["monitor"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["gateway", "nas-ssh", "switch"]);
    let nas = &monitors[1];
    let first = &nas["incidents"][0];
    assert_eq!(
        (first["start"].as_str(), first["end"].as_str()),
        (
            Some("2026-10-25T02:30:00+02:00"),
            Some("2026-10-25T02:30:00+01:00")
        )
    );
    assert_eq!(
        (first["duration_secs"].as_f64(), first["delivered"].as_u64()),
        (Some(3600.0), Some(2))
    );
    let long_day = nas["days"]
        .as_array()
        .unwrap()
        .iter()
        .find(|day| day["day"] == "2026-10-25")
        .unwrap();
    assert_eq!(
        (long_day["up_secs"].as_f64(), long_day["down_secs"].as_f64()),
        (Some(24.0 * 3600.0), Some(3600.0))
    );
    assert_eq!(long_day["up_percent"].as_f64(), Some(96.0));
    let sum = |key: &str, of: &str| -> f64 {
        let periods = nas[of].as_array().unwrap();
        periods.iter().map(|period| period[key].as_f64().unwrap()).sum()
    };
    for key in [
        "up_secs",
        "down_secs",
        "alarms_off_secs",
        "unknown_secs",
        "unwatched_secs",
    ] {
        assert_eq!(sum(key, "days"), sum(key, "years"), "{key}");
        assert_eq!(sum(key, "days"), sum(key, "months"), "{key}");
    }
}
