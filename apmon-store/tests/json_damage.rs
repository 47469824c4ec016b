//! A damaged JSON file is reported, and costs as little as possible.

#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{fs, path::Path};

use apmon_core::{Commit, MonitorState, Snapshot, StateStore, StoreError};
use apmon_store::JsonStore;
use jiff::tz::TimeZone;

const GOOD: &str = r#"{"a": {"is_up": true, "down_count": 7}, "apmon": {"version": 1, "epoch": 41}}"#;

fn store(path: &Path) -> JsonStore {
    JsonStore::open(path, TimeZone::UTC, None).unwrap()
}

async fn load(path: &Path) -> Result<Snapshot, StoreError> {
    store(path).load().await
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A warning without the time in it.
fn without_time(text: &str, directory: &Path) -> String {
    let text = text.replace(directory.to_str().unwrap(), "DIR");
    match text.split_once(".corrupt-") {
        Some((head, tail)) => format!("{head}.corrupt-TIME{}", &tail["20260211T141500".len()..]),
        None => text,
    }
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_its_predecessor_used() {
    for damaged in [
        "",
        "{\"a\": {\"is_up\": tr",
        "no json",
        "[1]",
        "\"x\"",
        "\0\0\0\0",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.json");
        fs::write(&path, damaged).unwrap();
        fs::write(directory.path().join("s.json.old"), GOOD).unwrap();
        let snapshot = load(&path).await.unwrap();
        assert_eq!(snapshot.monitors["a"].down_count, 7);
        assert_eq!(snapshot.epoch, 42);
        assert_eq!(snapshot.warnings.len(), 2, "{:?}", snapshot.warnings);
        assert!(snapshot.warnings[0].contains("s.json is DAMAGED ("));
        assert!(
            without_time(&snapshot.warnings[0], directory.path())
                .ends_with("it was set aside as DIR/s.json.corrupt-TIME")
        );
        assert_eq!(
            without_time(&snapshot.warnings[1], directory.path()),
            "DIR/s.json was damaged: the state before the last commit is used, from DIR/s.json.old"
        );
        let aside = names(directory.path())
            .into_iter()
            .find(|name| name.contains(".corrupt-"))
            .unwrap();
        assert_eq!(fs::read_to_string(directory.path().join(aside)).unwrap(), damaged);
    }
}

#[tokio::test]
async fn a_good_predecessor_survives_the_next_commit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    fs::write(&path, "{").unwrap();
    fs::write(directory.path().join("s.json.old"), GOOD).unwrap();
    let store = store(&path);
    let epoch = store.load().await.unwrap().epoch;
    let commit = Commit {
        epoch,
        states: vec![("b".into(), MonitorState::default().into())],
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
    assert_eq!(
        fs::read_to_string(directory.path().join("s.json.old")).unwrap(),
        GOOD
    );
    let snapshot = store.load().await.unwrap();
    assert_eq!(snapshot.warnings, Vec::<String>::new());
    assert_eq!(snapshot.monitors.len(), 2);
}

#[tokio::test]
async fn without_a_readable_predecessor_the_state_starts_empty_with_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    fs::write(&path, "{").unwrap();
    let snapshot = load(&path).await.unwrap();
    assert!(snapshot.monitors.is_empty());
    assert_eq!(
        snapshot
            .warnings
            .last()
            .unwrap()
            .replace(directory.path().to_str().unwrap(), "DIR"),
        "DIR/s.json was damaged and there is no DIR/s.json.old: starting without any state"
    );

    fs::write(&path, "{").unwrap();
    fs::write(directory.path().join("s.json.old"), "}").unwrap();
    let snapshot = load(&path).await.unwrap();
    assert_eq!((snapshot.monitors.len(), snapshot.warnings.len()), (0, 3));
    assert!(snapshot.warnings[2].ends_with("nothing could be read: starting without any state"));
}

#[tokio::test]
async fn damaged_files_of_one_second_are_all_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    for content in ["{1", "{2", "{3"] {
        fs::write(&path, content).unwrap();
        load(&path).await.unwrap();
    }
    assert_eq!(names(directory.path()).len(), 3);
}

#[tokio::test]
async fn a_first_start_warns_of_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = load(&directory.path().join("not/yet/s.json")).await.unwrap();
    assert_eq!(snapshot.warnings, Vec::<String>::new());
    assert_eq!((snapshot.epoch, snapshot.monitors.len()), (1, 0));
    assert!(names(directory.path()).is_empty());
}

#[tokio::test]
async fn a_missing_file_with_a_predecessor_is_not_a_first_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    fs::write(directory.path().join("s.json.old"), GOOD).unwrap();
    let snapshot = load(&path).await.unwrap();
    assert_eq!(snapshot.monitors["a"].down_count, 7);
    assert_eq!(
        snapshot.warnings,
        [format!(
            "{0} is missing: the state before the last commit is used, from {0}.old",
            path.display()
        )]
    );
}

#[tokio::test]
async fn an_invalid_value_costs_only_itself() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    fs::write(
        &path,
        r#"{
          "a": {"is_up": "maybe", "last_checked": 7, "last_response_time_ms": -1, "down_count": 1.5,
                "notified_count": "x", "error_reason": ["x"], "last_config_checksum": 3, "last_notified": "soon",
                "last_alarm_started": "2026-02-11T14:15:00Z"},
          "b": {"is_up": 1, "down_count": 3.0, "notified_count": null, "last_response_time_ms": 0},
          "execution_time": 5, "execution_ms": "x"
        }"#,
    )
    .unwrap();
    let snapshot = load(&path).await.unwrap();
    let expected = [
        "\"is_up\" is not yes or no",
        "\"last_checked\" is not a time",
        "\"last_response_time_ms\" is not a number of milliseconds",
        "\"down_count\" is not a count",
        "\"notified_count\" is not a count",
        "\"error_reason\" is not text",
        "\"last_config_checksum\" is not text",
        "\"last_notified\" is not a time",
    ]
    .map(|what| format!("{}: monitor \"a\": {what}: ignored", path.display()));
    assert_eq!(snapshot.warnings, expected);
    let a = &snapshot.monitors["a"];
    let alone = MonitorState {
        last_alarm_started: Some("2026-02-11T14:15:00Z".parse().unwrap()),
        ..MonitorState::default()
    };
    assert_eq!(**a, alone);
    let b = &snapshot.monitors["b"];
    assert_eq!((b.is_up, b.down_count, b.notified_count), (Some(true), 3, 0));
}

#[tokio::test]
async fn warnings_beyond_a_limit_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    let monitors: Vec<_> = (0..80).map(|i| format!("\"m{i}\": {{\"is_up\": 7}}")).collect();
    fs::write(&path, format!("{{{}}}", monitors.join(","))).unwrap();
    let warnings = load(&path).await.unwrap().warnings;
    assert_eq!(warnings.len(), 51);
    assert!(warnings[50].ends_with("30 more warnings are not shown"));
}

#[tokio::test]
async fn a_notification_that_cannot_be_read_is_kept_with_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    fs::write(
        &path,
        r#"{"apmon": {"version": 1, "outbox": [{"channel": "mail:x", "text": "web is DOWN"}], "monitors": 5}}"#,
    )
    .unwrap();
    let store = store(&path);
    let snapshot = store.load().await.unwrap();
    assert_eq!(snapshot.warnings.len(), 2, "{:?}", snapshot.warnings);
    assert!(snapshot.warnings[0].contains("an undelivered notification cannot be read and is not sent"));
    let commit = Commit {
        epoch: snapshot.epoch,
        states: vec![("a".into(), MonitorState::default().into())],
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("web is DOWN"), "{text}");
    assert_eq!(store.load().await.unwrap().warnings.len(), 1);
}

#[tokio::test]
async fn a_file_of_a_newer_apmon_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    let newer = r#"{"apmon": {"version": 2}}"#;
    fs::write(&path, newer).unwrap();
    let store = store(&path);
    let error = store.load().await.unwrap_err();
    assert_eq!(
        error.one_line(),
        format!("{}: written by a newer apmon (format version 2)", path.display())
    );
    let commit = Commit {
        epoch: 9,
        forget: vec!["a".into()],
        ..Commit::default()
    };
    assert!(store.commit(&commit).await.is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
}

#[tokio::test]
async fn directories_devices_and_huge_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let error = load(directory.path()).await.unwrap_err();
    assert_eq!(
        error.one_line(),
        format!("{}: not a regular file", directory.path().display())
    );
    assert!(load(Path::new("/dev/zero")).await.is_err());
    let path = directory.path().join("large.json");
    fs::File::create(&path).unwrap().set_len((1 << 30) + 1).unwrap();
    let error = load(&path).await.unwrap_err();
    assert_eq!(
        error.one_line(),
        format!(
            "{}: too large for a state file: 1073741825 bytes, the limit is 1073741824",
            path.display()
        )
    );
}

#[tokio::test]
async fn state_is_private_and_its_directory_is_not() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("APMonitor/s.json");
    let store = store(&path);
    let epoch = store.load().await.unwrap().epoch;
    for down_count in 0..2 {
        let state = MonitorState {
            down_count,
            ..MonitorState::default()
        };
        let commit = Commit {
            epoch,
            states: vec![("a".into(), state.into())],
            ..Commit::default()
        };
        store.commit(&commit).await.unwrap();
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o755);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&path.with_extension("json.old")), 0o600);
    assert_eq!(names(path.parent().unwrap()), ["s.json", "s.json.old"]);
}
