//! The content of a state file in memory, and how a commit is undone.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use apmon_core::{Commit, MonitorState, OutboxEntry, Snapshot, StateRecord};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// The content of a state file, history apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) epoch: u64,
    /// The number of the last commit of this epoch.
    pub(crate) number: u64,
    pub(crate) monitors: BTreeMap<String, Arc<MonitorState>>,
    pub(crate) outbox: Outbox,
    /// State that belongs to no monitor.
    pub(crate) records: BTreeMap<String, StateRecord>,
    /// Notifications that could not be read, kept as they are: each was meant for
    /// someone.
    pub(crate) unread: Vec<Value>,
    /// Top-level keys that apmon does not know.
    pub(crate) foreign: Map<String, Value>,
    /// End and duration of the last pass.
    pub(crate) pass: Option<(Timestamp, Duration)>,
}

/// A model as it was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) model: Model,
    /// What could not be read, for the operator.
    pub(crate) warnings: Vec<String>,
}

impl Loaded {
    /// A model without any state.
    pub(crate) fn empty(warnings: Vec<String>) -> Self {
        let model = Model::default();
        Self { model, warnings }
    }
}

/// What a commit replaced, for putting it back.
#[derive(Debug)]
pub(crate) struct Undo {
    epoch: u64,
    number: u64,
    records: Vec<(String, Option<StateRecord>)>,
    pass: Option<(Timestamp, Duration)>,
    states: Vec<(String, Option<Arc<MonitorState>>)>,
    outbox: Vec<(String, Option<(u64, OutboxEntry)>)>,
}

impl Model {
    pub(crate) fn snapshot(&self, warnings: Vec<String>) -> Snapshot {
        Snapshot {
            shard: 0,
            epoch: self.epoch,
            records: self.records.clone(),
            monitors: self.monitors.clone(),
            outbox: self.outbox.iter().cloned().collect(),
            warnings,
        }
    }

    /// Whether this commit has been applied already: its answer was lost.
    pub(crate) fn has(&self, commit: &Commit) -> bool {
        commit.number != 0 && commit.epoch == self.epoch && commit.number <= self.number
    }

    /// Applies a commit; the result undoes it.
    pub(crate) fn apply(&mut self, commit: &Commit) -> Undo {
        let mut undo = Undo {
            epoch: self.epoch,
            number: self.number,
            records: Vec::with_capacity(commit.records.len()),
            pass: self.pass,
            states: Vec::with_capacity(commit.states.len() + commit.forget.len()),
            outbox: Vec::with_capacity(commit.outbox.len() + commit.settled.len()),
        };
        if commit.epoch != self.epoch || commit.number != 0 {
            self.number = commit.number;
        }
        self.epoch = commit.epoch;
        for (key, record) in &commit.records {
            let before = match record {
                Some(record) => self.records.insert(key.clone(), record.clone()),
                None => self.records.remove(key),
            };
            undo.records.push((key.clone(), before));
        }
        self.pass = commit.pass.or(self.pass);
        for (name, state) in &commit.states {
            let before = self.monitors.insert(name.clone(), Arc::clone(state));
            undo.states.push((name.clone(), before));
        }
        for name in &commit.forget {
            if let Some(before) = self.monitors.remove(name) {
                undo.states.push((name.clone(), Some(before)));
            }
        }
        for entry in &commit.outbox {
            undo.outbox.push(self.outbox.upsert(entry.clone()));
        }
        for key in &commit.settled {
            if let Some(before) = self.outbox.remove(key) {
                undo.outbox.push((key.clone(), Some(before)));
            }
        }
        undo
    }

    /// Reverses a commit.
    pub(crate) fn undo(&mut self, undo: Undo) {
        self.epoch = undo.epoch;
        self.number = undo.number;
        for (key, before) in undo.records.into_iter().rev() {
            match before {
                Some(record) => self.records.insert(key, record),
                None => self.records.remove(&key),
            };
        }
        self.pass = undo.pass;
        for (name, before) in undo.states.into_iter().rev() {
            match before {
                Some(state) => self.monitors.insert(name, state),
                None => self.monitors.remove(&name),
            };
        }
        for (key, before) in undo.outbox.into_iter().rev() {
            self.outbox.restore(key, before);
        }
    }
}

/// Undelivered notifications, oldest first, found by their key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox {
    entries: BTreeMap<u64, OutboxEntry>,
    positions: HashMap<String, u64>,
    next: u64,
}

impl Outbox {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &OutboxEntry> {
        self.entries.values()
    }

    /// Replaces the entry of the same key at its position, or appends. Returns
    /// what [`restore`](Self::restore) needs.
    pub(crate) fn upsert(&mut self, entry: OutboxEntry) -> (String, Option<(u64, OutboxEntry)>) {
        let key = entry.key();
        let position = *self.positions.entry(key.clone()).or_insert_with(|| {
            self.next += 1;
            self.next
        });
        let before = self.entries.insert(position, entry);
        (key, before.map(|before| (position, before)))
    }

    fn remove(&mut self, key: &str) -> Option<(u64, OutboxEntry)> {
        let position = self.positions.remove(key)?;
        Some((position, self.entries.remove(&position)?))
    }

    fn restore(&mut self, key: String, before: Option<(u64, OutboxEntry)>) {
        match before {
            Some((position, entry)) => {
                self.entries.insert(position, entry);
                self.positions.insert(key, position);
            }
            None => {
                self.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use apmon_core::{Notification, NotificationKind};

    use super::*;

    fn entry(id: &str, attempts: u32) -> OutboxEntry {
        OutboxEntry {
            channel: "c".into(),
            notification: Notification {
                id: id.into(),
                incident: "i".into(),
                kind: NotificationKind::Outage,
                site: "s".into(),
                monitor: "m".into(),
                address: "a".into(),
                text: "t".into(),
                number: 1,
                at: Timestamp::UNIX_EPOCH,
                since: None,
                lasted: None,
                next_reminder: None,
                subject: Default::default(),
                covers: Vec::new(),
                ended: None,
            },
            attempts,
            last_tried: None,
            last_error: None,
            retry_at: None,
            refused: false,
            addressed: Vec::new(),
        }
    }

    fn state(down_count: u32) -> MonitorState {
        MonitorState {
            down_count,
            ..MonitorState::default()
        }
    }

    fn record(key: &str, version: u32) -> (String, Option<StateRecord>) {
        let json = "{}".into();
        (key.into(), Some(StateRecord { version, json }))
    }

    #[test]
    fn an_undone_commit_leaves_no_trace() {
        let mut model = Model::default();
        let first = Commit {
            epoch: 1,
            number: 4,
            records: vec![record("r", 1), record("s", 1)],
            states: vec![("a".into(), state(1).into()), ("b".into(), state(2).into())],
            outbox: vec![entry("1", 0), entry("2", 0), entry("3", 0)],
            ..Commit::default()
        };
        let _ = model.apply(&first);
        let before = model.snapshot(Vec::new());
        let undo = model.apply(&Commit {
            epoch: 2,
            number: 1,
            records: vec![record("r", 2), ("s".into(), None), record("t", 1)],
            states: vec![
                ("a".into(), state(7).into()),
                ("a".into(), state(8).into()),
                ("c".into(), state(9).into()),
            ],
            forget: vec!["b".into(), "c".into(), "x".into()],
            outbox: vec![entry("2", 5), entry("4", 0), entry("4", 1)],
            settled: vec!["1-c".into(), "2-c".into(), "4-c".into(), "x".into()],
            pass: Some((Timestamp::UNIX_EPOCH, Duration::from_secs(1))),
            ..Commit::default()
        });
        let during = model.snapshot(Vec::new());
        assert_eq!(during.monitors.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(during.outbox, [entry("3", 0)]);
        assert_eq!(during.records.keys().collect::<Vec<_>>(), ["r", "t"]);
        assert_eq!(model.number, 1);
        model.undo(undo);
        assert_eq!(model.snapshot(Vec::new()), before);
        assert_eq!((model.pass, model.number), (None, 4));
    }

    #[test]
    fn a_changed_notification_keeps_its_position() {
        let mut outbox = Outbox::default();
        for id in ["1", "2", "3"] {
            outbox.upsert(entry(id, 0));
        }
        outbox.upsert(entry("2", 4));
        outbox.upsert(entry("4", 0));
        let ids: Vec<_> = outbox
            .iter()
            .map(|entry| entry.notification.id.as_str())
            .collect();
        assert_eq!(ids, ["1", "2", "3", "4"]);
    }
}
