//! The states of monitors that are not running, and when each is forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    state::{MonitorState, RETENTION_AFTER_REMOVAL},
    time::Now,
};

/// The most states of parts that are kept after their parts have vanished: a list whose parts
/// have new names at every check would fill the memory.
const MAX_PARTS: usize = 10_000;

/// States of monitors that are not running, by name.
#[derive(Debug, Default)]
pub(super) struct Retired {
    states: BTreeMap<String, Arc<MonitorState>>,
    removals: Removals,
    part_removals: Removals,
}

/// When each was removed, so that finding the oldest visits no others. By wall clock: after a
/// start, nothing else is known.
type Removals = BTreeSet<(Timestamp, String)>;

impl Retired {
    /// Keeps the states that a store held.
    pub(super) fn new(stored: BTreeMap<String, Arc<MonitorState>>) -> Self {
        let mut retired = Self::default();
        for (name, state) in &stored {
            retired.note_removal(name, state);
        }
        retired.states = stored;
        retired
    }

    /// Keeps the state of a monitor.
    pub(super) fn insert(&mut self, name: String, state: Arc<MonitorState>) {
        self.remove(&name);
        self.note_removal(&name, &state);
        self.states.insert(name, state);
    }

    /// Takes the state of a monitor.
    pub(super) fn remove(&mut self, name: &str) -> Option<Arc<MonitorState>> {
        let (name, state) = self.states.remove_entry(name)?;
        if let Some(at) = state.own.removed_at {
            self.removals_like(&state).remove(&(at, name));
        }
        Some(state)
    }

    fn note_removal(&mut self, name: &str, state: &MonitorState) {
        if let Some(at) = state.own.removed_at {
            self.removals_like(state).insert((at, name.to_owned()));
        }
    }

    fn removals_like(&mut self, state: &MonitorState) -> &mut Removals {
        match state.own.part_at {
            None => &mut self.removals,
            Some(_) => &mut self.part_removals,
        }
    }

    /// The state of a monitor.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<MonitorState>> {
        self.states.get(name)
    }

    /// The state of a monitor, to be changed.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Arc<MonitorState>> {
        self.states.get_mut(name)
    }

    /// The monitors some of whose channels are owed an end.
    pub(super) fn owing(&self) -> Vec<String> {
        let owing = self
            .states
            .iter()
            .filter(|(_, state)| !state.own.owed_ends.is_empty());
        owing.map(|(name, _)| name.clone()).collect()
    }

    /// Takes the states that were never retired properly: their monitors left the site file
    /// while no engine ran.
    pub(super) fn take_unretired(&mut self) -> Vec<(String, Arc<MonitorState>)> {
        let left = |_: &String, state: &mut Arc<MonitorState>| state.own.removed_at.is_none();
        self.states.extract_if(.., left).collect()
    }

    /// Takes the states of parts that were not removed, and whose monitor `is_running`.
    pub(super) fn take_parts(
        &mut self,
        is_running: impl Fn(&str) -> bool,
    ) -> Vec<(String, Arc<MonitorState>)> {
        let is_part = |name: &String, state: &mut Arc<MonitorState>| {
            let monitor = state.own.split_part(name).map(|(monitor, _)| monitor);
            state.own.removed_at.is_none() && monitor.is_some_and(&is_running)
        };
        self.states.extract_if(.., is_part).collect()
    }

    /// Forgets the states of monitors that were removed long ago, and those of too many parts.
    /// Returns their names.
    pub(super) fn forget_old(&mut self, now: Now) -> Vec<String> {
        let mut forgotten = Vec::new();
        let kinds = [
            (&mut self.removals, usize::MAX),
            (&mut self.part_removals, MAX_PARTS),
        ];
        for (removals, most) in kinds {
            let is_old = |at: Timestamp| now.mono.since(now.mono_of(at)) >= RETENTION_AFTER_REMOVAL;
            while let Some((at, _)) = removals.first()
                && (removals.len() > most || is_old(*at))
                && let Some((_, name)) = removals.pop_first()
            {
                self.states.remove(&name);
                forgotten.push(name);
            }
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use jiff::SignedDuration;

    use super::*;
    use crate::time::Mono;

    #[test]
    fn of_parts_that_vanish_all_the_time_the_last_ones_are_kept() {
        let now = Now {
            mono: Mono::ORIGIN,
            wall: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24),
        };
        let mut retired = Retired::default();
        let mut state = MonitorState::default();
        state.own.removed_at = Some(Timestamp::UNIX_EPOCH);
        retired.insert("old".into(), Arc::new(state.clone()));
        state.own.part_at = NonZeroU32::new(3);
        for part in 0..MAX_PARTS + 2 {
            let second = SignedDuration::from_secs(i64::try_from(part).unwrap());
            state.own.removed_at = Some(Timestamp::UNIX_EPOCH + second);
            retired.insert(format!("a/{part}"), Arc::new(state.clone()));
        }
        assert_eq!(retired.forget_old(now), ["a/0", "a/1"]);
        assert_eq!(retired.forget_old(now), [""; 0]);
        assert!(retired.get("a/0").is_none() && retired.get("a/2").is_some());
        assert!(retired.get("old").is_some(), "a monitor has its time");
    }
}
