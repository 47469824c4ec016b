//! What is the database's own: taking over a JSON file, damage, and the history
//! read beside whoever writes it.

#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
    time::Duration,
};

use apmon_core::{
    CheckResult, Clock as _, Commit, Delivery, DeliveryFate, Incident, IncidentKind, MonitorState,
    Notification, NotificationKind, OutboxEntry, Records, Snapshot, StateStore, StoreError, SystemClock,
    Verdict,
};
use apmon_store::{History, JsonStore, LockError, Span, SqliteStore};
use jiff::{Timestamp, tz::TimeZone};

const JSON: &str =
    r#"{"a": {"is_up": false, "down_count": 7, "x": 1}, "other": 5, "apmon": {"version": 1, "epoch": 41}}"#;
const EVER: Span = Timestamp::MIN..=Timestamp::MAX;

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, TimeZone::UTC, None).unwrap()
}

async fn load(path: &Path) -> Snapshot {
    open(path).load().await.unwrap()
}

fn count(epoch: u64, name: &str, down_count: u32) -> Commit {
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

fn entry(id: &str) -> OutboxEntry {
    let notification = Notification {
        lasted: None,
        next_reminder: None,
        ended: None,
        id: id.into(),
        incident: "i".into(),
        kind: NotificationKind::Outage,
        site: "HomeLab".into(),
        monitor: "a".into(),
        address: "h".into(),
        text: "a is down".into(),
        number: 1,
        at: now(),
        since: None,
    };
    OutboxEntry::new("webhook:h", notification, vec!["webhook:h".into()])
}

fn now() -> Timestamp {
    let now = SystemClock::new().now().wall;
    Timestamp::from_microsecond(now.as_microsecond()).unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_json_file_is_taken_over_with_all_it_holds() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("s.statefile.json");
    let path = directory.path().join("s.statefile.db");
    fs::write(&json, JSON).unwrap();
    let store = JsonStore::open(&json, TimeZone::UTC, None).unwrap();
    let mut commit = count(store.load().await.unwrap().epoch, "b", 1);
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
    assert!(json.exists(), "until it is in the database");
    store.commit(&count(snapshot.epoch, "c", 1)).await.unwrap();
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
async fn a_crash_between_taking_over_and_renaming_takes_nothing_over_twice() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("s.json");
    let path = directory.path().join("s.db");
    fs::write(&json, JSON).unwrap();
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&count(epoch, "a", 8)).await.unwrap();
    drop(store);
    fs::rename(directory.path().join("s.json.imported"), &json).unwrap();
    assert_eq!(load(&path).await.monitors["a"].down_count, 8);
    assert!(!json.exists());

    // One that was written since is somebody's, and stays.
    fs::write(&json, r#"{"a": {"down_count": 1}}"#).unwrap();
    assert_eq!(load(&path).await.monitors["a"].down_count, 8);
    assert!(json.exists());
}

#[test]
fn the_database_and_the_file_it_takes_over_are_locked_together() {
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

async fn filled(path: &Path) {
    let store = open(path);
    let mut commit = count(store.load().await.unwrap().epoch, "a", 3);
    commit.outbox = vec![entry("1")];
    let results = (0..100_000).map(|n| result(&format!("m{}", n % 1_000), n));
    commit.history = Records {
        results: results.collect(),
        ..Records::default()
    }
    .into();
    store.commit(&commit).await.unwrap();
}

fn overwrite(path: &Path, from: u64, to: u64) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    file.write_all(&vec![0xa5; usize::try_from(to - from).unwrap()])
        .unwrap();
}

/// All of it in one file, and nobody at it.
fn rest(path: &Path) {
    for _ in 0..1000 {
        if !path.with_extension("db-wal").exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it is not closed");
}

#[tokio::test]
async fn a_damaged_history_costs_no_state_and_no_message() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    filled(&path).await;
    rest(&path);
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
        left.ends_with(
            "s.db was damaged: its states and messages could be read and are used, its history starts over"
        ),
        "{left}"
    );
    store.commit(&count(snapshot.epoch, "b", 1)).await.unwrap();
    let again = store.load().await.unwrap();
    assert_eq!(
        (again.monitors.len(), again.outbox.len(), again.warnings.len()),
        (2, 1, 0)
    );
    assert!(names(directory.path())[1].starts_with("s.db.corrupt-"));
}

#[tokio::test]
async fn what_monitors_remembered_is_lost_before_their_states_are() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    filled(&path).await;
    rest(&path);
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("DROP TABLE memories")
        .unwrap();
    let snapshot = load(&path).await;
    assert_eq!(snapshot.monitors["a"].down_count, 3);
    assert_eq!(snapshot.outbox.len(), 1);
    let said = &snapshot.warnings;
    assert!(
        said[0].contains("s.db is DAMAGED (no such table: memories)"),
        "{said:?}"
    );
    assert!(
        said[1].ends_with("s.db: the memory of its monitors cannot be read and starts empty"),
        "{said:?}"
    );
}

#[tokio::test]
async fn with_nothing_left_to_read_it_starts_empty_and_says_so() {
    for content in ["no database at all, but a text that is long enough", "x"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.db");
        fs::write(&path, content.repeat(100)).unwrap();
        // What was taken over long ago is no better than nothing.
        fs::write(directory.path().join("s.json.imported"), JSON).unwrap();
        let snapshot = load(&path).await;
        assert!(snapshot.monitors.is_empty());
        assert_eq!(snapshot.warnings.len(), 2, "{:?}", snapshot.warnings);
        assert!(snapshot.warnings[1].ends_with("nothing could be read: starting without any state"));
    }
}

#[tokio::test]
async fn damage_while_it_runs_costs_one_commit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    filled(&path).await;
    rest(&path);
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    let size = fs::metadata(&path).unwrap().len();
    overwrite(&path, 0, size);
    let mut failed = None;
    for n in 0..4 {
        let mut commit = count(epoch, "b", n);
        // More pages than SQLite remembers.
        let results = (0..1_000).map(|n| result(&format!("m{n}"), n));
        commit.history = Records {
            results: results.collect(),
            ..Records::default()
        }
        .into();
        if let Err(error) = store.commit(&commit).await {
            failed = Some(error.one_line());
        }
    }
    let failed = failed.unwrap();
    assert!(
        failed.contains("DAMAGED (") && failed.contains("a new one is begun"),
        "{failed}"
    );
    drop(store);
    let snapshot = load(&path).await;
    assert_eq!(snapshot.monitors["a"].down_count, 3);
    assert_eq!((snapshot.monitors["b"].down_count, snapshot.outbox.len()), (3, 1));
}

#[tokio::test]
async fn a_file_that_was_removed_is_written_anew_with_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&count(epoch, "a", 3)).await.unwrap();
    for suffix in ["db", "db-wal", "db-shm"] {
        fs::remove_file(path.with_extension(suffix)).unwrap();
    }
    store.commit(&count(epoch, "b", 4)).await.unwrap();
    assert_eq!(load(&path).await.monitors.len(), 2);
}

#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    for (sql, said) in [
        ("CREATE TABLE theirs (x)", "a database of another program"),
        (
            "PRAGMA application_id = 1634757998; PRAGMA user_version = 9; CREATE TABLE later (x)",
            "written by a newer apmon (version 9 of its content)",
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
        assert_eq!(error.one_line(), format!("{}: {said}", path.display()));
        assert!(store.commit(&count(9, "a", 1)).await.is_err());
        drop(store);
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    let error = open(directory.path()).load().await.unwrap_err();
    assert!(error.one_line().ends_with(": not a regular file"));
}

#[tokio::test]
async fn a_value_that_makes_no_sense_costs_its_row() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    filled(&path).await;
    rest(&path);
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
    assert!(snapshot.warnings[1].contains("a message on its way cannot be read and is not sent"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_database_is_private_and_its_directory_is_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("APMonitor/s.db");
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&count(epoch, "a", 1)).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o755);
    for suffix in ["db", "db-wal", "db-shm"] {
        assert_eq!(mode(&path.with_extension(suffix)), 0o600, "{suffix}");
    }
}

fn result(monitor: &str, second: i64) -> CheckResult {
    CheckResult {
        monitor: monitor.into(),
        at: Timestamp::from_second(second).unwrap(),
        verdict: [Verdict::Up, Verdict::Down, Verdict::Unknown][usize::try_from(second % 3).unwrap()],
        latency: (second % 3 == 0).then(|| Duration::from_micros(1_234)),
        reason: (second % 3 != 0).then(|| "connect: connection refused".into()),
        max_gap: Duration::ZERO,
        known: None,
    }
}

fn incident(id: &str, started: Timestamp, ended: Option<Timestamp>) -> Incident {
    Incident {
        id: id.into(),
        monitor: "a".into(),
        kind: IncidentKind::Outage,
        started,
        ended,
        reason: ended.is_none().then(|| "no answer".into()),
        messages: if ended.is_some() { 3 } else { 1 },
    }
}

async fn record(store: &SqliteStore, epoch: u64, history: Records) {
    let commit = Commit {
        epoch,
        history: history.into(),
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
}

#[tokio::test]
async fn the_last_hundred_results_of_each_monitor_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let mut store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    for n in 0..5 {
        let results = (n * 50..n * 50 + 50).flat_map(|second| [result("a", second), result("b", 2 * second)]);
        let results = results.take(if n == 4 { 41 } else { 100 }).collect();
        record(
            &store,
            epoch,
            Records {
                results,
                ..Records::default()
            },
        )
        .await;
        if n == 2 {
            store = open(&path); // it goes on where it was
        }
    }
    record(
        &store,
        epoch,
        Records {
            results: [result("c", 1)].into(),
            ..Records::default()
        },
    )
    .await;
    let history = History::open(&path).unwrap();
    let expected: Vec<_> = (121..221).map(|second| result("a", second)).collect();
    assert_eq!(history.results("a").unwrap(), expected);
    assert_eq!(history.results("b").unwrap().len(), 100);
    assert_eq!(history.results("c").unwrap(), [result("c", 1)]);
    assert_eq!(history.results("nobody").unwrap(), []);
    let forget = Commit {
        epoch,
        forget: vec!["a".into()],
        ..Commit::default()
    };
    store.commit(&forget).await.unwrap();
    assert_eq!(history.results("a").unwrap(), []);
    assert_eq!(history.results("b").unwrap().len(), 100);
}

#[tokio::test]
async fn the_history_is_read_beside_who_writes_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let store = open(&path);
    let mut commit = count(store.load().await.unwrap().epoch, "a", 3);
    commit.outbox = vec![entry("1")];
    store.commit(&commit).await.unwrap();
    let history = History::open(&path).unwrap();
    assert_eq!(history.states().unwrap()["a"].down_count, 3);
    assert_eq!(history.outbox().unwrap(), commit.outbox);

    let (began, over) = (now(), now() + Duration::from_secs(60));
    let mut delivery = Delivery::of(&entry("1"), DeliveryFate::Refused, began);
    delivery.error = Some("404".into());
    let records = Records {
        incidents: [incident("i", began, None)].into(),
        deliveries: [delivery.clone()].into(),
        ..Records::default()
    };
    record(&store, commit.epoch, records).await;
    assert_eq!(
        history.incidents(Some("a"), &EVER).unwrap(),
        [incident("i", began, None)]
    );
    assert_eq!(history.deliveries(None, &EVER).unwrap(), [delivery]);

    let delivered = Delivery::of(&entry("1"), DeliveryFate::Delivered, over);
    let records = Records {
        incidents: [incident("i", began, Some(over))].into(),
        deliveries: [delivered.clone()].into(),
        ..Records::default()
    };
    record(&store, commit.epoch, records).await;
    let ended = Incident {
        reason: Some("no answer".into()),
        ..incident("i", began, Some(over))
    };
    assert_eq!(history.incidents(None, &EVER).unwrap(), [ended]);
    assert_eq!(history.deliveries(Some("a"), &EVER).unwrap(), [delivered]);
    assert_eq!(history.deliveries(Some("b"), &EVER).unwrap(), []);
    let long_ago = Timestamp::UNIX_EPOCH..=Timestamp::from_second(9).unwrap();
    assert_eq!(history.incidents(Some("a"), &long_ago).unwrap(), []);
}

#[tokio::test]
async fn what_is_too_old_goes_and_what_goes_on_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let day = Duration::from_secs(86_400);
    let store = open(&path);
    store.keep_history(10);
    let epoch = store.load().await.unwrap().epoch;
    let (old, new) = (now() - 11 * day, now() - 9 * day);
    let records = Records {
        incidents: [
            incident("old", old, Some(old)),
            incident("new", old, Some(new)),
            incident("still", old, None),
        ]
        .into(),
        deliveries: [
            Delivery::of(&entry("old"), DeliveryFate::Delivered, old),
            Delivery::of(&entry("new"), DeliveryFate::Delivered, new),
        ]
        .into(),
        ..Records::default()
    };
    record(&store, epoch, records).await;
    let history = History::open(&path).unwrap();
    let left: Vec<_> = history
        .incidents(None, &EVER)
        .unwrap()
        .into_iter()
        .map(|it| it.id)
        .collect();
    assert_eq!(left, ["new", "still"]);
    assert_eq!(history.deliveries(None, &EVER).unwrap().len(), 1);
}

#[test]
fn without_a_database_there_is_no_history() {
    let directory = tempfile::tempdir().unwrap();
    let error = History::open(directory.path().join("s.db")).unwrap_err();
    assert!(matches!(error, StoreError::Io { step: "read", .. }), "{error}");
    assert!(names(directory.path()).is_empty());
}
