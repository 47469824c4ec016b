//! When a monitor was watched, and reading beside the owner of a file.

#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{fs, path::Path, time::Duration};

use apmon_core::{
    CheckResult, Commit, Incident, IncidentKind, MonitorState, Notification, NotificationKind, OutboxEntry,
    Records, StateStore, StoreError, Stretch, StretchKind, Verdict,
    history::{Sums, Times, days},
};
use apmon_store::{History, JsonStore, Span, SqliteStore, read_snapshot};
use jiff::{Timestamp, tz::TimeZone};

const EVER: Span = Timestamp::MIN..=Timestamp::MAX;

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, TimeZone::UTC, None).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// Looks at `a` at these seconds, which may come so far apart.
fn checks(seconds: &[i64], max_gap: Duration) -> Records {
    let result = |second: &i64| CheckResult {
        monitor: "a".into(),
        at: at(*second),
        verdict: Verdict::Up,
        latency: None,
        reason: None,
        max_gap,
        known: Some(at(*second)),
    };
    Records {
        results: seconds.iter().map(result).collect(),
        ..Records::default()
    }
}

/// One more run of an apmon that commits this.
async fn run(path: &Path, history: Records) {
    let store = open(path);
    let epoch = store.load().await.unwrap().epoch;
    let commit = Commit {
        epoch,
        history: history.into(),
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
}

fn unwatched(path: &Path) -> Vec<(i64, i64)> {
    let stretches = History::open(path)
        .unwrap()
        .stretches("a", Timestamp::MIN)
        .unwrap();
    let seconds = |moment: Timestamp| moment.as_second() - 1_790_000_000;
    stretches
        .iter()
        .inspect(|stretch| assert_eq!(stretch.kind, StretchKind::Unwatched))
        .map(|stretch| (seconds(stretch.started), seconds(stretch.ended)))
        .collect()
}

#[tokio::test]
async fn time_in_which_nobody_looked_stands_there_also_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let mut first = checks(&[0, 60, 180, 1000, 1060], minutes(2));
    // It failed at first, and might have been an outage.
    first.results[0].known = None;
    first.results[1].known = Some(at(61));
    run(&path, first).await;
    assert_eq!(unwatched(&path), [(180, 1000)]);
    run(&path, checks(&[1100], minutes(2))).await;
    assert_eq!(unwatched(&path), [(180, 1000)], "a quick restart");
    run(&path, checks(&[5000, 5060], minutes(2))).await;
    assert_eq!(unwatched(&path), [(180, 1000), (1100, 5000)]);
    // From now on it is looked at each half hour, and then each minute again.
    run(&path, checks(&[5120, 6900], minutes(60))).await;
    run(&path, checks(&[8600, 8660], minutes(2))).await;
    assert_eq!(unwatched(&path), [(180, 1000), (1100, 5000)]);
    let watched = History::open(&path).unwrap().watched("a").unwrap().unwrap();
    assert_eq!(
        (watched.since, watched.last, watched.max_gap),
        (at(61), None, Some(minutes(2)))
    );
}

#[tokio::test]
async fn a_clock_that_leapt_ahead_and_was_set_back_leaves_no_long_gap() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let year = 31_536_000;
    run(&path, checks(&[0, 60, year, year + 60], minutes(2))).await;
    assert_eq!(unwatched(&path), [(60, year)]);
    run(&path, checks(&[240, 300], minutes(2))).await;
    assert_eq!(unwatched(&path), [(60, 240)]);
}

#[tokio::test]
async fn of_a_forgotten_monitor_is_known_when_it_was_watched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    run(&path, checks(&[0, 60], minutes(2))).await;
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    let forget = Commit {
        epoch,
        forget: vec!["a".into()],
        ..Commit::default()
    };
    store.commit(&forget).await.unwrap();
    let history = History::open(&path).unwrap();
    assert_eq!(history.monitors().unwrap(), ["a"]);
    assert_eq!(history.results("a").unwrap(), []);
    let watched = history.watched("a").unwrap().unwrap();
    assert_eq!((watched.since, watched.last), (at(0), Some(at(60))));
    // It comes back.
    run(&path, checks(&[9000, 9060], minutes(2))).await;
    assert_eq!(unwatched(&path), [(60, 9000)]);
    assert_eq!(history.watched("a").unwrap().unwrap().last, None);
}

fn outage(id: &str, monitor: &str, started: i64, ended: Option<i64>) -> Incident {
    Incident {
        id: id.into(),
        monitor: monitor.into(),
        kind: IncidentKind::Outage,
        started: at(started),
        ended: ended.map(at),
        reason: Some("no answer".into()),
        messages: 2,
    }
}

#[tokio::test]
async fn a_history_adds_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let mut records = checks(&[0, 3600, 7200, 14_400, 18_000], minutes(70));
    records.incidents = [outage("1", "a", 600, Some(1200)), outage("2", "a", 16_200, None)].into();
    let stretch = |kind, started, ended| Stretch {
        monitor: "a".into(),
        kind,
        started: at(started),
        ended: at(ended),
    };
    records.stretches = [
        stretch(StretchKind::Unknown, 3600, 4200),
        stretch(StretchKind::AlarmsOff, 900, 1200),
    ]
    .into();
    let mut state = MonitorState {
        is_up: Some(false),
        last_checked: Some(at(18_000)),
        ..MonitorState::default()
    };
    state.own.incident = Some("2".into());
    let store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    let commit = Commit {
        epoch,
        history: records.into(),
        states: vec![("a".into(), state.into())],
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
    let history = History::open(&path).unwrap();
    let sums = |now: i64| -> Sums {
        let times = Times::of(
            history.watched("a").unwrap().unwrap(),
            &history.state("a").unwrap().unwrap(),
            &history.incidents(Some("a"), &EVER).unwrap(),
            &history.stretches("a", Timestamp::MIN).unwrap(),
            at(now),
        );
        let days = days(&(at(0)..at(now)), &TimeZone::UTC);
        let sums: Sums = times.sums(&days).into_iter().sum();
        // The day began before the first look.
        let before = at(0).duration_since(days[0].span.start).unsigned_abs();
        Sums {
            unwatched: sums.unwatched - before,
            ..sums
        }
    };
    let expected = Sums {
        up: minutes(300 - 10 - 10 - 120 - 30),
        down: minutes(5 + 30),
        alarms_off: minutes(5),
        unknown: minutes(10),
        unwatched: minutes(120),
    };
    assert_eq!(sums(18_060), expected, "up to the last look");
    let dead = Sums {
        unwatched: expected.unwatched + minutes(200),
        ..expected
    };
    assert_eq!(sums(30_000), dead, "nobody has looked for long");
    assert_eq!(sums(17_100).down, minutes(5 + 15), "the clock was set back");
}

/// As version 1 had it.
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

#[tokio::test]
async fn a_database_of_the_first_version_is_read_and_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(VERSION_1).unwrap();
    let micros = |second| at(second).as_microsecond();
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
    assert_eq!(before.incidents(None, &EVER).unwrap().len(), 1);
    assert_eq!(before.watched("a").unwrap(), None);
    assert_eq!(before.stretches("a", Timestamp::MIN).unwrap(), []);
    assert_eq!(read_snapshot(&path, &TimeZone::UTC).unwrap().monitors.len(), 1);

    run(&path, checks(&[1000, 1060], minutes(2))).await;
    assert_eq!(unwatched(&path), [(160, 1000)]);
    let history = History::open(&path).unwrap();
    let since = |name| history.watched(name).unwrap().map(|watched| watched.since);
    assert_eq!(since("a"), Some(at(100)), "the oldest look that is known");
    assert_eq!(since("b"), Some(at(50)), "an incident is older than the looks");
    assert_eq!(since("c"), None);
    assert_eq!(open(&path).load().await.unwrap().monitors.len(), 1);
}

/// What version 2 added.
const VERSION_2: &str = "
ALTER TABLE watched ADD COLUMN since INTEGER;
ALTER TABLE watched ADD COLUMN last INTEGER;
ALTER TABLE watched ADD COLUMN max_gap INTEGER;
CREATE TABLE stretches (monitor TEXT NOT NULL, kind TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL);
CREATE INDEX stretches_of ON stretches (monitor, started);
PRAGMA user_version = 2;
";

#[tokio::test]
async fn of_a_database_of_the_second_version_what_was_not_ours_is_what_monitors_remember() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    old.execute_batch(VERSION_1).unwrap();
    old.execute_batch(VERSION_2).unwrap();
    old.execute_batch(
        r#"INSERT INTO states VALUES
             ('switch', 1, 5000000, 187342, NULL, NULL, NULL, 0, 0, NULL, 'ab', '{"incident":"i"}',
              '{"ports_state":{"1":{"oper":"up"}},"zürich":1e2}'),
             ('web', 0, NULL, NULL, NULL, NULL, NULL, 7, 2, 'no answer', NULL, NULL, NULL);
           INSERT INTO outbox (key, entry) VALUES ('k', '{}');
           INSERT INTO meta VALUES ('epoch', 41)"#,
    )
    .unwrap();
    let seen = |path: &Path| {
        let history = History::open(path).unwrap();
        let states = history.states().unwrap();
        assert_eq!(history.state("switch").unwrap().as_ref(), states.get("switch"));
        let peeked = read_snapshot(path, &TimeZone::UTC).unwrap().monitors;
        let peeked: std::collections::BTreeMap<_, _> = peeked
            .iter()
            .map(|(name, state)| (name.clone(), MonitorState::clone(state)))
            .collect();
        assert_eq!(peeked, states);
        states
    };
    let before = seen(&path);
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
    assert_eq!(
        History::open(&path).unwrap().port_changes(None, &EVER).unwrap(),
        []
    );
    drop(old);

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
    let after = seen(&path);
    assert_eq!((&after["switch"], &after["web"]), (&before["switch"], &web));
    let now = rusqlite::Connection::open(&path).unwrap();
    let number = |sql: &str| now.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("PRAGMA user_version"), 3);
    assert_eq!(number("SELECT count(*) FROM memories"), 1);
    assert_eq!(
        number("SELECT count(*) FROM pragma_table_info('states') WHERE name = 'other'"),
        0
    );
    assert_eq!(
        number("SELECT count(*) FROM outbox"),
        1,
        "what cannot be read is kept"
    );
}

#[tokio::test]
async fn the_newest_incidents_and_what_was_delivered_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let records = Records {
        incidents: (0..10)
            .map(|n| {
                outage(
                    &n.to_string(),
                    ["a", "b"][n as usize % 2],
                    n * 100,
                    Some(n * 100 + 50),
                )
            })
            .collect(),
        deliveries: (0..3)
            .map(|n| apmon_core::Delivery {
                channel: "c".into(),
                message: format!("4-{n}"),
                incident: "4".into(),
                monitor: "a".into(),
                label: "DOWN".into(),
                at: at(410),
                tries: 1,
                fate: [
                    apmon_core::DeliveryFate::Delivered,
                    apmon_core::DeliveryFate::Refused,
                ][n % 2],
                error: None,
            })
            .collect(),
        ..Records::default()
    };
    run(&path, records).await;
    let history = History::open(&path).unwrap();
    let span = at(0)..=at(820);
    let newest = history.newest_incidents(&span, 3).unwrap();
    let ids: Vec<_> = newest.iter().map(|incident| incident.id.as_str()).collect();
    assert_eq!(ids, ["8", "7", "6"]);
    assert_eq!(history.count_incidents(&span).unwrap(), 9);
    assert_eq!(history.incidents(Some("b"), &span).unwrap().len(), 4);
    let delivered = history.delivered("a").unwrap();
    assert_eq!(delivered.into_iter().collect::<Vec<_>>(), [("4".to_owned(), 2)]);
    assert!(history.delivered("b").unwrap().is_empty());
}

fn commit(epoch: u64) -> Commit {
    let state = MonitorState {
        is_up: Some(false),
        down_count: 7,
        ..MonitorState::default()
    };
    let message = Notification {
        id: "i-1".into(),
        incident: "i".into(),
        kind: NotificationKind::Outage,
        site: "s".into(),
        monitor: "a".into(),
        address: "h".into(),
        text: "a is down".into(),
        number: 1,
        at: at(0),
        since: None,
        lasted: None,
        next_reminder: None,
        ended: None,
    };
    Commit {
        epoch,
        states: vec![("a".into(), state.into())],
        outbox: vec![OutboxEntry::new("c", message, Vec::new())],
        ..Commit::default()
    }
}

#[tokio::test]
async fn what_is_remembered_is_read_beside_its_owner() {
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
        store.commit(&commit(epoch)).await.unwrap();
        let seen = read_snapshot(path, &TimeZone::UTC).unwrap();
        assert_eq!(seen.monitors["a"].down_count, 7);
        assert_eq!(seen.outbox.len(), 1);
        assert_eq!((seen.epoch, seen.warnings), (epoch, Vec::new()));
        // The owner is still the owner.
        store.commit(&commit(epoch)).await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_stays_as_it_is() {
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
            "this is no database, however long it may be",
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
    // An empty database is one in which nothing was written before a crash.
    fs::write(path("empty.db"), "").unwrap();
    assert_eq!(
        read_snapshot(path("empty.db"), &TimeZone::UTC)
            .unwrap()
            .monitors
            .len(),
        0
    );
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
