//! The queue of one channel: its order, and which entry is next.
//!
//! Thousands of entries may wait for a channel that is down, and the engine asks at every turn:
//! no frequent operation visits all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{JUST_NOW, REFUSED_PAUSE, ends::Ends};
use crate::{
    notification::{Notification, NotificationKind, OutboxEntry},
    time::Mono,
};

/// The entries that wait for one channel.
#[derive(Debug, Default)]
pub(super) struct ChannelQueue {
    pub(super) items: BTreeMap<u64, Item>,
    /// The position for the next item at the end.
    next: u64,
    /// Positions by incident, ascending.
    incidents: HashMap<String, Vec<u64>>,
    /// Positions of entries that must not be sent yet: they are not on disk.
    pub(super) held: BTreeSet<u64>,
    /// Positions of entries whose present content is in no commit.
    pub(super) unsaved: BTreeSet<u64>,
    /// Refused entries that wait for their next attempt, by its moment.
    pub(super) deferred: BTreeSet<(Mono, u64)>,
    /// Positions of all other entries, except those held back: the candidates for the next attempt.
    pub(super) open: BTreeSet<u64>,
    /// The ends of outages, and the outages that run.
    pub(super) ends: Ends,
    in_flight: Option<u64>,
    /// The key of the entry in flight, by which its result is recognised. The entry itself may
    /// have been removed.
    in_flight_key: String,
    /// The entry in flight, if it was removed with its channel.
    pub(super) orphan: Option<OutboxEntry>,
    next_ready: NextReady,
    /// Failed attempts since one was accepted.
    pub(super) failures: u32,
    /// The end of the channel's pause.
    pub(super) not_before: Option<Mono>,
    /// Since when every attempt has failed; a refusal counts as an answer.
    pub(super) failing_since: Option<Mono>,
    /// Since when attempts failed in a previous run, until one of this run fails.
    pub(super) failed_before: Option<Mono>,
    /// When all entries are due for the fallback.
    pub(super) all_to_fallback: Option<Mono>,
    /// Whether the channel has failed so long that new entries go to the fallback at once.
    pub(super) failing_long: bool,
    /// Positions of entries that are due for the fallback now.
    pub(super) for_fallback: BTreeSet<u64>,
}

/// One waiting entry.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) entry: OutboxEntry,
    /// Whether it may be sent: it is on disk, or cannot be written.
    pub(super) sendable: bool,
    /// Whether its present content is in no commit.
    pub(super) unsaved: bool,
    /// Whether a commit that held it succeeded: the next run finds it.
    pub(super) stored: bool,
    /// Whether a previous run left it, which may have tried to deliver it.
    pub(super) is_loaded: bool,
    /// It was refused or is held, and the next attempt is not before this.
    pub(super) deferred: Option<Mono>,
    /// Whether it is held: that others are accepted is no reason to send it.
    pub(super) held: bool,
    /// Whether it waits for the end of a newer outage.
    pub(super) held_back: bool,
    /// When it was decided; steps of the wall clock do not change it.
    pub(super) decided: Mono,
    /// Its number among the entries of all channels, in the order of their insertion.
    pub(super) inserted: u64,
    pub(super) expires: Mono,
    /// Failed attempts since the last reload, by which entries take turns; a refused entry
    /// counts as one.
    pub(super) tries: u32,
    /// A reminder in flight whose outage has ended meanwhile: no further attempt.
    pub(super) outage_ended: bool,
    /// A reminder in flight whose successor has been decided: no further attempt.
    pub(super) replaced: bool,
    /// Whether it had its final attempt at the end of the run.
    pub(super) had_final_attempt: bool,
    /// Whether the fallback has it, or is not to get it.
    pub(super) fallback_done: bool,
}

/// When the first entry may be sent, if computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum NextReady {
    /// To be computed again.
    #[default]
    Stale,
    /// At this moment; `None` if no entry may be sent.
    At(Option<Mono>),
}

/// The earliest moment: at once.
const NOW: Mono = Mono::from_nanos(i64::MIN);

impl Item {
    pub(super) fn is_reminder(&self) -> bool {
        self.entry.notification.kind == NotificationKind::Reminder
    }
}

/// The key of entries that are sent in order. A monitor's outages share one: otherwise the end
/// of an old one could be the last notification after the beginning of a new one. So do its
/// unknown periods; a notice stands alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum OrderKey<'a> {
    Outages(&'a str),
    Unknowns(&'a str),
    Notice(&'a str),
}

impl<'a> OrderKey<'a> {
    fn of(notification: &'a Notification) -> Self {
        match notification.kind {
            NotificationKind::Notice(_) => Self::Notice(&notification.incident),
            NotificationKind::Unknown | NotificationKind::Known => Self::Unknowns(&notification.monitor),
            _ => Self::Outages(&notification.monitor),
        }
    }
}

impl ChannelQueue {
    /// Inserts an item and returns its position: the last, except for a late one (from a
    /// channel that is gone), which goes before the later ones of its incident.
    pub(super) fn insert(&mut self, item: Item) -> u64 {
        let notification = &item.entry.notification;
        let is_later = |position: &u64| {
            let other = self
                .items
                .get(position)
                .map(|other| other.entry.notification.number);
            other.is_some_and(|number| number > notification.number)
        };
        let mut positions = self.positions(&notification.incident).into_iter();
        let Some(before) = positions.find(is_later) else {
            return self.append(item);
        };
        let tail = self.items.split_off(&before);
        // Otherwise an entry would wait for its next attempt, half an hour after a refusal, before
        // the fallback gets it.
        let for_fallback = self.for_fallback.split_off(&before);
        for (position, item) in &tail {
            self.unindex(*position, item);
        }
        let in_flight = self.in_flight;
        self.next = before;
        let position = self.append(item);
        for (old, item) in tail {
            let new = self.append(item);
            if in_flight == Some(old) {
                self.in_flight = Some(new);
            }
            if for_fallback.contains(&old) {
                self.for_fallback.insert(new);
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
        if !item.sendable {
            self.held.insert(position);
        }
        if item.unsaved {
            self.unsaved.insert(position);
        }
        match (item.held_back, item.deferred) {
            (true, _) => false,
            (false, Some(until)) => self.deferred.insert((until, position)),
            (false, None) => self.open.insert(position),
        };
        self.ends.add(position, &item.entry);
        self.items.insert(position, item);
        self.next_ready = NextReady::Stale;
        position
    }

    fn unindex(&mut self, position: u64, item: &Item) {
        self.held.remove(&position);
        self.unsaved.remove(&position);
        self.open.remove(&position);
        self.for_fallback.remove(&position);
        self.ends.remove(position, &item.entry);
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

    /// Removes the items for which `gone` is true, except the one in flight.
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

    /// All items, in order.
    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    /// All items except the one in flight.
    pub(super) fn idle(&self) -> impl Iterator<Item = &Item> {
        let all = self.items.iter();
        all.filter(|(position, _)| self.in_flight != Some(**position))
            .map(|(_, item)| item)
    }

    /// All items, mutable.
    pub(super) fn items_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.next_ready = NextReady::Stale;
        self.items.values_mut()
    }

    /// The item at a position.
    pub(super) fn item(&self, position: u64) -> Option<&Item> {
        self.items.get(&position)
    }

    /// The item at a position, mutable.
    pub(super) fn item_mut(&mut self, position: u64) -> Option<&mut Item> {
        self.next_ready = NextReady::Stale;
        self.items.get_mut(&position)
    }

    /// The positions of an incident's items, in order.
    pub(super) fn positions(&self, incident: &str) -> Vec<u64> {
        self.incidents.get(incident).cloned().unwrap_or_default()
    }

    /// All positions, in order.
    pub(super) fn all_positions(&self) -> Vec<u64> {
        self.items.keys().copied().collect()
    }

    /// An incident's items, in order.
    pub(super) fn of_incident(&self, incident: &str) -> impl Iterator<Item = &Item> {
        let positions = self.incidents.get(incident).into_iter().flatten();
        positions.filter_map(|position| self.items.get(position))
    }

    /// The position of the item in flight.
    pub(super) fn in_flight(&self) -> Option<u64> {
        self.in_flight
    }

    /// Ends the attempt of the entry with this key: returns its position if it was in flight. A
    /// result for another entry is ignored.
    pub(super) fn finish(&mut self, key: &str) -> Option<u64> {
        self.in_flight.filter(|_| self.in_flight_key == key)?;
        self.next_ready = NextReady::Stale;
        self.in_flight.take()
    }

    /// Defers the item at `position` until the given moment; `None` makes it wait only for its
    /// turn.
    pub(super) fn defer(&mut self, position: u64, until: Option<Mono>) {
        let Some(item) = self.items.get_mut(&position) else {
            return;
        };
        if let Some(before) = item.deferred {
            self.deferred.remove(&(before, position));
        }
        item.deferred = until;
        item.held &= until.is_some();
        if item.held_back {
            self.open.remove(&position);
            return;
        }
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

    /// Ends the deferral of items that are deferred until `until` at the latest.
    fn release(&mut self, until: Mono) {
        while let Some((_, position)) = self.deferred.first().copied().filter(|(at, _)| *at <= until) {
            self.defer(position, None);
        }
    }

    /// Removes all waiting items, in order.
    pub(super) fn drain(&mut self) -> Vec<Item> {
        let in_flight = self.in_flight;
        let items = self
            .all_positions()
            .into_iter()
            .filter_map(|position| self.remove(position));
        let drained = items.collect();
        // Nothing else is sent until that attempt has ended.
        self.in_flight = in_flight;
        drained
    }

    /// Makes room for a new reminder of this incident: removes the previous one or, if that is
    /// in flight, prevents a further attempt.
    pub(super) fn replace_reminder(&mut self, incident: &str) -> Option<Item> {
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
        self.remove(old?)
    }

    /// The entries that no older one with the same key blocks. A deferred entry blocks only the
    /// reminders of its incident.
    fn unblocked(&self) -> impl Iterator<Item = (u64, &Item)> {
        let mut held: HashSet<OrderKey<'_>> = HashSet::new();
        let open = self.open.iter();
        let items = open.filter_map(|position| Some((*position, self.items.get(position)?)));
        items.filter(move |(_, item)| {
            let notification = &item.entry.notification;
            let is_deferred = |other: &Item| other.deferred.is_some();
            if item.is_reminder() && self.of_incident(&notification.incident).any(is_deferred) {
                return false;
            }
            held.insert(OrderKey::of(notification))
        })
    }

    /// Starts the attempt that is due now: of the entries that are not blocked, the one with
    /// the fewest attempts, then the oldest.
    pub(super) fn start(&mut self, now: Mono) -> Option<OutboxEntry> {
        if self.wake_at().is_none_or(|at| at > now) {
            return None;
        }
        self.release(now);
        let mut best: Option<(u32, u64)> = None;
        for (position, item) in self.unblocked() {
            if !item.sendable {
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

    /// Starts the oldest entry without a final attempt. One that was refused a moment ago
    /// counts as having had it; one that had it blocks only reminders.
    pub(super) fn start_final(&mut self, now: Mono) -> Option<OutboxEntry> {
        if self.in_flight.is_some() {
            return None;
        }
        let mut undelivered: HashSet<&str> = HashSet::new();
        let mut items = self.items.iter();
        let (next, _) = items.find(|(_, item)| {
            let notification = &item.entry.notification;
            let just_refused = item
                .deferred
                .is_some_and(|at| at.minus(REFUSED_PAUSE).plus(JUST_NOW) > now);
            let is_held = item.is_reminder() && undelivered.contains(notification.incident.as_str());
            undelivered.insert(&notification.incident);
            item.sendable && !item.held_back && !item.had_final_attempt && !just_refused && !is_held
        })?;
        let next = *next;
        self.item_mut(next)?.had_final_attempt = true;
        self.begin_attempt(next)
    }

    fn begin_attempt(&mut self, position: u64) -> Option<OutboxEntry> {
        let entry = self.items.get(&position)?.entry.clone();
        self.in_flight = Some(position);
        self.in_flight_key = entry.key();
        Some(entry)
    }

    /// When the next attempt is due.
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
        if self.held.len() == self.items.len() {
            return deferred;
        }
        match self.unblocked().any(|(_, item)| item.sendable) {
            true => Some(NOW),
            false => deferred,
        }
    }

    /// Whether there are entries for which a pass waits: all but those that are deferred after
    /// a refusal, and those blocked by them.
    pub(super) fn has_pending_attempts(&self) -> bool {
        self.in_flight.is_some() || self.unblocked().next().is_some()
    }
}
