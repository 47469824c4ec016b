//! Reading a state file without owning it.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::fs;

use apmon_core::{StateStore, StoreError};
use apmon_store::{History, JsonStore, read_snapshot};
use jiff::tz::TimeZone;
use support::{entry, one_state, open};

#[tokio::test]
async fn a_state_file_can_be_read_while_its_owner_writes_it() {
    let directory = tempfile::tempdir().unwrap();
    let paths = [directory.path().join("s.json"), directory.path().join("s.db")];
    let json = JsonStore::open(
        &paths[0],
        TimeZone::UTC,
        Some(JsonStore::lock(&paths[0]).unwrap()),
    )
    .unwrap();
    let json: Box<dyn StateStore> = Box::new(json);
    let stores = [json, Box::new(open(&paths[1]))];
    for (store, path) in stores.iter().zip(&paths) {
        let epoch = store.load().await.unwrap().epoch;
        let mut commit = one_state(epoch, "a", 7);
        commit.outbox = vec![entry("1")];
        store.commit(&commit).await.unwrap();
        let snapshot = read_snapshot(path, &TimeZone::UTC).unwrap();
        assert_eq!(snapshot.monitors["a"].down_count, 7);
        assert_eq!(snapshot.outbox.len(), 1);
        assert_eq!((snapshot.epoch, snapshot.warnings), (epoch, Vec::new()));
        // The owner still owns it.
        store.commit(&commit).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_an_error_and_is_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in ["none.json", "none.db"] {
        let error = read_snapshot(path(name), &TimeZone::UTC).unwrap_err();
        assert!(
            matches!(&error, StoreError::Io { step: "read", source, .. } if source.kind() == std::io::ErrorKind::NotFound),
            "{error:?}"
        );
    }
    let table = [
        ("bad.json", "{\"a\": {\"is_up\": tr", "EOF while parsing"),
        ("empty.json", "", "it is empty"),
        (
            "newer.json",
            r#"{"apmon": {"version": 2}}"#,
            "written by a newer apmon",
        ),
        (
            "bad.db",
            "this is not a database, however long it may be",
            "not a database",
        ),
    ];
    for (name, content, part) in table {
        fs::write(path(name), content).unwrap();
        let error = read_snapshot(path(name), &TimeZone::UTC).unwrap_err().one_line();
        assert!(error.contains(part), "{name}: {error}");
        assert_eq!(fs::read_to_string(path(name)).unwrap(), content);
    }
    assert_eq!(
        fs::read_dir(directory.path()).unwrap().count(),
        4,
        "nothing was set aside"
    );
    // A crash before the first commit leaves an empty database.
    fs::write(path("empty.db"), "").unwrap();
    let empty = read_snapshot(path("empty.db"), &TimeZone::UTC).unwrap();
    assert!(empty.monitors.is_empty());
    let foreign = rusqlite::Connection::open(path("other.db")).unwrap();
    foreign.execute_batch("CREATE TABLE x (y)").unwrap();
    for error in [
        read_snapshot(path("other.db"), &TimeZone::UTC).map(drop),
        History::open(path("other.db")).map(drop),
    ] {
        let error = error.unwrap_err().one_line();
        assert!(error.contains("a database of another program"), "{error}");
    }
}
