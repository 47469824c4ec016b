//! Messages on their way: per channel and incident in order, outage and
//! recovery never dropped, an undelivered reminder replaced by its successor
//! and dropped when its outage is over.

mod fallback;
mod survey;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use self::fallback::is_handed;
use super::plan::{Fallback, Plan};
use crate::{
    notification::{DeliveryError, Notification, NotificationKind},
    state::OutboxEntry,
    time::{Mono, Now},
};

/// First pause after a failed delivery; doubled by each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A refused message is tried again so often: a rotated token is mended some time.
const REFUSED_PAUSE: Duration = Duration::from_secs(30 * 60);
/// What was refused less long ago needs no last try.
const JUST_NOW: Duration = Duration::from_secs(1);
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

#[derive(Debug, Default)]
struct Lane {
    items: VecDeque<Item>,
    in_flight: bool,
    failures: u32,
    not_before: Option<Mono>,
    /// Since when each try failed; a refusal is an answer.
    failing_since: Option<Mono>,
    /// When something in it is for the stand-in.
    falls: Option<Mono>,
}

#[derive(Debug)]
struct Item {
    entry: OutboxEntry,
    /// On disk, or known not to come there: may be sent.
    committed: bool,
    in_flight: bool,
    not_before: Option<Mono>,
    expires: Mono,
    /// Tries that failed since the last reload, by which those that may go take
    /// turns; of one that was refused they count as one.
    tries: u32,
    /// A reminder under way whose outage has ended meanwhile: not tried again.
    over: bool,
    /// A reminder under way that has a successor: not tried again.
    replaced: bool,
    /// Had its last chance.
    tried_last: bool,
    /// The channel's stand-in has it, or is not to have it.
    handed: bool,
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
    pub(super) fn follow(&mut self, plan: &Plan, now: Now) {
        self.expiry = plan.expire_after;
        let items = self.lanes.values_mut().flat_map(|lane| &mut lane.items);
        for item in items {
            item.expires = now.mono_of(item.entry.notification.at).plus(self.expiry);
        }
        // The next turn finds out.
        self.expires = self.expires.map(|_| now.mono);
        self.set_fallbacks(plan.fallbacks());
    }

    /// Takes a message in. Returns the reminder it replaces.
    pub(super) fn push(&mut self, entry: OutboxEntry, committed: bool, now: Now) -> Option<OutboxEntry> {
        let lane = self.lanes.entry(entry.channel.clone()).or_default();
        let replaced = match entry.notification.kind {
            NotificationKind::Reminder => lane.replace_reminder(&entry.notification.incident),
            _ => None,
        };
        let expires = now.mono_of(entry.notification.at).plus(self.expiry);
        self.expires = Some(self.expires.map_or(expires, |first| first.min(expires)));
        let not_before = entry
            .last_tried
            .filter(|_| entry.refused)
            .map(|tried| now.mono_of(tried).plus(REFUSED_PAUSE));
        let tries = match entry.refused {
            true => 1,
            false => entry.attempts,
        };
        // What comes late (from a channel that is gone) has its place within its incident.
        let message = &entry.notification;
        let place = lane.items.iter().position(|item| {
            let other = &item.entry.notification;
            other.incident == message.incident && other.number > message.number
        });
        let fallback = self.fallbacks.get(&entry.channel);
        if entry.attempts > 0 && !entry.refused {
            // A run before this one tried it, in vain.
            let since = now.mono_of(message.at);
            lane.failing_since = Some(lane.failing_since.map_or(since, |first| first.min(since)));
        }
        let item = Item {
            handed: is_handed(&entry, fallback),
            entry,
            committed,
            in_flight: false,
            not_before,
            expires,
            tries,
            over: false,
            replaced: false,
            tried_last: false,
        };
        let place = place.unwrap_or(lane.items.len());
        lane.items.insert(place, item);
        lane.reckon(place, fallback);
        replaced
    }

    /// A message was decided: what was refused of its incident is tried once
    /// more, before it. Returns the reminders that the end of their outage
    /// leaves nothing to say.
    pub(super) fn prepare(&mut self, news: &Notification) -> Vec<OutboxEntry> {
        let of_it = |item: &Item| item.entry.notification.incident == news.incident;
        for lane in self.lanes.values_mut() {
            let items = lane.items.iter_mut();
            for item in items.filter(|item| item.entry.refused && of_it(item)) {
                item.not_before = None;
            }
        }
        if news.kind.ends_outage() {
            self.drop_reminders(|message| message.incident == news.incident)
        } else {
            Vec::new()
        }
    }

    /// Notes in what is left of its incident that `news` ends it. Returns the
    /// entries that this changes.
    pub(super) fn end(&mut self, news: &Notification) -> Vec<OutboxEntry> {
        let items = self.lanes.values_mut().flat_map(|lane| &mut lane.items);
        let left = items.filter(|item| item.entry.notification.incident == news.incident);
        left.map(|item| {
            item.entry.ended = Some(news.at);
            item.entry.clone()
        })
        .collect()
    }

    /// Drops the reminders of which `over` says that their outage has ended.
    pub(super) fn drop_reminders(&mut self, over: impl Fn(&Notification) -> bool) -> Vec<OutboxEntry> {
        let over = |item: &Item| {
            let message = &item.entry.notification;
            message.kind == NotificationKind::Reminder && over(message)
        };
        for item in self.lanes.values_mut().flat_map(|lane| &mut lane.items) {
            item.over |= item.in_flight && over(item);
        }
        self.remove(|item| !item.in_flight && over(item))
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
                lane.failing_since = None;
                // What it refused it may take now.
                for item in lane.items.iter_mut().filter(|item| item.entry.refused) {
                    item.not_before = None;
                }
                Some(Fate::Delivered)
            }
            Err(_) if lane.items[at].over => {
                let dropped = lane.items.remove(at)?;
                Some(Fate::Dropped(dropped.entry))
            }
            Err(error) => {
                let item = &mut lane.items[at];
                item.in_flight = false;
                let is_replaced = item.replaced;
                let expires = item.expires;
                self.expires = Some(self.expires.map_or(expires, |first| first.min(expires)));
                item.entry.attempts = item.entry.attempts.saturating_add(1);
                item.entry.last_tried = Some(now.wall);
                item.entry.last_error = Some(error.to_string());
                let fate = match error {
                    DeliveryError::Retryable { retry_after, .. } => {
                        let pause = FIRST_PAUSE
                            .saturating_mul(1 << lane.failures.min(16))
                            .min(LONGEST_PAUSE);
                        // What is asked for is heeded, but no message may expire by it.
                        let pause = pause.max(retry_after.unwrap_or_default().min(REFUSED_PAUSE));
                        lane.failures = lane.failures.saturating_add(1);
                        lane.not_before = Some(now.mono.plus(pause));
                        lane.failing_since.get_or_insert(now.mono);
                        item.tries = item.tries.saturating_add(1);
                        // It is in its order again: nobody refuses it now.
                        item.entry.refused = false;
                        let entry = item.entry.clone();
                        lane.reckon(at, self.fallbacks.get(channel));
                        Fate::Retried(entry)
                    }
                    DeliveryError::Permanent { .. } => {
                        item.entry.refused = true;
                        item.tries = 1;
                        item.not_before = Some(now.mono.plus(REFUSED_PAUSE));
                        let entry = item.entry.clone();
                        lane.reckon(at, self.fallbacks.get(channel));
                        Fate::Refused(entry)
                    }
                };
                if is_replaced {
                    return lane.items.remove(at).map(|item| Fate::Replaced(item.entry));
                }
                Some(fate)
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

    /// More channels have this message now. Returns the entries that this changes.
    pub(super) fn address(&mut self, id: &str, addressed: &[String]) -> Vec<OutboxEntry> {
        let items = self.lanes.values_mut().flat_map(|lane| &mut lane.items);
        let same = items.filter(|item| item.entry.notification.id == id);
        same.filter(|item| item.entry.addressed != addressed)
            .map(|item| {
                item.entry.addressed = addressed.to_vec();
                item.entry.clone()
            })
            .collect()
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
            for item in &mut lane.items {
                item.not_before = None;
                item.tries = 0;
            }
            messages += lane.items.len();
        }
        messages
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
        tries.chain(self.expires).chain(self.falls_at()).min()
    }

    /// Messages are left that a pass waits for at its end.
    pub(super) fn has_unsent(&self) -> bool {
        self.lanes.values().any(Lane::has_unsent)
    }

    /// Some message is under way right now.
    pub(super) fn is_sending(&self) -> bool {
        self.lanes.values().any(|lane| lane.in_flight)
    }

    /// The keys of everything not delivered.
    pub(super) fn keys(&self) -> impl Iterator<Item = String> {
        let items = self.lanes.values().flat_map(|lane| &lane.items);
        items.map(|item| item.entry.key())
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

/// What is told in order: the outages of a monitor one after the other, or the
/// end of an old one would be the last word on a new one. So are the times in
/// which it could not be looked at; a notice stands alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Thread<'a> {
    Outages(&'a str),
    Unknowns(&'a str),
    Notice(&'a str),
}

impl<'a> Thread<'a> {
    fn of(message: &'a Notification) -> Self {
        match message.kind {
            NotificationKind::Notice(_) => Self::Notice(&message.incident),
            NotificationKind::Unknown | NotificationKind::Known => Self::Unknowns(&message.monitor),
            _ => Self::Outages(&message.monitor),
        }
    }
}

impl Lane {
    /// A reminder of this incident is decided: removes the one before it, or,
    /// if that is under way, sees to it that it is not tried again.
    fn replace_reminder(&mut self, incident: &str) -> Option<OutboxEntry> {
        let is_older = |item: &Item| {
            let message = &item.entry.notification;
            message.kind == NotificationKind::Reminder && message.incident == incident
        };
        for item in self.items.iter_mut().filter(|item| is_older(item)) {
            item.replaced = item.in_flight;
        }
        let old = self
            .items
            .iter()
            .position(|item| is_older(item) && !item.in_flight)?;
        self.items.remove(old).map(|item| item.entry)
    }

    /// The messages that nothing older of their thread holds back, at `now`;
    /// without one, those that wait for nothing but their own moment. What was
    /// refused, and whose time has not come, holds back only its reminders.
    fn free(&self, now: Option<Mono>) -> impl Iterator<Item = (usize, &Item)> {
        let mut held: HashSet<Thread<'_>> = HashSet::new();
        let mut refused: HashSet<&str> = HashSet::new();
        self.items.iter().enumerate().filter(move |(_, item)| {
            let message = &item.entry.notification;
            let is_reminder = message.kind == NotificationKind::Reminder;
            let waits = item.not_before.is_some_and(|at| now.is_none_or(|now| at > now));
            if is_reminder && refused.contains(message.incident.as_str()) {
                return false;
            }
            let thread = Thread::of(message);
            let is_free = !held.contains(&thread);
            if item.entry.refused && waits {
                refused.insert(&message.incident);
            } else {
                held.insert(thread);
            }
            is_free
        })
    }

    /// The message to try now: of those that nothing holds back the one tried
    /// least, then the oldest.
    fn start(&mut self, now: Mono) -> Option<OutboxEntry> {
        if self.in_flight || self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        let mut best: Option<(u32, usize)> = None;
        for (i, item) in self.free(Some(now)) {
            if !item.committed || item.not_before.is_some_and(|at| at > now) {
                continue;
            }
            if best.is_none_or(|(least, _)| item.tries < least) {
                best = Some((item.tries, i));
            }
            if item.tries == 0 {
                break;
            }
        }
        Some(self.launch(best?.1))
    }

    /// The oldest that had no last chance yet. What was refused a moment ago
    /// had it; what had it holds back only reminders.
    fn start_last(&mut self, now: Mono) -> Option<OutboxEntry> {
        if self.in_flight {
            return None;
        }
        let mut untold: HashSet<&str> = HashSet::new();
        let next = self.items.iter().position(|item| {
            let message = &item.entry.notification;
            let just_refused = item
                .not_before
                .is_some_and(|at| item.entry.refused && at.minus(REFUSED_PAUSE).plus(JUST_NOW) > now);
            let is_held =
                message.kind == NotificationKind::Reminder && untold.contains(message.incident.as_str());
            untold.insert(&message.incident);
            item.committed && !item.tried_last && !just_refused && !is_held
        })?;
        self.items[next].tried_last = true;
        Some(self.launch(next))
    }

    fn launch(&mut self, at: usize) -> OutboxEntry {
        let item = &mut self.items[at];
        item.in_flight = true;
        self.in_flight = true;
        item.entry.clone()
    }

    fn wake_at(&self) -> Option<Mono> {
        if self.in_flight {
            return None;
        }
        const NOW: Mono = Mono::from_nanos(i64::MIN);
        let mut ready: Option<Mono> = None;
        for (_, item) in self.free(None).filter(|(_, item)| item.committed) {
            let at = item.not_before.unwrap_or(NOW);
            ready = Some(ready.map_or(at, |first| first.min(at)));
            // The first message that may go ends the search.
            if at == NOW {
                break;
            }
        }
        ready.map(|at| at.max(self.not_before.unwrap_or(at)))
    }

    /// A message is left that a pass waits for: not what was refused, unless it
    /// is tried at once, and not what waits for it.
    fn has_unsent(&self) -> bool {
        let mut free = self.free(None);
        self.in_flight || free.any(|(_, item)| !item.entry.refused || item.not_before.is_none())
    }
}

#[cfg(test)]
mod tests;
