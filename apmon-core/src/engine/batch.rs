//! A commit on its way to the store, and how one that is too large is split.

use std::{collections::BTreeMap, mem, sync::Arc};

use super::outbox::Unsaved;
use crate::{
    notification::OutboxEntry,
    state::MonitorState,
    store::{Commit, StoreLimits},
};

/// The bytes of a state or an entry besides its texts.
const OVERHEAD: usize = 400;

/// A commit, and whose states it holds.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) commit: Commit,
    /// The running monitors whose states are the last ones of `commit.states`.
    pub(super) monitors: Vec<usize>,
}

/// The parts of a batch.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// Commits of their own, in order.
    pub(super) parts: Vec<Batch>,
    /// What is in none of them.
    pub(super) rest: Batch,
    /// What it is, and why.
    pub(super) too_large: Vec<TooLarge>,
}

/// Something that belongs together and exceeds the limits alone.
#[derive(Debug)]
pub(super) struct TooLarge {
    /// The name of the monitor, or the key of the record.
    pub(super) name: String,
    pub(super) items: usize,
    pub(super) bytes: usize,
}

/// What must be written together: the state of a monitor and its notifications.
#[derive(Default)]
struct Unit {
    state: Option<(String, Arc<MonitorState>)>,
    /// The index of the monitor, if it is running.
    index: Option<usize>,
    entries: Vec<OutboxEntry>,
}

impl Unit {
    /// The name of the monitor.
    fn name(&self) -> String {
        let state = self.state.iter().map(|(name, _)| name);
        let entries = self.entries.iter().map(|entry| &entry.notification.monitor);
        state.chain(entries).next().cloned().unwrap_or_default()
    }

    fn items(&self) -> usize {
        usize::from(self.state.is_some()) + self.entries.len()
    }

    fn bytes(&self) -> usize {
        let state = self.state.iter().map(|(name, state)| {
            let memory = &state.memory;
            let kept = memory.kept.iter().map(|(key, text)| key.len() + text.len());
            let counts = memory.counts.as_ref().map_or(0, |text| text.len());
            OVERHEAD + name.len() + kept.sum::<usize>() + counts
        });
        let entries = self.entries.iter().map(|entry| {
            let notification = &entry.notification;
            let addressed = entry.addressed.iter().map(String::len).sum::<usize>();
            OVERHEAD
                + notification.text.len()
                + notification.monitor.len()
                + notification.address.len()
                + addressed
        });
        state.sum::<usize>() + entries.sum::<usize>()
    }
}

impl Batch {
    /// Takes out what belongs to the outbox.
    pub(super) fn take_unsaved(&mut self) -> Unsaved {
        Unsaved {
            entries: mem::take(&mut self.commit.outbox),
            settled: mem::take(&mut self.commit.settled),
        }
    }

    /// Splits the batch so that each part is within the limits. A monitor's state is never
    /// separated from its notifications; if they exceed the limits, they are in no part. The
    /// history goes with the first part, the end of a pass with the last.
    pub(super) fn split(mut self, limits: StoreLimits) -> Split {
        let Commit {
            states,
            outbox,
            settled,
            forget,
            records,
            ..
        } = &self.commit;
        let items = states.len() + outbox.len() + settled.len() + forget.len() + records.len();
        if limits.bytes.is_none() && limits.items.is_none_or(|most| items <= most) {
            return Split {
                parts: vec![self],
                ..Split::default()
            };
        }
        let pass = self.commit.pass.take();
        let mut parts = Parts {
            limits,
            split: Split::default(),
            part: Self {
                commit: Commit {
                    history: mem::take(&mut self.commit.history),
                    ..Commit::default()
                },
                monitors: Vec::new(),
            },
            items: 0,
            bytes: 0,
        };
        for (key, record) in mem::take(&mut self.commit.records) {
            let bytes = OVERHEAD + key.len() + record.as_ref().map_or(0, |record| record.json.len());
            let name = key.clone();
            parts.add(name, 1, bytes, |part| part.commit.records.push((key, record)));
        }
        for name in mem::take(&mut self.commit.forget) {
            parts.add(name.clone(), 1, name.len(), |part| part.commit.forget.push(name));
        }
        // States of running monitors come last in each part.
        let settled = mem::take(&mut self.commit.settled);
        let (retired, running): (Vec<Unit>, Vec<Unit>) =
            self.units().into_iter().partition(|unit| unit.index.is_none());
        for unit in retired.into_iter().chain(running) {
            parts.add(unit.name(), unit.items(), unit.bytes(), |part| part.take(unit));
        }
        for key in settled {
            parts.add(key.clone(), 1, key.len(), |part| part.commit.settled.push(key));
        }
        let mut last = parts.part;
        last.commit.pass = pass;
        if !last.commit.is_empty() {
            parts.split.parts.push(last);
        }
        parts.split
    }

    fn take(&mut self, unit: Unit) {
        self.commit.states.extend(unit.state);
        self.monitors.extend(unit.index);
        self.commit.outbox.extend(unit.entries);
    }

    fn units(self) -> Vec<Unit> {
        let mut units: Vec<Unit> = Vec::new();
        let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
        let first_running = self.commit.states.len() - self.monitors.len();
        for (at, state) in self.commit.states.into_iter().enumerate() {
            by_name.insert(state.0.clone(), units.len());
            units.push(Unit {
                index: at.checked_sub(first_running).map(|at| self.monitors[at]),
                state: Some(state),
                ..Unit::default()
            });
        }
        for entry in self.commit.outbox {
            let at = by_name
                .entry(entry.notification.monitor.clone())
                .or_insert(units.len());
            let at = *at;
            if at == units.len() {
                units.push(Unit::default());
            }
            units[at].entries.push(entry);
        }
        units
    }
}

/// The parts of a batch, filled one after the other.
struct Parts {
    limits: StoreLimits,
    split: Split,
    part: Batch,
    items: usize,
    bytes: usize,
}

impl Parts {
    fn add(&mut self, name: String, items: usize, bytes: usize, fill: impl FnOnce(&mut Batch)) {
        let limits = self.limits;
        let is_over = |limit: Option<usize>, sum: usize| limit.is_some_and(|most| sum > most);
        let is_over =
            |items: usize, bytes: usize| is_over(limits.items, items) || is_over(limits.bytes, bytes);
        if is_over(items, bytes) {
            self.split.too_large.push(TooLarge { name, items, bytes });
            return fill(&mut self.split.rest);
        }
        if is_over(self.items + items, self.bytes + bytes) && self.items > 0 {
            self.split.parts.push(mem::take(&mut self.part));
            (self.items, self.bytes) = (0, 0);
        }
        self.items += items;
        self.bytes += bytes;
        fill(&mut self.part);
    }
}

#[cfg(test)]
mod tests;
