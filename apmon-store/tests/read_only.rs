//! A disk that has gone read-only, as a dying SD card does, and comes back.

#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{env, fs, path::PathBuf, process::Command};

use apmon_core::{Commit, MonitorState, StateStore};
use apmon_store::{JsonStore, LockError};
use jiff::tz::TimeZone;

/// Tells a child, which is this test binary again, where its disk is.
const DISK: &str = "APMON_TEST_DISK";
const GOOD: &str = r#"{"a": {"is_up": true, "down_count": 7}, "apmon": {"version": 1, "epoch": 41}}"#;

/// Runs `test` again where a read-only disk is mounted that `files` made.
fn among_mounts(test: &str, files: &str) {
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
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("all seen"),
        "a user namespace is needed here: {output:?}"
    );
}

fn disk() -> Option<PathBuf> {
    env::var_os(DISK).map(PathBuf::from)
}

#[tokio::test]
async fn what_is_damaged_and_cannot_be_moved_is_told_and_the_one_before_is_used() {
    let Some(disk) = disk() else {
        among_mounts(
            "what_is_damaged_and_cannot_be_moved_is_told_and_the_one_before_is_used",
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

    let writable = Command::new("mount")
        .args(["-o", "remount,rw"])
        .arg(&disk)
        .status()
        .unwrap();
    assert!(writable.success());
    store.commit(&commit).await.unwrap();
    let old = fs::read_to_string(disk.join("s.json.old")).unwrap();
    assert_eq!(old.trim(), GOOD, "what is damaged must not take its place");
    let snapshot = store.load().await.unwrap();
    assert_eq!((snapshot.monitors.len(), snapshot.warnings.len()), (2, 0));
    println!("all seen");
}

#[test]
fn a_lock_file_that_stands_there_is_locked_all_the_same() {
    let Some(disk) = disk() else {
        among_mounts(
            "a_lock_file_that_stands_there_is_locked_all_the_same",
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
    println!("all seen");
}
