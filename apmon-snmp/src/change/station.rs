//! Stations on ports: who is news, and who should not be there.

use std::collections::{BTreeMap, BTreeSet};

use apmon_core::{Mac, Notice, Policy, rule::window};
use jiff::Timestamp;

use super::{
    Entity, LONG_ABSENCE, MacChanges, Wishes, age,
    state::Tracked,
    words::{self, Label},
};

/// So many stations of a port are remembered as not allowed.
const MOST_STRANGERS: usize = 1_000;

/// What there is to tell of the stations on a port.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct News {
    /// Are there and were nowhere, by what was told.
    pub appeared: Vec<Mac>,
    /// Were there, by what was told.
    pub gone: Vec<Mac>,
    /// Are there and were elsewhere.
    pub moved: Vec<Move>,
}

/// A station that is on another port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Move {
    pub mac: Mac,
    /// Which port that was, among the entities.
    pub from: usize,
    /// Its name.
    pub label: Label,
}

/// What there is to tell of each port, were it to be told now.
pub(super) fn news(entities: &[Entity<'_>], wishes: &Wishes, is_learning: bool) -> Vec<News> {
    if wishes.mac_changes == MacChanges::No {
        return vec![News::default(); entities.len()];
    }
    // Where somebody was told to be who is not there, and the stations of which
    // a port has to tell.
    let mut left: BTreeMap<Mac, usize> = BTreeMap::new();
    let mut waiting: BTreeSet<Mac> = BTreeSet::new();
    for (i, entity) in entities.iter().enumerate() {
        let told = &entity.port.told.macs;
        for mac in told.iter().filter(|mac| !entity.has(**mac)) {
            left.entry(*mac).or_insert(i);
        }
        if !entity.is_ignored {
            let present = entity.present().into_iter().flatten();
            waiting.extend(present.filter(|mac| !told.contains(mac)));
        }
    }
    let news = entities.iter().map(|entity| {
        let mut news = News::default();
        let told = &entity.port.told.macs;
        for mac in entity
            .present()
            .into_iter()
            .flatten()
            .filter(|mac| !told.contains(mac))
        {
            match left.get(mac) {
                Some(from) => news.moved.push(Move {
                    mac: *mac,
                    from: *from,
                    label: entities[*from].label.clone(),
                }),
                None => news.appeared.push(*mac),
            }
        }
        let is_arrival = !news.appeared.is_empty() || !news.moved.is_empty();
        if !is_learning && (is_arrival || wishes.mac_changes == MacChanges::All) {
            let gone = told
                .iter()
                .filter(|mac| !entity.has(**mac) && !waiting.contains(mac));
            news.gone = gone.copied().collect();
        }
        news
    });
    news.collect()
}

/// Stations that are not allowed, and too many of them. They have a silence of
/// their own.
pub(super) fn watch(
    entity: &mut Entity<'_>,
    wishes: &Wishes,
    policy: &Policy,
    now: Timestamp,
    notices: &mut Vec<Notice>,
) {
    let present = entity.present().cloned().unwrap_or_default();
    let alarm = &mut entity.port.alarm;
    let is_stranger = |mac: &Mac| {
        let allowed = wishes.allow_macs.as_ref().filter(|_| !entity.is_ignored);
        allowed.is_some_and(|allowed| !allowed.contains(mac))
    };
    alarm.told.retain(|mac, gone_at| {
        *gone_at = match present.contains(mac) {
            true => None,
            false => Some(gone_at.map_or(now, |at| at.min(now))),
        };
        is_stranger(mac) && gone_at.is_none_or(|at| age(at, now) < LONG_ABSENCE)
    });
    alarm.untold.retain(is_stranger);
    let strangers = present
        .iter()
        .filter(|mac| is_stranger(mac) && !alarm.told.contains_key(mac));
    let room = MOST_STRANGERS.saturating_sub(alarm.untold.len());
    alarm
        .untold
        .extend(strangers.take(room).copied().collect::<Vec<_>>());
    let most = wishes.max_macs_per_port.filter(|_| !entity.is_ignored);
    let is_crowded = |most: &u32| u32::try_from(present.len()).is_ok_and(|count| count > *most);
    let most = most.filter(is_crowded);
    alarm.crowded &= most.is_some();

    alarm.silence = alarm
        .silence
        .map(|it| it.anchored(now))
        .filter(|it| !window::is_over(it, policy, now));
    if !policy.alarms || !window::may_notify(alarm.silence.as_ref(), policy, now) {
        return;
    }
    let before = notices.len();
    if !alarm.untold.is_empty() {
        let untold: Vec<Mac> = std::mem::take(&mut alarm.untold).into_iter().collect();
        notices.push(words::new_stations(&entity.label, &untold));
        for mac in untold {
            let gone_at = (!present.contains(&mac)).then_some(now);
            alarm.told.insert(mac, gone_at);
        }
        while alarm.told.len() > MOST_STRANGERS {
            // Who has been away the longest; somebody who is there only if all are.
            let oldest = alarm
                .told
                .iter()
                .min_by_key(|(_, gone_at)| (gone_at.is_none(), **gone_at));
            let Some(oldest) = oldest.map(|(mac, _)| *mac) else {
                break;
            };
            alarm.told.remove(&oldest);
        }
    }
    if let Some(most) = most.filter(|_| !alarm.crowded) {
        notices.push(words::too_many(&entity.label, present.len(), most));
        alarm.crowded = true;
    }
    if notices.len() > before {
        alarm.silence = Some(window::notified(alarm.silence, policy, now));
    }
}

impl Tracked {
    /// Since when the stations are away that are told to be there. One that
    /// comes back after long was not told to be there.
    pub(super) fn note_absences(&mut self, now: Timestamp) {
        let Some(base) = &self.base else { return };
        let told = &mut self.told.macs;
        self.gone.retain(|mac, since| {
            *since = (*since).min(now);
            if base.macs.contains(mac) && age(*since, now) >= LONG_ABSENCE {
                told.remove(mac);
            }
            !base.macs.contains(mac) && told.contains(mac)
        });
        for mac in told.difference(&base.macs) {
            self.gone.entry(*mac).or_insert(now);
        }
    }

    /// The news of its stations was told.
    pub(super) fn tell_stations(&mut self, news: &News) {
        let told = &mut self.told.macs;
        told.extend(&news.appeared);
        told.extend(news.moved.iter().map(|it| it.mac));
        for mac in &news.gone {
            told.remove(mac);
            self.gone.remove(mac);
        }
    }

    /// Nobody is told to be there.
    pub(super) fn forget_stations(&mut self) {
        self.told.macs.clear();
        self.gone.clear();
    }

    /// Its stations count as told.
    pub(super) fn settle_stations(&mut self) {
        self.gone.clear();
        self.told.macs = self
            .base
            .as_ref()
            .map(|base| base.macs.clone())
            .unwrap_or_default();
    }

    /// All of it counts as told.
    pub(super) fn settle(&mut self) {
        self.told.state = self.base.as_ref().map(|base| base.state);
        self.settle_stations();
        self.silence = None;
        self.alarm = super::state::Alarm::default();
    }
}
