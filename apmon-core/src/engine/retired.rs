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

/// States of monitors that are not running, by name.
#[derive(Debug, Default)]
pub(super) struct Retired {
    states: BTreeMap<String, Arc<MonitorState>>,
    /// When each was removed, so that finding the oldest visits no others. By wall clock: after a
    /// start, nothing else is known.
    removals: BTreeSet<(Timestamp, String)>,
}

impl Retired {
    /// Keeps the states that a store held.
    pub(super) fn new(stored: BTreeMap<String, Arc<MonitorState>>) -> Self {
        let removals = stored
            .iter()
            .filter_map(|(name, state)| Some((state.own.removed_at?, name.clone())));
        Self {
            removals: removals.collect(),
            states: stored,
        }
    }

    /// Keeps the state of a monitor.
    pub(super) fn insert(&mut self, name: String, state: Arc<MonitorState>) {
        self.remove(&name);
        if let Some(at) = state.own.removed_at {
            self.removals.insert((at, name.clone()));
        }
        self.states.insert(name, state);
    }

    /// Takes the state of a monitor.
    pub(super) fn remove(&mut self, name: &str) -> Option<Arc<MonitorState>> {
        let (name, state) = self.states.remove_entry(name)?;
        if let Some(at) = state.own.removed_at {
            self.removals.remove(&(at, name));
        }
        Some(state)
    }

    /// The state of a monitor.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<MonitorState>> {
        self.states.get(name)
    }

    /// Takes the states that were never retired properly: their monitors left the site file
    /// while no engine ran.
    pub(super) fn take_unretired(&mut self) -> Vec<(String, Arc<MonitorState>)> {
        let left = |_: &String, state: &mut Arc<MonitorState>| state.own.removed_at.is_none();
        self.states.extract_if(.., left).collect()
    }

    /// Forgets the states of monitors that were removed long ago, and returns their names.
    pub(super) fn forget_old(&mut self, now: Now) -> Vec<String> {
        let mut forgotten = Vec::new();
        while let Some((at, _)) = self.removals.first()
            && now.mono.since(now.mono_of(*at)) >= RETENTION_AFTER_REMOVAL
            && let Some((_, name)) = self.removals.pop_first()
        {
            self.states.remove(&name);
            forgotten.push(name);
        }
        forgotten
    }
}
