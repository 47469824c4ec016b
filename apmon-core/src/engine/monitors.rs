//! The monitors at run time: which one is due, which are being checked, and the states of those
//! that are retired.

mod owed;
mod part;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use self::part::PartList;
use super::{
    agenda::Agenda,
    retired::Retired,
    runtime::{CheckPhase, DueAction, MonitorRef, MonitorRuntime},
    task::CheckTask,
};
use crate::{
    memory::InvalidValue,
    monitor::{Monitor, Policy, Watch},
    notification::Notification,
    read::RecentResult,
    rule::{
        pass::PassCheck,
        schedule::{self, Grid},
    },
    state::{MonitorState, OwnState},
    store::RecentByMonitor,
    text::printable,
    time::{Mono, Now},
};

/// All monitors of a site, and their parts.
pub(super) struct Monitors {
    runtimes: Vec<Option<MonitorRuntime>>,
    by_name: HashMap<String, usize>,
    /// The parts of the monitors that have some, by the index of the monitor.
    parts: HashMap<usize, PartList>,
    free: Vec<usize>,
    /// States of monitors that are not running.
    retired: Retired,
    agenda: Agenda,
    /// Monitors whose check waits for a permit.
    waiting: VecDeque<usize>,
    running: usize,
    max_concurrent: Option<NonZeroUsize>,
    /// The newest generation.
    generation: u64,
    is_pass: bool,
    /// The monitors that were due at the start of a pass, until they are up or in a hard state.
    awaited: HashSet<usize>,
    /// Monitors whose panic has been logged.
    panicked: HashSet<String>,
    /// Monitors and keys whose invalid data has been logged.
    reported_invalid: HashSet<(String, String)>,
}

impl Monitors {
    /// Creates an empty set that knows the stored states.
    pub(super) fn new(stored: BTreeMap<String, Arc<MonitorState>>, is_pass: bool) -> Self {
        Self {
            runtimes: Vec::new(),
            by_name: HashMap::new(),
            parts: HashMap::new(),
            free: Vec::new(),
            retired: Retired::new(stored),
            agenda: Agenda::default(),
            waiting: VecDeque::new(),
            running: 0,
            max_concurrent: None,
            generation: 0,
            is_pass,
            awaited: HashSet::new(),
            panicked: HashSet::new(),
            reported_invalid: HashSet::new(),
        }
    }

    /// Limits the number of checks that run at the same time.
    pub(super) fn limit(&mut self, max_concurrent: Option<NonZeroUsize>) {
        self.max_concurrent = max_concurrent;
    }

    pub(super) fn reserve(&mut self, monitors: usize) {
        self.runtimes.reserve_exact(monitors);
        self.by_name.reserve(monitors);
    }

    /// Adds a monitor, or replaces the one of the same name. In a daemon its first check falls
    /// within `spread`, or within the usual first round.
    pub(super) fn add(&mut self, monitor: Arc<dyn Monitor>, site: &str, now: Now, spread: Option<Duration>) {
        self.generation += 1;
        let generation = self.generation;
        let (grid, first) = grid(site, monitor.watch(), now, spread);
        if let Some(&index) = self.by_name.get(&monitor.watch().name) {
            // A part of that name ends, and the monitor continues its state.
            self.detach_part(index);
            if let Some(runtime) = self.runtimes[index].as_mut() {
                tracing::info!("{}: {}", printable(&monitor.watch().name), PassCheck::Changed);
                runtime.replace(monitor, generation, now, grid, first);
            }
            self.renew_parts(index, now);
            return self.start_waiting(index, now.mono);
        }
        let name = monitor.watch().name.clone();
        let state = self.retired.remove(&name).unwrap_or_default();
        let runtime = if self.is_pass {
            MonitorRuntime::for_pass(monitor, state, now)
        } else {
            MonitorRuntime::for_daemon(monitor, state, now, grid, first)
        };
        let index = self.insert(name, runtime);
        self.start_waiting(index, now.mono);
    }

    /// Adds what runs under a new name, as the newest generation.
    fn insert(&mut self, name: String, mut runtime: MonitorRuntime) -> usize {
        runtime.generation = self.generation;
        let index = self.free.pop().unwrap_or_else(|| {
            self.runtimes.push(None);
            self.runtimes.len() - 1
        });
        self.by_name.insert(name, index);
        self.runtimes[index] = Some(runtime);
        self.rearm(index);
        index
    }

    /// Puts the first moment of the monitor at `index` on the agenda. A pass waits for it if
    /// its check is due now.
    fn start_waiting(&mut self, index: usize, now: Mono) {
        self.rearm(index);
        let check_at = self.at(index).and_then(MonitorRuntime::check_at);
        match self.is_pass && check_at.is_some_and(|at| at <= now) {
            true => self.awaited.insert(index),
            false => self.awaited.remove(&index),
        };
    }

    /// Notes that a check of the monitor at `index` has ended: a pass waits for its retries.
    pub(super) fn end_waiting(&mut self, index: usize) {
        if self.at(index).is_none_or(|runtime| !runtime.has_retry()) {
            self.awaited.remove(&index);
        }
    }

    /// How many monitors a pass still waits for.
    pub(super) fn awaited(&self) -> usize {
        self.awaited.len()
    }

    /// Stops a monitor, whose parts were removed before. Returns its index, which is free now,
    /// its watch and its state.
    pub(super) fn remove(&mut self, name: &str) -> Option<(usize, Watch, Arc<MonitorState>)> {
        let index = self.index_of(name)?;
        self.parts.remove(&index);
        self.take(name)
    }

    fn take(&mut self, name: &str) -> Option<(usize, Watch, Arc<MonitorState>)> {
        let index = self.by_name.remove(name)?;
        let runtime = self.runtimes[index].take()?;
        self.agenda.arm(index, None);
        self.awaited.remove(&index);
        self.free.push(index);
        Some((index, runtime.monitor.watch().clone(), runtime.state))
    }

    /// Keeps the state of a removed monitor.
    pub(super) fn retire(&mut self, name: String, state: Arc<MonitorState>) {
        self.retired.insert(name, state);
    }

    /// Takes the states that were never retired properly.
    pub(super) fn take_unretired(&mut self) -> Vec<(String, Arc<MonitorState>)> {
        self.retired.take_unretired()
    }

    /// Forgets the states of monitors that were removed long ago, and returns their names.
    pub(super) fn forget_old(&mut self, now: Now) -> Vec<String> {
        self.retired.forget_old(now)
    }

    /// How many monitors there are, without their parts.
    pub(super) fn count(&self) -> usize {
        let parts = self.parts.values().map(PartList::len);
        self.by_name.len() - parts.sum::<usize>()
    }

    /// All running monitors, without their parts.
    pub(super) fn monitors(&self) -> impl Iterator<Item = (usize, &MonitorRuntime)> + Clone {
        let runtimes = self.runtimes.iter().enumerate();
        runtimes.filter_map(|(index, runtime)| Some((index, runtime.as_ref().filter(|it| !it.is_part())?)))
    }

    /// All running monitors and their parts.
    pub(super) fn iter(&self) -> impl Iterator<Item = &MonitorRuntime> + Clone {
        self.runtimes.iter().flatten()
    }

    /// The monitors as they run, without their parts.
    pub(super) fn all(&self) -> Vec<Arc<dyn Monitor>> {
        let monitors = self.monitors();
        monitors
            .map(|(_, runtime)| Arc::clone(&runtime.monitor))
            .collect()
    }

    pub(super) fn at(&self, index: usize) -> Option<&MonitorRuntime> {
        self.runtimes.get(index)?.as_ref()
    }

    pub(super) fn at_mut(&mut self, index: usize) -> Option<&mut MonitorRuntime> {
        self.runtimes.get_mut(index)?.as_mut()
    }

    /// A name for the monitor at `index` in its present version.
    pub(super) fn reference(&self, index: usize) -> Option<MonitorRef> {
        let generation = self.at(index)?.generation;
        Some(MonitorRef { index, generation })
    }

    /// The monitor, unless it has been replaced or removed since.
    pub(super) fn current(&mut self, reference: MonitorRef) -> Option<&mut MonitorRuntime> {
        self.at_mut(reference.index)
            .filter(|runtime| runtime.generation == reference.generation)
    }

    /// Where the monitor of this name runs; `None` also for a part.
    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        let index = *self.by_name.get(name)?;
        self.at(index)
            .is_some_and(|runtime| !runtime.is_part())
            .then_some(index)
    }

    /// The running monitor of this name, or the part.
    pub(super) fn named(&self, name: &str) -> Option<(MonitorRef, &MonitorRuntime)> {
        let index = *self.by_name.get(name)?;
        Some((self.reference(index)?, self.at(index)?))
    }

    /// Takes over a monitor of a new plan if one with the same options is running: its phase
    /// and state stay. Otherwise the monitor is returned, which is new or different.
    pub(super) fn renew(
        &mut self,
        monitor: Arc<dyn Monitor>,
        site: &str,
        now: Now,
    ) -> Option<Arc<dyn Monitor>> {
        let watch = monitor.watch();
        let is_same = |running: &Watch| running.checksum == watch.checksum && !watch.checksum.is_empty();
        let running = self.index_of(&watch.name);
        let Some(index) = running.filter(|index| {
            self.at(*index)
                .is_some_and(|runtime| is_same(runtime.monitor.watch()))
        }) else {
            return Some(monitor);
        };
        let (grid, _) = grid(site, watch, now, None);
        if let Some(runtime) = self.at_mut(index) {
            runtime.renew(monitor, now, grid);
        }
        self.renew_parts(index, now);
        self.rearm(index);
        None
    }

    /// Fills in the last results that a store held.
    pub(super) fn fill_recent(&mut self, results: RecentByMonitor) {
        for (name, results) in results {
            let Some(index) = self.by_name.get(&name).copied() else {
                continue;
            };
            if let Some(runtime) = self.at_mut(index) {
                let results = results.iter().map(RecentResult::of);
                runtime.recent.fill(results.collect());
            }
        }
    }

    /// Makes a check of this monitor due now. Returns whether there is such a monitor.
    pub(super) fn check_now(&mut self, name: &str, now: Mono) -> bool {
        let Some(index) = self.index_of(name) else {
            return false;
        };
        if self.at_mut(index).is_some_and(|runtime| runtime.check_now(now)) {
            self.waiting.push_back(index);
        }
        true
    }

    /// The policy of a monitor; the last known one if it has been removed.
    pub(super) fn policy_of(&self, name: &str) -> Policy {
        let running = self
            .named(name)
            .map(|(_, runtime)| runtime.monitor.watch().policy.clone());
        let retired = || Some(self.retired.get(name)?.own.last_policy());
        running.or_else(retired).unwrap_or_default()
    }

    /// The part of a monitor's state that says which incidents are open, also of a removed one.
    pub(super) fn own_state(&self, name: &str) -> Option<&OwnState> {
        let running = self.named(name).map(|(_, runtime)| &runtime.state);
        running.or_else(|| self.retired.get(name)).map(|state| &state.own)
    }

    /// The same of all running monitors, by name.
    pub(super) fn own_states(&self) -> impl Iterator<Item = (&str, &OwnState)> {
        let named = self.by_name.iter();
        named.filter_map(|(name, index)| Some((name.as_str(), &self.at(*index)?.state.own)))
    }

    /// Whether the outage that a notification reports is the one of a running monitor.
    pub(super) fn has_outage(&self, notification: &Notification) -> bool {
        let runtime = self.named(&notification.monitor);
        runtime.and_then(|(_, runtime)| runtime.state.own.incident.as_ref()) == Some(&notification.incident)
    }

    /// The state of a removed monitor.
    pub(super) fn retired_state(&self, name: &str) -> Option<&Arc<MonitorState>> {
        self.retired.get(name)
    }

    /// Takes the next monitor for which something is due by `now`. Its actions follow from
    /// [`next_action`](Self::next_action); afterwards it is to be [rearmed](Self::rearm).
    pub(super) fn pop_due(&mut self, now: Mono) -> Option<usize> {
        self.agenda.pop_due(now)
    }

    /// The next action of a monitor that is due by `now`, except checks, which are queued.
    pub(super) fn next_action(&mut self, index: usize, now: Mono) -> Option<DueAction> {
        loop {
            let action = self.at_mut(index)?.next_due_action(now)?;
            if !matches!(action, DueAction::Check(_)) {
                return Some(action);
            }
            self.waiting.push_back(index);
        }
    }

    /// Puts the monitor's next moment on the agenda.
    pub(super) fn rearm(&mut self, index: usize) {
        let due = self.at(index).and_then(MonitorRuntime::wake_at);
        self.agenda.arm(index, due);
    }

    /// When the next action is due.
    pub(super) fn wake_at(&mut self) -> Option<Mono> {
        self.agenda.next()
    }

    /// Replaces the state of a monitor. Returns where it runs, if it does.
    pub(super) fn set_state(&mut self, name: &str, state: Arc<MonitorState>) -> Option<usize> {
        let index = *self.by_name.get(name)?;
        self.at_mut(index)?.state = state;
        Some(index)
    }

    /// The moments at which the next actions are due, in ascending order, at most `most`.
    pub(super) fn upcoming(&self, most: usize) -> Vec<Mono> {
        self.agenda.upcoming(most)
    }

    /// Starts the next check that waits, if there is a permit.
    pub(super) fn start_check(&mut self, now: Now) -> Option<CheckTask> {
        let most = self.max_concurrent.map_or(usize::MAX, NonZeroUsize::get);
        while self.running < most {
            let index = self.waiting.pop_front()?;
            let Some(runtime) = self.at_mut(index) else {
                continue;
            };
            let CheckPhase::Waiting(due) = runtime.check_phase else {
                continue;
            };
            runtime.start_check(now.mono);
            let task = CheckTask {
                reference: MonitorRef {
                    index,
                    generation: runtime.generation,
                },
                monitor: Arc::clone(&runtime.monitor),
                memory: runtime.state.memory.clone(),
                due,
            };
            self.running += 1;
            return Some(task);
        }
        None
    }

    /// Gives back the permit of a check that ended.
    pub(super) fn check_ended(&mut self) {
        self.running -= 1;
    }

    /// Since when the oldest check has been waiting for a permit.
    pub(super) fn waiting_since(&self) -> Option<Mono> {
        self.waiting
            .iter()
            .find_map(|index| match self.at(*index)?.check_phase {
                CheckPhase::Waiting(due) => Some(due),
                _ => None,
            })
    }

    /// The longest time that a check may take.
    pub(super) fn longest_check(&self) -> Duration {
        let policies = self.iter().map(|runtime| &runtime.monitor.watch().policy);
        policies.map(|policy| policy.max_try).max().unwrap_or_default()
    }

    /// How many checks are in progress.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Whether a pass that would end now leaves work that belongs to it: a check that is in
    /// progress or waits, a heartbeat and, if `or_soon`, whatever would be due a moment after it.
    pub(super) fn has_work_in_pass(&self, or_soon: bool, now: Now) -> bool {
        self.running > 0
            || !self.waiting.is_empty()
            || self.iter().any(|runtime| runtime.has_work_in_pass(or_soon, now))
    }

    /// Logs data of a check that cannot be stored, once for each key.
    pub(super) fn report_invalid(&mut self, monitor: &str, values: Vec<InvalidValue>) {
        for InvalidValue { key, reason } in values {
            if self.reported_invalid.insert((monitor.to_owned(), key.clone())) {
                tracing::error!(
                    monitor,
                    key,
                    "the check returned data that cannot be stored (this is a bug): {reason}"
                );
            }
        }
    }

    /// Logs the panic of a check, once for each monitor.
    pub(super) fn report_panic(&mut self, monitor: &str, failure: &crate::outcome::Failure) {
        if self.panicked.insert(monitor.to_owned()) {
            tracing::error!(monitor, "{failure} (this is a bug)");
        }
    }
}

/// The grid of a monitor's checks, and its first check.
fn grid(site: &str, watch: &Watch, now: Now, spread: Option<Duration>) -> (Grid, Mono) {
    let phase = schedule::phase(site, &watch.name);
    let every = watch.policy.check_every;
    let first = match spread {
        Some(spread) => now.mono.plus(spread.min(every).mul_f64(phase)),
        None => Grid::first(now.mono, every, phase),
    };
    (Grid::new(now.mono, every, phase), first)
}
