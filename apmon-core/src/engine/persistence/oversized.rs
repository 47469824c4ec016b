//! What is too large for the store: set aside, so that everything else is stored.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use super::STALL_AFTER;
use crate::{
    engine::batch::TooLarge,
    notification::{Notification, OutboxEntry},
    store::StoreLimits,
    time::Mono,
};

/// How long after it was set aside it is tried again: once its notifications are delivered, the
/// state alone may fit.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The monitors whose states, together with their notifications, are too large for the store.
///
/// They are not stored. Their notifications are sent from memory once they have waited as long
/// as for a store that does not answer.
#[derive(Debug, Default)]
pub(super) struct Oversized {
    /// Their names; that they are too large has been logged.
    names: BTreeSet<String>,
    /// Since when each entry waits, by its key.
    waiting: BTreeMap<String, Mono>,
    /// Notifications to report once their entries may be sent, and since when they wait.
    notifications: Vec<(Mono, Notification)>,
    /// Notifications to report now.
    released: Vec<Notification>,
    /// When everything is tried again.
    again: Option<Mono>,
    /// Whether nothing waits any more: the run ends.
    at_once: bool,
}

impl Oversized {
    /// Whether anything is too large.
    pub(super) fn is_any(&self) -> bool {
        !self.names.is_empty()
    }

    /// When everything is tried again.
    pub(super) fn again(&self) -> Option<Mono> {
        self.again
    }

    /// Lets everything be sent at the next commit.
    pub(super) fn flush(&mut self) {
        self.again = None;
        self.at_once = true;
    }

    /// Has notifications reported that wait for no commit.
    pub(super) fn release(&mut self, notifications: Vec<Notification>) {
        self.released.extend(notifications);
    }

    /// Takes the notifications to report.
    pub(super) fn take_released(&mut self) -> Vec<Notification> {
        mem::take(&mut self.released)
    }

    /// Notes what no commit can hold now; it is logged once for each monitor.
    pub(super) fn set_names(&mut self, too_large: &[TooLarge], limits: StoreLimits) {
        for TooLarge { name, items, bytes } in too_large {
            if !self.names.contains(name) {
                tracing::error!(
                    "the state of \"{name}\" and its notifications are too large for the store \
                     ({items} items, {bytes} bytes; it accepts {}); they are not saved, and the \
                     notifications are sent from memory",
                    accepted(limits)
                );
            }
        }
        let names: BTreeSet<String> = too_large.iter().map(|it| it.name.clone()).collect();
        for name in self.names.difference(&names) {
            tracing::warn!("the state of \"{name}\" is no longer too large for the store");
        }
        self.names = names;
    }

    /// Keeps those of `notifications` that are about these monitors, and adds the ones that
    /// were kept and are about others by now.
    pub(super) fn hold(&mut self, notifications: &mut Vec<Notification>, now: Mono) {
        let names = &self.names;
        let held = notifications.extract_if(.., |it| names.contains(&it.monitor));
        self.notifications.extend(held.map(|it| (now, it)));
        let others = self
            .notifications
            .extract_if(.., |(_, it)| !names.contains(&it.monitor));
        notifications.extend(others.map(|(_, it)| it));
    }

    /// Divides the entries that no commit can hold into those that may be sent now and those
    /// that still wait.
    pub(super) fn divide(
        &mut self,
        entries: Vec<OutboxEntry>,
        now: Mono,
    ) -> (Vec<OutboxEntry>, Vec<OutboxEntry>) {
        let at_once = mem::take(&mut self.at_once);
        let is_due = |since: Mono| at_once || since.plus(STALL_AFTER) <= now;
        let before = mem::take(&mut self.waiting);
        for entry in &entries {
            let key = entry.key();
            let since = before.get(&key).copied().unwrap_or(now);
            self.waiting.insert(key, since);
        }
        let released = self.notifications.extract_if(.., |(since, _)| is_due(*since));
        self.released.extend(released.map(|(_, it)| it));
        let waiting = self.waiting.values().filter(|since| !is_due(**since));
        let first = waiting.map(|since| since.plus(STALL_AFTER)).min();
        let again = first.unwrap_or_else(|| now.plus(AGAIN_AFTER));
        self.again = self.is_any().then_some(again);
        let waiting = &self.waiting;
        entries
            .into_iter()
            .partition(|entry| waiting.get(&entry.key()).copied().is_some_and(is_due))
    }
}

fn accepted(limits: StoreLimits) -> String {
    let limit = |most: Option<usize>, unit| most.map(|most| format!("{most} {unit}"));
    let limits = [limit(limits.items, "items"), limit(limits.bytes, "bytes")];
    limits.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
