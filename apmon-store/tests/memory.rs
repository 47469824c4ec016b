//! What monitors remember, and what they saw change, in a database.

#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{fs, path::Path};

use apmon_core::{
    Clock as _, Commit, Memory, MonitorState, PortChange, PortChangeRecord, PortEvent, PortState, PortStatus,
    Records, StateStore, SystemClock,
};
use apmon_store::{History, Span, SqliteStore, read_snapshot};
use jiff::{Timestamp, tz::TimeZone};

const EVER: Span = Timestamp::MIN..=Timestamp::MAX;

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, TimeZone::UTC, None).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn changed(monitor: &str, second: i64, event: PortEvent) -> PortChangeRecord {
    PortChangeRecord {
        monitor: monitor.into(),
        at: at(second),
        change: PortChange {
            index: 7,
            port: "Gi0/7".into(),
            event,
            notified: second % 2 == 0,
        },
    }
}

#[tokio::test]
async fn what_changed_at_ports_is_kept_for_as_long_as_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let state = |oper| PortState {
        oper,
        admin: PortStatus::Up,
    };
    let mac = "02:00:00:00:00:01".parse().unwrap();
    let now = SystemClock::new().now().wall.as_second() - 1_790_000_000;
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
        history.port_changes(None, &EVER).unwrap(),
        records,
        "the old one is gone"
    );
    let of_a = [records[0].clone(), records[2].clone()];
    assert_eq!(history.port_changes(Some("a"), &EVER).unwrap(), of_a);
    let span = records[1].at..=records[2].at;
    assert_eq!(history.port_changes(None, &span).unwrap(), records[1..3]);
    assert_eq!(history.port_changes(Some("c"), &EVER).unwrap(), []);
}

#[tokio::test]
async fn counts_that_change_at_each_look_are_not_written_each_time() {
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
    let seen = || {
        let state = read_snapshot(&path, &TimeZone::UTC).unwrap().monitors["switch"].clone();
        let counts = state.memory.counts.as_ref().unwrap().parse().unwrap();
        (
            state.memory.kept["ports_state"].to_string(),
            counts,
            state.down_count,
        )
    };
    // What is committed, and what stands in the database then.
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
        assert_eq!(seen(), (baseline, counts, state.down_count), "{why}");
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
    assert_eq!(seen(), ("2".to_owned(), 5, 5), "it was just opened");
    // The file goes away: a new one gets the newest of all.
    let counted = Commit {
        states: vec![("switch".into(), state("2", 6).into())],
        ..again.clone()
    };
    store.commit(&counted).await.unwrap();
    assert_eq!(seen(), ("2".to_owned(), 5, 6));
    for suffix in ["db", "db-wal", "db-shm"] {
        fs::remove_file(path.with_extension(suffix)).unwrap();
    }
    let other = Commit {
        states: vec![("web".into(), MonitorState::default().into())],
        ..again
    };
    store.commit(&other).await.unwrap();
    assert_eq!(seen(), ("2".to_owned(), 6, 6));
}

#[tokio::test]
async fn a_memory_that_makes_no_sense_costs_no_state() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    let state = MonitorState {
        down_count: 7,
        ..MonitorState::default()
    };
    let commit = Commit {
        epoch,
        states: vec![("a".into(), state.into())],
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
    drop(store);
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("INSERT INTO memories VALUES ('a', '{\"x\": ', NULL)")
        .unwrap();
    let snapshot = open(&path).load().await.unwrap();
    assert_eq!(snapshot.monitors["a"].down_count, 7);
    assert!(snapshot.monitors["a"].memory.is_empty());
    let [warning] = &snapshot.warnings[..] else {
        panic!("{:?}", snapshot.warnings);
    };
    assert!(warning.contains("memory of monitor \"a\": "), "{warning}");
}
