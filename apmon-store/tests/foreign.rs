//! Files that another user has put in place of a store's own, after their owner was checked.
#![cfg(all(feature = "sqlite", unix))]
#![allow(clippy::unwrap_used)] // a panic fails the test

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
};

use apmon_core::{Commit, MonitorState, StateStore, StoreError};
use apmon_store::{Format, JsonStore, SqliteStore, Trust, check_owner};
use jiff::tz::TimeZone;

/// Another user than the one of the tests, which must be root, as in CI.
const OTHER: u32 = 54_321;

fn open(path: &Path, trust: Trust) -> Box<dyn StateStore> {
    match Format::of(path) {
        Format::Json => Box::new(JsonStore::open_as(path, TimeZone::UTC, None, trust).unwrap()),
        Format::Sqlite => Box::new(SqliteStore::open_as(path, TimeZone::UTC, None, trust).unwrap()),
    }
}

/// Commits the state of a monitor of this name.
async fn commit(store: &dyn StateStore, name: &str) -> Result<(), StoreError> {
    let snapshot = store.load().await?;
    let commit = Commit {
        epoch: snapshot.epoch,
        states: vec![(name.into(), MonitorState::default().into())],
        ..Commit::default()
    };
    store.commit(&commit).await
}

/// A directory such as `/tmp`.
fn shared() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    directory
}

fn assert_foreign(result: Result<(), StoreError>, file: &Path) {
    let error = result.unwrap_err().one_line();
    let expected = format!(
        "cannot use {}: it belongs to another user (uid {OTHER})",
        file.display()
    );
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_state_file_that_appears_after_the_check_is_not_read() {
    for name in ["s.json", "s.db"] {
        let directory = shared();
        let path = directory.path().join(name);
        check_owner(&path).unwrap();
        let store = open(&path, Trust::Own);
        // The other user is faster.
        commit(&*open(&path, Trust::Own), "forged").await.unwrap();
        chown(&path, Some(OTHER), None).unwrap();
        assert_foreign(store.load().await.map(drop), &path);
        assert_foreign(commit(&*store, "web").await, &path);
        let trusting = open(&path, Trust::Everybody);
        assert!(trusting.load().await.unwrap().monitors.contains_key("forged"));
        chown(&path, Some(0), None).unwrap();
        commit(&*store, "web").await.unwrap();
    }
}

/// SQLite would undo the last transaction with the first, and read the next one from the second.
#[tokio::test]
async fn a_file_beside_the_database_that_appears_after_the_check_is_not_read() {
    for suffix in ["-journal", "-wal"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.db");
        commit(&*open(&path, Trust::Own), "web").await.unwrap();
        let beside = directory.path().join(format!("s.db{suffix}"));
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        check_owner(&path).unwrap();
        let store = open(&path, Trust::Own);
        let _ = fs::remove_file(&beside);
        fs::write(&beside, "forged").unwrap();
        chown(&beside, Some(OTHER), None).unwrap();
        assert_foreign(store.load().await.map(drop), &beside);
        fs::remove_file(&beside).unwrap();
        // From the first reading on nobody else can take a name.
        store.load().await.unwrap();
        for suffix in ["-journal", "-wal"] {
            let held = fs::metadata(directory.path().join(format!("s.db{suffix}"))).unwrap();
            assert_eq!((held.len(), held.permissions().mode() & 0o777), (0, 0o600));
        }
        drop(store);
    }
}

#[tokio::test]
async fn a_database_that_another_user_made_before_the_first_commit_is_not_written() {
    let directory = shared();
    let path = directory.path().join("s.db");
    let store = open(&path, Trust::Own);
    let snapshot = store.load().await.unwrap();
    fs::write(&path, "").unwrap();
    chown(&path, Some(OTHER), None).unwrap();
    let first = Commit {
        epoch: snapshot.epoch,
        states: vec![("web".into(), MonitorState::default().into())],
        ..Commit::default()
    };
    assert_foreign(store.commit(&first).await, &path);
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    fs::remove_file(&path).unwrap();
    store.commit(&first).await.unwrap();
}

#[tokio::test]
async fn the_state_before_the_last_commit_is_not_taken_from_another_user() {
    for mode in [0o644, 0o600] {
        let directory = shared();
        let path = directory.path().join("s.json");
        commit(&*open(&path, Trust::Own), "forged").await.unwrap();
        let old = directory.path().join("s.json.old");
        fs::rename(&path, &old).unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(mode)).unwrap();
        chown(&old, Some(OTHER), None).unwrap();
        check_owner(&path).unwrap();
        let snapshot = open(&path, Trust::Own).load().await.unwrap();
        assert!(snapshot.monitors.is_empty());
        let warning = format!(
            "{} is not used: it belongs to another user (uid {OTHER})",
            old.display()
        );
        assert_eq!(snapshot.warnings, [warning]);
    }
}
