//! A state file of APMonitor 1.3 is continued where it left off.

#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{fs, time::Duration};

use apmon_core::{Commit, Memory, MonitorState, OwnState, StateStore};
use apmon_store::JsonStore;
use jiff::tz::{Offset, TimeZone};
use serde_json::{Value, json};

const FIXTURE: &str = include_str!("fixtures/apmonitor-1.3.statefile.json");

/// An hour ahead of UTC, so that a wrong zone shows.
fn zone() -> TimeZone {
    TimeZone::fixed(Offset::constant(1))
}

async fn commit(store: &dyn StateStore, epoch: u64, name: &str, state: &MonitorState) {
    let commit = Commit {
        epoch,
        states: vec![(name.into(), state.clone().into())],
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
}

fn kept(state: &MonitorState, key: &str) -> Value {
    serde_json::from_str(&state.memory.kept[key]).unwrap()
}

#[tokio::test]
async fn every_value_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.statefile.json");
    fs::write(&path, FIXTURE).unwrap();
    let snapshot = JsonStore::open(&path, zone(), None)
        .unwrap()
        .load()
        .await
        .unwrap();
    assert_eq!(snapshot.warnings, Vec::<String>::new());
    assert_eq!(snapshot.epoch, 1);
    let at = |text: &str| Some(text.parse().unwrap());
    let gateway = &snapshot.monitors["home-gateway"];
    assert_eq!(gateway.is_up, Some(true));
    assert_eq!(gateway.last_checked, at("2026-02-11T13:15:00.123456Z"));
    assert_eq!(gateway.last_response_time, Some(Duration::from_millis(12)));
    assert_eq!(gateway.last_alarm_started, at("2026-02-10T02:00:11.000001Z"));
    assert_eq!(
        gateway.last_successful_heartbeat,
        at("2026-02-11T13:15:00.345678Z")
    );
    assert_eq!(gateway.last_notified, None);
    assert_eq!(gateway.own, OwnState::default());
    let port = &snapshot.monitors["switch-port0"];
    assert_eq!(port.is_up, Some(false));
    assert_eq!((port.down_count, port.notified_count), (26, 4));
    assert_eq!(port.last_notified, at("2026-02-11T13:14:41Z"));
    assert_eq!(
        port.error_reason.as_deref(),
        Some("port ifIndex=0 is up but pinned MAC 18:E8:29:45:F8:F7 absent")
    );
    assert_eq!(kept(port, "port_state"), json!({"oper": "up", "mac": null}));
    let switch = &snapshot.monitors["office-switch"];
    assert_eq!(
        kept(switch, "ports_state")["1"],
        json!({"name": "GigabitEthernet0/1", "oper": "up", "admin": "up", "macs": ["AA:BB:CC:DD:EE:FF"]})
    );
    assert_eq!(switch.memory.kept.keys().collect::<Vec<_>>(), ["ports_state"]);
    assert_eq!(switch.memory.counts, None);
    assert_eq!(
        snapshot.monitors["office-switch"].last_response_time,
        Some(Duration::from_micros(187_342))
    );
    assert_eq!(
        kept(&snapshot.monitors["debmon-host"], "disk_space_pct"),
        json!(73.4)
    );
    assert_eq!(snapshot.monitors.len(), 4);
}

#[tokio::test]
async fn every_value_that_did_not_change_is_written_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.statefile.json");
    fs::write(&path, FIXTURE).unwrap();
    let store = JsonStore::open(&path, zone(), None).unwrap();
    let snapshot = store.load().await.unwrap();
    let mut changed = MonitorState::clone(&snapshot.monitors["home-gateway"]);
    changed.down_count = 1;
    commit(&store, snapshot.epoch, "home-gateway", &changed).await;

    let before: Value = serde_json::from_str(FIXTURE).unwrap();
    let after: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    for (name, fields) in before.as_object().unwrap() {
        let Value::Object(fields) = fields else {
            assert_eq!(&after[name], fields, "{name}");
            continue;
        };
        for (key, value) in fields {
            let written = &after[name][key];
            match (name.as_str(), key.as_str()) {
                ("home-gateway", "down_count") => assert_eq!(written, &json!(1)),
                ("home-gateway", "last_response_time_ms") => assert_eq!(written, &json!(12.0)),
                (_, "last_checked" | "last_notified") if value.is_string() => {
                    // Python omits a fraction of zero, we do not.
                    assert!(written.as_str().unwrap().starts_with(value.as_str().unwrap()));
                }
                _ => assert_eq!(written, value, "{name} {key}"),
            }
        }
    }
    assert_eq!(
        after["apmon"],
        json!({"version": 1, "epoch": 1, "outbox": [], "monitors": {}})
    );
    // APMonitor finds every key it knows.
    for key in [
        "error_reason",
        "last_notified",
        "last_alarm_started",
        "last_successful_heartbeat",
    ] {
        assert_eq!(after["office-switch"].get(key), Some(&Value::Null), "{key}");
    }
    assert_eq!(
        fs::read_to_string(path.with_extension("json.old")).unwrap(),
        FIXTURE
    );
}

#[tokio::test]
async fn the_file_reads_well() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.statefile.json");
    let store = JsonStore::open(&path, zone(), None).unwrap();
    let epoch = store.load().await.unwrap().epoch;
    let memory = Memory {
        kept: [
            ("disk_space_pct".to_owned(), "73.40".into()),
            ("ports_state".to_owned(), "{\"1\":{\"oper\":\"up\"}}".into()),
            // Our engine lets neither through; an embedder's might.
            ("broken".to_owned(), "{\"1\": ".into()),
            ("is_up".to_owned(), "false".into()),
        ]
        .into(),
        counts: Some("{\"1\":[5,6]}".into()),
    };
    let state = MonitorState {
        is_up: Some(true),
        memory,
        last_checked: Some("2026-02-11T13:15:00.123456789Z".parse().unwrap()),
        last_response_time: Some(Duration::from_nanos(1_234_567)),
        own: OwnState {
            incident: Some("i1".into()),
            ..OwnState::default()
        },
        ..MonitorState::default()
    };
    let commit = Commit {
        epoch,
        states: vec![("web".into(), state.into())],
        pass: Some((
            "2026-02-11T13:15:02Z".parse().unwrap(),
            Duration::from_micros(2_113_999),
        )),
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
    let expected = r#"{
  "web": {
    "is_up": true,
    "last_checked": "2026-02-11T14:15:00.123456",
    "last_response_time_ms": 1.234,
    "last_notified": null,
    "last_alarm_started": null,
    "last_successful_heartbeat": null,
    "down_count": 0,
    "notified_count": 0,
    "error_reason": null,
    "last_config_checksum": null,
    "disk_space_pct": 73.4,
    "ports_state": {
      "1": {
        "oper": "up"
      }
    }
  },
  "execution_time": "2026-02-11T14:15:02.000000",
  "execution_ms": 2113,
  "apmon": {
    "version": 1,
    "epoch": 1,
    "outbox": [],
    "monitors": {
      "web": {
        "incident": "i1"
      }
    },
    "counts": {
      "web": "{\"1\":[5,6]}"
    }
  }
}
"#;
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
}
