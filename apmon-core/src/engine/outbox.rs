//! Messages on their way: per channel and incident in order, outage and
//! recovery never dropped, an undelivered reminder replaced by its successor
//! and dropped when its outage is over.

mod survey;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

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
    /// Tries that failed since the last reload, by which those that may go take
    /// turns; of one that was refused they count as one.
    tries: u32,
    /// A reminder under way whose outage has ended meanwhile: not tried again.
    over: bool,
    /// Had its last chance.
    tried_last: bool,
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
}

impl Outbox {
    /// Takes a message in. Returns the reminder it replaces.
    pub(super) fn push(&mut self, entry: OutboxEntry, committed: bool, now: Now) -> Option<OutboxEntry> {
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
                .map(|item| item.entry)
        } else {
            None
        };
        let expires = now.mono_of(entry.notification.at).plus(EXPIRY);
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
        let item = Item {
            entry,
            committed,
            in_flight: false,
            not_before,
            expires,
            tries,
            over: false,
            tried_last: false,
        };
        lane.items.insert(place.unwrap_or(lane.items.len()), item);
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
                        item.tries = item.tries.saturating_add(1);
                        // It is in its order again: nobody refuses it now.
                        item.entry.refused = false;
                        Some(Fate::Retried(item.entry.clone()))
                    }
                    DeliveryError::Permanent { .. } => {
                        item.entry.refused = true;
                        item.tries = 1;
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
        tries.chain(self.expires).min()
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

/// What an undelivered message keeps of its incident from being sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// It was refused, and its time has not come: its reminders.
    Reminders,
    /// It goes first: all that comes after it.
    All,
}

impl Lane {
    /// The messages that nothing older of their incident holds back, at `now`;
    /// without one, those that wait for nothing but their own moment.
    fn free(&self, now: Option<Mono>) -> impl Iterator<Item = (usize, &Item)> {
        let mut holds: HashMap<&str, Hold> = HashMap::new();
        self.items.iter().enumerate().filter(move |(_, item)| {
            let message = &item.entry.notification;
            let hold = holds.get(message.incident.as_str()).copied();
            let waits = item.not_before.is_some_and(|at| now.is_none_or(|now| at > now));
            if hold != Some(Hold::All) {
                let hold = match item.entry.refused && waits {
                    true => Hold::Reminders,
                    false => Hold::All,
                };
                holds.insert(&message.incident, hold);
            }
            match hold {
                None => true,
                Some(Hold::Reminders) => message.kind != NotificationKind::Reminder,
                Some(Hold::All) => false,
            }
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
