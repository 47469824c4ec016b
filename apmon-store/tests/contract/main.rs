//! What every store must hold to, written against the trait and a way to open
//! it again, so that another store can be put under it by one more
//! `contract!` line.

#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{collections::BTreeMap, time::Duration};

use apmon_core::{
    Commit, Memory, MonitorState, Mono, Notification, NotificationKind, OutboxEntry, OwnState, StateStore,
    StoreError,
};
use apmon_store::{JsonStore, SqliteStore};
use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A place where a store keeps its content between two openings.
trait Home {
    fn open(&self) -> Box<dyn StateStore>;
}

struct JsonFile(tempfile::TempDir);

impl Home for JsonFile {
    fn open(&self) -> Box<dyn StateStore> {
        let path = self.0.path().join("s.statefile.json");
        Box::new(JsonStore::open(path, TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap(), None).unwrap())
    }
}

struct SqliteFile(tempfile::TempDir);

impl Home for SqliteFile {
    fn open(&self) -> Box<dyn StateStore> {
        let path = self.0.path().join("s.statefile.db");
        Box::new(SqliteStore::open(path, TimeZone::UTC, None).unwrap())
    }
}

fn sqlite_file() -> SqliteFile {
    SqliteFile(tempfile::tempdir().unwrap())
}

fn json_file() -> JsonFile {
    JsonFile(tempfile::tempdir().unwrap())
}

macro_rules! contract {
    ($module:ident: $home:ident) => {
        contract!(
            $module: $home;
            a_new_store_is_empty,
            what_was_committed_is_there_after_opening_again,
            each_load_grants_a_newer_epoch,
            a_commit_of_an_older_epoch_is_refused_and_changes_nothing,
            a_forgotten_monitor_is_gone,
            messages_keep_their_order_until_they_are_settled,
            a_commit_without_a_load_loses_nothing,
            an_empty_commit_is_fine,
            any_name_will_do,
            what_a_monitor_remembers_goes_with_what_it_tells,
            what_is_remembered_no_more_is_gone,
            a_value_that_is_no_json_costs_nothing_else,
            moments_of_a_process_are_not_kept,
            commits_from_many_tasks_all_arrive,
            ten_thousand_states_are_one_commit,
        );
    };
    ($module:ident: $home:ident; $($test:ident),* $(,)?) => {
        mod $module {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::$home()).await;
            })*

            #[test]
            fn any_content_survives() {
                super::any_content_survives(super::$home);
            }
        }
    };
}

contract!(json: json_file);
contract!(sqlite: sqlite_file);

fn state(down_count: u32) -> MonitorState {
    MonitorState {
        down_count,
        ..MonitorState::default()
    }
}

fn entry(id: &str, attempts: u32) -> OutboxEntry {
    OutboxEntry {
        channel: "webhook:host#2".into(),
        notification: Notification {
            id: id.into(),
            incident: "i".into(),
            kind: NotificationKind::Notice("PORT CHANGE".into()),
            site: "HomeLab".into(),
            monitor: "web".into(),
            address: "http://h/".into(),
            text: "web in HomeLab".into(),
            number: 1,
            at: "2026-02-11T14:15:00.123456789Z".parse().unwrap(),
            since: None,
            lasted: None,
            next_reminder: None,
            ended: None,
        },
        attempts,
        last_tried: (attempts > 0).then(|| "2026-02-11T14:16:00.5Z".parse().unwrap()),
        last_error: (attempts > 0).then(|| "no answer".into()),
        retry_at: None,
        refused: attempts > 3,
        addressed: vec!["webhook:host".into(), "webhook:host#2".into()],
    }
}

fn states(epoch: u64, states: &[(&str, u32)]) -> Commit {
    Commit {
        epoch,
        states: states
            .iter()
            .map(|(name, n)| ((*name).to_owned(), state(*n).into()))
            .collect(),
        ..Commit::default()
    }
}

async fn a_new_store_is_empty(home: &dyn Home) {
    let snapshot = home.open().load().await.unwrap();
    assert!(snapshot.monitors.is_empty() && snapshot.outbox.is_empty() && snapshot.warnings.is_empty());
    assert!(snapshot.epoch > 0);
}

async fn what_was_committed_is_there_after_opening_again(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    let mut commit = states(epoch, &[("a", 1), ("b", 2)]);
    commit.outbox = vec![entry("1", 0)];
    store.commit(&commit).await.unwrap();
    store.commit(&states(epoch, &[("b", 3)])).await.unwrap();
    drop(store);
    let snapshot = home.open().load().await.unwrap();
    assert_eq!(*snapshot.monitors["a"], state(1));
    assert_eq!(*snapshot.monitors["b"], state(3));
    assert_eq!(snapshot.outbox, [entry("1", 0)]);
    assert_eq!(snapshot.warnings, Vec::<String>::new());
}

async fn each_load_grants_a_newer_epoch(home: &dyn Home) {
    let store = home.open();
    let first = store.load().await.unwrap().epoch;
    let second = store.load().await.unwrap().epoch;
    assert!(second > first);
    store.commit(&states(second, &[("a", 1)])).await.unwrap();
    drop(store);
    assert!(home.open().load().await.unwrap().epoch > second);
}

async fn a_commit_of_an_older_epoch_is_refused_and_changes_nothing(home: &dyn Home) {
    let store = home.open();
    let older = store.load().await.unwrap().epoch;
    store.commit(&states(older, &[("a", 1)])).await.unwrap();
    let newer = store.load().await.unwrap().epoch;
    let error = store.commit(&states(older, &[("a", 2)])).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Superseded { epoch, newest } if epoch == older && newest == newer),
        "{error}"
    );
    assert_eq!(*store.load().await.unwrap().monitors["a"], state(1));
}

async fn a_forgotten_monitor_is_gone(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&states(epoch, &[("a", 1), ("b", 1)])).await.unwrap();
    let forget = Commit {
        epoch,
        forget: vec!["a".into(), "never there".into()],
        ..Commit::default()
    };
    store.commit(&forget).await.unwrap();
    let snapshot = home.open().load().await.unwrap();
    assert_eq!(snapshot.monitors.keys().collect::<Vec<_>>(), ["b"]);
}

async fn messages_keep_their_order_until_they_are_settled(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    let commit = |outbox: Vec<OutboxEntry>, settled: &[&str]| Commit {
        epoch,
        outbox,
        settled: settled.iter().map(|id| entry(id, 0).key()).collect(),
        ..Commit::default()
    };
    let three = commit(vec![entry("3", 0), entry("1", 0), entry("2", 0)], &[]);
    store.commit(&three).await.unwrap();
    store
        .commit(&commit(vec![entry("1", 4), entry("0", 0)], &["3"]))
        .await
        .unwrap();
    let expected = [entry("1", 4), entry("2", 0), entry("0", 0)];
    assert_eq!(store.load().await.unwrap().outbox, expected);
    assert_eq!(home.open().load().await.unwrap().outbox, expected);
}

async fn a_commit_without_a_load_loses_nothing(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&states(epoch, &[("a", 1)])).await.unwrap();
    drop(store);
    let store = home.open();
    store.commit(&states(epoch, &[("b", 1)])).await.unwrap();
    assert_eq!(store.load().await.unwrap().monitors.len(), 2);
}

async fn an_empty_commit_is_fine(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&states(epoch, &[])).await.unwrap();
}

async fn any_name_will_do(home: &dyn Home) {
    let names = [
        "",
        " ",
        "\"",
        "a\nb",
        "\0",
        "Zürich 東京",
        "is_up",
        "__proto__",
        "1",
    ];
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    let commit = Commit {
        epoch,
        states: names
            .iter()
            .map(|name| ((*name).to_owned(), state(5).into()))
            .collect(),
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
    let snapshot = home.open().load().await.unwrap();
    for name in names {
        assert_eq!(*snapshot.monitors[name], state(5), "{name:?}");
    }
}

fn remembering(kept: &[(&str, &str)], counts: Option<&str>) -> MonitorState {
    let mut state = state(1);
    state.memory = Memory {
        kept: kept
            .iter()
            .map(|(key, text)| ((*key).to_owned(), (*text).into()))
            .collect(),
        counts: counts.map(Into::into),
    };
    state
}

async fn what_a_monitor_remembers_goes_with_what_it_tells(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    for n in 1..4 {
        let baseline = format!("{{\"7\":{n}}}");
        let state = remembering(
            &[("ports_state", &baseline), ("theirs", "[1.5,null]")],
            Some("[1]"),
        );
        let commit = Commit {
            epoch,
            states: vec![("switch".into(), state.clone().into())],
            outbox: vec![entry(&n.to_string(), 0)],
            ..Commit::default()
        };
        store.commit(&commit).await.unwrap();
        let snapshot = home.open().load().await.unwrap();
        assert_eq!(*snapshot.monitors["switch"], state);
        assert_eq!(snapshot.outbox.len(), n);
    }
}

/// Counts may be some minutes old; that they are there suffices.
async fn what_is_remembered_no_more_is_gone(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    let commit = |state: MonitorState, forget: &[&str]| Commit {
        epoch,
        states: vec![("a".into(), state.into())],
        forget: forget.iter().map(|name| (*name).to_owned()).collect(),
        ..Commit::default()
    };
    let full = remembering(&[("x", "1"), ("y", "2")], Some("[1]"));
    store.commit(&commit(full.clone(), &[])).await.unwrap();
    store
        .commit(&commit(remembering(&[("y", "2")], Some("[1]")), &[]))
        .await
        .unwrap();
    let memory = home.open().load().await.unwrap().monitors["a"].memory.clone();
    assert_eq!(memory, remembering(&[("y", "2")], Some("[1]")).memory);
    store.commit(&commit(state(1), &[])).await.unwrap();
    assert_eq!(*home.open().load().await.unwrap().monitors["a"], state(1));
    // Forgotten, and watched again some day.
    store.commit(&commit(full.clone(), &[])).await.unwrap();
    store.commit(&commit(full, &["a"])).await.unwrap();
    store.commit(&commit(state(1), &[])).await.unwrap();
    assert_eq!(*home.open().load().await.unwrap().monitors["a"], state(1));
}

async fn a_value_that_is_no_json_costs_nothing_else(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    let damaging = remembering(&[("x", "{\"a\": "), ("y", "\"}\"")], Some("\"]"));
    let commit = Commit {
        epoch,
        states: vec![("a".into(), damaging.into()), ("b".into(), state(2).into())],
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
    let snapshot = home.open().load().await.unwrap();
    assert_eq!(snapshot.warnings, Vec::<String>::new());
    assert_eq!(*snapshot.monitors["b"], state(2));
    let kept = &snapshot.monitors["a"].memory.kept;
    assert_eq!(
        kept.iter()
            .map(|(key, text)| (key.as_str(), &**text))
            .collect::<Vec<_>>(),
        [("y", "\"}\"")]
    );
}

async fn moments_of_a_process_are_not_kept(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    let mut marked = state(1);
    marked.marks.notified = Some(Mono::from_nanos(5));
    let commit = Commit {
        epoch,
        states: vec![("a".into(), marked.into())],
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
    assert_eq!(*store.load().await.unwrap().monitors["a"], state(1));
}

async fn commits_from_many_tasks_all_arrive(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    let names: Vec<_> = (0..20).map(|i| format!("m{i}")).collect();
    let commits: Vec<_> = names.iter().map(|name| states(epoch, &[(name, 1)])).collect();
    let (a, b) = commits.split_at(10);
    let each = |commits: &[Commit]| {
        let commits = commits.to_vec();
        let store = &store;
        async move {
            for commit in commits {
                store.commit(&commit).await.unwrap();
            }
        }
    };
    tokio::join!(each(a), each(b));
    assert_eq!(home.open().load().await.unwrap().monitors.len(), 20);
}

async fn ten_thousand_states_are_one_commit(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    let names: Vec<_> = (0..10_000).map(|i| format!("monitor {i}")).collect();
    let mut all = states(epoch, &[]);
    all.states = names.iter().map(|name| (name.clone(), state(1).into())).collect();
    all.outbox = (0..1_000).map(|i| entry(&i.to_string(), 0)).collect();
    store.commit(&all).await.unwrap();
    let settled = Commit {
        epoch,
        settled: all.outbox[..999].iter().map(OutboxEntry::key).collect(),
        ..Commit::default()
    };
    store.commit(&settled).await.unwrap();
    drop(store);
    let snapshot = home.open().load().await.unwrap();
    assert_eq!(snapshot.monitors.len(), 10_000);
    assert_eq!(snapshot.outbox, all.outbox[999..]);
}

/// Every third within the hours around the end of summer time in 2026, of
/// which clocks show one twice.
fn moment() -> impl Strategy<Value = Timestamp> {
    let second = prop_oneof![
        2 => 0_i64..4_000_000_000,
        1 => 1_793_505_600_i64..1_793_520_000,
    ];
    (second, 0..1_000_000_i32).prop_map(|(second, micro)| Timestamp::new(second, micro * 1_000).unwrap())
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_state() -> impl Strategy<Value = MonitorState> {
    let times = prop::array::uniform6(prop::option::of(moment()));
    let texts = prop::array::uniform3(prop::option::of(any::<String>()));
    let kept = prop::collection::btree_map("x_[a-z]{0,6}", json_value(), 0..3);
    let memory = (kept, prop::option::of(json_value()));
    let rest = (
        any::<Option<bool>>(),
        any::<(u32, u32)>(),
        prop::option::of(0_u64..1_000_000_000_000_000),
    );
    #[allow(clippy::needless_update)] // more fields will come
    (times, texts, memory, rest).prop_map(|(times, texts, (kept, counts), rest)| {
        let [checked, notified, started, heartbeat, unknown, removed] = times;
        let [reason, checksum, incident] = texts;
        let (is_up, (down_count, notified_count), micros) = rest;
        MonitorState {
            is_up,
            last_checked: checked,
            last_response_time: micros.map(Duration::from_micros),
            last_notified: notified,
            last_alarm_started: started,
            last_successful_heartbeat: heartbeat,
            down_count,
            notified_count,
            error_reason: reason,
            last_config_checksum: checksum.map(Into::into),
            own: OwnState {
                incident: incident.clone(),
                unknown_since: unknown,
                unknown_incident: incident,
                removed_at: removed,
                ..OwnState::default()
            },
            memory: Memory {
                kept: kept
                    .into_iter()
                    .map(|(key, value)| (key, value.to_string().into()))
                    .collect(),
                counts: counts.map(|value| value.to_string().into()),
            },
            ..MonitorState::default()
        }
    })
}

fn any_entry() -> impl Strategy<Value = OutboxEntry> {
    let texts = prop::array::uniform7(any::<String>());
    let kind = prop_oneof![
        Just(NotificationKind::Outage),
        Just(NotificationKind::Recovery),
        any::<String>().prop_map(NotificationKind::Notice),
    ];
    (
        texts,
        kind,
        any::<(u32, u32, bool)>(),
        any::<Option<String>>(),
        moment(),
    )
        .prop_map(|(texts, kind, (number, attempts, refused), last_error, at)| {
            let [channel, id, incident, site, monitor, address, text] = texts;
            let notification = Notification {
                kind,
                number,
                at,
                since: Some(at),
                lasted: refused.then_some(Duration::new(u64::from(number), attempts % 1_000_000_000)),
                next_reminder: refused.then_some(at),
                ended: None,
                ..Notification {
                    id,
                    incident,
                    site,
                    monitor,
                    address,
                    text,
                    ..entry("", 0).notification
                }
            };
            OutboxEntry {
                channel,
                notification,
                attempts,
                last_tried: refused.then_some(at),
                last_error,
                retry_at: None,
                refused,
                addressed: Vec::new(),
            }
        })
}

fn any_content_survives<H: Home>(home: impl Fn() -> H) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let monitors = prop::collection::btree_map("m[^\u{0}]*", any_state(), 0..4);
    let outbox = prop::collection::vec(any_entry(), 0..4);
    let config = ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(monitors in monitors, outbox in outbox)| {
        let home = home();
        let after = runtime.block_on(async {
            let store = home.open();
            let epoch = store.load().await.unwrap().epoch;
            let commit = Commit {
                epoch,
                states: monitors.clone().into_iter().map(|(name, state)| (name, state.into())).collect(),
                outbox: outbox.clone(),
                ..Commit::default()
            };
            store.commit(&commit).await.unwrap();
            drop(store);
            let store = home.open();
            store.load().await.unwrap()
        });
        prop_assert_eq!(after.warnings, Vec::<String>::new());
        let monitors_after: BTreeMap<_, _> = after.monitors.iter().map(|(name, state)| (name.clone(), MonitorState::clone(state))).collect();
        prop_assert_eq!(monitors_after, monitors);
        let mut expected = Vec::<OutboxEntry>::new();
        for entry in outbox {
            match expected.iter_mut().find(|known| known.key() == entry.key()) {
                Some(known) => *known = entry,
                None => expected.push(entry),
            }
        }
        prop_assert_eq!(after.outbox, expected);
    });
}
