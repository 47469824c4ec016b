use async_trait::async_trait;
use futures_util::FutureExt as _;
use jiff::{Timestamp, tz::TimeZone};

use super::*;
use crate::{
    engine::plan::Plan,
    history::{Incident, IncidentKind},
    notification::NotificationKind,
    store::Snapshot,
};

/// A store that fails, or not.
struct Store {
    fails: bool,
}

#[async_trait]
impl StateStore for Store {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::default())
    }

    async fn commit(&self, _: &Commit) -> Result<(), StoreError> {
        match self.fails {
            true => Err(StoreError::Stopped),
            false => Ok(()),
        }
    }
}

struct Fixture {
    persistence: Persistence,
    deliveries: Deliveries,
    monitors: Monitors,
}

impl Fixture {
    fn new(fails: bool) -> Self {
        let plan = Plan::new("HomeLab");
        Self {
            persistence: Persistence::new(Arc::new(Store { fails }), 0, 1, Publisher::default()),
            deliveries: Deliveries::new(&plan, TimeZone::UTC, false, Publisher::default()),
            monitors: Monitors::new(std::collections::BTreeMap::new(), false),
        }
    }

    fn commit_at(&self) -> Option<Mono> {
        self.persistence.commit_at(&self.deliveries)
    }

    /// Starts the commit that is due.
    fn start(&mut self, secs: i64) -> Option<TaskResult> {
        let commit = self
            .persistence
            .commit(&self.monitors, &mut self.deliveries, at(secs))?;
        Some(commit.now_or_never().expect("the store answers at once"))
    }

    /// Ends a commit, and returns the notifications that waited for it.
    fn finish(&mut self, task: Option<TaskResult>, secs: i64) -> Vec<Notification> {
        let Some(TaskResult::Commit { batch, result }) = task else {
            panic!("no commit was due");
        };
        let now = now(secs);
        match self
            .persistence
            .commit_finished(*batch, result, &mut self.deliveries, now)
        {
            CommitEnd::Notified(notifications) => notifications,
            CommitEnd::InDoubt | CommitEnd::Continues(_) | CommitEnd::Superseded(_) => {
                panic!("the commit was not finished")
            }
        }
    }
}

fn now(secs: i64) -> Now {
    Now {
        mono: at(secs),
        wall: Timestamp::UNIX_EPOCH,
    }
}

fn at(secs: i64) -> Mono {
    Mono::from_nanos(secs * 1_000_000_000)
}

fn notification(number: u32) -> Notification {
    Notification {
        id: format!("i-{number}"),
        incident: "i".into(),
        kind: NotificationKind::Outage,
        site: "s".into(),
        monitor: "m".into(),
        address: "a".into(),
        text: "t".into(),
        number,
        at: Timestamp::UNIX_EPOCH,
        since: None,
        lasted: None,
        next_reminder: None,
        subject: Default::default(),
        covers: Vec::new(),
        ended: None,
    }
}

#[test]
fn urgent_changes_are_committed_at_once_and_others_later() {
    let mut it = Fixture::new(false);
    assert_eq!(it.commit_at(), None);
    it.persistence.mark(1, StateChange::Minor, at(10));
    it.persistence.mark(2, StateChange::None, at(11));
    it.persistence.mark(3, StateChange::Minor, at(12));
    assert_eq!(it.commit_at(), Some(at(15)));
    assert!(it.start(14).is_none());
    it.persistence.mark(3, StateChange::Urgent, at(13));
    assert_eq!(it.commit_at(), Some(AT_ONCE));
    assert_eq!(it.persistence.dirty, BTreeSet::from([1, 3]));
    let first = it.start(13);
    assert!(first.is_some());
    it.persistence.mark(1, StateChange::Urgent, at(13));
    assert_eq!(it.commit_at(), None, "one at a time");
    it.finish(first, 13);
    assert_eq!(it.commit_at(), Some(AT_ONCE));
}

#[test]
fn a_failed_commit_is_repeated_and_what_waited_for_it_is_sent_from_memory() {
    let mut it = Fixture::new(true);
    let retired = |name: &str| (name.to_owned(), Arc::new(MonitorState::default()));
    let (name, state) = retired("first");
    it.persistence.retire(None, name, state);
    assert_eq!(it.persistence.add_notification(notification(1)), None);
    let task = it.start(0);
    let (name, state) = retired("second");
    it.persistence.retire(None, name, state);
    assert_eq!(it.finish(task, 0), [notification(1)]);
    assert!(it.persistence.is_failing());
    assert_eq!(it.commit_at(), Some(at(5)));
    let Some(TaskResult::Commit { batch, .. }) = it.start(5) else {
        panic!("no commit was due");
    };
    let names = batch.commit.states.iter().map(|(name, _)| name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["first", "second"]);
}

/// A row of the history, recognised by its incident.
fn row(incident: &str) -> Records {
    let begun = Incident {
        id: incident.into(),
        monitor: "m".into(),
        kind: IncidentKind::Outage,
        started: Timestamp::UNIX_EPOCH,
        ended: None,
        reason: None,
        notifications: 1,
    };
    Records {
        incidents: [begun].into(),
        ..Records::default()
    }
}

#[test]
fn the_parts_of_a_failed_commit_come_before_what_has_come_since_in_their_order() {
    let mut it = Fixture::new(true);
    it.persistence.limits.items = Some(1);
    it.persistence.keeps_history = true;
    let retire = |it: &mut Fixture, name: &str| {
        it.persistence
            .retire(None, name.into(), Arc::new(MonitorState::default()));
    };
    let set_record = |it: &mut Fixture, key: &str, json: &str| {
        let record = StateRecord {
            version: 1,
            json: json.into(),
        };
        it.persistence.set_record(key.into(), Some(record));
    };
    for name in ["a", "b", "c"] {
        retire(&mut it, name);
    }
    set_record(&mut it, "changed", "1");
    set_record(&mut it, "kept", "1");
    it.persistence.forget(vec!["forgotten".into(), "back".into()]);
    it.persistence.record(row("first"));
    let task = it.start(0);
    assert!(it.persistence.parts.len() > 4, "one part for each");
    retire(&mut it, "d");
    retire(&mut it, "back");
    set_record(&mut it, "changed", "2");
    it.persistence.record(row("second"));
    it.finish(task, 0);

    it.persistence.limits.items = None;
    let Some(TaskResult::Commit { batch, .. }) = it.start(5) else {
        panic!("no commit was due");
    };
    let commit = batch.commit;
    let states: Vec<_> = commit.states.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(states, ["a", "b", "c", "d", "back"]);
    assert_eq!(commit.forget, ["forgotten"]);
    let records = commit.records.iter().map(|(key, record)| {
        let json = record.as_ref().map(|record| &*record.json);
        (key.as_str(), json)
    });
    let records: Vec<_> = records.collect();
    assert_eq!(records, [("kept", Some("1")), ("changed", Some("2"))]);
    let rows: Vec<_> = commit
        .history
        .incidents
        .iter()
        .map(|row| row.id.as_str())
        .collect();
    assert_eq!(rows, ["first", "second"]);
}

#[test]
fn a_commit_that_hangs_is_not_waited_for() {
    let mut it = Fixture::new(false);
    let stall = |it: &mut Fixture, secs| it.persistence.stall(&mut it.deliveries, now(secs));
    assert_eq!(it.persistence.add_notification(notification(1)), None);
    let hanging = it.start(0);
    assert_eq!(it.persistence.add_notification(notification(2)), None);
    assert_eq!(it.persistence.wake_at(&it.deliveries), Some(at(5)));
    assert_eq!(stall(&mut it, 4), None);
    assert_eq!(stall(&mut it, 5), Some(vec![notification(1), notification(2)]));
    assert_eq!(
        it.persistence.add_notification(notification(3)),
        Some(notification(3)),
        "at once"
    );
    assert_eq!(it.persistence.wake_at(&it.deliveries), None);
    assert!(it.finish(hanging, 9).is_empty(), "not sent twice");
    assert_eq!(it.persistence.add_notification(notification(4)), None);
}
