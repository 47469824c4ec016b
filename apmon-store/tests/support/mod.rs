//! Helpers that several test files share.

#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{fs, path::Path, time::Duration};

use apmon_core::{
    Commit, MonitorState, Notification, NotificationKind, OutboxEntry, Records, Snapshot, StateStore as _,
};
use apmon_store::{Span, SqliteStore};
use jiff::{Timestamp, tz::TimeZone};

pub const ALL_TIME: Span = Timestamp::MIN..=Timestamp::MAX;

pub fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, TimeZone::UTC, None).unwrap()
}

pub async fn load(path: &Path) -> Snapshot {
    open(path).load().await.unwrap()
}

/// A process that opens the database at `path`, commits this history, and ends.
pub async fn commit_history(path: &Path, history: Records) {
    let store = open(path);
    let epoch = store.load().await.unwrap().epoch;
    record(&store, epoch, history).await;
}

pub async fn record(store: &SqliteStore, epoch: u64, history: Records) {
    let commit = Commit {
        epoch,
        history: history.into(),
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
}

/// The moment `second` seconds after a fixed one in 2100, so that nothing recorded
/// then is ever pruned.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(4_102_452_000 + second).unwrap()
}

/// A commit of one monitor's state.
pub fn one_state(epoch: u64, name: &str, down_count: u32) -> Commit {
    let state = MonitorState {
        down_count,
        ..MonitorState::default()
    };
    Commit {
        epoch,
        states: vec![(name.into(), state.into())],
        ..Commit::default()
    }
}

pub fn notification(id: &str) -> Notification {
    Notification {
        id: id.into(),
        incident: "i".into(),
        kind: NotificationKind::Outage,
        site: "HomeLab".into(),
        monitor: "a".into(),
        address: "h".into(),
        text: "a is down".into(),
        number: 1,
        at: at(0),
        since: None,
        lasted: None,
        next_reminder: None,
        subject: Default::default(),
        covers: Vec::new(),
        ended: None,
    }
}

pub fn entry(id: &str) -> OutboxEntry {
    OutboxEntry::new("webhook:h", notification(id), vec!["webhook:h".into()])
}

/// The names in a directory, without SQLite's auxiliary files.
pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with("-journal"))
        .collect();
    names.sort();
    names
}

/// Waits until a dropped store has closed its database, which then is one file.
pub fn wait_until_closed(path: &Path) {
    for _ in 0..1000 {
        if !path.with_extension("db-journal").exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the database is not closed");
}
