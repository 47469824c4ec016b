//! The database as a file: importing a JSON file, locks, damage, files of other
//! programs.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
    time::Duration,
};

use apmon_core::{
    CheckResult, Commit, OutboxEntry, Records, Snapshot, StateRecord, StateStore, StoreError, Verdict,
};
use apmon_store::{History, JsonStore, LockError, SqliteStore};
use jiff::tz::TimeZone;
use support::{at, entry, load, names, one_state, open, wait_until_closed};

const JSON: &str =
    r#"{"a": {"is_up": false, "down_count": 7, "x": 1}, "other": 5, "apmon": {"version": 1, "epoch": 41}}"#;

#[tokio::test]
async fn the_content_of_a_json_file_is_imported() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("s.statefile.json");
    let path = directory.path().join("s.statefile.db");
    fs::write(&json, JSON).unwrap();
    let store = JsonStore::open(&json, TimeZone::UTC, None).unwrap();
    let mut commit = one_state(store.load().await.unwrap().epoch, "b", 1);
    commit.outbox = vec![entry("1")];
    store.commit(&commit).await.unwrap();
    let before = store.load().await.unwrap();
    drop(store);

    let store = open(&path);
    let snapshot = store.load().await.unwrap();
    assert_eq!(snapshot.monitors, before.monitors);
    assert_eq!(
        snapshot.outbox,
        [entry("1")].map(|entry| OutboxEntry {
            notification: before.outbox[0].notification.clone(),
            ..entry
        })
    );
    assert!(snapshot.epoch >= before.epoch && snapshot.warnings.is_empty());
    assert!(json.exists(), "not renamed before its content is in the database");
    store.commit(&one_state(snapshot.epoch, "c", 1)).await.unwrap();
    assert_eq!(
        names(directory.path()),
        [
            "s.statefile.db",
            "s.statefile.json.imported",
            "s.statefile.json.imported.old"
        ]
    );
    drop(store);
    let snapshot = load(&path).await;
    assert_eq!(snapshot.monitors.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(&*snapshot.monitors["a"].memory.kept["x"], "1");
    assert_eq!(snapshot.outbox, before.outbox);
}

#[tokio::test]
async fn a_crash_between_import_and_rename_does_not_import_twice() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("s.json");
    let path = directory.path().join("s.db");
    fs::write(&json, JSON).unwrap();
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&one_state(epoch, "a", 8)).await.unwrap();
    drop(store);
    fs::rename(directory.path().join("s.json.imported"), &json).unwrap();
    assert_eq!(load(&path).await.monitors["a"].down_count, 8);
    assert!(!json.exists());

    // A file written after the import is someone's, and stays.
    fs::write(&json, r#"{"a": {"down_count": 1}}"#).unwrap();
    assert_eq!(load(&path).await.monitors["a"].down_count, 8);
    assert!(json.exists());
}

#[test]
fn the_database_and_the_json_file_it_imports_are_locked_together() {
    let directory = tempfile::tempdir().unwrap();
    let (json, path) = (directory.path().join("s.json"), directory.path().join("s.db"));
    let pass = JsonStore::lock(&json).unwrap();
    assert!(matches!(SqliteStore::lock(&path), Err(LockError::Held { .. })));
    drop(pass);
    let daemon = SqliteStore::lock(&path).unwrap();
    match SqliteStore::lock(&path) {
        Err(LockError::Held { pid, path }) => {
            assert_eq!(pid, Some(std::process::id()));
            assert!(path.ends_with("s.db.lock"));
        }
        other => panic!("{other:?}"),
    }
    assert!(JsonStore::lock(&json).is_err());
    drop(daemon);
    JsonStore::lock(&json).unwrap();
}

fn result(monitor: &str, second: i64) -> CheckResult {
    CheckResult {
        monitor: monitor.into(),
        at: at(second),
        verdict: Verdict::Down,
        latency: None,
        reason: Some("connect: connection refused".into()),
        max_gap: Duration::ZERO,
        known: None,
    }
}

/// Fills the database with a state, a notification and a large history.
async fn fill(path: &Path) {
    let store = open(path);
    let mut commit = one_state(store.load().await.unwrap().epoch, "a", 3);
    commit.outbox = vec![entry("1")];
    let results = (0..100_000).map(|n| result(&format!("m{}", n % 1_000), n));
    commit.history = Records {
        results: results.collect(),
        ..Records::default()
    }
    .into();
    store.commit(&commit).await.unwrap();
    drop(store);
    wait_until_closed(path);
}

fn overwrite(path: &Path, from: u64, to: u64) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    file.write_all(&vec![0xa5; usize::try_from(to - from).unwrap()])
        .unwrap();
}

#[tokio::test]
async fn a_damaged_history_costs_no_state_and_no_notification() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    fill(&path).await;
    let size = fs::metadata(&path).unwrap().len();
    overwrite(&path, size / 2, size);
    let store = open(&path);
    let snapshot = store.load().await.unwrap();
    assert_eq!(snapshot.monitors["a"].down_count, 3);
    assert_eq!(snapshot.outbox.len(), 1);
    let [damaged, left] = &snapshot.warnings[..] else {
        panic!("{:?}", snapshot.warnings);
    };
    assert!(damaged.contains("s.db is DAMAGED ("), "{damaged}");
    assert!(damaged.contains("; it was set aside as "), "{damaged}");
    assert!(
        left.ends_with("s.db was damaged: its states and notifications could be read and are used"),
        "{left}"
    );
    store.commit(&one_state(snapshot.epoch, "b", 1)).await.unwrap();
    let again = store.load().await.unwrap();
    assert_eq!(
        (again.monitors.len(), again.outbox.len(), again.warnings.len()),
        (2, 1, 0)
    );
    assert!(names(directory.path())[1].starts_with("s.db.corrupt-"));
    // Of the history, what could be read.
    let history = History::open(&path).unwrap();
    let kept: usize = (0..1_000)
        .map(|n| history.results(&format!("m{n}")).unwrap().len())
        .sum();
    assert!((10_000..90_000).contains(&kept), "{kept}");
}

#[tokio::test]
async fn damaged_memories_cost_no_state() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    fill(&path).await;
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("DROP TABLE memories")
        .unwrap();
    let snapshot = load(&path).await;
    assert_eq!(snapshot.monitors["a"].down_count, 3);
    assert_eq!(snapshot.outbox.len(), 1);
    let warnings = &snapshot.warnings;
    assert!(
        warnings[0].contains("s.db is DAMAGED (no such table: memories)"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].ends_with("s.db: the memory of its monitors cannot be read and starts empty"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn a_database_that_cannot_be_read_at_all_starts_empty_with_a_warning() {
    for content in ["no database at all, but a text that is long enough", "x"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.db");
        fs::write(&path, content.repeat(100)).unwrap();
        // A file imported long ago is no better than nothing.
        fs::write(directory.path().join("s.json.imported"), JSON).unwrap();
        let snapshot = load(&path).await;
        assert!(snapshot.monitors.is_empty());
        assert_eq!(snapshot.warnings.len(), 2, "{:?}", snapshot.warnings);
        assert!(snapshot.warnings[1].ends_with("nothing could be read: starting without any state"));
    }
}

#[tokio::test]
async fn damage_while_the_store_is_open_costs_no_commit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    fill(&path).await;
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    let size = fs::metadata(&path).unwrap().len();
    overwrite(&path, 0, size);
    for n in 0..4 {
        let mut commit = one_state(epoch, "b", n);
        // More pages than SQLite caches.
        let results = (0..1_000).map(|n| result(&format!("m{n}"), n));
        commit.history = Records {
            results: results.collect(),
            ..Records::default()
        }
        .into();
        store.commit(&commit).await.unwrap();
    }
    assert!(names(directory.path())[1].starts_with("s.db.corrupt-"));
    drop(store);
    let snapshot = load(&path).await;
    assert_eq!(snapshot.monitors["a"].down_count, 3);
    assert_eq!((snapshot.monitors["b"].down_count, snapshot.outbox.len()), (3, 1));
}

#[tokio::test]
async fn a_file_removed_while_in_use_is_written_anew_with_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&one_state(epoch, "a", 3)).await.unwrap();
    fs::remove_file(&path).unwrap();
    store.commit(&one_state(epoch, "b", 4)).await.unwrap();
    assert_eq!(load(&path).await.monitors.len(), 2);
}

/// A commit with a record, a notification and a state, each of this name.
fn full_commit(epoch: u64, name: &str) -> Commit {
    let record = StateRecord {
        version: 1,
        json: "1".into(),
    };
    Commit {
        outbox: vec![entry(name)],
        records: vec![(name.to_owned(), Some(record))],
        ..one_state(epoch, name, 1)
    }
}

/// The names of the states, the notifications and the records.
fn content(snapshot: &Snapshot) -> [Vec<&str>; 3] {
    let outbox = snapshot.outbox.iter();
    [
        snapshot.monitors.keys().map(String::as_str).collect(),
        outbox.map(|entry| entry.notification.id.as_str()).collect(),
        snapshot.records.keys().map(String::as_str).collect(),
    ]
}

#[tokio::test]
async fn a_database_that_replaces_the_one_in_use_is_written_anew_with_everything() {
    let directory = tempfile::tempdir().unwrap();
    let (path, other) = (directory.path().join("s.db"), directory.path().join("other.db"));
    let theirs = open(&other);
    let epoch = theirs.load().await.unwrap().epoch;
    theirs.commit(&full_commit(epoch + 7, "theirs")).await.unwrap();
    drop(theirs);
    wait_until_closed(&other);
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&full_commit(epoch, "1")).await.unwrap();
    fs::rename(&other, &path).unwrap();
    store.commit(&full_commit(epoch, "2")).await.unwrap();
    store.commit(&full_commit(epoch, "3")).await.unwrap();
    drop(store);
    let snapshot = load(&path).await;
    assert_eq!(content(&snapshot), [["1", "2", "3"]; 3]);
    assert_eq!(snapshot.warnings, Vec::<String>::new());
}

/// `.restore` of the `sqlite3` tool: the file is the same, its content is that of a backup.
#[tokio::test]
async fn a_database_whose_content_is_replaced_is_written_anew_with_everything() {
    let directory = tempfile::tempdir().unwrap();
    let (path, backup) = (directory.path().join("s.db"), directory.path().join("backup.db"));
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    let numbered = |number, name| Commit {
        number,
        ..full_commit(epoch, name)
    };
    store.commit(&numbered(1, "1")).await.unwrap();
    let tool = rusqlite::Connection::open(&path).unwrap();
    let sql = format!("VACUUM INTO '{}'", backup.display());
    tool.execute_batch(&sql).unwrap();
    store.commit(&numbered(2, "2")).await.unwrap();
    let sql = format!(
        "ATTACH '{}' AS backup; BEGIN;
         DELETE FROM states; INSERT INTO states SELECT * FROM backup.states;
         DELETE FROM outbox; INSERT INTO outbox SELECT * FROM backup.outbox;
         DELETE FROM meta; INSERT INTO meta SELECT * FROM backup.meta; COMMIT",
        backup.display()
    );
    tool.execute_batch(&sql).unwrap();
    store.commit(&numbered(3, "3")).await.unwrap();
    drop((store, tool));
    assert_eq!(content(&load(&path).await), [["1", "2", "3"]; 3]);
}

/// Without a lock another process may take over: its state is not overwritten.
#[tokio::test]
async fn a_store_without_a_lock_is_superseded_by_a_newer_owner() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    let numbered = |number| Commit {
        number,
        ..one_state(epoch, "a", 1)
    };
    store.commit(&numbered(1)).await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    let newer = "UPDATE meta SET value = value + 1 WHERE key = 'epoch'";
    assert_eq!(other.execute(newer, []).unwrap(), 1);
    let error = store.commit(&numbered(2)).await.unwrap_err();
    let is_newer =
        matches!(error, StoreError::Superseded { newest: Some(newest), .. } if newest == epoch + 1);
    assert!(is_newer, "{error}");
}

#[tokio::test]
async fn a_newer_database_that_replaces_the_one_in_use_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (path, other) = (directory.path().join("s.db"), directory.path().join("other.db"));
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&one_state(epoch, "a", 1)).await.unwrap();
    let newer = "PRAGMA application_id = 1634757998; PRAGMA user_version = 9; CREATE TABLE later (x)";
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch(newer)
        .unwrap();
    let before = fs::read(&other).unwrap();
    fs::rename(&other, &path).unwrap();
    let error = store.commit(&one_state(epoch, "b", 1)).await.unwrap_err();
    assert!(error.one_line().contains("written by a newer apmon"), "{error}");
    drop(store);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn files_of_other_programs_and_newer_versions_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    for (sql, reason) in [
        ("CREATE TABLE theirs (x)", "a database of another program"),
        (
            "PRAGMA application_id = 1634757998; PRAGMA user_version = 9; CREATE TABLE later (x)",
            "written by a newer apmon (format version 9)",
        ),
    ] {
        let _ = fs::remove_file(&path);
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        let before = fs::read(&path).unwrap();
        let store = open(&path);
        let error = store.load().await.unwrap_err();
        assert_eq!(error.one_line(), format!("{}: {reason}", path.display()));
        assert!(store.commit(&one_state(9, "a", 1)).await.is_err());
        drop(store);
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    let error = open(directory.path()).load().await.unwrap_err();
    assert!(error.one_line().ends_with(": not a regular file"));
}

#[tokio::test]
async fn an_invalid_value_costs_only_its_row() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    fill(&path).await;
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(
            "INSERT INTO states (name, down_count, notified_count) VALUES ('b', 'many', 0);
             INSERT INTO outbox (key, entry) VALUES ('k', '{}')",
        )
        .unwrap();
    let snapshot = load(&path).await;
    assert_eq!((snapshot.monitors.len(), snapshot.outbox.len()), (1, 1));
    assert_eq!(snapshot.warnings.len(), 2, "{:?}", snapshot.warnings);
    assert!(snapshot.warnings[0].contains("monitor \"b\": "));
    assert!(snapshot.warnings[1].contains("an undelivered notification cannot be read and is not sent"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_database_is_private_and_its_directory_is_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("APMonitor/s.db");
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&one_state(epoch, "a", 1)).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o755);
    for suffix in ["db", "db-journal"] {
        assert_eq!(mode(&path.with_extension(suffix)), 0o600, "{suffix}");
    }
}
