//! What waits for one channel, in order, and what may go next.
//!
//! Thousands of messages may wait for a channel that is away, and the engine
//! asks at every turn: nothing that is asked often goes through all of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    mem,
};

use super::{JUST_NOW, REFUSED_PAUSE, REFUSED_RECENTLY};
use crate::{
    notification::{Notification, NotificationKind, OutboxEntry},
    time::Mono,
};

/// What waits for one channel.
#[derive(Debug, Default)]
pub(super) struct ChannelQueue {
    items: BTreeMap<u64, Item>,
    /// The place of the item that comes last.
    next: u64,
    /// Places by incident, ascending.
    incidents: HashMap<String, Vec<u64>>,
    /// Places of what is not on disk yet.
    uncommitted: BTreeSet<u64>,
    /// What the receiver refused and whose time has not come, by that time.
    deferred: BTreeSet<(Mono, u64)>,
    /// Places of all the rest: what is gone through to find the next.
    open: BTreeSet<u64>,
    in_flight: Option<u64>,
    /// Its key, by which the answer to it is known. The message itself may be
    /// here no more.
    flying: String,
    next_ready: NextReady,
    /// Tries that failed since one was taken.
    pub(super) failures: u32,
    /// The channel pauses until then.
    pub(super) not_before: Option<Mono>,
    /// Since when each try failed; a refusal is an answer.
    pub(super) failing_since: Option<Mono>,
    /// The same of a run before this one, until a try of this one fails.
    pub(super) failed_before: Option<Mono>,
    /// When all of it is for the stand-in.
    pub(super) all_to_fallback: Option<Mono>,
    /// It has failed so long that what comes is for the stand-in at once.
    pub(super) failing_long: bool,
    /// Places of what is for the stand-in now.
    pub(super) for_fallback: BTreeSet<u64>,
}

/// One message that waits.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) entry: OutboxEntry,
    /// On disk, or known not to come there: may be sent.
    pub(super) committed: bool,
    /// It was refused, and is not tried again before this.
    pub(super) deferred: Option<Mono>,
    /// When it was decided; a step of the wall clock makes it no older.
    pub(super) decided: Mono,
    pub(super) expires: Mono,
    /// Tries that failed since the last reload, by which those that may go take
    /// turns; of one that was refused they count as one.
    pub(super) tries: u32,
    /// A reminder under way whose outage has ended meanwhile: not tried again.
    pub(super) outage_ended: bool,
    /// A reminder under way that has a successor: not tried again.
    pub(super) replaced: bool,
    /// Had its last chance.
    pub(super) had_final_attempt: bool,
    /// The channel's stand-in has it, or is not to have it.
    pub(super) fallback_done: bool,
}

/// When the first message may go, as far as that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum NextReady {
    /// To be reckoned anew.
    #[default]
    Stale,
    /// Then; `None` if none may.
    At(Option<Mono>),
}

/// At once.
const NOW: Mono = Mono::from_nanos(i64::MIN);

impl Item {
    pub(super) fn is_reminder(&self) -> bool {
        self.entry.notification.kind == NotificationKind::Reminder
    }
}

/// What is told in order: the outages of a monitor one after the other, or the
/// end of an old one would be the last word on a new one. So are the times in
/// which it could not be looked at; a notice stands alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum OrderKey<'a> {
    Outages(&'a str),
    Unknowns(&'a str),
    Notice(&'a str),
}

impl<'a> OrderKey<'a> {
    fn of(message: &'a Notification) -> Self {
        match message.kind {
            NotificationKind::Notice(_) => Self::Notice(&message.incident),
            NotificationKind::Unknown | NotificationKind::Known => Self::Unknowns(&message.monitor),
            _ => Self::Outages(&message.monitor),
        }
    }
}

impl ChannelQueue {
    /// Takes an item in and gives its place: the last, but one that comes late
    /// (from a channel that is gone) stands before its incident's later ones.
    pub(super) fn insert(&mut self, item: Item) -> u64 {
        let message = &item.entry.notification;
        let is_later = |position: &u64| {
            let other = self
                .items
                .get(position)
                .map(|other| other.entry.notification.number);
            other.is_some_and(|number| number > message.number)
        };
        let mut positions = self.positions(&message.incident).into_iter();
        let Some(before) = positions.find(is_later) else {
            return self.append(item);
        };
        let tail = self.items.split_off(&before);
        for (position, item) in &tail {
            self.unindex(*position, item);
        }
        let flying = self.in_flight;
        self.next = before;
        let position = self.append(item);
        for (old, item) in tail {
            let new = self.append(item);
            if flying == Some(old) {
                self.in_flight = Some(new);
            }
        }
        position
    }

    fn append(&mut self, item: Item) -> u64 {
        let position = self.next;
        self.next += 1;
        let incident = &item.entry.notification.incident;
        match self.incidents.get_mut(incident) {
            Some(positions) => positions.push(position),
            None => {
                self.incidents.insert(incident.clone(), vec![position]);
            }
        }
        if !item.committed {
            self.uncommitted.insert(position);
        }
        match item.deferred {
            Some(until) => self.deferred.insert((until, position)),
            None => self.open.insert(position),
        };
        self.items.insert(position, item);
        self.next_ready = NextReady::Stale;
        position
    }

    fn unindex(&mut self, position: u64, item: &Item) {
        self.uncommitted.remove(&position);
        self.open.remove(&position);
        self.for_fallback.remove(&position);
        if let Some(until) = item.deferred {
            self.deferred.remove(&(until, position));
        }
        let incident = &item.entry.notification.incident;
        if let Some(positions) = self.incidents.get_mut(incident) {
            positions.retain(|other| *other != position);
            if positions.is_empty() {
                self.incidents.remove(incident);
            }
        }
        self.next_ready = NextReady::Stale;
    }

    pub(super) fn remove(&mut self, position: u64) -> Option<Item> {
        let item = self.items.remove(&position)?;
        self.unindex(position, &item);
        if self.in_flight == Some(position) {
            self.in_flight = None;
        }
        Some(item)
    }

    /// Removes all of which `gone` says so, but what is under way.
    pub(super) fn remove_where(&mut self, gone: impl Fn(&Item) -> bool) -> Vec<Item> {
        let idle = self
            .items
            .iter()
            .filter(|(position, _)| self.in_flight != Some(**position));
        let positions: Vec<u64> = idle
            .filter(|(_, item)| gone(item))
            .map(|(position, _)| *position)
            .collect();
        positions
            .into_iter()
            .filter_map(|position| self.remove(position))
            .collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// All, in order.
    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    /// All that is not under way.
    pub(super) fn idle(&self) -> impl Iterator<Item = &Item> {
        let all = self.items.iter();
        all.filter(|(position, _)| self.in_flight != Some(**position))
            .map(|(_, item)| item)
    }

    /// All, to be changed.
    pub(super) fn items_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.next_ready = NextReady::Stale;
        self.items.values_mut()
    }

    /// The item at a place.
    pub(super) fn item(&self, position: u64) -> Option<&Item> {
        self.items.get(&position)
    }

    /// The same, to be changed.
    pub(super) fn item_mut(&mut self, position: u64) -> Option<&mut Item> {
        self.next_ready = NextReady::Stale;
        self.items.get_mut(&position)
    }

    /// The places of an incident's items, in order.
    pub(super) fn positions(&self, incident: &str) -> Vec<u64> {
        self.incidents.get(incident).cloned().unwrap_or_default()
    }

    /// All places, in order.
    pub(super) fn all_positions(&self) -> Vec<u64> {
        self.items.keys().copied().collect()
    }

    /// An incident's items, in order.
    pub(super) fn of_incident(&self, incident: &str) -> impl Iterator<Item = &Item> {
        let positions = self.incidents.get(incident).into_iter().flatten();
        positions.filter_map(|position| self.items.get(position))
    }

    /// The place of what is under way.
    pub(super) fn in_flight(&self) -> Option<u64> {
        self.in_flight
    }

    /// An answer to the message of this key has come: gives its place, if it
    /// was under way. An answer to another frees nobody's place.
    pub(super) fn finish(&mut self, key: &str) -> Option<u64> {
        self.in_flight.filter(|_| self.flying == key)?;
        self.next_ready = NextReady::Stale;
        self.in_flight.take()
    }

    /// The item at `position` is not tried again before `until`; without it, it
    /// waits for nothing but its turn.
    pub(super) fn defer(&mut self, position: u64, until: Option<Mono>) {
        let Some(item) = self.items.get_mut(&position) else {
            return;
        };
        if let Some(before) = item.deferred {
            self.deferred.remove(&(before, position));
        }
        item.deferred = until;
        match until {
            Some(until) => {
                self.open.remove(&position);
                self.deferred.insert((until, position));
            }
            None => {
                self.open.insert(position);
            }
        }
        self.next_ready = NextReady::Stale;
    }

    /// What is parked no longer than `until` is tried again now.
    fn release(&mut self, until: Mono) {
        while let Some((_, position)) = self.deferred.first().copied().filter(|(at, _)| *at <= until) {
            self.defer(position, None);
        }
    }

    /// All is tried again now.
    pub(super) fn release_all(&mut self) {
        self.release(Mono::from_nanos(i64::MAX));
    }

    /// The channel has taken one: it pauses no more, and what it refused it may
    /// take now; but not what it refused a moment ago, or many that it will
    /// never take would be tried after each that it takes.
    pub(super) fn accepted(&mut self, now: Mono) {
        self.failures = 0;
        self.not_before = None;
        self.failing_since = None;
        self.failed_before = None;
        self.all_to_fallback = None;
        self.failing_long = false;
        self.release(now.plus(REFUSED_PAUSE).minus(REFUSED_RECENTLY));
    }

    /// Something of this incident was refused.
    pub(super) fn is_refused(&self, incident: &str) -> bool {
        self.of_incident(incident).any(|item| item.entry.refused)
    }

    /// Takes out all that waits, in order, with when it was decided.
    pub(super) fn drain(&mut self) -> Vec<(OutboxEntry, Mono)> {
        let is_in_flight = self.in_flight;
        let items = self
            .all_positions()
            .into_iter()
            .filter_map(|position| self.remove(position));
        let drained = items.map(|item| (item.entry, item.decided)).collect();
        // Nothing else is sent before that has been answered.
        self.in_flight = is_in_flight;
        drained
    }

    /// It is on disk now, or cannot get there.
    pub(super) fn confirm(&mut self, entry: &OutboxEntry) {
        let message = &entry.notification;
        let is_it = |position: &u64| {
            let item = self.items.get(position);
            item.is_some_and(|item| item.entry.notification.id == message.id)
        };
        if let Some(position) = self.positions(&message.incident).into_iter().find(is_it)
            && self.uncommitted.remove(&position)
            && let Some(item) = self.item_mut(position)
        {
            item.committed = true;
        }
    }

    /// All may be sent.
    pub(super) fn confirm_all(&mut self) {
        for position in mem::take(&mut self.uncommitted) {
            if let Some(item) = self.item_mut(position) {
                item.committed = true;
            }
        }
    }

    /// A reminder of this incident is decided: removes the one before it, or,
    /// if that is under way, sees to it that it is not tried again.
    pub(super) fn replace_reminder(&mut self, incident: &str) -> Option<OutboxEntry> {
        let mut old = None;
        for position in self.positions(incident) {
            let in_flight = self.in_flight == Some(position);
            let Some(item) = self.items.get_mut(&position).filter(|item| item.is_reminder()) else {
                continue;
            };
            match in_flight {
                true => item.replaced = true,
                false => old = old.or(Some(position)),
            }
        }
        self.remove(old?).map(|item| item.entry)
    }

    /// The messages that nothing older of their thread holds back. What is
    /// parked holds back only its reminders.
    fn unblocked(&self) -> impl Iterator<Item = (u64, &Item)> {
        let mut held: HashSet<OrderKey<'_>> = HashSet::new();
        let open = self.open.iter();
        let items = open.filter_map(|position| Some((*position, self.items.get(position)?)));
        items.filter(move |(_, item)| {
            let message = &item.entry.notification;
            let is_deferred = |other: &Item| other.deferred.is_some();
            if item.is_reminder() && self.of_incident(&message.incident).any(is_deferred) {
                return false;
            }
            held.insert(OrderKey::of(message))
        })
    }

    /// The message to try now: of those that nothing holds back the one tried
    /// least, then the oldest.
    pub(super) fn start(&mut self, now: Mono) -> Option<OutboxEntry> {
        if self.wake_at().is_none_or(|at| at > now) {
            return None;
        }
        self.release(now);
        let mut best: Option<(u32, u64)> = None;
        for (position, item) in self.unblocked() {
            if !item.committed {
                continue;
            }
            if best.is_none_or(|(least, _)| item.tries < least) {
                best = Some((item.tries, position));
            }
            if item.tries == 0 {
                break;
            }
        }
        self.begin_attempt(best?.1)
    }

    /// The oldest that had no last chance yet. What was refused a moment ago
    /// had it; what had it holds back only reminders.
    pub(super) fn start_final(&mut self, now: Mono) -> Option<OutboxEntry> {
        if self.in_flight.is_some() {
            return None;
        }
        let mut undelivered: HashSet<&str> = HashSet::new();
        let mut items = self.items.iter();
        let (next, _) = items.find(|(_, item)| {
            let message = &item.entry.notification;
            let just_refused = item
                .deferred
                .is_some_and(|at| at.minus(REFUSED_PAUSE).plus(JUST_NOW) > now);
            let is_held = item.is_reminder() && undelivered.contains(message.incident.as_str());
            undelivered.insert(&message.incident);
            item.committed && !item.had_final_attempt && !just_refused && !is_held
        })?;
        let next = *next;
        self.item_mut(next)?.had_final_attempt = true;
        self.begin_attempt(next)
    }

    fn begin_attempt(&mut self, position: u64) -> Option<OutboxEntry> {
        let entry = self.items.get(&position)?.entry.clone();
        self.in_flight = Some(position);
        self.flying = entry.key();
        Some(entry)
    }

    /// When the next message is to be tried.
    pub(super) fn wake_at(&mut self) -> Option<Mono> {
        if self.in_flight.is_some() {
            return None;
        }
        let next_ready = match self.next_ready {
            NextReady::At(next_ready) => next_ready,
            NextReady::Stale => {
                let next_ready = self.compute_next_ready();
                self.next_ready = NextReady::At(next_ready);
                next_ready
            }
        };
        next_ready.map(|at| at.max(self.not_before.unwrap_or(at)))
    }

    fn compute_next_ready(&self) -> Option<Mono> {
        let deferred = self.deferred.first().map(|(at, _)| *at);
        if self.uncommitted.len() == self.items.len() {
            return deferred;
        }
        match self.unblocked().any(|(_, item)| item.committed) {
            true => Some(NOW),
            false => deferred,
        }
    }

    /// A message is left that a pass waits for: not what was refused, unless it
    /// is tried at once, and not what waits for it.
    pub(super) fn has_pending_attempts(&self) -> bool {
        self.in_flight.is_some() || self.unblocked().next().is_some()
    }
}
