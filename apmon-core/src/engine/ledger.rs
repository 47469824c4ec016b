//! What has to be committed, gathered so that many checks share one commit.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    notification::Notification,
    state::{Commit, OutboxEntry},
    time::Mono,
};

/// States without news may lag so long on disk.
const LAZY: Duration = Duration::from_secs(5);
/// A store that fails is tried again so often.
const RETRY: Duration = Duration::from_secs(5);

/// What is not on disk yet.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Slots whose state changed.
    dirty: BTreeSet<usize>,
    pub(super) extra: Commit,
    /// Told once they are on disk.
    told: Vec<Notification>,
    since: Option<Mono>,
    urgent: bool,
    in_flight: bool,
    not_before: Option<Mono>,
    pub(super) failing: bool,
}

/// A commit under way, with what follows it.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) slots: Vec<usize>,
    pub(super) commit: Commit,
    pub(super) told: Vec<Notification>,
}

impl Ledger {
    /// A slot's state changed; `urgent` when somebody must be told of it.
    pub(super) fn touch(&mut self, slot: usize, now: Mono, urgent: bool) {
        self.dirty.insert(slot);
        self.since.get_or_insert(now);
        self.urgent |= urgent;
    }

    /// A slot is no more; what it was stands in `extra`.
    pub(super) fn drop_slot(&mut self, slot: usize) {
        self.dirty.remove(&slot);
    }

    /// A message was decided.
    pub(super) fn tell(&mut self, notification: Notification) {
        self.told.push(notification);
        self.urgent = true;
    }

    /// Outbox entries, new or changed.
    pub(super) fn entry(&mut self, entry: OutboxEntry) {
        self.extra.outbox.push(entry);
        self.urgent = true;
    }

    /// An outbox entry is over.
    pub(super) fn settle(&mut self, key: String) {
        self.extra.outbox.retain(|entry| entry.key() != key);
        self.extra.settled.push(key);
        self.urgent = true;
    }

    fn is_clean(&self) -> bool {
        self.dirty.is_empty() && self.extra.is_empty() && self.told.is_empty()
    }

    /// Something waits to be committed that somebody waits for.
    pub(super) fn has_news(&self) -> bool {
        self.urgent
    }

    /// A commit is under way.
    pub(super) fn is_committing(&self) -> bool {
        self.in_flight
    }

    /// When the next commit is to start, if none is under way.
    pub(super) fn commit_at(&self) -> Option<Mono> {
        if self.in_flight || self.is_clean() {
            return None;
        }
        let at = if self.urgent {
            Mono::from_nanos(i64::MIN)
        } else {
            self.since
                .map_or(Mono::from_nanos(i64::MIN), |since| since.plus(LAZY))
        };
        // A new message does not wait for a store that fails: it is told from memory.
        let pause = self.not_before.filter(|_| self.told.is_empty());
        Some(at.max(pause.unwrap_or(at)))
    }

    /// Everything is to be written now (the end of a run).
    pub(super) fn hurry(&mut self) {
        self.urgent = true;
        self.not_before = None;
    }

    /// Takes what is to be committed. The caller fills in the states of `slots`.
    pub(super) fn take(&mut self) -> Batch {
        self.in_flight = true;
        self.urgent = false;
        self.since = None;
        Batch {
            slots: std::mem::take(&mut self.dirty).into_iter().collect(),
            commit: std::mem::take(&mut self.extra),
            told: std::mem::take(&mut self.told),
        }
    }

    /// The commit succeeded.
    pub(super) fn committed(&mut self) {
        self.in_flight = false;
        self.not_before = None;
    }

    /// The commit failed: its content goes into the next one.
    pub(super) fn failed(&mut self, slots: Vec<usize>, commit: Commit, now: Mono) {
        self.in_flight = false;
        self.not_before = Some(now.plus(RETRY));
        self.urgent = true;
        self.dirty.extend(slots);
        let newer = std::mem::take(&mut self.extra);
        self.extra = commit;
        // States of slots are taken anew; those of removed monitors are not.
        self.extra.states.extend(newer.states);
        self.extra.forget.extend(newer.forget);
        for key in newer.settled {
            self.settle(key);
        }
        for entry in newer.outbox {
            let key = entry.key();
            self.extra.outbox.retain(|old| old.key() != key);
            self.extra.outbox.push(entry);
        }
        self.extra.pass = newer.pass.or(self.extra.pass);
    }
}
