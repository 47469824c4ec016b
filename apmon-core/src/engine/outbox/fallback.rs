//! Channels that fail: what their stand-ins are to have.

use std::{collections::HashMap, mem};

use super::{Lane, Outbox};
use crate::{engine::plan::Fallback, notification::Notification, state::OutboxEntry, time::Mono};

/// A message that its channel did not take.
#[derive(Debug)]
pub(in crate::engine) struct Fallen {
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
        for (channel, lane) in &mut self.lanes {
            let fallback = fallbacks.get(channel);
            lane.all_falls = None;
            lane.fails_long = false;
            lane.falling.clear();
            for item in lane.items_mut() {
                item.handed = is_handed(&item.entry, fallback);
            }
            for place in lane.all_places() {
                lane.reckon(place, fallback);
            }
        }
        self.fallbacks = fallbacks;
    }

    /// What stand-ins are to have by `now`: what was refused and what comes
    /// after it in its incident, and all that waits for a channel that has
    /// failed for long.
    pub(in crate::engine) fn fall(&mut self, now: Mono) -> Vec<Fallen> {
        let mut fallen = Vec::new();
        for (channel, lane) in &mut self.lanes {
            let Some(fallback) = self.fallbacks.get(channel) else {
                continue;
            };
            let places = match lane.all_falls.is_some_and(|at| at <= now) {
                true => {
                    lane.all_falls = None;
                    lane.fails_long = true;
                    lane.falling.clear();
                    lane.all_places()
                }
                false if lane.falling.is_empty() => continue,
                false => mem::take(&mut lane.falling).into_iter().collect(),
            };
            for place in places {
                let Some(item) = lane.item_mut(place) else {
                    continue;
                };
                if item.handed || item.over {
                    continue;
                }
                item.handed = true;
                fallen.push(Fallen {
                    entry: item.entry.clone(),
                    decided: item.decided,
                    to: fallback.to.clone(),
                });
            }
        }
        fallen
    }

    /// When something is to fall next.
    pub(super) fn falls_at(&self) -> Option<Mono> {
        let lanes = self.lanes.values();
        let falls = lanes.filter_map(|lane| match lane.falling.is_empty() {
            true => lane.all_falls,
            false => Some(NOW),
        });
        falls.min()
    }

    /// The entry of the message that ends what `message` is about, where it
    /// waits for the same channel.
    pub(in crate::engine) fn end_of(&self, channel: &str, message: &Notification) -> Option<&OutboxEntry> {
        let lane = self.lanes.get(channel)?;
        let mut of_it = lane.of_incident(&message.incident).map(|item| &item.entry);
        of_it.find(|other| {
            let other = &other.notification;
            other.kind.is_end() && other.number > message.number
        })
    }

    /// The oldest moment at which a message was decided that neither its
    /// channel nor a stand-in has, reminders apart.
    pub(in crate::engine) fn stuck_since(&self) -> Option<Mono> {
        let lanes = self.lanes.iter();
        let stuck = lanes.flat_map(|(channel, lane)| {
            let fallback = self.fallbacks.get(channel);
            let items = lane.items();
            items.filter(move |item| !item.is_reminder() && !is_handed(&item.entry, fallback))
        });
        stuck.map(|item| item.decided).min()
    }
}

impl Lane {
    /// Notes whether the item at `place`, and what comes after it in its
    /// incident, is for the stand-in, and when.
    pub(super) fn reckon(&mut self, place: u64, fallback: Option<&Fallback>) {
        let (Some(fallback), Some(item)) = (fallback, self.item(place)) else {
            return;
        };
        let incident = &item.entry.notification.incident;
        if self.is_refused(incident) {
            let places = self.places(incident);
            let is_unhanded = |place: &u64| self.item(*place).is_some_and(|item| !item.handed && !item.over);
            let unhanded: Vec<u64> = places.into_iter().filter(is_unhanded).collect();
            self.falling.extend(unhanded);
            return;
        }
        if item.handed || item.over {
            return;
        }
        if self.fails_long {
            self.falling.insert(place);
        } else if let Some(since) = self.failing_since {
            self.all_falls = Some(since.plus(fallback.after));
        }
    }
}

/// The stand-in is among those that were to have it.
pub(super) fn is_handed(entry: &OutboxEntry, fallback: Option<&Fallback>) -> bool {
    fallback.is_some_and(|fallback| entry.addressed.contains(&fallback.to))
}
