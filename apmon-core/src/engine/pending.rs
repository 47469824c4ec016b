//! What has to be committed, gathered so that many checks share one commit.

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

/// States without news may lag so long on disk.
const STATE_DELAY: Duration = Duration::from_secs(5);
/// A store that fails is tried again so often.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// A store that has not answered for so long is not waited for.
const STALL_AFTER: Duration = Duration::from_secs(5);

/// What is not on disk yet.
#[derive(Debug, Default)]
pub(super) struct PendingWrites {
    /// Slots whose state changed.
    dirty: BTreeSet<usize>,
    /// What is of no slot; its `outbox` and `settled` are filled when taken.
    pub(super) extra: Commit,
    entries: Entries,
    settled: Vec<String>,
    /// Keys of entries that were in no commit yet: one that is over leaves
    /// nothing to be settled.
    unwritten: HashSet<String>,
    /// Told once they are on disk.
    notifications: Vec<Notification>,
    /// What happened; it waits for the next commit, and never causes one.
    history: Records,
    since: Option<Mono>,
    urgent: bool,
    not_before: Option<Mono>,
    in_flight: Option<CommitInFlight>,
    /// The store does not do its work; that was said.
    pub(super) failing: bool,
}

/// Outbox entries by key, in the order in which they came.
#[derive(Debug, Default)]
struct Entries {
    by_order: BTreeMap<u64, OutboxEntry>,
    order: HashMap<String, u64>,
    next: u64,
}

/// The commit under way.
#[derive(Debug)]
struct CommitInFlight {
    started: Mono,
    notifications: Vec<Notification>,
    unwritten: HashSet<String>,
    /// It takes too long, and its messages were told from memory.
    stalled: bool,
}

/// What a commit holds.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) runtimes: Vec<usize>,
    pub(super) commit: Commit,
}

impl PendingWrites {
    /// A slot's state changed; `urgent` when somebody must be told of it.
    pub(super) fn mark_dirty(&mut self, runtime: usize, now: Mono, urgent: bool) {
        self.dirty.insert(runtime);
        self.since.get_or_insert(now);
        self.urgent |= urgent;
    }

    /// A slot is no more; what it was stands in `extra`.
    pub(super) fn drop_runtime(&mut self, runtime: usize) {
        self.dirty.remove(&runtime);
    }

    /// A message was decided. Handed back where it must not wait for the store.
    #[must_use]
    pub(super) fn add_notification(&mut self, notification: Notification) -> Option<Notification> {
        self.urgent = true;
        if self.is_stalled() {
            return Some(notification);
        }
        self.notifications.push(notification);
        None
    }

    /// A new outbox entry.
    pub(super) fn add_entry(&mut self, entry: OutboxEntry) {
        self.unwritten.insert(entry.key());
        self.update_entry(entry);
    }

    /// An outbox entry changed.
    pub(super) fn update_entry(&mut self, entry: OutboxEntry) {
        self.entries.upsert(entry);
        self.urgent = true;
    }

    /// An outbox entry is over.
    pub(super) fn settle(&mut self, key: String) {
        self.entries.remove(&key);
        self.urgent = true;
        // What never was in a commit needs none to be over.
        if !self.unwritten.remove(&key) {
            self.settled.push(key);
        }
    }

    /// Something happened that a history keeps.
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

    /// Something waits to be committed that somebody waits for.
    pub(super) fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Everything is on disk.
    pub(super) fn is_saved(&self) -> bool {
        self.is_clean() && self.in_flight.is_none()
    }

    /// This entry was in no commit that succeeded: the next run will not find it.
    pub(super) fn is_unwritten(&self, key: &str) -> bool {
        let in_flight = self.in_flight.as_ref();
        self.unwritten.contains(key) || in_flight.is_some_and(|it| it.unwritten.contains(key))
    }

    /// A commit is under way.
    pub(super) fn is_committing(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The commit under way takes too long.
    pub(super) fn is_stalled(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|in_flight| in_flight.stalled)
    }

    /// When the commit under way will have taken too long.
    pub(super) fn stalls_at(&self) -> Option<Mono> {
        let in_flight = self.in_flight.as_ref().filter(|in_flight| !in_flight.stalled)?;
        Some(in_flight.started.plus(STALL_AFTER))
    }

    /// It has taken too long: what waits for it is told from memory.
    pub(super) fn stall(&mut self) -> Vec<Notification> {
        let Some(in_flight) = &mut self.in_flight else {
            return Vec::new();
        };
        in_flight.stalled = true;
        let mut notifications = std::mem::take(&mut in_flight.notifications);
        notifications.append(&mut self.notifications);
        notifications
    }

    /// When the next commit is to start, if none is under way.
    pub(super) fn commit_at(&self) -> Option<Mono> {
        const AT_ONCE: Mono = Mono::from_nanos(i64::MIN);
        if self.in_flight.is_some() || self.is_clean() {
            return None;
        }
        let at = match self.since {
            Some(since) if !self.urgent => since.plus(STATE_DELAY),
            _ => AT_ONCE,
        };
        // A new message does not wait for a store that fails: it is told from memory.
        let pause = self.not_before.filter(|_| self.notifications.is_empty());
        Some(at.max(pause.unwrap_or(at)))
    }

    /// Everything is to be written now (the end of a run).
    pub(super) fn flush(&mut self) {
        self.urgent = true;
        self.not_before = None;
    }

    /// Takes what is to be committed. The caller fills in the states of `runtimes`.
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

    /// The commit succeeded. Returns what is told now.
    pub(super) fn committed(&mut self) -> Vec<Notification> {
        self.not_before = None;
        self.in_flight
            .take()
            .map(|in_flight| in_flight.notifications)
            .unwrap_or_default()
    }

    /// The commit failed: its content goes into the next one. Returns what is
    /// told all the same.
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
        // In the order in which it happened: what the commit held, what came since.
        for entry in older.into_iter().chain(newer_entries.by_order.into_values()) {
            self.entries.upsert(entry);
        }
        for key in newer_settled {
            self.settle(key);
        }
        // States of slots are taken anew; those of removed monitors are not.
        self.extra.states.extend(newer.states);
        self.extra.forget.extend(newer.forget);
        self.extra.pass = newer.pass.or(self.extra.pass);
        in_flight.notifications
    }
}

impl Entries {
    /// Puts an entry in the place of the one with its key, or at the end.
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
