//! Refused notifications: when they are tried again, and which of them are held back.
//!
//! A refused notification leaves its order: the next ones are sent. If it is the end of an outage,
//! and the same monitor is down again, it would be the last word about the monitor, and wrong. So
//! it is held back until the newer outage is over, and then sent before what ends that one.

use std::collections::HashSet;

use super::{ChannelQueue, Outbox, REFUSED_PAUSE, REFUSED_RECENTLY};
use crate::time::Mono;

impl Outbox {
    /// Sets the channels that keep incidents apart: the end of one says nothing about another, so
    /// that nothing is held back there.
    pub(in crate::engine) fn set_keyed(&mut self, keyed: HashSet<String>) {
        self.keyed = keyed;
    }

    /// Notes that the outage `incident` of a monitor runs, which was announced to this channel.
    pub(in crate::engine) fn outage_runs(&mut self, channel: &str, monitor: &str, incident: &str) {
        if self.keyed.contains(channel) {
            return;
        }
        // Without a queue nothing waits that could be held back.
        if let Some(queue) = self.queues.get_mut(channel) {
            queue.outage_runs(monitor, incident);
        }
    }

    /// Notes that an outage is over: what was held back because of it is sent.
    pub(in crate::engine) fn outage_over(&mut self, monitor: &str, incident: &str) {
        for queue in self.queues.values_mut() {
            if queue.ends.outage_over(monitor, incident) {
                queue.end_hold_back(monitor);
            }
        }
    }
}

impl ChannelQueue {
    pub(super) fn outage_runs(&mut self, monitor: &str, incident: &str) {
        self.ends.outage_runs(monitor, incident);
        for position in self.ends.of(monitor) {
            if self.in_flight() != Some(position) {
                self.hold_back_if_outdated(position);
            }
        }
    }

    /// Holds a refused end back if a newer outage runs.
    pub(super) fn hold_back_if_outdated(&mut self, position: u64) {
        let Some(item) = self.items.get(&position) else {
            return;
        };
        let entry = &item.entry;
        let is_refused_end = entry.refused && entry.notification.kind.ends_outage();
        if item.held_back || !is_refused_end || !self.ends.is_outdated(entry) {
            return;
        }
        let deferred = item.deferred;
        if let Some(until) = deferred {
            self.deferred.remove(&(until, position));
        }
        self.open.remove(&position);
        if let Some(item) = self.item_mut(position) {
            item.held_back = true;
        }
    }

    fn end_hold_back(&mut self, monitor: &str) {
        for position in self.ends.of(monitor) {
            let Some(item) = self.item_mut(position).filter(|item| item.held_back) else {
                continue;
            };
            item.held_back = false;
            self.defer(position, None);
        }
    }

    /// Ends the deferral of refused items, but not of those that wait for the checks of other
    /// monitors.
    pub(super) fn release_refused(&mut self) {
        let is_refused =
            |(_, position): &&(Mono, u64)| self.items.get(position).is_some_and(|item| !item.held);
        let refused: Vec<u64> = self
            .deferred
            .iter()
            .filter(is_refused)
            .map(|(_, position)| *position)
            .collect();
        for position in refused {
            self.defer(position, None);
        }
    }

    /// Processes an acceptance: the pause ends, and refused entries are retried, since the
    /// channel may accept them now. Those refused a moment ago are not; otherwise entries that
    /// are always refused would be retried after each acceptance.
    pub(super) fn accepted(&mut self, now: Mono) {
        self.failures = 0;
        self.not_before = None;
        self.failing_since = None;
        self.failed_before = None;
        self.all_to_fallback = None;
        self.failing_long = false;
        let until = now.plus(REFUSED_PAUSE).minus(REFUSED_RECENTLY);
        let refused: Vec<u64> = self
            .deferred
            .iter()
            .take_while(|(at, _)| *at <= until)
            .map(|(_, position)| *position)
            .filter(|position| self.items.get(position).is_some_and(|item| !item.held))
            .collect();
        for position in refused {
            self.defer(position, None);
        }
    }

    /// Whether an entry of this incident was refused.
    pub(super) fn is_refused(&self, incident: &str) -> bool {
        self.of_incident(incident).any(|item| item.entry.refused)
    }
}
