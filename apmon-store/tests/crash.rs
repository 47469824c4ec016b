//! An acknowledged commit is on disk, whatever happens next; a failed one has
//! changed nothing.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use apmon_core::{Commit, MonitorState, OutboxEntry, StateStore, StoreError};
use apmon_store::{Format, JsonStore, LockError, SqliteStore};
use jiff::tz::TimeZone;

/// Passes the state file to a child, which is this test binary again.
const STATE_FILE: &str = "APMON_TEST_STATE_FILE";

fn child(test: &str, state_file: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(STATE_FILE, state_file)
        .stdout(Stdio::piped());
    command
}

fn state_file_of_child() -> Option<PathBuf> {
    env::var_os(STATE_FILE).map(PathBuf::from)
}

fn open(path: &Path) -> Box<dyn StateStore> {
    match Format::of(path) {
        Format::Json => Box::new(JsonStore::open(path, TimeZone::UTC, None).unwrap()),
        Format::Sqlite => Box::new(SqliteStore::open(path, TimeZone::UTC, None).unwrap()),
    }
}

fn count(epoch: u64, down_count: u32) -> Commit {
    let state = MonitorState {
        down_count,
        // Large, so that writing takes a while.
        error_reason: Some("x".repeat(20_000)),
        ..MonitorState::default()
    };
    Commit {
        epoch,
        states: vec![("a".into(), state.into())],
        ..Commit::default()
    }
}

/// The same notification each time, with another number of attempts.
fn notification(attempts: u32) -> OutboxEntry {
    let mut entry = support::entry("i-1");
    entry.attempts = attempts;
    entry
}

async fn load(path: &Path) -> (u32, Vec<String>) {
    let snapshot = open(path).load().await.unwrap();
    let down_count = snapshot.monitors.get("a").map_or(0, |state| state.down_count);
    (down_count, snapshot.warnings)
}

#[tokio::test]
async fn a_killed_process_loses_no_acknowledged_commit_in_a_json_file() {
    killed_at_any_moment(
        "a_killed_process_loses_no_acknowledged_commit_in_a_json_file",
        "s.json",
    )
    .await;
}

#[tokio::test]
async fn a_killed_process_loses_no_acknowledged_commit_in_a_database() {
    killed_at_any_moment(
        "a_killed_process_loses_no_acknowledged_commit_in_a_database",
        "s.db",
    )
    .await;
}

/// `test` is the calling test, which the child runs again.
#[allow(clippy::print_stdout)] // read by the parent
async fn killed_at_any_moment(test: &str, file: &str) {
    if let Some(path) = state_file_of_child() {
        let store = open(&path);
        let snapshot = store.load().await.unwrap();
        let mut n = snapshot.monitors.get("a").map_or(0, |state| state.down_count);
        loop {
            n += 1;
            let mut commit = count(snapshot.epoch, n);
            // Another state and a notification, which must be written with it or not at all.
            commit.states.push(("b".into(), commit.states[0].1.clone()));
            commit.outbox = vec![notification(n)];
            store.commit(&commit).await.unwrap();
            println!("safe {n}");
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(file);
    let mut safe = 0;
    for round in 0..20_u64 {
        let mut child = child(test, &path).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines_read = 0;
        let mut read = |line: Option<std::io::Result<String>>| match line {
            Some(Ok(line)) => {
                if let Some(n) = line.rsplit_once("safe ").and_then(|(_, n)| n.parse().ok()) {
                    safe = n;
                    lines_read += 1;
                }
                lines_read
            }
            _ => u32::MAX,
        };
        while read(lines.next()) < 3 {}
        // Another moment of the commit in each round.
        tokio::time::sleep(Duration::from_micros(round * 37)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        // Lines printed before it was killed count.
        while read(lines.next()) != u32::MAX {}
        let snapshot = open(&path).load().await.unwrap();
        let (found, warnings) = (snapshot.monitors["a"].down_count, snapshot.warnings);
        assert_eq!(snapshot.monitors["b"].down_count, found, "half a commit");
        assert_eq!(snapshot.outbox, [notification(found)], "half a commit");
        assert!(
            found == safe || found == safe + 1,
            "{safe} was acknowledged, {found} found in round {round}"
        );
        assert_eq!(warnings, Vec::<String>::new());
    }
    assert!(safe >= 60);
}

#[tokio::test]
async fn a_full_disk_changes_nothing_and_leaves_nothing_behind() {
    if let Some(path) = state_file_of_child() {
        let store = open(&path);
        let epoch = store.load().await.unwrap().epoch;
        store.commit(&count(epoch, 1)).await.unwrap();
        let mut large = count(epoch, 2);
        Arc::make_mut(&mut large.states[0].1).error_reason = Some("x".repeat(200_000));
        large.states.push(("b".into(), MonitorState::default().into()));
        let error = store.commit(&large).await.unwrap_err();
        assert!(matches!(error, StoreError::Io { step: "write", .. }), "{error}");
        // The next commit contains nothing of the failed one.
        let mut small = count(epoch, 3);
        small.states[0].0 = "c".into();
        store.commit(&small).await.unwrap();
        println!("done");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    // No file of the child may grow beyond 64 KiB, as if the disk were full in
    // the middle of the second commit.
    let inner = child("a_full_disk_changes_nothing_and_leaves_nothing_behind", &path);
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env(STATE_FILE, &path)
        .output()
        .unwrap();
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("done"),
        "{output:?}"
    );
    let snapshot = open(&path).load().await.unwrap();
    assert_eq!(snapshot.monitors.keys().collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(snapshot.monitors["a"].down_count, 1);
    let mut names: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["s.json", "s.json.old"]);
}

#[tokio::test]
async fn commits_work_again_once_a_blocked_path_is_free() {
    for (file, named) in [("s.json", "s.json.new"), ("s.db", "blocked")] {
        commit_to_a_blocked_path(file, named).await;
    }
}

async fn commit_to_a_blocked_path(file: &str, named: &str) {
    let directory = tempfile::tempdir().unwrap();
    let blocked = directory.path().join("blocked");
    let path = blocked.join(file);
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    fs::write(&blocked, "a file where a directory should be").unwrap();
    let error = store.commit(&count(epoch, 1)).await.unwrap_err();
    assert!(error.one_line().contains(named), "{}", error.one_line());
    fs::remove_file(&blocked).unwrap();
    let mut other = count(epoch, 2);
    other.states[0].0 = "b".into();
    store.commit(&other).await.unwrap();
    let snapshot = store.load().await.unwrap();
    assert_eq!(snapshot.monitors.keys().collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn leftovers_of_a_crash_do_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&count(epoch, 1)).await.unwrap();
    fs::write(directory.path().join("s.json.new"), "half a fi").unwrap();
    // Killed between the two renames: one file under both names.
    fs::hard_link(&path, directory.path().join("s.json.old")).unwrap();
    fs::hard_link(&path, directory.path().join("s.json.old.tmp")).unwrap();
    let snapshot = store.load().await.unwrap();
    assert_eq!(snapshot.monitors.values().next().unwrap().down_count, 1);
    let epoch = snapshot.epoch;
    store.commit(&count(epoch, 2)).await.unwrap();
    store.commit(&count(epoch, 3)).await.unwrap();
    assert_eq!(load(&path).await.0, 3);
    assert_eq!(load(&directory.path().join("s.json.old")).await.0, 2);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[test]
fn a_lock_ends_with_its_process() {
    if let Some(path) = state_file_of_child() {
        let _lock = JsonStore::lock(&path).unwrap();
        println!("held");
        std::thread::sleep(Duration::from_secs(600));
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    let mut child = child("a_lock_ends_with_its_process", &path).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("held")));
    match JsonStore::lock(&path) {
        Err(LockError::Held { pid, .. }) => assert_eq!(pid, Some(child.id())),
        other => panic!("{other:?}"),
    }
    child.kill().unwrap();
    child.wait().unwrap();
    JsonStore::lock(&path).unwrap();
}

#[tokio::test]
async fn dropping_the_store_ends_its_thread() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    let threads = || {
        fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok())
            .filter(|name| name.trim() == "apmon-store")
            .count()
    };
    if state_file_of_child().is_none() {
        // Alone in a process, so that no other test's store is counted.
        let status = child("dropping_the_store_ends_its_thread", &path)
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let store = open(&path);
    store.load().await.unwrap();
    assert_eq!(threads(), 1);
    drop(store);
    // Dropping does not wait for it, but it ends.
    for _ in 0..1000 {
        if threads() == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("the thread did not end with its store");
}

#[tokio::test]
async fn the_lock_is_held_for_as_long_as_anything_can_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    let lock = JsonStore::lock(&path).unwrap();
    let store = JsonStore::open(&path, TimeZone::UTC, Some(lock)).unwrap();
    store.load().await.unwrap();
    assert!(JsonStore::lock(&path).is_err());
    drop(store);
    for _ in 0..1000 {
        if JsonStore::lock(&path).is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("the lock was not released with its store");
}
