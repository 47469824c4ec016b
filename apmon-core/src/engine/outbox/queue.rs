//! What waits for one channel, in order, and what may go next.
//!
//! Thousands of messages may wait for a channel that is away, and the engine
//! asks at every turn: nothing that is asked often goes through all of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    mem,
};

use super::{JUST_NOW, REFUSED_LATELY, REFUSED_PAUSE};
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
    ready: Ready,
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
    pub(super) over: bool,
    /// A reminder under way that has a successor: not tried again.
    pub(super) replaced: bool,
    /// Had its last chance.
    pub(super) tried_last: bool,
    /// The channel's stand-in has it, or is not to have it.
    pub(super) fallback_done: bool,
}

/// When the first message may go, as far as that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Ready {
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

impl ChannelQueue {
    /// Takes an item in and gives its place: the last, but one that comes late
    /// (from a channel that is gone) stands before its incident's later ones.
    pub(super) fn insert(&mut self, item: Item) -> u64 {
        let message = &item.entry.notification;
        let is_later = |place: &u64| {
            let other = self.items.get(place).map(|other| other.entry.notification.number);
            other.is_some_and(|number| number > message.number)
        };
        let mut places = self.places(&message.incident).into_iter();
        let Some(before) = places.find(is_later) else {
            return self.append(item);
        };
        let tail = self.items.split_off(&before);
        for (place, item) in &tail {
            self.forget(*place, item);
        }
        let flying = self.in_flight;
        self.next = before;
        let place = self.append(item);
        for (old, item) in tail {
            let new = self.append(item);
            if flying == Some(old) {
                self.in_flight = Some(new);
            }
        }
        place
    }

    fn append(&mut self, item: Item) -> u64 {
        let place = self.next;
        self.next += 1;
        let incident = &item.entry.notification.incident;
        match self.incidents.get_mut(incident) {
            Some(places) => places.push(place),
            None => {
                self.incidents.insert(incident.clone(), vec![place]);
            }
        }
        if !item.committed {
            self.uncommitted.insert(place);
        }
        match item.deferred {
            Some(until) => self.deferred.insert((until, place)),
            None => self.open.insert(place),
        };
        self.items.insert(place, item);
        self.ready = Ready::Stale;
        place
    }

    fn forget(&mut self, place: u64, item: &Item) {
        self.uncommitted.remove(&place);
        self.open.remove(&place);
        self.for_fallback.remove(&place);
        if let Some(until) = item.deferred {
            self.deferred.remove(&(until, place));
        }
        let incident = &item.entry.notification.incident;
        if let Some(places) = self.incidents.get_mut(incident) {
            places.retain(|other| *other != place);
            if places.is_empty() {
                self.incidents.remove(incident);
            }
        }
        self.ready = Ready::Stale;
    }

    pub(super) fn remove(&mut self, place: u64) -> Option<Item> {
        let item = self.items.remove(&place)?;
        self.forget(place, &item);
        if self.in_flight == Some(place) {
            self.in_flight = None;
        }
        Some(item)
    }

    /// Removes all of which `gone` says so, but what is under way.
    pub(super) fn extract(&mut self, gone: impl Fn(&Item) -> bool) -> Vec<Item> {
        let idle = self
            .items
            .iter()
            .filter(|(place, _)| self.in_flight != Some(**place));
        let places: Vec<u64> = idle
            .filter(|(_, item)| gone(item))
            .map(|(place, _)| *place)
            .collect();
        places
            .into_iter()
            .filter_map(|place| self.remove(place))
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
        all.filter(|(place, _)| self.in_flight != Some(**place))
            .map(|(_, item)| item)
    }

    /// All, to be changed.
    pub(super) fn items_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.ready = Ready::Stale;
        self.items.values_mut()
    }

    /// The item at a place.
    pub(super) fn item(&self, place: u64) -> Option<&Item> {
        self.items.get(&place)
    }

    /// The same, to be changed.
    pub(super) fn item_mut(&mut self, place: u64) -> Option<&mut Item> {
        self.ready = Ready::Stale;
        self.items.get_mut(&place)
    }

    /// The places of an incident's items, in order.
    pub(super) fn places(&self, incident: &str) -> Vec<u64> {
        self.incidents.get(incident).cloned().unwrap_or_default()
    }

    /// All places, in order.
    pub(super) fn all_places(&self) -> Vec<u64> {
        self.items.keys().copied().collect()
    }

    /// An incident's items, in order.
    pub(super) fn of_incident(&self, incident: &str) -> impl Iterator<Item = &Item> {
        let places = self.incidents.get(incident).into_iter().flatten();
        places.filter_map(|place| self.items.get(place))
    }

    /// The place of what is under way.
    pub(super) fn in_flight(&self) -> Option<u64> {
        self.in_flight
    }

    /// An answer to the message of this key has come: gives its place, if it
    /// was under way. An answer to another frees nobody's place.
    pub(super) fn finish(&mut self, key: &str) -> Option<u64> {
        self.in_flight.filter(|_| self.flying == key)?;
        self.ready = Ready::Stale;
        self.in_flight.take()
    }

    /// The item at `place` is not tried again before `until`; without it, it
    /// waits for nothing but its turn.
    pub(super) fn defer(&mut self, place: u64, until: Option<Mono>) {
        let Some(item) = self.items.get_mut(&place) else {
            return;
        };
        if let Some(before) = item.deferred {
            self.deferred.remove(&(before, place));
        }
        item.deferred = until;
        match until {
            Some(until) => {
                self.open.remove(&place);
                self.deferred.insert((until, place));
            }
            None => {
                self.open.insert(place);
            }
        }
        self.ready = Ready::Stale;
    }

    /// What is parked no longer than `until` is tried again now.
    fn release(&mut self, until: Mono) {
        while let Some((_, place)) = self.deferred.first().copied().filter(|(at, _)| *at <= until) {
            self.defer(place, None);
        }
    }

    /// All is tried again now.
    pub(super) fn release_all(&mut self) {
        self.release(Mono::from_nanos(i64::MAX));
    }

    /// The channel has taken one: it pauses no more, and what it refused it may
    /// take now; but not what it refused a moment ago, or many that it will
    /// never take would be tried after each that it takes.
    pub(super) fn taken(&mut self, now: Mono) {
        self.failures = 0;
        self.not_before = None;
        self.failing_since = None;
        self.failed_before = None;
        self.all_to_fallback = None;
        self.failing_long = false;
        self.release(now.plus(REFUSED_PAUSE).minus(REFUSED_LATELY));
    }

    /// Something of this incident was refused.
    pub(super) fn is_refused(&self, incident: &str) -> bool {
        self.of_incident(incident).any(|item| item.entry.refused)
    }

    /// Takes out all that waits, in order, with when it was decided.
    pub(super) fn drain(&mut self) -> Vec<(OutboxEntry, Mono)> {
        let flies = self.in_flight;
        let items = self
            .all_places()
            .into_iter()
            .filter_map(|place| self.remove(place));
        let drained = items.map(|item| (item.entry, item.decided)).collect();
        // Nothing else is sent before that has been answered.
        self.in_flight = flies;
        drained
    }

    /// It is on disk now, or cannot get there.
    pub(super) fn confirm(&mut self, entry: &OutboxEntry) {
        let message = &entry.notification;
        let is_it = |place: &u64| {
            let item = self.items.get(place);
            item.is_some_and(|item| item.entry.notification.id == message.id)
        };
        if let Some(place) = self.places(&message.incident).into_iter().find(is_it)
            && self.uncommitted.remove(&place)
            && let Some(item) = self.item_mut(place)
        {
            item.committed = true;
        }
    }

    /// All may be sent.
    pub(super) fn confirm_all(&mut self) {
        for place in mem::take(&mut self.uncommitted) {
            if let Some(item) = self.item_mut(place) {
                item.committed = true;
            }
        }
    }

    /// A reminder of this incident is decided: removes the one before it, or,
    /// if that is under way, sees to it that it is not tried again.
    pub(super) fn replace_reminder(&mut self, incident: &str) -> Option<OutboxEntry> {
        let mut old = None;
        for place in self.places(incident) {
            let under_way = self.in_flight == Some(place);
            let Some(item) = self.items.get_mut(&place).filter(|item| item.is_reminder()) else {
                continue;
            };
            match under_way {
                true => item.replaced = true,
                false => old = old.or(Some(place)),
            }
        }
        self.remove(old?).map(|item| item.entry)
    }

    /// The messages that nothing older of their thread holds back. What is
    /// parked holds back only its reminders.
    fn free(&self) -> impl Iterator<Item = (u64, &Item)> {
        let mut held: HashSet<Thread<'_>> = HashSet::new();
        let open = self.open.iter();
        let items = open.filter_map(|place| Some((*place, self.items.get(place)?)));
        items.filter(move |(_, item)| {
            let message = &item.entry.notification;
            let is_deferred = |other: &Item| other.deferred.is_some();
            if item.is_reminder() && self.of_incident(&message.incident).any(is_deferred) {
                return false;
            }
            held.insert(Thread::of(message))
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
        for (place, item) in self.free() {
            if !item.committed {
                continue;
            }
            if best.is_none_or(|(least, _)| item.tries < least) {
                best = Some((item.tries, place));
            }
            if item.tries == 0 {
                break;
            }
        }
        self.launch(best?.1)
    }

    /// The oldest that had no last chance yet. What was refused a moment ago
    /// had it; what had it holds back only reminders.
    pub(super) fn start_last(&mut self, now: Mono) -> Option<OutboxEntry> {
        if self.in_flight.is_some() {
            return None;
        }
        let mut untold: HashSet<&str> = HashSet::new();
        let mut items = self.items.iter();
        let (next, _) = items.find(|(_, item)| {
            let message = &item.entry.notification;
            let just_refused = item
                .deferred
                .is_some_and(|at| at.minus(REFUSED_PAUSE).plus(JUST_NOW) > now);
            let is_held = item.is_reminder() && untold.contains(message.incident.as_str());
            untold.insert(&message.incident);
            item.committed && !item.tried_last && !just_refused && !is_held
        })?;
        let next = *next;
        self.item_mut(next)?.tried_last = true;
        self.launch(next)
    }

    fn launch(&mut self, place: u64) -> Option<OutboxEntry> {
        let entry = self.items.get(&place)?.entry.clone();
        self.in_flight = Some(place);
        self.flying = entry.key();
        Some(entry)
    }

    /// When the next message is to be tried.
    pub(super) fn wake_at(&mut self) -> Option<Mono> {
        if self.in_flight.is_some() {
            return None;
        }
        let ready = match self.ready {
            Ready::At(ready) => ready,
            Ready::Stale => {
                let ready = self.reckon_ready();
                self.ready = Ready::At(ready);
                ready
            }
        };
        ready.map(|at| at.max(self.not_before.unwrap_or(at)))
    }

    fn reckon_ready(&self) -> Option<Mono> {
        let deferred = self.deferred.first().map(|(at, _)| *at);
        if self.uncommitted.len() == self.items.len() {
            return deferred;
        }
        match self.free().any(|(_, item)| item.committed) {
            true => Some(NOW),
            false => deferred,
        }
    }

    /// A message is left that a pass waits for: not what was refused, unless it
    /// is tried at once, and not what waits for it.
    pub(super) fn has_unsent(&self) -> bool {
        self.in_flight.is_some() || self.free().next().is_some()
    }
}
