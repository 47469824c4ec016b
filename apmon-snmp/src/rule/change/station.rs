//! Deciding which changes of stations to announce, and which stations are not allowed.

use std::collections::{BTreeMap, BTreeSet};

use apmon_core::{Mac, Notice, Policy};
use jiff::Timestamp;

use super::{
    LONG_ABSENCE, MacChanges, PortAlertOptions, PortPair, age,
    state::{Alarm, TrackedPort},
    station_change::{Move, StationChanges},
    wording,
};
use crate::rule::window;

/// The most stations per port that are remembered as not allowed.
const MOST_FORBIDDEN: usize = 1_000;

/// The changes of stations to announce for each port, provided that its window allows a
/// message.
pub(super) fn changes_to_announce(
    pairs: &[PortPair<'_>],
    options: &PortAlertOptions,
    is_learning: bool,
) -> Vec<StationChanges> {
    if options.mac_changes == MacChanges::No {
        return vec![StationChanges::default(); pairs.len()];
    }
    // Where announced stations have left, and the stations that are still to be announced
    // somewhere.
    let mut left: BTreeMap<Mac, usize> = BTreeMap::new();
    let mut waiting: BTreeSet<Mac> = BTreeSet::new();
    for (i, pair) in pairs.iter().enumerate() {
        let announced = &pair.port.announced.macs;
        for mac in announced.iter().filter(|mac| !pair.has(**mac)) {
            left.entry(*mac).or_insert(i);
        }
        if !pair.is_ignored {
            let present = pair.present().into_iter().flatten();
            waiting.extend(present.filter(|mac| !announced.contains(mac)));
        }
    }
    let changes = pairs.iter().map(|pair| {
        let mut changes = StationChanges::default();
        let announced = &pair.port.announced.macs;
        for mac in pair
            .present()
            .into_iter()
            .flatten()
            .filter(|mac| !announced.contains(mac))
        {
            match left.get(mac) {
                Some(from) => changes.moved.push(Move {
                    mac: *mac,
                    from: *from,
                    label: pairs[*from].label.clone(),
                }),
                None => changes.appeared.push(*mac),
            }
        }
        let is_arrival = !changes.appeared.is_empty() || !changes.moved.is_empty();
        if !is_learning && (is_arrival || options.mac_changes == MacChanges::All) {
            let gone = announced
                .iter()
                .filter(|mac| !pair.has(**mac) && !waiting.contains(mac));
            changes.gone = gone.copied().collect();
        }
        changes
    });
    changes.collect()
}

/// Announces stations that are not allowed, and too many stations. These messages have a
/// window of their own.
pub(super) fn raise_alarms(
    pair: &mut PortPair<'_>,
    options: &PortAlertOptions,
    policy: &Policy,
    now: Timestamp,
    notices: &mut Vec<Notice>,
) {
    let present = pair.present().cloned().unwrap_or_default();
    let alarm = &mut pair.port.alarm;
    let allowed = options.allow_macs.as_ref().filter(|_| !pair.is_ignored);
    alarm.note(&present, allowed, now);
    let most = options.max_macs_per_port.filter(|_| !pair.is_ignored);
    let is_crowded = |most: &u32| u32::try_from(present.len()).is_ok_and(|count| count > *most);
    let most = most.filter(is_crowded);
    alarm.crowded &= most.is_some();
    if !alarm.may_notify(policy, now) {
        return;
    }
    let before = notices.len();
    let forbidden = alarm.announce(&present, now);
    if !forbidden.is_empty() {
        notices.push(wording::new_stations(Some(&pair.label), &forbidden));
    }
    if let Some(most) = most.filter(|_| !alarm.crowded) {
        notices.push(wording::too_many(&pair.label, present.len(), most));
        alarm.crowded = true;
    }
    if notices.len() > before {
        alarm.window = Some(window::notified(alarm.window, policy, now));
    }
}

/// Announces stations that are not allowed and whose port is not known.
pub(super) fn raise_unplaced(
    alarm: &mut Alarm,
    unplaced: &BTreeSet<Mac>,
    options: &PortAlertOptions,
    policy: &Policy,
    now: Timestamp,
    notices: &mut Vec<Notice>,
) {
    alarm.note(unplaced, options.allow_macs.as_ref(), now);
    if !alarm.may_notify(policy, now) {
        return;
    }
    let forbidden = alarm.announce(unplaced, now);
    if !forbidden.is_empty() {
        notices.push(wording::new_stations(None, &forbidden));
        alarm.window = Some(window::notified(alarm.window, policy, now));
    }
}

impl Alarm {
    /// Records which of the `present` stations are not `allowed` and still to be announced, and
    /// since when announced ones are absent. `None` allows all.
    fn note(&mut self, present: &BTreeSet<Mac>, allowed: Option<&BTreeSet<Mac>>, now: Timestamp) {
        let is_forbidden = |mac: &Mac| allowed.is_some_and(|allowed| !allowed.contains(mac));
        self.announced.retain(|mac, gone_at| {
            *gone_at = match present.contains(mac) {
                true => None,
                false => Some(gone_at.map_or(now, |at| at.min(now))),
            };
            is_forbidden(mac) && gone_at.is_none_or(|at| age(at, now) < LONG_ABSENCE)
        });
        self.unannounced.retain(is_forbidden);
        let forbidden = present
            .iter()
            .filter(|mac| is_forbidden(mac) && !self.announced.contains_key(mac));
        let room = MOST_FORBIDDEN.saturating_sub(self.unannounced.len());
        self.unannounced
            .extend(forbidden.take(room).copied().collect::<Vec<_>>());
    }

    /// Closes a window that is over, and returns whether a message may be sent.
    fn may_notify(&mut self, policy: &Policy, now: Timestamp) -> bool {
        self.window = self
            .window
            .map(|it| it.anchored(now))
            .filter(|it| !window::is_over(it, policy, now));
        policy.alarms && window::may_notify(self.window.as_ref(), policy, now)
    }

    /// Takes the stations that are still to be announced, and marks them as announced.
    fn announce(&mut self, present: &BTreeSet<Mac>, now: Timestamp) -> Vec<Mac> {
        let unannounced: Vec<Mac> = std::mem::take(&mut self.unannounced).into_iter().collect();
        for mac in &unannounced {
            let gone_at = (!present.contains(mac)).then_some(now);
            self.announced.insert(*mac, gone_at);
        }
        while self.announced.len() > MOST_FORBIDDEN {
            // The station that has been absent the longest; a present one only if none is
            // absent.
            let oldest = self
                .announced
                .iter()
                .min_by_key(|(_, gone_at)| (gone_at.is_none(), **gone_at));
            let Some(oldest) = oldest.map(|(mac, _)| *mac) else {
                break;
            };
            self.announced.remove(&oldest);
        }
        unannounced
    }
}

impl TrackedPort {
    /// Records since when announced stations are absent. A station that returns after a long
    /// absence no longer counts as announced.
    pub(super) fn note_absences(&mut self, now: Timestamp) {
        let Some(baseline) = &self.baseline else { return };
        let announced = &mut self.announced.macs;
        self.gone.retain(|mac, since| {
            *since = (*since).min(now);
            if baseline.macs.contains(mac) && age(*since, now) >= LONG_ABSENCE {
                announced.remove(mac);
            }
            !baseline.macs.contains(mac) && announced.contains(mac)
        });
        for mac in announced.difference(&baseline.macs) {
            self.gone.entry(*mac).or_insert(now);
        }
    }

    /// Records that these changes of stations were announced.
    pub(super) fn announce_stations(&mut self, changes: &StationChanges) {
        let announced = &mut self.announced.macs;
        announced.extend(&changes.appeared);
        announced.extend(changes.moved.iter().map(|it| it.mac));
        for mac in &changes.gone {
            announced.remove(mac);
            self.gone.remove(mac);
        }
    }

    /// Forgets which stations were announced.
    pub(super) fn forget_stations(&mut self) {
        self.announced.macs.clear();
        self.gone.clear();
    }

    /// Marks the present stations as announced.
    pub(super) fn mark_stations_announced(&mut self) {
        self.gone.clear();
        self.announced.macs = self
            .baseline
            .as_ref()
            .map(|baseline| baseline.macs.clone())
            .unwrap_or_default();
    }

    /// Marks the port's state and stations as announced, and closes its windows.
    pub(super) fn mark_announced(&mut self) {
        self.announced.state = self.baseline.as_ref().map(|baseline| baseline.state);
        self.mark_stations_announced();
        self.window = None;
        self.alarm = Alarm::default();
    }
}
