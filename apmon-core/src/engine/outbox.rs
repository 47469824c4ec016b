//! Messages on their way: per channel and incident in order, outage and
//! recovery never dropped, an undelivered reminder replaced by its successor
//! and dropped when its outage is over.

mod fallback;
mod queue;
mod status;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use jiff::Timestamp;

pub(super) use self::fallback::FallbackDue;
use self::{
    fallback::is_fallback_done,
    queue::{ChannelQueue, Item},
};
use super::plan::{Fallback, Plan};
use crate::{
    notification::{DeliveryError, Notification, NotificationKind, OutboxEntry},
    rule::backoff,
    time::{Mono, Now},
};

/// A refused message is tried again so often: a rotated token is mended some time.
const REFUSED_PAUSE: Duration = Duration::from_secs(30 * 60);
/// What was refused less long ago is not tried again because others are taken.
const REFUSED_RECENTLY: Duration = Duration::from_secs(60);
/// What was refused less long ago needs no last try.
const JUST_NOW: Duration = Duration::from_secs(1);
/// 2020: a message that bears an earlier time was decided before this machine
/// knew the time. It has waited for nobody knows how long, and must not expire
/// by that.
const CLOCK_SET: Timestamp = Timestamp::constant(1_577_836_800, 0);

/// All messages on their way.
#[derive(Debug)]
pub(super) struct Outbox {
    queues: BTreeMap<String, ChannelQueue>,
    /// Nothing expires before this.
    expires: Option<Mono>,
    /// After so long a message is given up, loudly.
    expiry: Duration,
    /// The stand-ins by channel.
    fallbacks: HashMap<String, Fallback>,
}

/// What became of a try.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum AttemptResult {
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
            queues: BTreeMap::new(),
            expires: None,
            expiry: plan.expire_after,
            fallbacks: plan.fallbacks(),
        }
    }

    /// Goes on by the rules of another plan.
    pub(super) fn apply_plan(&mut self, plan: &Plan, now: Mono) {
        self.expiry = plan.expire_after;
        for item in self.queues.values_mut().flat_map(ChannelQueue::items_mut) {
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
        let queue = self.queues.entry(entry.channel.clone()).or_default();
        let replaced = match entry.notification.kind {
            NotificationKind::Reminder => queue.replace_reminder(&entry.notification.incident),
            _ => None,
        };
        let expires = decided.plus(self.expiry);
        self.expires = Some(self.expires.map_or(expires, |first| first.min(expires)));
        if entry.attempts > 0 && !entry.refused {
            // A run before this one tried it, in vain.
            let since = queue.failed_before.map_or(decided, |first| first.min(decided));
            queue.failed_before = Some(since);
        }
        if let (Some(until), Some(tried)) = (entry.retry_at, entry.last_tried) {
            // The clock may have been set since: no longer than was asked for.
            let from = |at: Timestamp| Duration::try_from(until.duration_since(at)).unwrap_or_default();
            let left = from(now.wall).min(from(tried));
            let asked = now.mono.plus(left.min(REFUSED_PAUSE));
            queue.not_before = Some(queue.not_before.map_or(asked, |other| other.max(asked)));
        }
        let deferred = entry
            .last_tried
            .filter(|_| entry.refused)
            .map(|tried| now.mono_of(tried).plus(REFUSED_PAUSE));
        let tries = match entry.refused {
            true => 1,
            false => entry.attempts,
        };
        let fallback = self.fallbacks.get(&entry.channel);
        let position = queue.insert(Item {
            fallback_done: is_fallback_done(&entry, fallback),
            entry,
            committed,
            deferred,
            decided,
            expires,
            tries,
            outage_ended: false,
            replaced: false,
            had_final_attempt: false,
        });
        queue.update_fallback(position, fallback);
        replaced
    }

    /// A message was decided: what was refused of its incident is tried once
    /// more, before it.
    pub(super) fn release_incident(&mut self, news: &Notification) {
        for queue in self.queues.values_mut() {
            for position in queue.positions(&news.incident) {
                if queue.item(position).is_some_and(|item| item.deferred.is_some()) {
                    queue.defer(position, None);
                }
            }
        }
    }

    /// An incident ended at `at`, whether or not somebody is told of that.
    /// Returns its reminders, which have nothing left to say, and the entries
    /// that this changes.
    pub(super) fn close_incident(
        &mut self,
        incident: &str,
        at: Timestamp,
    ) -> (Vec<OutboxEntry>, Vec<OutboxEntry>) {
        let (mut dropped, mut changed) = (Vec::new(), Vec::new());
        for queue in self.queues.values_mut() {
            for position in queue.positions(incident) {
                let is_in_flight = queue.in_flight() == Some(position);
                let Some(item) = queue.item_mut(position) else {
                    continue;
                };
                match item.is_reminder() {
                    true if is_in_flight => item.outage_ended = true,
                    true => dropped.extend(queue.remove(position).map(|item| item.entry)),
                    false => {
                        item.entry.notification.ended = Some(at);
                        changed.push(item.entry.clone());
                    }
                }
            }
        }
        (dropped, changed)
    }

    /// Drops the reminders of which `outage_ended` says that their outage has ended.
    pub(super) fn drop_reminders(
        &mut self,
        outage_ended: impl Fn(&Notification) -> bool,
    ) -> Vec<OutboxEntry> {
        let outage_ended = |item: &Item| item.is_reminder() && outage_ended(&item.entry.notification);
        for queue in self.queues.values_mut() {
            if let Some(flying) = queue.in_flight()
                && let Some(item) = queue.item_mut(flying)
            {
                item.outage_ended |= outage_ended(item);
            }
        }
        self.remove_where(outage_ended)
    }

    /// These are on disk now, or cannot get there: they may be sent.
    pub(super) fn confirm(&mut self, entries: &[OutboxEntry]) {
        for entry in entries {
            if let Some(queue) = self.queues.get_mut(&entry.channel) {
                queue.confirm(entry);
            }
        }
    }

    /// The next message of each idle channel that is to be tried now.
    pub(super) fn start(&mut self, now: Mono) -> Vec<OutboxEntry> {
        let queues = self.queues.values_mut();
        queues.filter_map(|queue| queue.start(now)).collect()
    }

    /// At the end of a run: as [`start`](Self::start), but no pause is kept, and
    /// each message has one try.
    pub(super) fn start_final(&mut self, now: Mono) -> Vec<OutboxEntry> {
        let queues = self.queues.values_mut();
        queues.filter_map(|queue| queue.start_final(now)).collect()
    }

    /// What the receiver said.
    pub(super) fn finish(
        &mut self,
        channel: &str,
        key: &str,
        result: Result<(), DeliveryError>,
        now: Now,
    ) -> Option<AttemptResult> {
        let queue = self.queues.get_mut(channel)?;
        let position = queue.finish(key)?;
        let failures = queue.failures;
        let item = queue.item_mut(position)?;
        let error = match result {
            Ok(()) => {
                queue.remove(position);
                queue.accepted(now.mono);
                return Some(AttemptResult::Delivered);
            }
            Err(error) => error,
        };
        if item.outage_ended {
            return queue
                .remove(position)
                .map(|item| AttemptResult::Dropped(item.entry));
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
                queue.failures = queue.failures.saturating_add(1);
                queue.not_before = Some(now.mono.plus(pause));
                let before = queue.failed_before.take();
                let since = before.map_or(now.mono, |before| before.min(now.mono));
                queue.failing_since.get_or_insert(since);
                queue.defer(position, None);
            }
            DeliveryError::Permanent { .. } => {
                item.tries = 1;
                item.entry.refused = true;
                queue.defer(position, Some(now.mono.plus(REFUSED_PAUSE)));
            }
        }
        if is_replaced {
            return queue
                .remove(position)
                .map(|item| AttemptResult::Replaced(item.entry));
        }
        queue.update_fallback(position, self.fallbacks.get(channel));
        let entry = queue.item(position)?.entry.clone();
        Some(match entry.refused {
            true => AttemptResult::Refused(entry),
            false => AttemptResult::Retried(entry),
        })
    }

    /// Removes what has waited too long.
    pub(super) fn expire(&mut self, now: Mono) -> Vec<OutboxEntry> {
        // Asked at every turn of the engine: thousands of messages that wait
        // for a dead channel must not be gone through each time.
        if self.expires.is_none_or(|first| first > now) {
            return Vec::new();
        }
        let expired = self.remove_where(|item| item.expires <= now);
        // One under way is asked again when its try has ended.
        let idle = self.queues.values().flat_map(ChannelQueue::idle);
        self.expires = idle.map(|item| item.expires).min();
        expired
    }

    /// A message waits for this channel.
    pub(super) fn contains(&self, channel: &str, message: &Notification) -> bool {
        let queue = self.queues.get(channel);
        let mut same = queue
            .into_iter()
            .flat_map(|queue| queue.of_incident(&message.incident));
        same.any(|item| item.entry.notification.id == message.id)
    }

    /// More channels have this message now. Returns the entries that this changes.
    pub(super) fn set_addressed(&mut self, message: &Notification, addressed: &[String]) -> Vec<OutboxEntry> {
        let mut changed = Vec::new();
        for queue in self.queues.values_mut() {
            for position in queue.positions(&message.incident) {
                let Some(item) = queue.item_mut(position) else {
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
        self.queues.values_mut().for_each(ChannelQueue::confirm_all);
    }

    /// Removes what belongs to channels that are no more.
    pub(super) fn retain_channels(&mut self, known: &HashSet<&str>) -> Vec<(OutboxEntry, Mono)> {
        let mut orphans = Vec::new();
        self.queues.retain(|channel, queue| {
            if known.contains(channel.as_str()) {
                return true;
            }
            orphans.extend(queue.drain());
            queue.in_flight().is_some()
        });
        orphans
    }

    /// Everything is tried again at once: somebody has mended something.
    pub(super) fn retry_all(&mut self) {
        self.retry(None);
    }

    /// The same of one channel, or of all. Returns how many messages that are.
    pub(super) fn retry(&mut self, channel: Option<&str>) -> usize {
        let queues = self.queues.iter_mut();
        let wanted = queues.filter(|(id, _)| channel.is_none_or(|channel| channel == id.as_str()));
        let mut messages = 0;
        for (_, queue) in wanted {
            queue.failures = 0;
            queue.not_before = None;
            queue.release_all();
            for item in queue.items_mut() {
                item.tries = 0;
                messages += 1;
            }
        }
        messages
    }

    /// Removes what is not under way and `gone`.
    fn remove_where(&mut self, gone: impl Fn(&Item) -> bool) -> Vec<OutboxEntry> {
        let queues = self.queues.values_mut();
        let removed = queues
            .flat_map(|queue| queue.remove_where(&gone))
            .map(|item| item.entry);
        let removed = removed.collect();
        self.queues
            // One that fails goes on failing when something comes again.
            .retain(|_, queue| {
                !queue.is_empty() || queue.in_flight().is_some() || queue.failing_since.is_some()
            });
        removed
    }

    /// When something is to be tried or expires next.
    pub(super) fn wake_at(&mut self) -> Option<Mono> {
        let tries = self.queues.values_mut().filter_map(ChannelQueue::wake_at).min();
        [tries, self.expires, self.fallback_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Messages are left that a pass waits for at its end.
    pub(super) fn has_pending_attempts(&self) -> bool {
        self.queues.values().any(ChannelQueue::has_pending_attempts)
    }

    /// Some message is under way right now.
    pub(super) fn is_sending(&self) -> bool {
        self.queues.values().any(|queue| queue.in_flight().is_some())
    }

    /// The keys of everything not delivered.
    pub(super) fn keys(&self) -> impl Iterator<Item = String> {
        let items = self.queues.values().flat_map(ChannelQueue::items);
        items.map(|item| item.entry.key())
    }

    /// The entry of a channel that is under way, as it is now.
    pub(super) fn in_flight(&self, channel: &str) -> Option<&OutboxEntry> {
        let queue = self.queues.get(channel)?;
        let item = queue.item(queue.in_flight()?)?;
        Some(&item.entry)
    }

    /// When that was decided.
    pub(super) fn in_flight_decided(&self, channel: &str) -> Option<Mono> {
        let queue = self.queues.get(channel)?;
        let item = queue.item(queue.in_flight()?)?;
        Some(item.decided)
    }
}

#[cfg(test)]
mod tests;
