//! One monitor while the engine runs: its state, and when its next action is due.

use std::{collections::VecDeque, num::NonZeroU32, sync::Arc};

use super::{monitor_heartbeat::MonitorHeartbeat, recent::Recent};
use crate::{
    device::Device,
    memory::{InvalidValue, Memory},
    monitor::{Monitor, Observation, Policy, Signal},
    notification::DeliveryError,
    outcome::Verdict,
    probe::{Check, Step},
    read::RecentResult,
    rule::{
        alert::{self, RuleContext},
        effects::{Effects, FinishedCheck},
        health::Transition,
        heartbeat::NoHeartbeat,
        pass::PassCheck,
        schedule::{self, Grid},
    },
    state::MonitorState,
    text::printable,
    time::{Mono, Now},
};

/// Names a monitor of a certain version: whatever a task reports about an older version is
/// ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct MonitorRef {
    pub(super) index: usize,
    pub(super) generation: u64,
}

/// A running monitor, or a part of one.
pub(super) struct MonitorRuntime {
    pub(super) monitor: Arc<dyn Monitor>,
    pub(super) state: Arc<MonitorState>,
    /// The target's own description of itself, from the last check that could read it.
    pub(super) device: Option<Arc<Device>>,
    /// The warnings of the last check.
    pub(super) warning: Option<Box<str>>,
    /// The results of the last checks.
    pub(super) recent: Recent,
    /// The steps of the last failed check.
    pub(super) failed_steps: Option<Arc<[Step]>>,
    /// Signals that wait for the end of a running check, whose memory they build on.
    pub(super) signals: VecDeque<Signal>,
    /// Distinguishes a check by an older version of this monitor from one by the current
    /// version.
    pub(super) generation: u64,
    pub(super) check_phase: CheckPhase,
    /// Regular checks that were missed.
    pub(super) missed: u64,
    timing: Timing,
    /// Whether it runs in a pass, which also does what would be due a moment after it.
    in_pass: bool,
    retry: Option<Mono>,
    /// Boxed, as most monitors have none.
    heartbeat: Option<Box<MonitorHeartbeat>>,
    pub(super) reminder: Option<Mono>,
}

/// How regular checks are scheduled.
enum Timing {
    /// Those of a monitor: the grid and its next due time.
    Grid { grid: Grid, next: Mono },
    /// Of a part of a monitor: it is checked with the monitor.
    Part,
}

/// The phase of the current check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CheckPhase {
    /// There is no check.
    Idle,
    /// Due since this moment, waiting for a permit.
    Waiting(Mono),
    /// In progress.
    Running,
}

/// An action that is due now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DueAction {
    /// A check, due at this moment.
    Check(Mono),
    /// A heartbeat is to be sent.
    Heartbeat,
    /// A reminder is to be sent.
    Reminder,
}

impl MonitorRuntime {
    /// Creates a monitor of a daemon, added at `now`, with its first check at `first`.
    pub(super) fn for_daemon(
        monitor: Arc<dyn Monitor>,
        state: Arc<MonitorState>,
        now: Now,
        grid: Grid,
        first: Mono,
    ) -> Self {
        Self::new(monitor, state, Timing::Grid { grid, next: first }, now)
    }

    /// Creates a monitor of a pass at `now`: its checks continue from those of the last pass.
    pub(super) fn for_pass(monitor: Arc<dyn Monitor>, state: Arc<MonitorState>, now: Now) -> Self {
        let watch = monitor.watch();
        let every = watch.policy.check_every;
        let check = PassCheck::of(watch, &state, now);
        match check {
            PassCheck::Interval => tracing::debug!("{}: {check}", printable(&watch.name)),
            _ => tracing::info!("{}: {check}", printable(&watch.name)),
        }
        let due = check.is_due();
        let heartbeat_due = watch.policy.heartbeat.as_ref().is_some_and(|heartbeat| {
            heartbeat
                .every
                .is_some_and(|every| schedule::due_in_pass(state.last_successful_heartbeat, now.wall, every))
        });
        let first = match state.last_checked.filter(|_| !due) {
            Some(last) => now.mono_of(last).plus(every),
            None => now.mono,
        };
        let timing = Timing::Grid {
            grid: Grid::new(first, every, 0.0),
            next: first,
        };
        let mut runtime = Self::new(monitor, state, timing, now);
        runtime.in_pass = true;
        if heartbeat_due {
            runtime.heartbeat = MonitorHeartbeat::after_next_success(&runtime.monitor.watch().policy);
        }
        if !due {
            // Otherwise a reminder waits for the check, which may find the target up again.
            runtime.schedule_reminder(now);
        }
        runtime
    }

    /// Creates a part of a monitor at `now`. Its own name begins at `part_at`.
    pub(super) fn for_part(
        monitor: Arc<dyn Monitor>,
        state: Arc<MonitorState>,
        part_at: Option<NonZeroU32>,
        in_pass: bool,
        now: Now,
    ) -> Self {
        let mut runtime = Self::new(monitor, state, Timing::Part, now);
        runtime.in_pass = in_pass;
        let state = Arc::make_mut(&mut runtime.state);
        state.own.part_at = part_at;
        // That of a monitor which had this name.
        state.memory = Memory::default();
        runtime
    }

    fn new(monitor: Arc<dyn Monitor>, mut state: Arc<MonitorState>, timing: Timing, now: Now) -> Self {
        let loaded = Arc::make_mut(&mut state);
        loaded.own.removed_at = None;
        loaded.own.part_at = None;
        loaded.anchor(now);
        // The monitor and its state share one text.
        if loaded.last_config_checksum.as_ref() == Some(&monitor.watch().checksum) {
            loaded.last_config_checksum = Some(Arc::clone(&monitor.watch().checksum));
        }
        let heartbeat = MonitorHeartbeat::new(&monitor.watch().policy, &state, now);
        Self {
            monitor,
            state,
            device: None,
            warning: None,
            recent: Recent::default(),
            failed_steps: None,
            signals: VecDeque::new(),
            generation: 0,
            check_phase: CheckPhase::Idle,
            missed: 0,
            timing,
            in_pass: false,
            retry: None,
            heartbeat,
            // A reminder of an open outage waits for the first check, which may end the outage.
            reminder: None,
        }
    }

    /// Replaces the monitor after its options changed: it is checked at `first`; an outage and
    /// its reminders continue.
    pub(super) fn replace(
        &mut self,
        monitor: Arc<dyn Monitor>,
        generation: u64,
        now: Now,
        grid: Grid,
        first: Mono,
    ) {
        let state = std::mem::take(&mut self.state);
        let new = match self.in_pass {
            false => Self::for_daemon(monitor, state, now, grid, first),
            true => Self::for_pass(monitor, state, now),
        };
        *self = Self {
            generation,
            missed: self.missed,
            recent: std::mem::take(&mut self.recent),
            ..new
        };
    }

    /// Takes over the monitor of a new plan with the same options: its phase and state stay.
    /// What an embedder's checksum leaves out may be different: `grid` is that of the new
    /// policy.
    pub(super) fn renew(&mut self, monitor: Arc<dyn Monitor>, now: Now, grid: Grid) {
        let (old, new) = (&self.monitor.watch().policy, &monitor.watch().policy);
        if old.check_every != new.check_every && !self.in_pass {
            let next = grid.due_after(now.mono);
            self.timing = Timing::Grid { grid, next };
        }
        let period = |policy: &Policy| policy.heartbeat.as_ref().map(|heartbeat| heartbeat.every);
        if period(old) != period(new) {
            self.heartbeat = MonitorHeartbeat::new(new, &self.state, now);
        }
        self.renew_part(monitor, now);
    }

    /// Takes over the part of a monitor that was renewed or replaced: its state stays.
    pub(super) fn renew_part(&mut self, monitor: Arc<dyn Monitor>, now: Now) {
        self.monitor = monitor;
        if self.reminder.is_some() {
            self.schedule_reminder(now);
        }
    }

    /// Whether it is a part of a monitor.
    pub(super) fn is_part(&self) -> bool {
        matches!(self.timing, Timing::Part)
    }

    /// Makes a check due now, unless there is one already.
    pub(super) fn check_now(&mut self, now: Mono) -> bool {
        let is_idle = self.check_phase == CheckPhase::Idle;
        if is_idle {
            self.check_phase = CheckPhase::Waiting(now);
        }
        is_idle
    }

    /// When its next action is due.
    pub(super) fn wake_at(&self) -> Option<Mono> {
        let check = match self.check_phase {
            CheckPhase::Idle => self.check_at(),
            CheckPhase::Waiting(_) | CheckPhase::Running => None,
        };
        let heartbeat = self.heartbeat.as_ref().and_then(|heartbeat| heartbeat.send_at());
        let moments = [check, heartbeat, self.reminder];
        moments.into_iter().flatten().min()
    }

    /// When its next check is due.
    pub(super) fn check_at(&self) -> Option<Mono> {
        let heartbeat = self.heartbeat.as_ref().and_then(|heartbeat| heartbeat.check_at());
        [self.next(), self.retry, heartbeat].into_iter().flatten().min()
    }

    /// When its next regular check is due.
    fn next(&self) -> Option<Mono> {
        match self.timing {
            Timing::Grid { next, .. } => Some(next),
            Timing::Part => None,
        }
    }

    /// Whether a failed check is to be repeated before its verdict counts.
    pub(super) fn has_retry(&self) -> bool {
        self.retry.is_some()
    }

    /// Whether a pass that would end now leaves work that belongs to it: a heartbeat whose check
    /// has been made and, if `or_soon`, whatever would be due a moment after it.
    pub(super) fn has_work_in_pass(&self, or_soon: bool, now: Now) -> bool {
        if self
            .heartbeat
            .as_ref()
            .is_some_and(|heartbeat| heartbeat.is_scheduled())
        {
            return true;
        }
        let policy = &self.monitor.watch().policy;
        let soon = |due: Mono, interval| schedule::is_soon_in_pass(due, now.mono, interval);
        let heartbeat = || {
            let (due, every) = (self.heartbeat.as_ref()?.due()?, policy.heartbeat.as_ref()?.every?);
            Some(soon(due, every))
        };
        let reminder = || Some(soon(self.reminder?, alert::reminder_wait(policy, &self.state)));
        or_soon
            && (self.next().is_some_and(|next| soon(next, policy.check_every))
                || heartbeat().unwrap_or_default()
                || reminder().unwrap_or_default())
    }

    /// The next action that is due by `now`; to be called until there is none.
    pub(super) fn next_due_action(&mut self, now: Mono) -> Option<DueAction> {
        if let Some(heartbeat) = &mut self.heartbeat
            && heartbeat.take_due(now)
        {
            return Some(DueAction::Heartbeat);
        }
        if self.reminder.is_some_and(|at| at <= now) {
            self.reminder = None;
            return Some(DueAction::Reminder);
        }
        if self.check_phase == CheckPhase::Idle
            && let Some(due) = self.check_at().filter(|due| *due <= now)
        {
            self.check_phase = CheckPhase::Waiting(due);
            return Some(DueAction::Check(due));
        }
        None
    }

    /// Starts its check.
    pub(super) fn start_check(&mut self, now: Mono) {
        self.check_phase = CheckPhase::Running;
        self.retry = None;
        let heartbeat = self.heartbeat.as_ref();
        let heartbeat_due = heartbeat.and_then(|heartbeat| heartbeat.due_at_check(now));
        if let Timing::Grid { grid, next } = &mut self.timing {
            if *next <= now {
                self.missed += grid.missed(*next, now);
                *next = grid.due_after(now);
            }
            // A check for the heartbeat also serves the regular checks up to it.
            if let Some(due) = heartbeat_due.filter(|due| *next <= *due) {
                *next = grid.due_after(due);
            }
        }
    }

    /// Applies the rules to a check that ended at `now`. Returns what they decided.
    pub(super) fn decide(
        &mut self,
        context: &RuleContext,
        check: &Check,
        observation: &Observation,
        now: Now,
    ) -> Effects {
        let outcome = &observation.outcome;
        let verdict = outcome.verdict();
        let finished = FinishedCheck {
            started: check.started,
            verdict,
            failure: outcome.failure(),
            latency: outcome.latency,
            notices: &observation.notices,
            changes: &observation.changes,
        };
        let state = Arc::make_mut(&mut self.state);
        let effects = alert::after_check(context, self.monitor.watch(), state, finished, now);
        if let Some(device) = &observation.device {
            self.device = Some(Arc::clone(device));
        }
        self.warning = outcome.warning_text().map(Box::from);
        self.recent.push(RecentResult::new(
            check.started.wall,
            effects.after,
            outcome.latency,
        ));
        self.schedule_after(verdict, effects.transition, check.started, now);
        effects
    }

    /// Keeps the data for the next check. Returns what of it cannot be stored.
    pub(super) fn keep_memory(&mut self, observation: &Observation) -> Vec<InvalidValue> {
        let Some(memory) = &observation.memory else {
            return Vec::new();
        };
        let state = Arc::make_mut(&mut self.state);
        let (memory, invalid) = memory.clone().keep_valid(&state.memory);
        state.memory = memory;
        invalid
    }

    /// Applies the rules to a reminder that is due.
    pub(super) fn remind(&mut self, context: &RuleContext, now: Now) -> Effects {
        let state = Arc::make_mut(&mut self.state);
        let effects = alert::remind(context, self.monitor.watch(), state, now);
        self.schedule_reminder(now);
        effects
    }

    /// Applies the rules to the ends that its channels are owed.
    pub(super) fn settle(&mut self, context: &RuleContext, now: Now) -> Effects {
        let state = Arc::make_mut(&mut self.state);
        alert::settle(context, self.monitor.watch(), state, now)
    }

    /// Ends its check, and moves on to the next due time.
    pub(super) fn end_check(&mut self, now: Now) {
        self.check_phase = CheckPhase::Idle;
        if let Timing::Grid { grid, next } = &mut self.timing
            && *next <= now.mono
        {
            self.missed += grid.missed(*next, now.mono) + 1;
            *next = grid.due_after(now.mono);
        }
    }

    /// Schedules what follows from a verdict: a retry, a heartbeat, a reminder.
    fn schedule_after(&mut self, verdict: Verdict, transition: Option<Transition>, started: Now, now: Now) {
        if transition == Some(Transition::Soft) {
            self.schedule_retry(now);
        }
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.after_check(verdict == Verdict::Up, started.mono, now.mono);
        }
        self.schedule_reminder(now);
    }

    /// Schedules a retry, after a check that failed for the monitor or for a part of it.
    pub(super) fn schedule_retry(&mut self, now: Now) {
        if let Timing::Grid { next, .. } = &self.timing {
            let retry_after = self.monitor.watch().policy.retry_after();
            self.retry = Some(schedule::retry_at(now.mono, retry_after, *next));
        }
    }

    /// Makes the first check of a pass due, because a part of the monitor needs it.
    pub(super) fn check_in_pass(&mut self, now: Now) {
        self.retry = Some(now.mono);
        // It waits for the check, which may find the target up again.
        self.reminder = None;
    }

    /// Why the last check led to no heartbeat, if it has one and did not.
    pub(super) fn no_heartbeat(&self, now: Mono) -> Option<NoHeartbeat> {
        self.heartbeat.as_ref()?.not_sent(now)
    }

    /// When its next heartbeat is due, if it has a period of its own.
    pub(super) fn next_heartbeat(&self) -> Option<Mono> {
        self.heartbeat.as_ref()?.due()
    }

    /// When the period of the current heartbeat ends.
    pub(super) fn heartbeat_period_end(&self) -> Option<Mono> {
        let due = self.heartbeat.as_ref().and_then(|heartbeat| heartbeat.due());
        // Without a grid of its own, the next check brings the next heartbeat.
        due.or(self.next())
    }

    /// Processes the result of a heartbeat that was `sent` then: after a failure there is
    /// another attempt within the period if the last check found the target up. Returns whether
    /// the state has changed.
    pub(super) fn heartbeat_finished(
        &mut self,
        sent: Now,
        result: Result<(), DeliveryError>,
        now: Mono,
    ) -> bool {
        let ends = self.heartbeat_period_end();
        let accepted = match &mut self.heartbeat {
            Some(heartbeat) => heartbeat.finished(&self.monitor.watch().name, result, ends, now),
            // The monitor has none any more.
            None => result.is_ok(),
        };
        if accepted {
            Arc::make_mut(&mut self.state).last_successful_heartbeat = Some(sent.wall);
        }
        accepted
    }

    /// Schedules the next reminder, after a check, a notification or the end of an outage.
    pub(super) fn schedule_reminder(&mut self, now: Now) {
        let policy = &self.monitor.watch().policy;
        let due = alert::reminder_due(policy, &self.state, now);
        let wait = || alert::reminder_wait(policy, &self.state);
        let is_soon = |due: &Mono| self.in_pass && schedule::is_soon_in_pass(*due, now.mono, wait());
        self.reminder = due.map(|due| if is_soon(&due) { now.mono } else { due });
    }
}
