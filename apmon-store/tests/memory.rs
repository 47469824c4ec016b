//! Memories of monitors, and port changes, in a database.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::fs;

use apmon_core::{
    Clock as _, Commit, Memory, MonitorState, PortChange, PortChangeRecord, PortEvent, PortState, PortStatus,
    Records, StateStore, SystemClock,
};
use apmon_store::{History, read_snapshot};
use jiff::{Timestamp, tz::TimeZone};
use support::{ALL_TIME, load, one_state, open};

fn changed(monitor: &str, second: i64, event: PortEvent) -> PortChangeRecord {
    PortChangeRecord {
        monitor: monitor.into(),
        at: Timestamp::from_second(second).unwrap(),
        change: PortChange {
            index: 7,
            port: "Gi0/7".into(),
            event,
            notified: second % 2 == 0,
        },
    }
}

#[tokio::test]
async fn port_changes_are_kept_for_as_long_as_other_history() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let state = |oper| PortState {
        oper,
        admin: PortStatus::Up,
    };
    let mac = "02:00:00:00:00:01".parse().unwrap();
    let now = SystemClock::new().now().wall.as_second();
    let events = [
        PortEvent::State {
            was: state(PortStatus::Up),
            is: state(PortStatus::Down),
        },
        PortEvent::Stations {
            appeared: vec![mac],
            gone: vec![],
        },
        PortEvent::Added {
            is: state(PortStatus::NotPresent),
        },
        PortEvent::Removed {
            was: state(PortStatus::Up),
        },
    ];
    let records: Vec<_> = (1..)
        .zip(events)
        .map(|(n, event)| changed(["b", "a"][n as usize % 2], now - 100 + n, event))
        .collect();
    let old = changed("a", now - 401 * 86_400, records[0].change.event.clone());
    let written = Records {
        port_changes: std::iter::once(old).chain(records.clone()).collect(),
        ..Records::default()
    };
    let store = open(&path);
    let commit = Commit {
        epoch: store.load().await.unwrap().epoch,
        history: written.into(),
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
    let history = History::open(&path).unwrap();
    assert_eq!(
        history.port_changes(None, &ALL_TIME).unwrap(),
        records,
        "the old one is deleted"
    );
    let of_a = [records[0].clone(), records[2].clone()];
    assert_eq!(history.port_changes(Some("a"), &ALL_TIME).unwrap(), of_a);
    let span = records[1].at..=records[2].at;
    assert_eq!(history.port_changes(None, &span).unwrap(), records[1..3]);
    assert_eq!(history.port_changes(Some("c"), &ALL_TIME).unwrap(), []);
}

#[tokio::test]
async fn counts_that_change_at_every_check_are_not_written_every_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let state = |baseline: &str, counts: u32| MonitorState {
        down_count: counts,
        memory: Memory {
            kept: [("ports_state".to_owned(), baseline.into())].into(),
            counts: Some(counts.to_string().into()),
        },
        ..MonitorState::default()
    };
    let mut store = open(&path);
    let mut epoch = store.load().await.unwrap().epoch;
    let stored = || {
        let state = read_snapshot(&path, &TimeZone::UTC).unwrap().monitors["switch"].clone();
        let counts = state.memory.counts.as_ref().unwrap().parse().unwrap();
        (
            state.memory.kept["ports_state"].to_string(),
            counts,
            state.down_count,
        )
    };
    // What is committed, and the counts in the database then.
    let table = [
        (state("1", 1), 1, "the first one"),
        (state("1", 2), 1, "only counts changed"),
        (state("2", 3), 3, "both changed"),
        (state("2", 4), 3, "only counts changed"),
    ];
    for (state, counts, why) in table {
        let commit = Commit {
            epoch,
            states: vec![("switch".into(), state.clone().into())],
            ..Commit::default()
        };
        store.commit(&commit).await.unwrap();
        let baseline = state.memory.kept["ports_state"].to_string();
        assert_eq!(stored(), (baseline, counts, state.down_count), "{why}");
    }
    drop(store);
    store = open(&path);
    epoch = store.load().await.unwrap().epoch;
    let again = Commit {
        epoch,
        states: vec![("switch".into(), state("2", 5).into())],
        ..Commit::default()
    };
    store.commit(&again).await.unwrap();
    assert_eq!(stored(), ("2".to_owned(), 5, 5), "the store was just opened");
    // The file is removed: a new one gets the newest of everything.
    let counted = Commit {
        states: vec![("switch".into(), state("2", 6).into())],
        ..again.clone()
    };
    store.commit(&counted).await.unwrap();
    assert_eq!(stored(), ("2".to_owned(), 5, 6));
    fs::remove_file(&path).unwrap();
    let other = Commit {
        states: vec![("web".into(), MonitorState::default().into())],
        ..again
    };
    store.commit(&other).await.unwrap();
    assert_eq!(stored(), ("2".to_owned(), 6, 6));
}

#[tokio::test]
async fn an_invalid_memory_costs_no_state() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    let commit = one_state(epoch, "a", 7);
    store.commit(&commit).await.unwrap();
    drop(store);
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("INSERT INTO memories VALUES ('a', '{\"x\": ', NULL)")
        .unwrap();
    let snapshot = load(&path).await;
    assert_eq!(snapshot.monitors["a"].down_count, 7);
    assert!(snapshot.monitors["a"].memory.is_empty());
    let [warning] = &snapshot.warnings[..] else {
        panic!("{:?}", snapshot.warnings);
    };
    assert!(warning.contains("memory of monitor \"a\": "), "{warning}");
}
