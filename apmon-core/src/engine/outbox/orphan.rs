//! The entries of channels that left the site file, one of which may be in flight.

use std::collections::HashSet;

use super::{AttemptResult, Outbox};
use crate::{
    notification::{DeliveryError, OutboxEntry},
    time::Mono,
};

/// An entry that was removed with its channel.
#[derive(Debug)]
pub(in crate::engine) struct Orphan {
    pub(in crate::engine) entry: OutboxEntry,
    /// When it was decided.
    pub(in crate::engine) decided: Mono,
    /// Whether it must not be sent any more: a reminder that was in flight when its outage ended
    /// or the next one was decided.
    pub(in crate::engine) is_over: bool,
    /// Whether this run decided it and never tried to deliver it: the receiver cannot have it.
    pub(in crate::engine) is_untried: bool,
}

impl Outbox {
    /// Removes the entries of channels that no longer exist, and returns them in the order of the
    /// decisions.
    pub(in crate::engine) fn retain_channels(&mut self, known: &HashSet<&str>) -> Vec<Orphan> {
        let mut orphans = Vec::new();
        self.queues.retain(|channel, queue| {
            if known.contains(channel.as_str()) {
                return true;
            }
            let in_flight = queue.in_flight().and_then(|position| queue.item(position));
            let in_flight = in_flight.map(|item| (item.inserted, item.entry.clone()));
            let under_way = in_flight.as_ref().map(|(inserted, _)| *inserted);
            if let Some((_, entry)) = in_flight {
                queue.orphan = Some(entry);
            }
            orphans.extend(queue.drain().into_iter().map(|item| {
                let was_tried = item.is_loaded || item.entry.attempts > 0;
                let is_untried = !was_tried && under_way != Some(item.inserted);
                (item, is_untried)
            }));
            queue.in_flight().is_some()
        });
        // A channel that gets those of two channels gets them in their order.
        orphans.sort_by_key(|(item, _)| (item.decided, item.inserted));
        let orphans = orphans.into_iter();
        orphans
            .map(|(item, is_untried)| Orphan {
                decided: item.decided,
                is_over: item.outage_ended || item.replaced,
                is_untried,
                entry: self.settle(item),
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
