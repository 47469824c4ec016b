//! The contract of every store, written against the trait. Another store is
//! tested by one more `contract!` line.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // what fails here is a test

mod arbitrary;
mod owner;
#[path = "../support/mod.rs"]
mod support;

use self::owner::{
    a_claim_refuses_the_owner_before_it, a_commit_of_an_older_epoch_is_refused_and_changes_nothing,
    a_commit_whose_answer_was_lost_is_not_applied_again, each_load_grants_a_newer_epoch,
    of_owners_that_claim_at_once_one_may_write,
};
use std::sync::Arc;

use apmon_core::{
    Commit, Memory, MonitorState, Mono, Notification, NotificationKind, OutboxEntry, Snapshot, StateRecord,
    StateStore, testing::MemoryStore,
};
use apmon_store::{JsonStore, SqliteStore, read_snapshot};
use jiff::tz::TimeZone;

/// A directory in which a store is opened again and again.
trait Home {
    fn open(&self) -> Arc<dyn StateStore>;

    /// Reads the store without owning it.
    fn peek(&self) -> Snapshot;

    /// How often owners race for it.
    fn rounds(&self) -> usize {
        6
    }
}

struct JsonFile(tempfile::TempDir);

impl Home for JsonFile {
    fn open(&self) -> Arc<dyn StateStore> {
        let path = self.0.path().join("s.statefile.json");
        Arc::new(JsonStore::open(path, TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap(), None).unwrap())
    }

    fn peek(&self) -> Snapshot {
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        read_snapshot(self.0.path().join("s.statefile.json"), &zone).unwrap()
    }
}

struct SqliteFile(tempfile::TempDir);

impl Home for SqliteFile {
    fn open(&self) -> Arc<dyn StateStore> {
        let path = self.0.path().join("s.statefile.db");
        Arc::new(SqliteStore::open(path, TimeZone::UTC, None).unwrap())
    }

    fn peek(&self) -> Snapshot {
        read_snapshot(self.0.path().join("s.statefile.db"), &TimeZone::UTC).unwrap()
    }
}

/// The store of the test kit, which embedders take for a real one.
struct InMemory(Arc<MemoryStore>);

impl Home for InMemory {
    fn open(&self) -> Arc<dyn StateStore> {
        self.0.clone()
    }

    fn peek(&self) -> Snapshot {
        self.0.snapshot()
    }

    fn rounds(&self) -> usize {
        60 // none of them waits for a disk
    }
}

fn in_memory() -> InMemory {
    InMemory(MemoryStore::new())
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
            committed_content_is_there_after_reopening,
            each_load_grants_a_newer_epoch,
            a_commit_of_an_older_epoch_is_refused_and_changes_nothing,
            a_commit_whose_answer_was_lost_is_not_applied_again,
            a_claim_refuses_the_owner_before_it,
            of_owners_that_claim_at_once_one_may_write,
            records_are_kept_until_they_are_deleted,
            a_forgotten_monitor_is_gone,
            notifications_keep_their_order_until_they_are_settled,
            a_commit_without_a_load_loses_nothing,
            an_empty_commit_is_accepted,
            any_monitor_name_is_accepted,
            memory_and_notifications_are_committed_together,
            memory_that_is_dropped_is_deleted,
            a_value_that_is_not_json_costs_nothing_else,
            moments_of_a_process_are_not_stored,
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
                super::arbitrary::any_content_survives(super::$home);
            }
        }
    };
}

contract!(json: json_file);
contract!(sqlite: sqlite_file);
contract!(memory: in_memory);

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
            kind: NotificationKind::Notice("PORT CHANGE".into()),
            at: "2026-02-11T14:15:00.123456789Z".parse().unwrap(),
            ..support::notification(id)
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

async fn committed_content_is_there_after_reopening(home: &dyn Home) {
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

async fn records_are_kept_until_they_are_deleted(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    let record = |version, json: &str| {
        Some(StateRecord {
            version,
            json: json.into(),
        })
    };
    let write = |records: &[(&str, Option<StateRecord>)]| Commit {
        epoch,
        records: records
            .iter()
            .map(|(key, record)| ((*key).to_owned(), record.clone()))
            .collect(),
        ..Commit::default()
    };
    let both = [
        ("silences", record(1, r#"[{"by":"ann"}]"#)),
        ("record/silences", record(1, "1")),
        ("paused/web", record(3, "true")),
    ];
    store.commit(&write(&both)).await.unwrap();
    store
        .commit(&write(&[("silences", record(2, "[]"))]))
        .await
        .unwrap();
    drop(store);
    let store = home.open();
    let snapshot = store.load().await.unwrap();
    assert_eq!(snapshot.warnings, Vec::<String>::new());
    let records: Vec<_> = snapshot.records.into_iter().collect();
    let expected = [
        ("paused/web", record(3, "true")),
        ("record/silences", record(1, "1")),
        ("silences", record(2, "[]")),
    ];
    assert_eq!(
        records,
        expected.map(|(key, record)| (key.to_owned(), record.unwrap()))
    );
    let epoch = snapshot.epoch;
    let delete = Commit {
        epoch,
        ..write(&[
            ("silences", None),
            ("record/silences", None),
            ("never there", None),
        ])
    };
    store.commit(&delete).await.unwrap();
    let left = home.open().load().await.unwrap().records;
    assert_eq!(left.keys().collect::<Vec<_>>(), ["paused/web"]);
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

async fn notifications_keep_their_order_until_they_are_settled(home: &dyn Home) {
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

async fn an_empty_commit_is_accepted(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    store.commit(&states(epoch, &[])).await.unwrap();
}

async fn any_monitor_name_is_accepted(home: &dyn Home) {
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
        "switch/Gi1/0/7",
        "/",
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

fn with_memory(kept: &[(&str, &str)], counts: Option<&str>) -> MonitorState {
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

async fn memory_and_notifications_are_committed_together(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    for n in 1..4 {
        let baseline = format!("{{\"7\":{n}}}");
        let state = with_memory(
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
        let snapshot = home.peek();
        assert_eq!(*snapshot.monitors["switch"], state);
        assert_eq!(snapshot.outbox.len(), n);
    }
}

/// Counts may be some minutes old; it is enough that they are there.
async fn memory_that_is_dropped_is_deleted(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    let commit = |state: MonitorState, forget: &[&str]| Commit {
        epoch,
        states: vec![("a".into(), state.into())],
        forget: forget.iter().map(|name| (*name).to_owned()).collect(),
        ..Commit::default()
    };
    let full = with_memory(&[("x", "1"), ("y", "2")], Some("[1]"));
    store.commit(&commit(full.clone(), &[])).await.unwrap();
    store
        .commit(&commit(with_memory(&[("y", "2")], Some("[1]")), &[]))
        .await
        .unwrap();
    let memory = home.peek().monitors["a"].memory.clone();
    assert_eq!(memory, with_memory(&[("y", "2")], Some("[1]")).memory);
    store.commit(&commit(state(1), &[])).await.unwrap();
    assert_eq!(*home.peek().monitors["a"], state(1));
    // Forgotten, and watched again later.
    store.commit(&commit(full.clone(), &[])).await.unwrap();
    store.commit(&commit(full, &["a"])).await.unwrap();
    store.commit(&commit(state(1), &[])).await.unwrap();
    assert_eq!(*home.peek().monitors["a"], state(1));
}

async fn a_value_that_is_not_json_costs_nothing_else(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    let damaging = with_memory(&[("x", "{\"a\": "), ("y", "\"}\"")], Some("\"]"));
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

async fn moments_of_a_process_are_not_stored(home: &dyn Home) {
    let store = home.open();
    let epoch = store.load().await.unwrap().epoch;
    let mut marked = state(1);
    marked.mono.notified = Some(Mono::from_nanos(5));
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
