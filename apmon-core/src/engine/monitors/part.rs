//! The parts of monitors. Each has a runtime like a monitor, with a state of its own, so that
//! reminders, notifications, commits and removals are those of a monitor. Only its checks are
//! those of the monitor it belongs to.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    mem,
    num::NonZeroU32,
    sync::Arc,
};

use async_trait::async_trait;

use super::Monitors;
use crate::{
    engine::runtime::MonitorRuntime,
    monitor::{Monitor, Observation, Part, Policy, Watch},
    outcome::{Failure, FailureClass, Outcome},
    probe::Check,
    state::MonitorState,
    time::Now,
};

/// The most parts of a monitor that are watched, so that a list without end costs limited time
/// and memory.
const MAX_PARTS: usize = 1_000;
/// The longest name of a part, in bytes.
const MAX_NAME: usize = 255;
/// The most parts of a monitor that are reported as not watched.
const MAX_REPORTED: usize = 20;

/// The parts of one monitor.
#[derive(Default)]
pub(super) struct PartList {
    by_name: BTreeMap<String, Place>,
    /// Counts the observations that listed parts.
    observations: u64,
    /// The names of parts whose refusal has been logged.
    reported: BTreeSet<String>,
    /// Whether it has been logged that there are too many.
    reported_excess: bool,
}

struct Place {
    /// Where the part runs.
    index: usize,
    /// The last observation that listed it.
    observation: u64,
}

/// The reason why a part is not watched.
#[derive(Clone, Copy)]
enum Refusal {
    NoName,
    LongName,
    Duplicate,
    /// Its full name is taken.
    Taken,
}

impl PartList {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Logs why a part is not watched, once for each name.
    fn report(&mut self, monitor: &str, part: &Part, refusal: Refusal) {
        // The beginning of a name, as it may be of any length.
        let name: String = part.name.chars().take(MAX_NAME).collect();
        if self.reported.len() >= MAX_REPORTED || !self.reported.insert(name) {
            return;
        }
        match refusal {
            Refusal::NoName => tracing::warn!(monitor, "a part without a name is not watched"),
            Refusal::LongName => tracing::warn!(
                monitor,
                "a part is not watched because its name has {} bytes, more than {MAX_NAME}",
                part.name.len()
            ),
            Refusal::Duplicate => tracing::warn!(
                monitor,
                "part {:?} is listed twice; only its first result counts",
                part.name
            ),
            Refusal::Taken => tracing::warn!(
                monitor,
                "part {:?} is not watched because {:?} is also the name of a monitor or of another part; rename one of them",
                part.name,
                part.full_name(monitor)
            ),
        }
    }

    fn report_excess(&mut self, monitor: &str, count: usize) {
        if !mem::replace(&mut self.reported_excess, true) {
            tracing::warn!(
                monitor,
                "at most {MAX_PARTS} parts of a monitor are watched, and this one has {count}; divide them among several monitors"
            );
        }
    }
}

impl Monitors {
    /// Whether the monitor at `owner` has parts, or listed some.
    pub(in crate::engine) fn has_parts(&self, owner: usize) -> bool {
        self.parts.contains_key(&owner)
    }

    /// Where the parts of the monitor at `owner` run, in the order of their names.
    pub(in crate::engine) fn parts_of(&self, owner: usize) -> Vec<usize> {
        let places = self.parts.get(&owner).map(|list| list.by_name.values());
        places.into_iter().flatten().map(|place| place.index).collect()
    }

    /// Where those parts run that are not among the `listed` ones.
    pub(in crate::engine) fn unlisted_parts(&self, owner: usize, listed: &[Part]) -> Vec<usize> {
        let Some(list) = self.parts.get(&owner).filter(|list| list.len() > 0) else {
            return Vec::new();
        };
        let listed = listed.iter().take(MAX_PARTS);
        let listed: HashSet<&str> = listed.map(|part| part.name.as_str()).collect();
        let unlisted = list.by_name.iter();
        unlisted
            .filter(|(name, _)| !listed.contains(name.as_str()))
            .map(|(_, place)| place.index)
            .collect()
    }

    /// Takes what an observation says about the parts of the monitor at `owner`: new ones are
    /// added. Returns where each part runs, and its outcome.
    pub(in crate::engine) fn take_parts<'a>(
        &mut self,
        owner: usize,
        listed: &'a [Part],
        now: Now,
    ) -> Vec<(usize, &'a Outcome)> {
        let Some(runtime) = self.at(owner).filter(|_| !listed.is_empty()) else {
            return Vec::new();
        };
        let monitor = Arc::clone(&runtime.monitor);
        let name = &monitor.watch().name;
        let mut list = self.parts.remove(&owner).unwrap_or_default();
        list.observations += 1;
        if listed.len() > MAX_PARTS {
            list.report_excess(name, listed.len());
        }
        let mut taken = Vec::with_capacity(listed.len().min(MAX_PARTS));
        for part in listed.iter().take(MAX_PARTS) {
            let observation = list.observations;
            match list.by_name.get_mut(&part.name) {
                Some(place) if place.observation == observation => {
                    list.report(name, part, Refusal::Duplicate);
                }
                Some(place) => {
                    place.observation = observation;
                    taken.push((place.index, &part.outcome));
                }
                None => {
                    // Those that are not listed count too: they were not checked this time.
                    if list.len() >= MAX_PARTS {
                        list.report_excess(name, listed.len().max(list.len() + 1));
                        continue;
                    }
                    match self.add_part(&monitor, part, now) {
                        Ok(index) => {
                            let place = Place { index, observation };
                            list.by_name.insert(part.name.clone(), place);
                            taken.push((index, &part.outcome));
                        }
                        Err(refusal) => list.report(name, part, refusal),
                    }
                }
            }
        }
        self.parts.insert(owner, list);
        taken
    }

    fn add_part(&mut self, monitor: &Arc<dyn Monitor>, part: &Part, now: Now) -> Result<usize, Refusal> {
        match part.name.len() {
            0 => return Err(Refusal::NoName),
            1..=MAX_NAME => {}
            _ => return Err(Refusal::LongName),
        }
        let name = part.full_name(&monitor.watch().name);
        if self.by_name.contains_key(&name) {
            return Err(Refusal::Taken);
        }
        let state = self.retired.remove(&name).unwrap_or_default();
        Ok(self.start_part(monitor, &part.name, state, now))
    }

    fn start_part(
        &mut self,
        monitor: &Arc<dyn Monitor>,
        part: &str,
        state: Arc<MonitorState>,
        now: Now,
    ) -> usize {
        self.generation += 1;
        let part = PartMonitor::new(monitor, part);
        let name = part.watch.name.clone();
        let part_at = part_at(&name, &part.name);
        let runtime = MonitorRuntime::for_part(Arc::new(part), state, part_at, self.is_pass, now);
        self.insert(name, runtime)
    }

    /// Starts the parts of running monitors that a previous run left. Their outages and
    /// reminders continue; a part that no longer exists is known after the first check.
    pub(in crate::engine) fn revive_parts(&mut self, now: Now) {
        let by_name = &self.by_name;
        let stored = self.retired.take_parts(|monitor| by_name.contains_key(monitor));
        for (name, state) in stored {
            let names = state.own.split_part(&name);
            let Some((owner, part)) =
                names.and_then(|(monitor, part)| Some((*self.by_name.get(monitor)?, part)))
            else {
                continue; // these are parts of running monitors
            };
            let Some(monitor) = self.at(owner).map(|runtime| Arc::clone(&runtime.monitor)) else {
                continue;
            };
            let index = self.start_part(&monitor, part, state, now);
            let place = Place {
                index,
                observation: 0,
            };
            let list = self.parts.entry(owner).or_default();
            list.by_name.insert(part.to_owned(), place);
        }
        if self.is_pass {
            let owners: Vec<usize> = self.parts.keys().copied().collect();
            for owner in owners {
                self.schedule_parts_in_pass(owner, now);
            }
        }
    }

    /// In a pass, a soft state of a part makes a check due; reminders wait for a check that is
    /// due.
    fn schedule_parts_in_pass(&mut self, owner: usize, now: Now) {
        let parts = self.parts_of(owner);
        let is_soft = |part: &usize| self.at(*part).is_some_and(|part| part.state.health().is_soft());
        let any_soft = parts.iter().any(is_soft);
        let Some(runtime) = self.at_mut(owner) else {
            return;
        };
        if any_soft {
            runtime.check_in_pass(now);
        }
        let is_due = runtime.check_at().is_some_and(|at| at <= now.mono);
        self.start_waiting(owner, now.mono);
        if !is_due {
            for part in parts {
                self.part_not_checked(part, now);
            }
        }
    }

    /// Notes that a check is over which did not check the part at `index`: its reminders
    /// continue.
    pub(in crate::engine) fn part_not_checked(&mut self, index: usize, now: Now) {
        if let Some(part) = self.at_mut(index) {
            part.schedule_reminder(now);
        }
        self.rearm(index);
    }

    /// Schedules a retry of the monitor at `owner`, because a part of it is in a soft state.
    pub(in crate::engine) fn retry_for_part(&mut self, owner: usize, now: Now) {
        if let Some(runtime) = self.at_mut(owner) {
            runtime.schedule_retry(now);
        }
        self.rearm(owner);
    }

    /// Stops the part at `index`. Returns its watch and its state.
    pub(in crate::engine) fn remove_part(&mut self, index: usize) -> Option<(Watch, Arc<MonitorState>)> {
        self.detach_part(index);
        let name = self.at(index)?.monitor.watch().name.clone();
        let (_, watch, state) = self.take(&name)?;
        Some((watch, state))
    }

    /// Separates what runs at `index` from its monitor, if it is a part.
    pub(super) fn detach_part(&mut self, index: usize) {
        let Some(part) = self.at(index).filter(|runtime| runtime.is_part()) else {
            return;
        };
        let name = &part.monitor.watch().name;
        let Some((monitor, part)) = part.state.own.split_part(name) else {
            return;
        };
        let (owner, part) = (self.by_name.get(monitor).copied(), part.to_owned());
        if let Some(list) = owner.and_then(|owner| self.parts.get_mut(&owner)) {
            list.by_name.remove(&part);
        }
    }

    /// Gives the parts of the monitor at `owner` its new policy.
    pub(super) fn renew_parts(&mut self, owner: usize, now: Now) {
        if !self.has_parts(owner) {
            return;
        }
        let Some(monitor) = self.at(owner).map(|runtime| Arc::clone(&runtime.monitor)) else {
            return;
        };
        let parts = self.parts.get(&owner).into_iter();
        let parts: Vec<_> = parts
            .flat_map(|list| &list.by_name)
            .map(|(name, place)| (name.clone(), place.index))
            .collect();
        for (name, index) in parts {
            if let Some(runtime) = self.at_mut(index) {
                runtime.renew_part(Arc::new(PartMonitor::new(&monitor, &name)), now);
            }
            self.rearm(index);
        }
    }
}

/// The byte at which the name of a part begins in its full name.
fn part_at(full_name: &str, part: &str) -> Option<NonZeroU32> {
    NonZeroU32::new(u32::try_from(full_name.len() - part.len()).ok()?)
}

/// A part of a monitor, as a monitor of its own.
struct PartMonitor {
    watch: Watch,
    monitor: Arc<dyn Monitor>,
    name: String,
}

impl PartMonitor {
    fn new(monitor: &Arc<dyn Monitor>, part: &str) -> Self {
        let watch = monitor.watch();
        Self {
            watch: Watch {
                name: format!("{}/{part}", watch.name),
                policy: Policy {
                    heartbeat: None,
                    ..watch.policy.clone()
                },
                ..watch.clone()
            },
            monitor: Arc::clone(monitor),
            name: part.to_owned(),
        }
    }
}

#[async_trait]
impl Monitor for PartMonitor {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Checks the monitor, and takes the part's share of the result. The engine checks the
    /// monitor instead.
    async fn check(&self, check: &Check) -> Observation {
        let parts = self.monitor.check(check).await.parts.into_iter();
        let outcome = parts
            .filter(|part| part.name == self.name)
            .map(|part| part.outcome)
            .next();
        let not_listed = || Outcome::failed(Failure::new(FailureClass::Unreadable, "it was not checked"));
        outcome.unwrap_or_else(not_listed).into()
    }
}
