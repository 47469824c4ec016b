//! The history in a database: results, incidents, deliveries, and when a monitor
//! was watched.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{path::Path, time::Duration};

use apmon_core::{
    CheckResult, Clock as _, Commit, Delivery, DeliveryFate, Incident, IncidentKind, MonitorState, Records,
    StateStore, StoreError, Stretch, StretchKind, SystemClock, Verdict,
    history::{Availability, Timeline, days},
};
use apmon_store::History;
use jiff::{Timestamp, tz::TimeZone};
use support::{ALL_TIME, at, commit_history, entry, names, one_state, open, record};

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// Checks of `a` at these seconds, which may be `max_gap` apart.
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

fn unwatched(path: &Path) -> Vec<(i64, i64)> {
    let stretches = History::open(path)
        .unwrap()
        .stretches("a", Timestamp::MIN)
        .unwrap();
    let seconds = |moment: Timestamp| moment.as_second() - at(0).as_second();
    stretches
        .iter()
        .inspect(|stretch| assert_eq!(stretch.kind, StretchKind::Unwatched))
        .map(|stretch| (seconds(stretch.started), seconds(stretch.ended)))
        .collect()
}

#[tokio::test]
async fn long_gaps_between_checks_are_recorded_as_unwatched_also_across_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let mut first = checks(&[0, 60, 180, 1000, 1060], minutes(2));
    // The first check failed and might have been the start of an outage.
    first.results[0].known = None;
    first.results[1].known = Some(at(61));
    commit_history(&path, first).await;
    assert_eq!(unwatched(&path), [(180, 1000)]);
    commit_history(&path, checks(&[1100], minutes(2))).await;
    assert_eq!(unwatched(&path), [(180, 1000)], "a quick restart");
    commit_history(&path, checks(&[5000, 5060], minutes(2))).await;
    assert_eq!(unwatched(&path), [(180, 1000), (1100, 5000)]);
    // Now it is checked every half hour, and then every minute again.
    commit_history(&path, checks(&[5120, 6900], minutes(60))).await;
    commit_history(&path, checks(&[8600, 8660], minutes(2))).await;
    assert_eq!(unwatched(&path), [(180, 1000), (1100, 5000)]);
    let watched = History::open(&path).unwrap().watched("a").unwrap().unwrap();
    assert_eq!(
        (watched.since, watched.last, watched.max_gap),
        (at(61), None, Some(minutes(2)))
    );
}

#[tokio::test]
async fn a_clock_that_jumped_ahead_and_was_set_back_leaves_no_long_gap() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let year = 31_536_000;
    commit_history(&path, checks(&[0, 60, year, year + 60], minutes(2))).await;
    assert_eq!(unwatched(&path), [(60, year)]);
    commit_history(&path, checks(&[240, 300], minutes(2))).await;
    assert_eq!(unwatched(&path), [(60, 240)]);
}

#[tokio::test]
async fn when_a_forgotten_monitor_was_watched_stays_known() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    commit_history(&path, checks(&[0, 60], minutes(2))).await;
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
    commit_history(&path, checks(&[9000, 9060], minutes(2))).await;
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
        notifications: 2,
    }
}

#[tokio::test]
async fn the_sums_of_a_history_add_up() {
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
    let sums = |now: i64| -> Availability {
        let times = Timeline::of(
            history.watched("a").unwrap().unwrap(),
            &history.state("a").unwrap().unwrap(),
            &history.incidents(Some("a"), &ALL_TIME).unwrap(),
            &history.stretches("a", Timestamp::MIN).unwrap(),
            at(now),
        );
        let days = days(&(at(0)..at(now)), &TimeZone::UTC);
        let sums: Availability = times.availability(&days).into_iter().sum();
        // The day began before the first check.
        let before = at(0).duration_since(days[0].span.start).unsigned_abs();
        Availability {
            unwatched: sums.unwatched - before,
            ..sums
        }
    };
    let expected = Availability {
        up: minutes(300 - 10 - 10 - 120 - 30),
        down: minutes(5 + 30),
        alarms_off: minutes(5),
        unknown: minutes(10),
        unwatched: minutes(120),
    };
    assert_eq!(sums(18_060), expected, "up to the last check");
    let stopped = Availability {
        unwatched: expected.unwatched + minutes(200),
        ..expected
    };
    assert_eq!(sums(30_000), stopped, "no check for a long time");
    assert_eq!(sums(17_100).down, minutes(5 + 15), "the clock was set back");
}

#[tokio::test]
async fn the_newest_incidents_and_their_delivered_notifications_can_be_queried() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let records = Records {
        incidents: (0..10)
            .map(|n| {
                let monitor = ["a", "b"][n as usize % 2];
                outage(&n.to_string(), monitor, n * 100, Some(n * 100 + 50))
            })
            .collect(),
        deliveries: (0..3)
            .map(|n| Delivery {
                channel: "c".into(),
                notification: format!("4-{n}"),
                incident: "4".into(),
                monitor: "a".into(),
                label: "DOWN".into(),
                at: at(410),
                tries: 1,
                fate: [DeliveryFate::Delivered, DeliveryFate::Refused][n % 2],
                error: None,
            })
            .collect(),
        ..Records::default()
    };
    commit_history(&path, records).await;
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

fn result(monitor: &str, second: i64) -> CheckResult {
    CheckResult {
        monitor: monitor.into(),
        at: at(second),
        verdict: [Verdict::Up, Verdict::Down, Verdict::Unknown][usize::try_from(second % 3).unwrap()],
        latency: (second % 3 == 0).then(|| Duration::from_micros(1_234)),
        reason: (second % 3 != 0).then(|| "connect: connection refused".into()),
        max_gap: Duration::ZERO,
        known: None,
    }
}

#[tokio::test]
async fn the_last_hundred_results_of_each_monitor_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let mut store = open(&path);
    let epoch = store.load().await.unwrap().epoch;
    let results = |results: Vec<CheckResult>| Records {
        results: results.into(),
        ..Records::default()
    };
    for n in 0..5 {
        let both = (n * 50..n * 50 + 50).flat_map(|second| [result("a", second), result("b", 2 * second)]);
        let some = both.take(if n == 4 { 41 } else { 100 }).collect();
        record(&store, epoch, results(some)).await;
        if n == 2 {
            store = open(&path); // continues where the other stopped
        }
    }
    record(&store, epoch, results(vec![result("c", 1)])).await;
    let history = History::open(&path).unwrap();
    let expected: Vec<_> = (121..221).map(|second| result("a", second)).collect();
    assert_eq!(history.results("a").unwrap(), expected);
    assert_eq!(history.results("b").unwrap().len(), 100);
    assert_eq!(history.results("c").unwrap(), [result("c", 1)]);
    assert_eq!(history.results("not there").unwrap(), []);
    let recent = store.recent_results(2).await.unwrap();
    let seconds: Vec<_> = recent.values().map(Vec::len).collect();
    assert_eq!(seconds, [2, 2, 1]);
    let compact = |result: CheckResult| CheckResult {
        monitor: String::new(),
        reason: None,
        ..result
    };
    assert_eq!(recent["a"], [result("a", 219), result("a", 220)].map(compact));
    let forget = Commit {
        epoch,
        forget: vec!["a".into()],
        ..Commit::default()
    };
    store.commit(&forget).await.unwrap();
    assert_eq!(history.results("a").unwrap(), []);
    assert_eq!(history.results("b").unwrap().len(), 100);
}

fn now() -> Timestamp {
    let now = SystemClock::new().now().wall;
    Timestamp::from_microsecond(now.as_microsecond()).unwrap()
}

fn incident(id: &str, started: Timestamp, ended: Option<Timestamp>) -> Incident {
    Incident {
        id: id.into(),
        monitor: "a".into(),
        kind: IncidentKind::Outage,
        started,
        ended,
        reason: ended.is_none().then(|| "no answer".into()),
        notifications: if ended.is_some() { 3 } else { 1 },
    }
}

#[tokio::test]
async fn the_history_can_be_read_while_a_store_writes_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let store = open(&path);
    let mut commit = one_state(store.load().await.unwrap().epoch, "a", 3);
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
        history.incidents(Some("a"), &ALL_TIME).unwrap(),
        [incident("i", began, None)]
    );
    assert_eq!(history.deliveries(None, &ALL_TIME).unwrap(), [delivery]);

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
    assert_eq!(history.incidents(None, &ALL_TIME).unwrap(), [ended]);
    assert_eq!(history.deliveries(Some("a"), &ALL_TIME).unwrap(), [delivered]);
    assert_eq!(history.deliveries(Some("b"), &ALL_TIME).unwrap(), []);
    let long_ago = Timestamp::UNIX_EPOCH..=Timestamp::from_second(9).unwrap();
    assert_eq!(history.incidents(Some("a"), &long_ago).unwrap(), []);
}

#[tokio::test]
async fn old_records_are_deleted_and_open_incidents_are_kept() {
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
            incident("open", old, None),
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
        .incidents(None, &ALL_TIME)
        .unwrap()
        .into_iter()
        .map(|incident| incident.id)
        .collect();
    assert_eq!(left, ["new", "open"]);
    assert_eq!(history.deliveries(None, &ALL_TIME).unwrap().len(), 1);
}

#[test]
fn opening_the_history_of_a_missing_database_fails() {
    let directory = tempfile::tempdir().unwrap();
    let error = History::open(directory.path().join("s.db")).unwrap_err();
    assert!(matches!(error, StoreError::Io { step: "read", .. }), "{error}");
    assert!(names(directory.path()).is_empty());
}
