//! A disk that becomes read-only, as a dying SD card does, and then recovers.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use apmon_core::{Commit, MonitorState, StateStore, StoreError};
use apmon_store::{Format, JsonStore, LockError, SqliteStore};
use jiff::tz::TimeZone;

/// Passes the disk's directory to a child, which is this test binary again.
const DISK: &str = "APMON_TEST_DISK";
const GOOD: &str = r#"{"a": {"is_up": true, "down_count": 7}, "apmon": {"version": 1, "epoch": 41}}"#;

/// Runs `test` again in a child that sees a read-only disk; the commands in
/// `files` fill it first.
fn with_read_only_disk(test: &str, files: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "cd / && mount -t tmpfs -o size=1m none \"${DISK}\" && cd \"${DISK}\" && {files} && cd / \
         && mount -o remount,ro \"${DISK}\" && exec \"$0\" \"$@\""
    );
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(DISK, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("all checked"),
        "this test needs user namespaces: {output:?}"
    );
}

fn remount(disk: &Path, options: &str) {
    let mut command = Command::new("mount");
    assert!(
        command
            .args(["-o", options])
            .arg(disk)
            .status()
            .unwrap()
            .success()
    );
}

fn one(epoch: u64, name: &str) -> Commit {
    Commit {
        epoch,
        states: vec![(name.into(), MonitorState::default().into())],
        ..Commit::default()
    }
}

fn disk() -> Option<PathBuf> {
    env::var_os(DISK).map(PathBuf::from)
}

#[tokio::test]
async fn a_damaged_file_that_cannot_be_moved_is_reported_and_its_predecessor_used() {
    let Some(disk) = disk() else {
        with_read_only_disk(
            "a_damaged_file_that_cannot_be_moved_is_reported_and_its_predecessor_used",
            &format!("echo '{{' >s.json && echo '{GOOD}' >s.json.old"),
        );
        return;
    };
    let path = disk.join("s.json");
    let store = JsonStore::open(&path, TimeZone::UTC, None).unwrap();
    let snapshot = store.load().await.unwrap();
    assert_eq!(snapshot.monitors["a"].down_count, 7);
    let [damaged, used] = &snapshot.warnings[..] else {
        panic!("{:?}", snapshot.warnings);
    };
    assert!(damaged.contains("s.json is DAMAGED ("), "{damaged}");
    assert!(damaged.contains("; it could not be set aside: "), "{damaged}");
    assert!(
        used.contains("s.json was damaged: the state before the last commit is used"),
        "{used}"
    );
    let commit = Commit {
        epoch: snapshot.epoch,
        states: vec![("b".into(), MonitorState::default().into())],
        ..Commit::default()
    };
    assert!(store.commit(&commit).await.is_err());

    remount(&disk, "remount,rw");
    store.commit(&commit).await.unwrap();
    let old = fs::read_to_string(disk.join("s.json.old")).unwrap();
    assert_eq!(old.trim(), GOOD, "the damaged file must not replace it");
    let snapshot = store.load().await.unwrap();
    assert_eq!((snapshot.monitors.len(), snapshot.warnings.len()), (2, 0));
    println!("all checked");
}

#[tokio::test]
async fn a_database_on_a_read_only_disk_is_read_now_and_written_later() {
    const TEST: &str = "a_database_on_a_read_only_disk_is_read_now_and_written_later";
    let Some(disk) = disk() else {
        // Copied as a crash leaves it: nothing is checkpointed.
        let made = tempfile::tempdir().unwrap();
        let path = made.path().join("s.db");
        let store = SqliteStore::open(&path, TimeZone::UTC, None).unwrap();
        let epoch = store.load().await.unwrap().epoch;
        store.commit(&one(epoch, "a")).await.unwrap();
        with_read_only_disk(TEST, &format!("cp {}/s.db* .", made.path().display()));
        drop(store);
        for _ in 0..1000 {
            if !made.path().join("s.db-journal").exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        // And copied after it was closed.
        with_read_only_disk(TEST, &format!("cp {}/s.db .", made.path().display()));
        return;
    };
    let store = SqliteStore::open(disk.join("s.db"), TimeZone::UTC, None).unwrap();
    let snapshot = store.load().await.unwrap();
    assert_eq!(snapshot.monitors.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(snapshot.warnings, Vec::<String>::new());
    let commit = one(snapshot.epoch, "b");
    for _ in 0..2 {
        let error = store.commit(&commit).await.unwrap_err().one_line();
        assert!(error.contains("s.db"), "{error}");
    }
    remount(&disk, "remount,rw");
    store.commit(&commit).await.unwrap();
    assert_eq!(store.load().await.unwrap().monitors.len(), 2);
    println!("all checked");
}

#[tokio::test]
async fn a_full_disk_fails_commits_until_there_is_space_again() {
    const TEST: &str = "a_full_disk_fails_commits_until_there_is_space_again";
    let Some(disk) = disk() else {
        with_read_only_disk(TEST, "true");
        return;
    };
    remount(&disk, "remount,rw");
    for file in ["s.json", "s.db"] {
        let path = disk.join(file);
        let store: Box<dyn StateStore> = match Format::of(&path) {
            Format::Json => Box::new(JsonStore::open(&path, TimeZone::UTC, None).unwrap()),
            Format::Sqlite => Box::new(SqliteStore::open(&path, TimeZone::UTC, None).unwrap()),
        };
        let epoch = store.load().await.unwrap().epoch;
        store.commit(&one(epoch, "a")).await.unwrap();
        // Not a byte is free.
        let filler = disk.join("filler");
        let _ = fs::write(&filler, vec![0; 2 << 20]);
        let mut large = one(epoch, "b");
        std::sync::Arc::make_mut(&mut large.states[0].1).error_reason = Some("x".repeat(100_000));
        for _ in 0..2 {
            let error = store.commit(&large).await.unwrap_err();
            assert!(
                matches!(&error, StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull),
                "{}",
                error.one_line()
            );
        }
        fs::remove_file(&filler).unwrap();
        store.commit(&one(epoch, "c")).await.unwrap();
        let snapshot = store.load().await.unwrap();
        assert_eq!(snapshot.monitors.keys().collect::<Vec<_>>(), ["a", "c"], "{file}");
        assert_eq!(snapshot.warnings, Vec::<String>::new());
        store
            .commit(&Commit {
                epoch: snapshot.epoch,
                ..large
            })
            .await
            .unwrap();
        assert_eq!(store.load().await.unwrap().monitors.len(), 3);
        drop(store);
        for name in ["s.json", "s.json.old"] {
            let _ = fs::remove_file(disk.join(name));
        }
    }
    println!("all checked");
}

#[test]
fn an_existing_lock_file_is_locked_on_a_read_only_disk() {
    let Some(disk) = disk() else {
        with_read_only_disk(
            "an_existing_lock_file_is_locked_on_a_read_only_disk",
            ": >s.json.lock",
        );
        return;
    };
    let lock = JsonStore::lock(disk.join("s.json")).unwrap();
    let second = JsonStore::lock(disk.join("s.json"));
    assert!(
        matches!(second, Err(LockError::Held { pid: None, .. })),
        "{second:?}"
    );
    drop(lock);
    JsonStore::lock(disk.join("s.json")).unwrap();
    assert!(matches!(
        JsonStore::lock(disk.join("other.json")),
        Err(LockError::Io { .. })
    ));
    println!("all checked");
}
