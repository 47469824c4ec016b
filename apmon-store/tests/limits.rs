//! The limits of the system, each in a child process that has them, and the limits on what a database
//! may cost that may be anybody's.

#![cfg(all(feature = "sqlite", target_os = "linux"))]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{env, fs::File, path::Path, process::Command, time::Duration};

use apmon_core::{StateStore, StoreError};
use apmon_store::{Format, History, JsonStore, SqliteStore, read_snapshot};
use jiff::tz::TimeZone;
use rusqlite::Connection;
use support::{one_state, open};

/// Set in a child, which is this test binary again.
const LIMITED: &str = "APMON_TEST_LIMITED";

/// Runs `test` again in a child with this limit, set by a shell.
fn with_limit(test: &str, limit: &str) {
    let output = Command::new("sh")
        .args(["-c", &format!("{limit} && exec \"$0\" \"$@\"")])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(LIMITED, "yes")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("all checked"),
        "{output:?}"
    );
}

fn is_limited() -> bool {
    env::var_os(LIMITED).is_some()
}

/// Takes all descriptors that are left.
fn take_descriptors() -> Vec<File> {
    let taken: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!((1..200).contains(&taken.len()), "{}", taken.len());
    taken
}

#[tokio::test]
async fn state_is_saved_although_the_checks_hold_every_descriptor() {
    if !is_limited() {
        return with_limit(
            "state_is_saved_although_the_checks_hold_every_descriptor",
            "ulimit -n 100",
        );
    }
    for file in ["s.json", "s.db"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(file);
        let store: Box<dyn StateStore> = match Format::of(&path) {
            Format::Json => Box::new(JsonStore::open(&path, TimeZone::UTC, None).unwrap()),
            Format::Sqlite => Box::new(SqliteStore::open(&path, TimeZone::UTC, None).unwrap()),
        };
        let epoch = store.load().await.unwrap().epoch;
        store.commit(&one_state(epoch, "a", 1)).await.unwrap();
        let taken = take_descriptors();
        for number in 2..5 {
            let committed = store.commit(&one_state(epoch, "a", number)).await;
            committed.unwrap_or_else(|error| panic!("{file}: {}", error.one_line()));
        }
        assert!(
            File::open("/dev/null").is_err(),
            "the spare ones are kept for the next commit"
        );
        drop(taken);
        assert_eq!(
            read_snapshot(&path, &TimeZone::UTC).unwrap().monitors["a"].down_count,
            4
        );
    }
    println!("all checked");
}

/// Writes a database with as many states, each with a reason of this many bytes.
async fn large_database(path: &Path, states: u32, bytes: u32) {
    let store = open(path);
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&one_state(epoch, "a", 1)).await.unwrap();
    store.close().await.unwrap();
    let tool = Connection::open(path).unwrap();
    for state in 0..states {
        let sql = "INSERT INTO states (name, down_count, notified_count, own, error_reason)
             SELECT ?1, down_count, notified_count, own, hex(zeroblob(?2 / 2)) FROM states WHERE name = 'a'";
        tool.execute(sql, (state.to_string(), bytes)).unwrap();
    }
}

#[tokio::test]
async fn a_database_that_is_only_shown_takes_a_limited_amount_of_memory() {
    if !is_limited() {
        // In kB of addresses.
        return with_limit(
            "a_database_that_is_only_shown_takes_a_limited_amount_of_memory",
            "ulimit -v 1200000",
        );
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    large_database(&path, 4, 90 << 20).await;
    let error = read_snapshot(&path, &TimeZone::UTC).unwrap_err().one_line();
    assert!(error.contains("more than a state can be"), "{error}");
    let history = History::open_within(&path, Duration::from_secs(600)).unwrap();
    let error = history.states().unwrap_err().one_line();
    assert!(error.contains("more than a state can be"), "{error}");
    println!("all checked");
}

#[tokio::test]
async fn a_database_whose_reading_takes_too_long_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    large_database(&path, 0, 0).await;
    let tool = Connection::open(&path).unwrap();
    tool.execute_batch(
        "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 100000)
         INSERT INTO states (name, down_count, notified_count, own)
         SELECT x, 0, 0, '{}' FROM n",
    )
    .unwrap();
    let history = History::open_within(&path, Duration::from_millis(5)).unwrap();
    // The time is that of all reads together.
    for _ in 0..2 {
        let error = history.states().unwrap_err();
        assert!(
            matches!(&error, StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::TimedOut),
            "{error:?}"
        );
        assert!(
            error.one_line().contains("it takes too long"),
            "{}",
            error.one_line()
        );
    }
    assert_eq!(History::open(&path).unwrap().states().unwrap().len(), 100_001);
}

/// However long the reader of the output takes between two reads.
#[tokio::test]
async fn only_reading_takes_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    large_database(&path, 3, 100).await;
    let history = History::open_within(&path, Duration::from_millis(500)).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(history.states().unwrap().len(), 4);
}
