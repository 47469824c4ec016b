//! What an observation says about the parts of a monitor.

use super::Dispatcher;
use crate::{monitor::Observation, probe::Check, rule::health::Transition, time::Now};

impl Dispatcher {
    /// Applies an observation of the monitor at `owner` to its parts. Those that are not listed
    /// were not checked, and keep their state; if the observation `lists_all`, they are gone.
    pub(super) fn parts_observed(
        &mut self,
        owner: usize,
        (check, observation): (&Check, &Observation),
        lists_all: bool,
        now: Now,
    ) {
        let listed = &observation.parts;
        if listed.is_empty() && !self.monitors.has_parts(owner) {
            return;
        }
        for part in self.monitors.unlisted_parts(owner, listed) {
            match lists_all {
                true => drop(self.retire_part(part, now)),
                false => self.monitors.part_not_checked(part, now),
            }
        }
        let mut is_soft = false;
        for (part, outcome) in self.monitors.take_parts(owner, listed, now) {
            let observation = Observation::from(outcome.clone());
            let transition = self.conclude(part, check, &observation, now);
            is_soft |= transition == Some(Transition::Soft);
        }
        if is_soft {
            self.monitors.retry_for_part(owner, now);
        }
    }

    /// Ends what is open of the part at `index`, and keeps its state for a while.
    /// Returns its name.
    fn retire_part(&mut self, index: usize, now: Now) -> Option<String> {
        let (watch, state) = self.monitors.remove_part(index)?;
        let name = watch.name.clone();
        self.retire(Some(index), watch, state, now);
        Some(name)
    }

    /// Stops a monitor and its parts. Returns whether there was one.
    pub(super) fn stop_monitor(&mut self, name: &str, now: Now) -> bool {
        let Some(owner) = self.monitors.index_of(name) else {
            return false;
        };
        let parts = self.monitors.parts_of(owner).into_iter();
        let parts: Vec<_> = parts.filter_map(|part| self.retire_part(part, now)).collect();
        if let Some((index, watch, state)) = self.monitors.remove(name) {
            self.retire(Some(index), watch, state, now);
        }
        // The switches of the monitor, which were those of its parts, have gone with it.
        for part in parts {
            self.settle_retired(&part, now);
        }
        true
    }
}
