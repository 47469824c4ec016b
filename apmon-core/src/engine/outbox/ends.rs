//! The ends of outages that wait for a channel, and the outages that run.

use std::collections::{BTreeSet, HashMap};

use crate::notification::OutboxEntry;

/// What a queue knows of the outages of monitors.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Positions of the ends of outages, by monitor.
    waiting: HashMap<String, BTreeSet<u64>>,
    /// The outage of a monitor that this channel has got or gets, while it lasts.
    running: HashMap<String, String>,
}

impl Ends {
    pub(super) fn add(&mut self, position: u64, entry: &OutboxEntry) {
        let notification = &entry.notification;
        if notification.kind.ends_outage() {
            let of_monitor = self.waiting.entry(notification.monitor.clone()).or_default();
            of_monitor.insert(position);
        }
    }

    pub(super) fn remove(&mut self, position: u64, entry: &OutboxEntry) {
        let monitor = &entry.notification.monitor;
        if let Some(of_monitor) = self.waiting.get_mut(monitor)
            && of_monitor.remove(&position)
            && of_monitor.is_empty()
        {
            self.waiting.remove(monitor);
        }
    }

    /// The positions of the ends about this monitor.
    pub(super) fn of(&self, monitor: &str) -> Vec<u64> {
        let positions = self.waiting.get(monitor).into_iter().flatten();
        positions.copied().collect()
    }

    /// Notes that this outage of a monitor runs.
    pub(super) fn outage_runs(&mut self, monitor: &str, incident: &str) {
        let running = self.running.get(monitor);
        if running.is_none_or(|running| running != incident) {
            self.running.insert(monitor.to_owned(), incident.to_owned());
        }
    }

    /// Notes that an outage is over; returns whether it was the one that ran.
    pub(super) fn outage_over(&mut self, monitor: &str, incident: &str) -> bool {
        let is_it = self
            .running
            .get(monitor)
            .is_some_and(|running| running == incident);
        if is_it {
            self.running.remove(monitor);
        }
        is_it
    }

    /// Whether a newer outage than that of this entry runs.
    pub(super) fn is_outdated(&self, entry: &OutboxEntry) -> bool {
        let notification = &entry.notification;
        let running = self.running.get(&notification.monitor);
        running.is_some_and(|running| *running != notification.incident)
    }
}
