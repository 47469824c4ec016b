//! The undelivered notifications. Per channel and incident they are sent in order; outages and
//! recoveries are never dropped, and an undelivered reminder is replaced by the next one and
//! dropped when its outage is over.

mod ends;
mod fallback;
mod orphan;
mod queue;
mod refused;
mod saving;
mod status;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use jiff::Timestamp;

pub(super) use self::{fallback::FallbackDue, orphan::Orphan, saving::Unsaved};
use self::{
    fallback::is_fallback_done,
    queue::{ChannelQueue, Item},
};
use crate::{
    notification::{DeliveryError, Notification, NotificationKind, OutboxEntry},
    rule::{backoff, route::Fallback},
    time::{Mono, Now},
};

/// A refused notification is retried after this pause: an expired token may be replaced
/// meanwhile.
const REFUSED_PAUSE: Duration = Duration::from_secs(30 * 60);
/// A notification refused less than this ago is not retried because others are accepted.
const REFUSED_RECENTLY: Duration = Duration::from_secs(60);
/// A notification refused less than this ago needs no final attempt.
const JUST_NOW: Duration = Duration::from_secs(1);
/// The beginning of 2020: a notification with an earlier time was decided before this machine
/// knew the time. Its real age is unknown, and it must not expire because of it.
const CLOCK_SET: Timestamp = Timestamp::constant(1_577_836_800, 0);

/// All undelivered notifications.
#[derive(Debug)]
pub(super) struct Outbox {
    queues: BTreeMap<String, ChannelQueue>,
    /// No notification expires before this.
    expires: Option<Mono>,
    /// The age at which a notification is given up, with an error in the log.
    expiry: Duration,
    /// The fallbacks by channel.
    fallbacks: HashMap<String, Fallback>,
    /// The channels that keep incidents apart.
    keyed: HashSet<String>,
    /// Keys of finished entries that may be on disk: the next commit settles them.
    settled: Vec<String>,
    /// Keys of entries that are in a commit for the first time, until it ends.
    writing: HashSet<String>,
    /// Whether the store does not answer, so that new entries are sent from memory.
    from_memory: bool,
    /// Counts the entries, to order those that were decided at the same moment.
    inserted: u64,
}

/// The result of a delivery attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum AttemptResult {
    /// The notification was delivered; its entry is finished.
    Delivered(OutboxEntry),
    /// The notification was delivered although its channel had left the site file meanwhile, and
    /// its entry had been removed.
    OrphanDelivered(OutboxEntry),
    /// The attempt failed; there will be another.
    Retried(OutboxEntry),
    /// The notification was refused; it is kept.
    Refused(OutboxEntry),
    /// A reminder that failed after its outage had ended; it is finished.
    Dropped(OutboxEntry),
    /// A reminder that failed when the next one had been decided; it is finished.
    Replaced(OutboxEntry),
}

impl Outbox {
    /// Creates an empty outbox. `expiry` is the age at which a notification is given up.
    pub(super) fn new(expiry: Duration, fallbacks: HashMap<String, Fallback>) -> Self {
        Self {
            queues: BTreeMap::new(),
            expires: None,
            expiry,
            fallbacks,
            keyed: HashSet::new(),
            settled: Vec::new(),
            writing: HashSet::new(),
            from_memory: false,
            inserted: 0,
        }
    }

    /// Applies another expiry and other fallbacks.
    pub(super) fn configure(&mut self, expiry: Duration, fallbacks: HashMap<String, Fallback>, now: Mono) {
        self.expiry = expiry;
        for item in self.queues.values_mut().flat_map(ChannelQueue::items_mut) {
            item.expires = item.decided.plus(self.expiry);
        }
        // The next turn computes it.
        self.expires = self.expires.map(|_| now);
        self.set_fallbacks(fallbacks);
    }

    /// Adds an entry that a store held. Returns the reminder that it replaces: one that was
    /// being delivered when this one was decided.
    pub(super) fn load(&mut self, entry: OutboxEntry, now: Now) -> Option<OutboxEntry> {
        let decided = decided(&entry, now);
        self.insert(entry, decided, true, now)
    }

    /// Adds a notification. Returns the reminder that it replaces.
    pub(super) fn push(&mut self, entry: OutboxEntry, now: Now) -> Option<OutboxEntry> {
        let decided = decided(&entry, now);
        self.insert(entry, decided, false, now)
    }

    /// Adds a notification that was `decided` then, whatever its timestamp says: the wall clock
    /// may have been set since.
    pub(super) fn push_decided(
        &mut self,
        entry: OutboxEntry,
        decided: Mono,
        now: Now,
    ) -> Option<OutboxEntry> {
        self.insert(entry, decided, false, now)
    }

    fn insert(&mut self, entry: OutboxEntry, decided: Mono, stored: bool, now: Now) -> Option<OutboxEntry> {
        let queue = self.queues.entry(entry.channel.clone()).or_default();
        let replaced = match entry.notification.kind {
            NotificationKind::Reminder => queue.replace_reminder(&entry.notification.incident),
            _ => None,
        };
        let expires = decided.plus(self.expiry);
        self.expires = Some(self.expires.map_or(expires, |first| first.min(expires)));
        if entry.attempts > 0 && !entry.refused {
            // A previous run tried it without success.
            let since = queue.failed_before.map_or(decided, |first| first.min(decided));
            queue.failed_before = Some(since);
        }
        if let (Some(until), Some(tried)) = (entry.retry_at, entry.last_tried) {
            // The clock may have been set since: the pause is no longer than requested.
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
        let notification = &entry.notification;
        // Whether one that a previous run left still runs, only the state of its monitor says.
        let is_running = matches!(
            notification.kind,
            NotificationKind::Outage | NotificationKind::Reminder
        ) && !stored;
        let outage = (is_running && !self.keyed.contains(&entry.channel))
            .then(|| (notification.monitor.clone(), notification.incident.clone()));
        self.inserted += 1;
        let position = queue.insert(Item {
            fallback_done: is_fallback_done(&entry, fallback),
            entry,
            sendable: stored || self.from_memory,
            unsaved: !stored,
            stored,
            is_loaded: stored,
            deferred,
            held: false,
            held_back: false,
            decided,
            inserted: self.inserted,
            expires,
            tries,
            outage_ended: false,
            replaced: false,
            had_final_attempt: false,
        });
        queue.update_fallback(position, fallback);
        if let Some((monitor, incident)) = outage {
            queue.outage_runs(&monitor, &incident);
        }
        replaced.map(|item| self.settle(item))
    }

    /// Prepares for a new notification: refused ones of the same incident are retried before
    /// it.
    pub(super) fn release_incident(&mut self, notification: &Notification) {
        for queue in self.queues.values_mut() {
            for position in queue.positions(&notification.incident) {
                if queue.item(position).is_some_and(|item| item.deferred.is_some()) {
                    queue.defer(position, None);
                }
            }
        }
    }

    /// Holds a notification until the given moment, or until its incident is released.
    pub(super) fn hold(&mut self, notification: &Notification, until: Mono) {
        for queue in self.queues.values_mut() {
            for position in queue.positions(&notification.incident) {
                let is_it = |item: &Item| item.entry.notification.id == notification.id;
                if queue.item(position).is_some_and(is_it) {
                    queue.defer(position, Some(until));
                    if let Some(item) = queue.item_mut(position) {
                        item.held = true;
                    }
                }
            }
        }
    }

    /// Closes an incident that ended at `at`, whether or not its end is reported. Returns its
    /// reminders, which are dropped.
    pub(super) fn close_incident(&mut self, incident: &str, at: Timestamp) -> Vec<OutboxEntry> {
        let mut dropped = Vec::new();
        for queue in self.queues.values_mut() {
            for position in queue.positions(incident) {
                let is_in_flight = queue.in_flight() == Some(position);
                let Some(item) = queue.item_mut(position) else {
                    continue;
                };
                match item.is_reminder() {
                    true if is_in_flight => item.outage_ended = true,
                    true => dropped.extend(queue.remove(position)),
                    false => {
                        item.entry.notification.ended = Some(at);
                        queue.mark_unsaved(position);
                    }
                }
            }
        }
        dropped.into_iter().map(|item| self.settle(item)).collect()
    }

    /// Drops the reminders for which `outage_ended` is true.
    pub(super) fn drop_reminders(
        &mut self,
        outage_ended: impl Fn(&Notification) -> bool,
    ) -> Vec<OutboxEntry> {
        let outage_ended = |item: &Item| item.is_reminder() && outage_ended(&item.entry.notification);
        for queue in self.queues.values_mut() {
            if let Some(position) = queue.in_flight()
                && let Some(item) = queue.item_mut(position)
            {
                item.outage_ended |= outage_ended(item);
            }
        }
        self.remove_where(outage_ended)
    }

    /// Starts the next due attempt of each idle channel.
    pub(super) fn start(&mut self, now: Mono) -> Vec<OutboxEntry> {
        let queues = self.queues.values_mut();
        queues.filter_map(|queue| queue.start(now)).collect()
    }

    /// Starts attempts at the end of a run: as [`start`](Self::start), but without pauses, and
    /// with one attempt for each notification.
    pub(super) fn start_final(&mut self, now: Mono) -> Vec<OutboxEntry> {
        let queues = self.queues.values_mut();
        queues.filter_map(|queue| queue.start_final(now)).collect()
    }

    /// Processes the result of an attempt.
    pub(super) fn finish(
        &mut self,
        channel: &str,
        key: &str,
        result: Result<(), DeliveryError>,
        now: Now,
    ) -> Option<AttemptResult> {
        let queue = self.queues.get_mut(channel)?;
        let position = queue.finish(key)?;
        if queue.item(position).is_none() {
            return self.finish_orphan(channel, &result, now.mono);
        }
        let failures = queue.failures;
        let item = queue.item_mut(position)?;
        let error = match result {
            Ok(()) => {
                let item = queue.remove(position)?;
                queue.accepted(now.mono);
                return Some(AttemptResult::Delivered(self.settle(item)));
            }
            Err(error) => error,
        };
        if item.outage_ended {
            let item = queue.remove(position)?;
            return Some(AttemptResult::Dropped(self.settle(item)));
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
                // The requested delay is honoured, but must not make a notification expire.
                let asked = retry_after.map(|asked| asked.min(REFUSED_PAUSE));
                // Stored, for the next pass and the next start.
                item.entry.retry_at = asked.and_then(|asked| now.wall.checked_add(asked).ok());
                // It is back in its order: it is no longer refused.
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
            let item = queue.remove(position)?;
            return Some(AttemptResult::Replaced(self.settle(item)));
        }
        queue.hold_back_if_outdated(position);
        queue.update_fallback(position, self.fallbacks.get(channel));
        queue.mark_unsaved(position);
        let entry = queue.item(position)?.entry.clone();
        Some(match entry.refused {
            true => AttemptResult::Refused(entry),
            false => AttemptResult::Retried(entry),
        })
    }

    /// Removes expired entries.
    pub(super) fn expire(&mut self, now: Mono) -> Vec<OutboxEntry> {
        // Called at every turn of the engine: it must not visit thousands of entries that wait
        // for a dead channel each time.
        if self.expires.is_none_or(|first| first > now) {
            return Vec::new();
        }
        let expired = self.remove_where(|item| item.expires <= now);
        // An entry in flight is examined again when its attempt has ended.
        let idle = self.queues.values().flat_map(ChannelQueue::idle);
        self.expires = idle.map(|item| item.expires).min();
        expired
    }

    /// Whether a notification waits for this channel.
    pub(super) fn contains(&self, channel: &str, notification: &Notification) -> bool {
        let queue = self.queues.get(channel);
        let mut same = queue
            .into_iter()
            .flat_map(|queue| queue.of_incident(&notification.incident));
        same.any(|item| item.entry.notification.id == notification.id)
    }

    /// Adds to the channels that get a notification.
    pub(super) fn add_addressed(&mut self, notification: &Notification, addressed: &[String]) {
        for queue in self.queues.values_mut() {
            for position in queue.positions(&notification.incident) {
                let Some(item) = queue.item_mut(position) else {
                    continue;
                };
                let entry = &mut item.entry;
                let is_new = |id: &&String| !entry.addressed.contains(id);
                let new: Vec<String> = addressed.iter().filter(is_new).cloned().collect();
                if entry.notification.id == notification.id && !new.is_empty() {
                    entry.addressed.extend(new);
                    queue.mark_unsaved(position);
                }
            }
        }
    }

    /// Retries the entries of one channel, or of all, at once.
    pub(super) fn retry(&mut self, channel: Option<&str>) {
        let queues = self.queues.iter_mut();
        let wanted = queues.filter(|(id, _)| channel.is_none_or(|channel| channel == id.as_str()));
        for (_, queue) in wanted {
            queue.failures = 0;
            queue.not_before = None;
            queue.release_refused();
            for item in queue.items_mut() {
                item.tries = 0;
            }
        }
    }

    /// Removes the entries for which `gone` is true, except those in flight.
    fn remove_where(&mut self, gone: impl Fn(&Item) -> bool) -> Vec<OutboxEntry> {
        let queues = self.queues.values_mut();
        let removed: Vec<Item> = queues.flat_map(|queue| queue.remove_where(&gone)).collect();
        self.queues
            // A failing channel is still failing when it gets something new.
            .retain(|_, queue| {
                !queue.is_empty() || queue.in_flight().is_some() || queue.failing_since.is_some()
            });
        removed.into_iter().map(|item| self.settle(item)).collect()
    }

    /// When the next attempt, expiry or fallback is due.
    pub(super) fn wake_at(&mut self) -> Option<Mono> {
        let tries = self.queues.values_mut().filter_map(ChannelQueue::wake_at).min();
        [tries, self.expires, self.fallback_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether there are entries for which a pass waits at its end.
    pub(super) fn has_pending_attempts(&self) -> bool {
        self.queues.values().any(ChannelQueue::has_pending_attempts)
    }

    /// Whether any attempt is in progress.
    pub(super) fn is_sending(&self) -> bool {
        self.queues.values().any(|queue| queue.in_flight().is_some())
    }

    /// How many entries the next run finds, and how many it does not.
    pub(super) fn stored_and_lost(&self) -> (usize, usize) {
        let items = self.queues.values().flat_map(ChannelQueue::items);
        let (stored, lost): (Vec<_>, Vec<_>) = items.partition(|item| item.stored);
        (stored.len(), lost.len())
    }

    /// When the entry in flight was decided.
    pub(super) fn in_flight_decided(&self, channel: &str) -> Option<Mono> {
        let queue = self.queues.get(channel)?;
        let item = queue.item(queue.in_flight()?)?;
        Some(item.decided)
    }
}

/// When an entry was decided.
fn decided(entry: &OutboxEntry, now: Now) -> Mono {
    match entry.notification.at < CLOCK_SET {
        true => now.mono,
        false => now.mono_of(entry.notification.at),
    }
}

#[cfg(test)]
mod tests;
