//! Messages on their way: per channel and incident in order, outage and
//! recovery never dropped, an undelivered reminder replaced by its successor.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    time::Duration,
};

use crate::{
    notification::{DeliveryError, NotificationKind},
    state::OutboxEntry,
    time::{Mono, Now},
};

/// First pause after a failed delivery; doubled by each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A refused message is tried again so often: a rotated token is mended some time.
const REFUSED_PAUSE: Duration = Duration::from_secs(30 * 60);
/// After so long a message is given up, loudly.
const EXPIRY: Duration = Duration::from_secs(24 * 3600);

/// All messages on their way.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    lanes: BTreeMap<String, Lane>,
    /// Nothing expires before this.
    expires: Option<Mono>,
}

#[derive(Debug, Default)]
struct Lane {
    items: VecDeque<Item>,
    in_flight: bool,
    failures: u32,
    not_before: Option<Mono>,
}

#[derive(Debug)]
struct Item {
    entry: OutboxEntry,
    /// On disk, or known not to come there: may be sent.
    committed: bool,
    in_flight: bool,
    not_before: Option<Mono>,
    expires: Mono,
}

/// What became of a try.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It is gone; its key is settled.
    Delivered,
    /// It is tried again.
    Retried(OutboxEntry),
    /// It was refused; it is kept.
    Refused(OutboxEntry),
}

impl Outbox {
    /// Takes a message in. Returns the key of the reminder it replaces.
    pub(super) fn push(&mut self, entry: OutboxEntry, committed: bool, now: Now) -> Option<String> {
        let lane = self.lanes.entry(entry.channel.clone()).or_default();
        let replaced = if entry.notification.kind == NotificationKind::Reminder {
            lane.items
                .iter()
                .position(|item| {
                    item.entry.notification.kind == NotificationKind::Reminder
                        && item.entry.notification.incident == entry.notification.incident
                        && !item.in_flight
                })
                .and_then(|old| lane.items.remove(old))
                .map(|item| item.entry.key())
        } else {
            None
        };
        let expires = now.mono_of(entry.notification.at).plus(EXPIRY);
        self.expires = Some(self.expires.map_or(expires, |first| first.min(expires)));
        let not_before = entry
            .last_tried
            .filter(|_| entry.refused)
            .map(|tried| now.mono_of(tried).plus(REFUSED_PAUSE));
        lane.items.push_back(Item {
            entry,
            committed,
            in_flight: false,
            not_before,
            expires,
        });
        replaced
    }

    /// These are on disk now, or cannot get there: they may be sent.
    pub(super) fn confirm(&mut self, entries: &[OutboxEntry]) {
        let channels: HashSet<&str> = entries.iter().map(|entry| entry.channel.as_str()).collect();
        let keys: HashSet<String> = entries.iter().map(OutboxEntry::key).collect();
        for (channel, lane) in &mut self.lanes {
            if !channels.contains(channel.as_str()) {
                continue;
            }
            for item in lane.items.iter_mut().filter(|item| !item.committed) {
                item.committed = keys.contains(&item.entry.key());
            }
        }
    }

    /// The next message of each idle channel that is to be tried now.
    pub(super) fn start(&mut self, now: Mono) -> Vec<OutboxEntry> {
        let lanes = self.lanes.values_mut();
        lanes.filter_map(|lane| lane.start(now)).collect()
    }

    /// What the receiver said.
    pub(super) fn finish(
        &mut self,
        channel: &str,
        key: &str,
        result: Result<(), DeliveryError>,
        now: Now,
    ) -> Option<Fate> {
        let lane = self.lanes.get_mut(channel)?;
        lane.in_flight = false;
        let at = lane
            .items
            .iter()
            .position(|item| item.in_flight && item.entry.key() == key)?;
        match result {
            Ok(()) => {
                lane.items.remove(at);
                lane.failures = 0;
                lane.not_before = None;
                // What it refused it may take now.
                for item in lane.items.iter_mut().filter(|item| item.entry.refused) {
                    item.not_before = None;
                }
                Some(Fate::Delivered)
            }
            Err(error) => {
                let item = &mut lane.items[at];
                item.in_flight = false;
                let expires = item.expires;
                self.expires = Some(self.expires.map_or(expires, |first| first.min(expires)));
                item.entry.attempts = item.entry.attempts.saturating_add(1);
                item.entry.last_tried = Some(now.wall);
                item.entry.last_error = Some(error.to_string());
                match error {
                    DeliveryError::Retryable { retry_after, .. } => {
                        let pause = FIRST_PAUSE
                            .saturating_mul(1 << lane.failures.min(16))
                            .min(LONGEST_PAUSE);
                        // What is asked for is heeded, but no message may expire by it.
                        let pause = pause.max(retry_after.unwrap_or_default().min(REFUSED_PAUSE));
                        lane.failures = lane.failures.saturating_add(1);
                        lane.not_before = Some(now.mono.plus(pause));
                        Some(Fate::Retried(item.entry.clone()))
                    }
                    DeliveryError::Permanent { .. } => {
                        item.entry.refused = true;
                        item.not_before = Some(now.mono.plus(REFUSED_PAUSE));
                        Some(Fate::Refused(item.entry.clone()))
                    }
                }
            }
        }
    }

    /// Removes what has waited too long.
    pub(super) fn expire(&mut self, now: Mono) -> Vec<OutboxEntry> {
        // Asked at every turn of the engine: thousands of messages that wait
        // for a dead channel must not be gone through each time.
        if self.expires.is_none_or(|first| first > now) {
            return Vec::new();
        }
        let expired = self.remove(|item| item.expires <= now && !item.in_flight);
        // One under way is asked again when its try has ended.
        let items = self.lanes.values().flat_map(|lane| &lane.items);
        let idle = items.filter(|item| !item.in_flight);
        self.expires = idle.map(|item| item.expires).min();
        expired
    }

    /// A message waits for this channel.
    pub(super) fn has(&self, channel: &str, id: &str) -> bool {
        let lane = self.lanes.get(channel);
        lane.is_some_and(|lane| lane.items.iter().any(|item| item.entry.notification.id == id))
    }

    /// A store that does not answer: everything may be sent from memory.
    pub(super) fn confirm_all(&mut self) {
        for item in self.lanes.values_mut().flat_map(|lane| &mut lane.items) {
            item.committed = true;
        }
    }

    /// Removes what belongs to channels that are no more.
    pub(super) fn retain_channels(&mut self, known: &HashSet<&str>) -> Vec<OutboxEntry> {
        self.remove(|item| !known.contains(item.entry.channel.as_str()))
    }

    /// Everything is tried again at once: somebody has mended something.
    pub(super) fn retry_all(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.failures = 0;
            lane.not_before = None;
            for item in &mut lane.items {
                item.not_before = None;
            }
        }
    }

    fn remove(&mut self, gone: impl Fn(&Item) -> bool) -> Vec<OutboxEntry> {
        let mut removed = Vec::new();
        for lane in self.lanes.values_mut() {
            if !lane.items.iter().any(&gone) {
                continue;
            }
            let (out, keep): (VecDeque<_>, VecDeque<_>) = lane.items.drain(..).partition(&gone);
            lane.items = keep;
            removed.extend(out.into_iter().map(|item| item.entry));
        }
        self.lanes
            .retain(|_, lane| !lane.items.is_empty() || lane.in_flight);
        removed
    }

    /// When something is to be tried or expires next.
    pub(super) fn wake_at(&self) -> Option<Mono> {
        let tries = self.lanes.values().filter_map(Lane::wake_at);
        tries.chain(self.expires).min()
    }

    /// Messages are left that a pass waits for at its end.
    pub(super) fn has_unsent(&self) -> bool {
        let mut items = self.lanes.values().flat_map(|lane| &lane.items);
        items.any(|item| !item.entry.refused || item.in_flight)
    }

    /// Some message is under way right now.
    pub(super) fn is_sending(&self) -> bool {
        self.lanes.values().any(|lane| lane.in_flight)
    }

    /// Everything not delivered.
    pub(super) fn len(&self) -> usize {
        self.lanes.values().map(|lane| lane.items.len()).sum()
    }

    /// The entry under a key, as it is now.
    pub(super) fn entry(&self, channel: &str, key: &str) -> Option<&OutboxEntry> {
        let lane = self.lanes.get(channel)?;
        lane.items
            .iter()
            .map(|item| &item.entry)
            .find(|entry| entry.key() == key)
    }
}

impl Lane {
    /// The message to try now: of those whose incident has nothing older under
    /// way, the one tried least, then the oldest.
    fn start(&mut self, now: Mono) -> Option<OutboxEntry> {
        if self.in_flight || self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        let mut seen: HashSet<&str> = HashSet::new();
        let mut best: Option<(u32, usize)> = None;
        for (i, item) in self.items.iter().enumerate() {
            let incident = item.entry.notification.incident.as_str();
            let blocked = seen.contains(incident);
            if !item.entry.refused {
                seen.insert(incident);
            }
            let ready = item.committed && item.not_before.is_none_or(|at| at <= now);
            if blocked || !ready {
                continue;
            }
            let attempts = item.entry.attempts;
            if best.is_none_or(|(least, _)| attempts < least) {
                best = Some((attempts, i));
            }
            if attempts == 0 {
                break;
            }
        }
        let item = &mut self.items[best?.1];
        item.in_flight = true;
        self.in_flight = true;
        Some(item.entry.clone())
    }

    fn wake_at(&self) -> Option<Mono> {
        if self.in_flight {
            return None;
        }
        const NOW: Mono = Mono::from_nanos(i64::MIN);
        let mut committed = self.items.iter().filter(|item| item.committed);
        // The first message that may go ends the search.
        let ready = match committed.by_ref().find(|item| item.not_before.is_none()) {
            Some(_) => NOW,
            None => {
                let held = self.items.iter().filter(|item| item.committed);
                held.filter_map(|item| item.not_before).min()?
            }
        };
        Some(ready.max(self.not_before.unwrap_or(ready)))
    }
}

#[cfg(test)]
mod tests;
