//! Changes that wait to be committed, gathered so that many checks share one commit.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    history::Records,
    notification::{Notification, OutboxEntry},
    store::Commit,
    time::Mono,
};

/// How long states without urgent changes may wait for a commit.
const STATE_DELAY: Duration = Duration::from_secs(5);
/// Pause after a failed commit.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// A commit that takes longer than this is not waited for.
const STALL_AFTER: Duration = Duration::from_secs(5);

/// Everything that is not on disk yet.
#[derive(Debug, Default)]
pub(super) struct PendingWrites {
    /// Indexes of monitors whose state changed.
    dirty: BTreeSet<usize>,
    /// Changes that belong to no running monitor; `outbox` and `settled` are filled in when it
    /// is taken.
    pub(super) extra: Commit,
    entries: Entries,
    settled: Vec<String>,
    /// Keys of entries that have been in no commit yet: when one is finished, there is nothing
    /// to settle.
    unwritten: HashSet<String>,
    /// Notifications to report as events once they are on disk.
    notifications: Vec<Notification>,
    /// Records for the history; they wait for the next commit and never cause one.
    history: Records,
    since: Option<Mono>,
    urgent: bool,
    not_before: Option<Mono>,
    in_flight: Option<CommitInFlight>,
    /// Whether the store fails; this has been logged.
    pub(super) failing: bool,
}

/// Outbox entries by key, in the order in which they were added.
#[derive(Debug, Default)]
struct Entries {
    by_order: BTreeMap<u64, OutboxEntry>,
    order: HashMap<String, u64>,
    next: u64,
}

/// The commit that is in progress.
#[derive(Debug)]
struct CommitInFlight {
    started: Mono,
    notifications: Vec<Notification>,
    unwritten: HashSet<String>,
    /// Whether it takes too long, so that its notifications were released from memory.
    stalled: bool,
}

/// The content of a commit.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) runtimes: Vec<usize>,
    pub(super) commit: Commit,
}

impl PendingWrites {
    /// Marks the state of a monitor as changed; `urgent` if it must be committed at once.
    pub(super) fn mark_dirty(&mut self, runtime: usize, now: Mono, urgent: bool) {
        self.dirty.insert(runtime);
        self.since.get_or_insert(now);
        self.urgent |= urgent;
    }

    /// Forgets a monitor that no longer runs; its last state is in `extra`.
    pub(super) fn drop_runtime(&mut self, runtime: usize) {
        self.dirty.remove(&runtime);
    }

    /// Adds a notification that was decided. It is returned if it must not wait for the store.
    #[must_use]
    pub(super) fn add_notification(&mut self, notification: Notification) -> Option<Notification> {
        self.urgent = true;
        if self.is_stalled() {
            return Some(notification);
        }
        self.notifications.push(notification);
        None
    }

    /// Adds a new outbox entry.
    pub(super) fn add_entry(&mut self, entry: OutboxEntry) {
        self.unwritten.insert(entry.key());
        self.update_entry(entry);
    }

    /// Adds a changed outbox entry.
    pub(super) fn update_entry(&mut self, entry: OutboxEntry) {
        self.entries.upsert(entry);
        self.urgent = true;
    }

    /// Marks an outbox entry as finished.
    pub(super) fn settle(&mut self, key: String) {
        self.entries.remove(&key);
        self.urgent = true;
        // An entry that was in no commit need not be settled.
        if !self.unwritten.remove(&key) {
            self.settled.push(key);
        }
    }

    /// Adds records for the history.
    pub(super) fn record(&mut self, add: impl FnOnce(&mut Records)) {
        add(&mut self.history);
        self.history.cut();
    }

    fn is_clean(&self) -> bool {
        self.dirty.is_empty()
            && self.extra.is_empty()
            && self.entries.by_order.is_empty()
            && self.settled.is_empty()
            && self.notifications.is_empty()
    }

    /// Whether a change waits that must be committed at once.
    pub(super) fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Whether everything is on disk.
    pub(super) fn is_saved(&self) -> bool {
        self.is_clean() && self.in_flight.is_none()
    }

    /// Whether this entry has been in no successful commit, so that the next run will not find
    /// it.
    pub(super) fn is_unwritten(&self, key: &str) -> bool {
        let in_flight = self.in_flight.as_ref();
        self.unwritten.contains(key) || in_flight.is_some_and(|it| it.unwritten.contains(key))
    }

    /// Whether a commit is in progress.
    pub(super) fn is_committing(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether the commit in progress takes too long.
    pub(super) fn is_stalled(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|in_flight| in_flight.stalled)
    }

    /// When the commit in progress will have taken too long.
    pub(super) fn stalls_at(&self) -> Option<Mono> {
        let in_flight = self.in_flight.as_ref().filter(|in_flight| !in_flight.stalled)?;
        Some(in_flight.started.plus(STALL_AFTER))
    }

    /// Marks the commit as taking too long and returns the notifications that waited for it.
    pub(super) fn stall(&mut self) -> Vec<Notification> {
        let Some(in_flight) = &mut self.in_flight else {
            return Vec::new();
        };
        in_flight.stalled = true;
        let mut notifications = std::mem::take(&mut in_flight.notifications);
        notifications.append(&mut self.notifications);
        notifications
    }

    /// When the next commit is due, if none is in progress.
    pub(super) fn commit_at(&self) -> Option<Mono> {
        const AT_ONCE: Mono = Mono::from_nanos(i64::MIN);
        if self.in_flight.is_some() || self.is_clean() {
            return None;
        }
        let at = match self.since {
            Some(since) if !self.urgent => since.plus(STATE_DELAY),
            _ => AT_ONCE,
        };
        // A new notification does not wait for a failing store: it is sent from memory.
        let pause = self.not_before.filter(|_| self.notifications.is_empty());
        Some(at.max(pause.unwrap_or(at)))
    }

    /// Makes everything due now (at the end of a run).
    pub(super) fn flush(&mut self) {
        self.urgent = true;
        self.not_before = None;
    }

    /// Takes everything for a commit. The caller fills in the states of `runtimes`.
    pub(super) fn take(&mut self, now: Mono) -> Batch {
        self.in_flight = Some(CommitInFlight {
            started: now,
            notifications: std::mem::take(&mut self.notifications),
            unwritten: std::mem::take(&mut self.unwritten),
            stalled: false,
        });
        self.urgent = false;
        self.since = None;
        let mut commit = std::mem::take(&mut self.extra);
        commit.outbox = std::mem::take(&mut self.entries).by_order.into_values().collect();
        commit.settled = std::mem::take(&mut self.settled);
        commit.history = std::mem::take(&mut self.history).into();
        Batch {
            runtimes: std::mem::take(&mut self.dirty).into_iter().collect(),
            commit,
        }
    }

    /// Ends a successful commit. Returns the notifications that it held.
    pub(super) fn committed(&mut self) -> Vec<Notification> {
        self.not_before = None;
        self.in_flight
            .take()
            .map(|in_flight| in_flight.notifications)
            .unwrap_or_default()
    }

    /// Ends a failed commit: its content goes into the next one. Returns the notifications that
    /// it held, which are sent anyway.
    pub(super) fn failed(&mut self, runtimes: Vec<usize>, commit: Commit, now: Mono) -> Vec<Notification> {
        self.not_before = Some(now.plus(RETRY_PAUSE));
        self.urgent = true;
        self.dirty.extend(runtimes);
        let Some(in_flight) = self.in_flight.take() else {
            return Vec::new();
        };
        let newer = std::mem::replace(&mut self.extra, commit);
        let older = std::mem::take(&mut self.extra.outbox);
        let mut history = Arc::unwrap_or_clone(std::mem::take(&mut self.extra.history));
        history.extend(std::mem::take(&mut self.history));
        self.history = history;
        let newer_settled = std::mem::replace(&mut self.settled, std::mem::take(&mut self.extra.settled));
        let newer_entries = std::mem::take(&mut self.entries);
        self.unwritten.extend(in_flight.unwritten);
        // In chronological order: the content of the commit, then what came after it.
        for entry in older.into_iter().chain(newer_entries.by_order.into_values()) {
            self.entries.upsert(entry);
        }
        for key in newer_settled {
            self.settle(key);
        }
        // States of running monitors are read again; those of removed monitors are not.
        self.extra.states.extend(newer.states);
        self.extra.forget.extend(newer.forget);
        self.extra.pass = newer.pass.or(self.extra.pass);
        in_flight.notifications
    }
}

impl Entries {
    /// Replaces the entry with the same key, or appends the entry.
    fn upsert(&mut self, entry: OutboxEntry) {
        let next = self.next;
        let order = *self.order.entry(entry.key()).or_insert(next);
        if order == next {
            self.next += 1;
        }
        self.by_order.insert(order, entry);
    }

    fn remove(&mut self, key: &str) {
        if let Some(order) = self.order.remove(key) {
            self.by_order.remove(&order);
        }
    }
}

#[cfg(test)]
mod tests;
