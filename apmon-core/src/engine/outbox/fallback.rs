//! Channels that fail: what their stand-ins are to have.

use std::{collections::HashMap, mem};

use super::{ChannelQueue, Outbox};
use crate::{
    engine::plan::Fallback,
    notification::{Notification, OutboxEntry},
    time::Mono,
};

/// A message that its channel did not take.
#[derive(Debug)]
pub(in crate::engine) struct FallbackDue {
    /// As it waits for its channel.
    pub(in crate::engine) entry: OutboxEntry,
    /// When it was decided.
    pub(in crate::engine) decided: Mono,
    /// The stand-in.
    pub(in crate::engine) to: String,
}

/// At once.
const NOW: Mono = Mono::from_nanos(i64::MIN);

impl Outbox {
    /// Which channels have a stand-in now. Moments are reckoned anew.
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

    /// What stand-ins are to have by `now`: what was refused and what comes
    /// after it in its incident, and all that waits for a channel that has
    /// failed for long.
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

    /// When something is to fall next.
    pub(super) fn fallback_at(&self) -> Option<Mono> {
        let queues = self.queues.values();
        let for_fallback = queues.filter_map(|queue| match queue.for_fallback.is_empty() {
            true => queue.all_to_fallback,
            false => Some(NOW),
        });
        for_fallback.min()
    }

    /// The entry of the message that ends what `message` is about, where it
    /// waits for the same channel.
    pub(in crate::engine) fn end_of(&self, channel: &str, message: &Notification) -> Option<&OutboxEntry> {
        let queue = self.queues.get(channel)?;
        let mut of_it = queue.of_incident(&message.incident).map(|item| &item.entry);
        of_it.find(|other| {
            let other = &other.notification;
            other.kind.ends_incident() && other.number > message.number
        })
    }

    /// The oldest moment at which a message was decided that neither its
    /// channel nor a stand-in has, reminders apart.
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
    /// Notes whether the item at `position`, and what comes after it in its
    /// incident, is for the stand-in, and when.
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

/// The stand-in is among those that were to have it.
pub(super) fn is_fallback_done(entry: &OutboxEntry, fallback: Option<&Fallback>) -> bool {
    fallback.is_some_and(|fallback| entry.addressed.contains(&fallback.to))
}
