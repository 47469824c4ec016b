//! Channels that fail: what their stand-ins are to have.

use std::collections::HashMap;

use super::{Lane, Outbox};
use crate::{engine::plan::Fallback, notification::Notification, state::OutboxEntry, time::Mono};

/// At once.
const NOW: Mono = Mono::from_nanos(i64::MIN);

impl Outbox {
    /// Which channels have a stand-in now. Moments are reckoned anew.
    pub(super) fn set_fallbacks(&mut self, fallbacks: HashMap<String, Fallback>) {
        for (channel, lane) in &mut self.lanes {
            let fallback = fallbacks.get(channel);
            lane.falls = None;
            for item in lane.items_mut() {
                item.handed = is_handed(&item.entry, fallback);
            }
            lane.reckon_all(fallback);
        }
        self.fallbacks = fallbacks;
    }

    /// What stand-ins are to have by `now`, each with the stand-in's id: what
    /// was refused, and all that waits for a channel that has failed for long.
    /// What comes after it in its incident goes with it.
    pub(in crate::engine) fn fall(&mut self, now: Mono) -> Vec<(OutboxEntry, String)> {
        let mut fallen = Vec::new();
        for (channel, lane) in &mut self.lanes {
            if lane.falls.is_none_or(|at| at > now) {
                continue;
            }
            lane.falls = None;
            let Some(fallback) = self.fallbacks.get(channel) else {
                continue;
            };
            let fails = |since: Mono| since.plus(fallback.after) <= now;
            let fails = lane.failing_since.is_some_and(fails);
            let mut incidents: Vec<String> = Vec::new();
            for item in lane.items_mut() {
                let incident = &item.entry.notification.incident;
                let falls = fails || item.entry.refused || incidents.contains(incident);
                if !falls || item.handed || item.over {
                    continue;
                }
                item.handed = true;
                if !incidents.contains(incident) {
                    incidents.push(incident.clone());
                }
                fallen.push((item.entry.clone(), fallback.to.clone()));
            }
            lane.reckon_all(Some(fallback));
        }
        fallen
    }

    /// When something is to fall next.
    pub(super) fn falls_at(&self) -> Option<Mono> {
        self.lanes.values().filter_map(|lane| lane.falls).min()
    }

    /// The message that ends what `message` is about, where it waits for the
    /// same channel.
    pub(in crate::engine) fn end_of(&self, channel: &str, message: &Notification) -> Option<&Notification> {
        let lane = self.lanes.get(channel)?;
        let mut of_it = lane
            .of_incident(&message.incident)
            .map(|item| &item.entry.notification);
        of_it.find(|other| other.kind.is_end() && other.number > message.number)
    }

    /// The oldest moment at which a message was decided that neither its
    /// channel nor a stand-in has, reminders apart.
    pub(in crate::engine) fn stuck_since(&self) -> Option<Mono> {
        let items = self.lanes.values().flat_map(Lane::items);
        let stuck = items.filter(|item| !item.handed && !item.is_reminder());
        stuck.map(|item| item.decided).min()
    }
}

impl Lane {
    fn reckon_all(&mut self, fallback: Option<&Fallback>) {
        for place in self.all_places() {
            self.reckon(place, fallback);
        }
    }

    /// Notes when the item at `place` falls to the stand-in.
    pub(super) fn reckon(&mut self, place: u64, fallback: Option<&Fallback>) {
        let (Some(fallback), Some(item)) = (fallback, self.item(place)) else {
            return;
        };
        if item.handed || item.over {
            return;
        }
        let falls = match (item.entry.refused, self.failing_since) {
            (true, _) => NOW,
            (false, Some(since)) => since.plus(fallback.after),
            (false, None) => return,
        };
        self.falls = Some(self.falls.map_or(falls, |first| first.min(falls)));
    }
}

/// The stand-in is among those that were to have it.
pub(super) fn is_handed(entry: &OutboxEntry, fallback: Option<&Fallback>) -> bool {
    fallback.is_some_and(|fallback| entry.addressed.contains(&fallback.to))
}
