//! Messages on their way: per channel and incident in order, outage and
//! recovery never dropped, an undelivered reminder replaced by its successor
//! and dropped when its outage is over.

mod fallback;
mod lane;
mod survey;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use jiff::Timestamp;

pub(super) use self::fallback::Fallen;
use self::{
    fallback::is_handed,
    lane::{Item, Lane},
};
use super::plan::{Fallback, Plan};
use crate::{
    notification::{DeliveryError, Notification, NotificationKind},
    rule::backoff,
    state::OutboxEntry,
    time::{Mono, Now},
};

/// A refused message is tried again so often: a rotated token is mended some time.
const REFUSED_PAUSE: Duration = Duration::from_secs(30 * 60);
/// What was refused less long ago is not tried again because others are taken.
const REFUSED_LATELY: Duration = Duration::from_secs(60);
/// What was refused less long ago needs no last try.
const JUST_NOW: Duration = Duration::from_secs(1);
/// 2020: a message that bears an earlier time was decided before this machine
/// knew the time. It has waited for nobody knows how long, and must not expire
/// by that.
const CLOCK_SET: Timestamp = Timestamp::constant(1_577_836_800, 0);

/// All messages on their way.
#[derive(Debug)]
pub(super) struct Outbox {
    lanes: BTreeMap<String, Lane>,
    /// Nothing expires before this.
    expires: Option<Mono>,
    /// After so long a message is given up, loudly.
    expiry: Duration,
    /// The stand-ins by channel.
    fallbacks: HashMap<String, Fallback>,
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
    /// A reminder that failed after its outage had ended; its key is settled.
    Dropped(OutboxEntry),
    /// A reminder that failed when it had a successor; its key is settled.
    Replaced(OutboxEntry),
}

impl Outbox {
    /// An empty one, by the rules of `plan`.
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            lanes: BTreeMap::new(),
            expires: None,
            expiry: plan.expire_after,
            fallbacks: plan.fallbacks(),
        }
    }

    /// Goes on by the rules of another plan.
    pub(super) fn follow(&mut self, plan: &Plan, now: Mono) {
        self.expiry = plan.expire_after;
        for item in self.lanes.values_mut().flat_map(Lane::items_mut) {
            item.expires = item.decided.plus(self.expiry);
        }
        // The next turn finds out.
        self.expires = self.expires.map(|_| now);
        self.set_fallbacks(plan.fallbacks());
    }

    /// Takes a message in. Returns the reminder it replaces.
    pub(super) fn push(&mut self, entry: OutboxEntry, committed: bool, now: Now) -> Option<OutboxEntry> {
        let decided = match entry.notification.at < CLOCK_SET {
            true => now.mono,
            false => now.mono_of(entry.notification.at),
        };
        self.push_decided(entry, decided, committed, now)
    }

    /// The same of a message that was `decided` then, whatever its time says:
    /// the wall clock may have been set since.
    pub(super) fn push_decided(
        &mut self,
        entry: OutboxEntry,
        decided: Mono,
        committed: bool,
        now: Now,
    ) -> Option<OutboxEntry> {
        let lane = self.lanes.entry(entry.channel.clone()).or_default();
        let replaced = match entry.notification.kind {
            NotificationKind::Reminder => lane.replace_reminder(&entry.notification.incident),
            _ => None,
        };
        let expires = decided.plus(self.expiry);
        self.expires = Some(self.expires.map_or(expires, |first| first.min(expires)));
        if entry.attempts > 0 && !entry.refused {
            // A run before this one tried it, in vain.
            let since = lane.failed_before.map_or(decided, |first| first.min(decided));
            lane.failed_before = Some(since);
        }
        if let (Some(until), Some(tried)) = (entry.retry_at, entry.last_tried) {
            // The clock may have been set since: no longer than was asked for.
            let from = |at: Timestamp| Duration::try_from(until.duration_since(at)).unwrap_or_default();
            let left = from(now.wall).min(from(tried));
            let asked = now.mono.plus(left.min(REFUSED_PAUSE));
            lane.not_before = Some(lane.not_before.map_or(asked, |other| other.max(asked)));
        }
        let parked = entry
            .last_tried
            .filter(|_| entry.refused)
            .map(|tried| now.mono_of(tried).plus(REFUSED_PAUSE));
        let tries = match entry.refused {
            true => 1,
            false => entry.attempts,
        };
        let fallback = self.fallbacks.get(&entry.channel);
        let place = lane.insert(Item {
            handed: is_handed(&entry, fallback),
            entry,
            committed,
            parked,
            decided,
            expires,
            tries,
            over: false,
            replaced: false,
            tried_last: false,
        });
        lane.reckon(place, fallback);
        replaced
    }

    /// A message was decided: what was refused of its incident is tried once
    /// more, before it.
    pub(super) fn prepare(&mut self, news: &Notification) {
        for lane in self.lanes.values_mut() {
            for place in lane.places(&news.incident) {
                if lane.item(place).is_some_and(|item| item.parked.is_some()) {
                    lane.park(place, None);
                }
            }
        }
    }

    /// An incident ended at `at`, whether or not somebody is told of that.
    /// Returns its reminders, which have nothing left to say, and the entries
    /// that this changes.
    pub(super) fn close(&mut self, incident: &str, at: Timestamp) -> (Vec<OutboxEntry>, Vec<OutboxEntry>) {
        let (mut dropped, mut changed) = (Vec::new(), Vec::new());
        for lane in self.lanes.values_mut() {
            for place in lane.places(incident) {
                let flies = lane.in_flight() == Some(place);
                let Some(item) = lane.item_mut(place) else {
                    continue;
                };
                match item.is_reminder() {
                    true if flies => item.over = true,
                    true => dropped.extend(lane.remove(place).map(|item| item.entry)),
                    false => {
                        item.entry.notification.ended = Some(at);
                        changed.push(item.entry.clone());
                    }
                }
            }
        }
        (dropped, changed)
    }

    /// Drops the reminders of which `over` says that their outage has ended.
    pub(super) fn drop_reminders(&mut self, over: impl Fn(&Notification) -> bool) -> Vec<OutboxEntry> {
        let over = |item: &Item| item.is_reminder() && over(&item.entry.notification);
        for lane in self.lanes.values_mut() {
            if let Some(flying) = lane.in_flight()
                && let Some(item) = lane.item_mut(flying)
            {
                item.over |= over(item);
            }
        }
        self.extract(over)
    }

    /// These are on disk now, or cannot get there: they may be sent.
    pub(super) fn confirm(&mut self, entries: &[OutboxEntry]) {
        for entry in entries {
            if let Some(lane) = self.lanes.get_mut(&entry.channel) {
                lane.confirm(entry);
            }
        }
    }

    /// The next message of each idle channel that is to be tried now.
    pub(super) fn start(&mut self, now: Mono) -> Vec<OutboxEntry> {
        let lanes = self.lanes.values_mut();
        lanes.filter_map(|lane| lane.start(now)).collect()
    }

    /// At the end of a run: as [`start`](Self::start), but no pause is kept, and
    /// each message has one try.
    pub(super) fn start_last(&mut self, now: Mono) -> Vec<OutboxEntry> {
        let lanes = self.lanes.values_mut();
        lanes.filter_map(|lane| lane.start_last(now)).collect()
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
        let place = lane.finish(key)?;
        let failures = lane.failures;
        let item = lane.item_mut(place)?;
        let error = match result {
            Ok(()) => {
                lane.remove(place);
                lane.taken(now.mono);
                return Some(Fate::Delivered);
            }
            Err(error) => error,
        };
        if item.over {
            return lane.remove(place).map(|item| Fate::Dropped(item.entry));
        }
        let is_replaced = item.replaced;
        self.expires = Some(self.expires.map_or(item.expires, |first| first.min(item.expires)));
        item.entry.attempts = item.entry.attempts.saturating_add(1);
        item.entry.last_tried = Some(now.wall);
        item.entry.last_error = Some(error.to_string());
        item.entry.retry_at = None;
        match error {
            DeliveryError::Retryable { retry_after, .. } => {
                item.tries = item.tries.saturating_add(1);
                let pause = backoff::pause(failures, key);
                // What is asked for is heeded, but no message may expire by it.
                let asked = retry_after.map(|asked| asked.min(REFUSED_PAUSE));
                // Kept, for the next pass and the next start.
                item.entry.retry_at = asked.and_then(|asked| now.wall.checked_add(asked).ok());
                // It is in its order again: nobody refuses it now.
                item.entry.refused = false;
                let pause = pause.max(asked.unwrap_or_default());
                lane.failures = lane.failures.saturating_add(1);
                lane.not_before = Some(now.mono.plus(pause));
                let before = lane.failed_before.take();
                let since = before.map_or(now.mono, |before| before.min(now.mono));
                lane.failing_since.get_or_insert(since);
                lane.park(place, None);
            }
            DeliveryError::Permanent { .. } => {
                item.tries = 1;
                item.entry.refused = true;
                lane.park(place, Some(now.mono.plus(REFUSED_PAUSE)));
            }
        }
        if is_replaced {
            return lane.remove(place).map(|item| Fate::Replaced(item.entry));
        }
        lane.reckon(place, self.fallbacks.get(channel));
        let entry = lane.item(place)?.entry.clone();
        Some(match entry.refused {
            true => Fate::Refused(entry),
            false => Fate::Retried(entry),
        })
    }

    /// Removes what has waited too long.
    pub(super) fn expire(&mut self, now: Mono) -> Vec<OutboxEntry> {
        // Asked at every turn of the engine: thousands of messages that wait
        // for a dead channel must not be gone through each time.
        if self.expires.is_none_or(|first| first > now) {
            return Vec::new();
        }
        let expired = self.extract(|item| item.expires <= now);
        // One under way is asked again when its try has ended.
        let idle = self.lanes.values().flat_map(Lane::idle);
        self.expires = idle.map(|item| item.expires).min();
        expired
    }

    /// A message waits for this channel.
    pub(super) fn has(&self, channel: &str, message: &Notification) -> bool {
        let lane = self.lanes.get(channel);
        let mut same = lane
            .into_iter()
            .flat_map(|lane| lane.of_incident(&message.incident));
        same.any(|item| item.entry.notification.id == message.id)
    }

    /// More channels have this message now. Returns the entries that this changes.
    pub(super) fn address(&mut self, message: &Notification, addressed: &[String]) -> Vec<OutboxEntry> {
        let mut changed = Vec::new();
        for lane in self.lanes.values_mut() {
            for place in lane.places(&message.incident) {
                let Some(item) = lane.item_mut(place) else {
                    continue;
                };
                let entry = &mut item.entry;
                if entry.notification.id == message.id && entry.addressed != addressed {
                    entry.addressed = addressed.to_vec();
                    changed.push(entry.clone());
                }
            }
        }
        changed
    }

    /// A store that does not answer: everything may be sent from memory.
    pub(super) fn confirm_all(&mut self) {
        self.lanes.values_mut().for_each(Lane::confirm_all);
    }

    /// Removes what belongs to channels that are no more.
    pub(super) fn retain_channels(&mut self, known: &HashSet<&str>) -> Vec<(OutboxEntry, Mono)> {
        let mut orphans = Vec::new();
        self.lanes.retain(|channel, lane| {
            if known.contains(channel.as_str()) {
                return true;
            }
            orphans.extend(lane.drain());
            lane.in_flight().is_some()
        });
        orphans
    }

    /// Everything is tried again at once: somebody has mended something.
    pub(super) fn retry_all(&mut self) {
        self.retry(None);
    }

    /// The same of one channel, or of all. Returns how many messages that are.
    pub(super) fn retry(&mut self, channel: Option<&str>) -> usize {
        let lanes = self.lanes.iter_mut();
        let wanted = lanes.filter(|(id, _)| channel.is_none_or(|channel| channel == id.as_str()));
        let mut messages = 0;
        for (_, lane) in wanted {
            lane.failures = 0;
            lane.not_before = None;
            lane.unpark_all();
            for item in lane.items_mut() {
                item.tries = 0;
                messages += 1;
            }
        }
        messages
    }

    /// Removes what is not under way and `gone`.
    fn extract(&mut self, gone: impl Fn(&Item) -> bool) -> Vec<OutboxEntry> {
        let lanes = self.lanes.values_mut();
        let removed = lanes.flat_map(|lane| lane.extract(&gone)).map(|item| item.entry);
        let removed = removed.collect();
        self.lanes
            // One that fails goes on failing when something comes again.
            .retain(|_, lane| !lane.is_empty() || lane.in_flight().is_some() || lane.failing_since.is_some());
        removed
    }

    /// When something is to be tried or expires next.
    pub(super) fn wake_at(&mut self) -> Option<Mono> {
        let tries = self.lanes.values_mut().filter_map(Lane::wake_at).min();
        [tries, self.expires, self.falls_at()].into_iter().flatten().min()
    }

    /// Messages are left that a pass waits for at its end.
    pub(super) fn has_unsent(&self) -> bool {
        self.lanes.values().any(Lane::has_unsent)
    }

    /// Some message is under way right now.
    pub(super) fn is_sending(&self) -> bool {
        self.lanes.values().any(|lane| lane.in_flight().is_some())
    }

    /// The keys of everything not delivered.
    pub(super) fn keys(&self) -> impl Iterator<Item = String> {
        let items = self.lanes.values().flat_map(Lane::items);
        items.map(|item| item.entry.key())
    }

    /// The entry of a channel that is under way, as it is now.
    pub(super) fn under_way(&self, channel: &str) -> Option<&OutboxEntry> {
        let lane = self.lanes.get(channel)?;
        let item = lane.item(lane.in_flight()?)?;
        Some(&item.entry)
    }

    /// When that was decided.
    pub(super) fn decided(&self, channel: &str) -> Option<Mono> {
        let lane = self.lanes.get(channel)?;
        let item = lane.item(lane.in_flight()?)?;
        Some(item.decided)
    }
}

#[cfg(test)]
mod tests;
