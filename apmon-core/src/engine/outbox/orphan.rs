//! The entries of channels that left the site file, one of which may be in flight.

use std::collections::HashSet;

use super::{AttemptResult, Outbox};
use crate::{
    notification::{DeliveryError, OutboxEntry},
    time::Mono,
};

impl Outbox {
    /// Removes the entries of channels that no longer exist, each with the moment of its
    /// decision; `None` if it must not be sent any more: a reminder that was in flight when its
    /// outage ended or the next one was decided.
    pub(in crate::engine) fn retain_channels(
        &mut self,
        known: &HashSet<&str>,
    ) -> Vec<(OutboxEntry, Option<Mono>)> {
        let mut orphans = Vec::new();
        self.queues.retain(|channel, queue| {
            if known.contains(channel.as_str()) {
                return true;
            }
            let in_flight = queue.in_flight().and_then(|position| queue.item(position));
            if let Some(entry) = in_flight.map(|item| item.entry.clone()) {
                queue.orphan = Some(entry);
            }
            orphans.extend(queue.drain());
            queue.in_flight().is_some()
        });
        let orphans = orphans.into_iter();
        orphans
            .map(|item| {
                let is_over = item.outage_ended || item.replaced;
                let decided = (!is_over).then_some(item.decided);
                (self.settle(item), decided)
            })
            .collect()
    }

    /// Processes the result of an attempt whose entry was removed with its channel.
    pub(super) fn finish_orphan(
        &mut self,
        channel: &str,
        result: &Result<(), DeliveryError>,
        now: Mono,
    ) -> Option<AttemptResult> {
        let queue = self.queues.get_mut(channel)?;
        let orphan = queue.orphan.take()?;
        if result.is_err() {
            return None; // it was reassigned, or is owed
        }
        queue.accepted(now);
        // The channel may be back, and the notification in its queue again.
        let is_it = |position: &u64| {
            let item = queue.item(*position);
            item.is_some_and(|item| item.entry.notification.id == orphan.notification.id)
        };
        let again = queue.positions(&orphan.notification.incident);
        if let Some(position) = again.into_iter().find(is_it)
            && let Some(item) = queue.remove(position)
        {
            self.settle(item);
        }
        Some(AttemptResult::OrphanDelivered(orphan))
    }
}
