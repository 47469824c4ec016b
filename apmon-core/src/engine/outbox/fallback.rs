//! Failing channels: which notifications go to their fallbacks, and when.

use std::{collections::HashMap, mem};

use super::{ChannelQueue, Outbox};
use crate::{
    notification::{Notification, OutboxEntry},
    rule::route::Fallback,
    time::Mono,
};

/// A notification that is due for the fallback of its channel.
#[derive(Debug)]
pub(in crate::engine) struct FallbackDue {
    /// The entry in the queue of its channel.
    pub(in crate::engine) entry: OutboxEntry,
    /// When it was decided.
    pub(in crate::engine) decided: Mono,
    /// The fallback channel.
    pub(in crate::engine) to: String,
}

/// The earliest moment: at once.
const NOW: Mono = Mono::from_nanos(i64::MIN);

impl Outbox {
    /// Sets the fallbacks and computes all moments again.
    pub(super) fn set_fallbacks(&mut self, fallbacks: HashMap<String, Fallback>) {
        for (channel, queue) in &mut self.queues {
            let fallback = fallbacks.get(channel);
            queue.all_to_fallback = None;
            queue.failing_long = false;
            queue.for_fallback.clear();
            for item in queue.items_mut() {
                item.fallback_done = is_fallback_done(&item.entry, fallback);
            }
            for position in queue.all_positions() {
                queue.update_fallback(position, fallback);
            }
        }
        self.fallbacks = fallbacks;
    }

    /// Takes the notifications that are due for fallbacks by `now`: refused ones and the later
    /// ones of the same incident, and all that wait for a channel that has failed for long.
    pub(in crate::engine) fn take_fallbacks(&mut self, now: Mono) -> Vec<FallbackDue> {
        let mut due = Vec::new();
        for (channel, queue) in &mut self.queues {
            let Some(fallback) = self.fallbacks.get(channel) else {
                continue;
            };
            let positions = match queue.all_to_fallback.is_some_and(|at| at <= now) {
                true => {
                    queue.all_to_fallback = None;
                    queue.failing_long = true;
                    queue.for_fallback.clear();
                    queue.all_positions()
                }
                false if queue.for_fallback.is_empty() => continue,
                false => mem::take(&mut queue.for_fallback).into_iter().collect(),
            };
            for position in positions {
                let Some(item) = queue.item_mut(position) else {
                    continue;
                };
                if item.fallback_done || item.outage_ended {
                    continue;
                }
                item.fallback_done = true;
                due.push(FallbackDue {
                    entry: item.entry.clone(),
                    decided: item.decided,
                    to: fallback.to.clone(),
                });
            }
        }
        due
    }

    /// When the next notification is due for a fallback.
    pub(super) fn fallback_at(&self) -> Option<Mono> {
        let queues = self.queues.values();
        let for_fallback = queues.filter_map(|queue| match queue.for_fallback.is_empty() {
            true => queue.all_to_fallback,
            false => Some(NOW),
        });
        for_fallback.min()
    }

    /// The entry that ends the incident of `notification`, if it waits for the same channel.
    pub(in crate::engine) fn end_of(
        &self,
        channel: &str,
        notification: &Notification,
    ) -> Option<&OutboxEntry> {
        let queue = self.queues.get(channel)?;
        let mut of_it = queue.of_incident(&notification.incident).map(|item| &item.entry);
        of_it.find(|other| {
            let other = &other.notification;
            other.kind.ends_incident() && other.number > notification.number
        })
    }

    /// The earliest decision of a notification that neither its channel nor a fallback has
    /// received, except reminders.
    pub(in crate::engine) fn stuck_since(&self) -> Option<Mono> {
        let queues = self.queues.iter();
        let stuck = queues.flat_map(|(channel, queue)| {
            let fallback = self.fallbacks.get(channel);
            let items = queue.items();
            items.filter(move |item| !item.is_reminder() && !is_fallback_done(&item.entry, fallback))
        });
        stuck.map(|item| item.decided).min()
    }
}

impl ChannelQueue {
    /// Updates whether, and when, the item at `position` and the later ones of its incident are
    /// due for the fallback.
    pub(super) fn update_fallback(&mut self, position: u64, fallback: Option<&Fallback>) {
        let (Some(fallback), Some(item)) = (fallback, self.item(position)) else {
            return;
        };
        let incident = &item.entry.notification.incident;
        if self.is_refused(incident) {
            let positions = self.positions(incident);
            let is_unhanded = |position: &u64| {
                self.item(*position)
                    .is_some_and(|item| !item.fallback_done && !item.outage_ended)
            };
            let unhanded: Vec<u64> = positions.into_iter().filter(is_unhanded).collect();
            self.for_fallback.extend(unhanded);
            return;
        }
        if item.fallback_done || item.outage_ended {
            return;
        }
        if self.failing_long {
            self.for_fallback.insert(position);
        } else if let Some(since) = self.failing_since {
            self.all_to_fallback = Some(since.plus(fallback.after));
        }
    }
}

/// Whether the fallback is among the channels that get the notification.
pub(super) fn is_fallback_done(entry: &OutboxEntry, fallback: Option<&Fallback>) -> bool {
    fallback.is_some_and(|fallback| entry.addressed.contains(&fallback.to))
}
