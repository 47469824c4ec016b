//! Databases of older versions are read, and updated when they are written.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{collections::BTreeMap, path::Path, time::Duration};

use apmon_core::{
    CheckResult, Commit, MonitorState, PortChange, PortChangeRecord, PortEvent, PortState, Records,
    StateStore, Stretch, StretchKind, Verdict,
};
use apmon_store::{History, read_snapshot};
use jiff::{Timestamp, tz::TimeZone};
use rusqlite::Connection;
use support::{ALL_TIME, at, commit_history, load, one_state, open};

/// The schema of version 1.
const VERSION_1: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE states (name TEXT PRIMARY KEY, is_up INTEGER, last_checked INTEGER, last_response_time INTEGER,
    last_notified INTEGER, last_alarm_started INTEGER, last_successful_heartbeat INTEGER, down_count INTEGER NOT NULL,
    notified_count INTEGER NOT NULL, error_reason TEXT, last_config_checksum TEXT, own TEXT, other TEXT) WITHOUT ROWID;
CREATE TABLE outbox (place INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, entry TEXT NOT NULL);
CREATE TABLE incidents (id TEXT PRIMARY KEY, monitor TEXT NOT NULL, kind TEXT NOT NULL, label TEXT,
    started INTEGER NOT NULL, ended INTEGER, reason TEXT, messages INTEGER NOT NULL);
CREATE INDEX incidents_of ON incidents (monitor, started);
CREATE TABLE deliveries (message TEXT NOT NULL, channel TEXT NOT NULL, incident TEXT NOT NULL, monitor TEXT NOT NULL,
    label TEXT NOT NULL, at INTEGER NOT NULL, tries INTEGER NOT NULL, fate TEXT NOT NULL, error TEXT,
    PRIMARY KEY (message, channel));
CREATE INDEX deliveries_of ON deliveries (monitor, at);
CREATE TABLE watched (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE results (monitor INTEGER NOT NULL, place INTEGER NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL,
    verdict TEXT NOT NULL, latency INTEGER, reason TEXT, PRIMARY KEY (monitor, place)) WITHOUT ROWID;
PRAGMA application_id = 1634757998;
PRAGMA user_version = 1;
";

/// What version 2 added.
const VERSION_2: &str = "
ALTER TABLE watched ADD COLUMN since INTEGER;
ALTER TABLE watched ADD COLUMN last INTEGER;
ALTER TABLE watched ADD COLUMN max_gap INTEGER;
CREATE TABLE stretches (monitor TEXT NOT NULL, kind TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL);
CREATE INDEX stretches_of ON stretches (monitor, started);
PRAGMA user_version = 2;
";

/// What version 3 changed.
const VERSION_3: &str = "
CREATE TABLE memories (monitor TEXT PRIMARY KEY, kept TEXT, counts TEXT) WITHOUT ROWID;
ALTER TABLE states DROP COLUMN other;
CREATE TABLE port_changes (monitor TEXT NOT NULL, at INTEGER NOT NULL, port_index INTEGER NOT NULL, port TEXT NOT NULL,
    kind TEXT NOT NULL, before TEXT, after TEXT,
    -- allow-word: the name until version 3
    told INTEGER NOT NULL);
CREATE INDEX port_changes_of ON port_changes (monitor, at);
CREATE INDEX port_changes_at ON port_changes (at);
PRAGMA user_version = 3;
";

/// A database whose schema was made by these steps.
fn create(path: &Path, steps: &[&str]) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    for step in steps {
        connection.execute_batch(step).unwrap();
    }
    connection
}

fn number(path: &Path, sql: &str) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn micros(second: i64) -> i64 {
    at(second).as_microsecond()
}

/// States as read by [`History`], which must agree with [`read_snapshot`].
fn states(path: &Path) -> BTreeMap<String, MonitorState> {
    let states = History::open(path).unwrap().states().unwrap();
    let snapshot = read_snapshot(path, &TimeZone::UTC).unwrap();
    let same: BTreeMap<_, _> = snapshot
        .monitors
        .iter()
        .map(|(name, state)| (name.clone(), MonitorState::clone(state)))
        .collect();
    assert_eq!(same, states);
    states
}

#[tokio::test]
async fn a_database_of_version_1_learns_when_monitors_were_watched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let old = create(&path, &[VERSION_1]);
    old.execute_batch(&format!(
        "INSERT INTO watched VALUES (1, 'a'), (2, 'b'), (3, 'c');
         INSERT INTO results VALUES (1, 0, 100, {}, 'up', NULL, NULL), (1, 1, 1, {}, 'up', NULL, NULL),
             (2, 0, 0, {}, 'up', NULL, NULL);
         INSERT INTO incidents VALUES ('1', 'b', 'outage', NULL, {}, {}, 'r', 2);
         INSERT INTO states VALUES ('a', 1, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, NULL)",
        micros(160),
        micros(100),
        micros(500),
        micros(50),
        micros(70),
    ))
    .unwrap();
    drop(old);
    let before = History::open(&path).unwrap();
    assert_eq!(before.monitors().unwrap(), ["a", "b", "c"]);
    assert_eq!(before.incidents(None, &ALL_TIME).unwrap().len(), 1);
    assert_eq!(before.watched("a").unwrap(), None);
    assert_eq!(before.stretches("a", Timestamp::MIN).unwrap(), []);
    assert_eq!(before.port_changes(None, &ALL_TIME).unwrap(), []);
    assert_eq!(states(&path).len(), 1);

    let result = |second| CheckResult {
        monitor: "a".into(),
        at: at(second),
        verdict: Verdict::Up,
        latency: None,
        reason: None,
        max_gap: Duration::from_secs(120),
        known: Some(at(second)),
    };
    let records = Records {
        results: [result(1000), result(1060)].into(),
        ..Records::default()
    };
    commit_history(&path, records).await;
    let history = History::open(&path).unwrap();
    let unwatched = Stretch {
        monitor: "a".into(),
        kind: StretchKind::Unwatched,
        started: at(160),
        ended: at(1000),
    };
    assert_eq!(history.stretches("a", Timestamp::MIN).unwrap(), [unwatched]);
    let since = |name| history.watched(name).unwrap().map(|watched| watched.since);
    assert_eq!(since("a"), Some(at(100)), "the oldest known result");
    assert_eq!(since("b"), Some(at(50)), "an incident is older than the results");
    assert_eq!(since("c"), None);
    assert_eq!(load(&path).await.monitors.len(), 1);
}

#[tokio::test]
async fn unknown_keys_of_a_database_of_version_2_become_memories() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let old = create(&path, &[VERSION_1, VERSION_2]);
    old.execute_batch(
        r#"INSERT INTO states VALUES
             ('switch', 1, 5000000, 187342, NULL, NULL, NULL, 0, 0, NULL, 'ab', '{"incident":"i"}',
              '{"ports_state":{"1":{"oper":"up"}},"zürich":1e2}'),
             ('web', 0, NULL, NULL, NULL, NULL, NULL, 7, 2, 'no answer', NULL, NULL, NULL);
           INSERT INTO outbox (key, entry) VALUES ('k', '{}');
           INSERT INTO meta VALUES ('epoch', 41)"#,
    )
    .unwrap();
    let before = states(&path);
    let switch = &before["switch"];
    let kept: Vec<_> = switch
        .memory
        .kept
        .iter()
        .map(|(key, text)| (key.as_str(), &**text))
        .collect();
    assert_eq!(
        kept,
        [("ports_state", r#"{"1":{"oper":"up"}}"#), ("zürich", "100.0")]
    );
    assert_eq!(switch.own.incident.as_deref(), Some("i"));
    assert_eq!(switch.last_response_time, Some(Duration::from_micros(187_342)));
    assert!(before["web"].memory.is_empty());
    let history = History::open(&path).unwrap();
    assert_eq!(history.state("switch").unwrap().as_ref(), Some(switch));
    assert_eq!(history.port_changes(None, &ALL_TIME).unwrap(), []);
    drop((history, old));

    let store = open(&path);
    let snapshot = store.load().await.unwrap();
    assert_eq!(
        (snapshot.epoch, snapshot.warnings.len()),
        (42, 1),
        "{:?}",
        snapshot.warnings
    );
    let mut web = MonitorState::clone(&snapshot.monitors["web"]);
    web.down_count = 8;
    let commit = Commit {
        epoch: snapshot.epoch,
        states: vec![("web".into(), web.clone().into())],
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
    let after = states(&path);
    assert_eq!((&after["switch"], &after["web"]), (&before["switch"], &web));
    assert_eq!(number(&path, "PRAGMA user_version"), 4);
    assert_eq!(number(&path, "SELECT count(*) FROM memories"), 1);
    assert_eq!(
        number(
            &path,
            "SELECT count(*) FROM pragma_table_info('states') WHERE name = 'other'"
        ),
        0
    );
    assert_eq!(
        number(&path, "SELECT count(*) FROM outbox"),
        1,
        "a message that cannot be read is kept"
    );
}

#[tokio::test]
async fn old_words_in_a_database_of_version_3_are_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let old = create(&path, &[VERSION_1, VERSION_2, VERSION_3]);
    old.execute_batch(&format!(
        "INSERT INTO stretches VALUES ('a', 'silenced', {}, {}), ('a', 'unknown', {}, {});
         INSERT INTO port_changes VALUES ('a', {}, 7, 'Gi0/7', 'added', NULL, 'oper=up admin=up', 1),
             ('a', {}, 8, 'Gi0/8', 'added', NULL, 'oper=up admin=up', 0)",
        micros(0),
        micros(60),
        micros(60),
        micros(90),
        micros(10),
        micros(20),
    ))
    .unwrap();
    drop(old);
    let stretch = |kind, started, ended| Stretch {
        monitor: "a".into(),
        kind,
        started: at(started),
        ended: at(ended),
    };
    let stretches = [
        stretch(StretchKind::AlarmsOff, 0, 60),
        stretch(StretchKind::Unknown, 60, 90),
    ];
    let up: PortState = "oper=up admin=up".parse().unwrap();
    let change = |second, index, notified| PortChangeRecord {
        monitor: "a".into(),
        at: at(second),
        change: PortChange {
            index,
            port: format!("Gi0/{index}"),
            event: PortEvent::Added { is: up },
            notified,
        },
    };
    let port_changes = [change(10, 7, true), change(20, 8, false)];
    let assert_unchanged = || {
        let history = History::open(&path).unwrap();
        assert_eq!(history.stretches("a", Timestamp::MIN).unwrap(), stretches);
        assert_eq!(history.port_changes(Some("a"), &ALL_TIME).unwrap(), port_changes);
    };
    assert_unchanged();
    assert_eq!(number(&path, "PRAGMA user_version"), 3, "reading updates nothing");

    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&one_state(epoch, "a", 1)).await.unwrap();
    assert_unchanged();
    assert_eq!(number(&path, "PRAGMA user_version"), 4);
    let renamed = "SELECT count(*) FROM stretches WHERE kind = 'alarms_off'";
    assert_eq!(number(&path, renamed), 1);
    assert_eq!(number(&path, "SELECT sum(notified) FROM port_changes"), 1);
}

#[tokio::test]
async fn a_reader_that_is_kept_open_reads_on_after_a_migration() {
    let steps = [VERSION_1, VERSION_2, VERSION_3];
    for version in 1..=steps.len() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.db");
        let old = create(&path, &steps[..version]);
        let sql = "INSERT INTO states (name, down_count, notified_count) VALUES ('a', 5, 0)";
        old.execute_batch(sql).unwrap();
        drop(old);
        let history = History::open(&path).unwrap();
        assert_eq!(history.state("a").unwrap().unwrap().down_count, 5);
        assert_eq!(history.port_changes(None, &ALL_TIME).unwrap(), []);
        let store = open(&path);
        let epoch = store.load().await.unwrap().epoch;
        let change = PortChangeRecord {
            monitor: "a".into(),
            at: at(0),
            change: PortChange {
                index: 1,
                port: "Gi1".into(),
                event: PortEvent::Added {
                    is: "oper=up admin=up".parse().unwrap(),
                },
                notified: true,
            },
        };
        let commit = Commit {
            history: Records {
                port_changes: [change.clone()].into(),
                ..Records::default()
            }
            .into(),
            ..one_state(epoch, "b", 1)
        };
        store.commit(&commit).await.unwrap();
        assert_eq!(history.states().unwrap().len(), 2, "from version {version}");
        assert_eq!(history.state("a").unwrap().unwrap().down_count, 5);
        assert_eq!(history.port_changes(None, &ALL_TIME).unwrap(), [change]);
        assert_eq!(history.stretches("a", Timestamp::MIN).unwrap(), []);
    }
}

#[tokio::test]
async fn a_reader_that_is_kept_open_reads_the_database_that_replaces_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let (path, other) = (directory.path().join("s.db"), directory.path().join("other.db"));
    for (path, name) in [(&path, "a"), (&other, "b")] {
        let store = open(path);
        let epoch = store.load().await.unwrap().epoch;
        store.commit(&one_state(epoch, name, 1)).await.unwrap();
        drop(store);
        support::wait_until_closed(path);
    }
    let history = History::open(&path).unwrap();
    assert!(history.state("a").unwrap().is_some());
    std::fs::rename(&other, &path).unwrap();
    assert!(history.state("b").unwrap().is_some());
}
