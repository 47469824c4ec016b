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
        schedule::{self, Grid},
    },
    state::MonitorState,
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
    retry: Option<Mono>,
    /// Boxed, as most monitors have none.
    heartbeat: Option<Box<MonitorHeartbeat>>,
    pub(super) reminder: Option<Mono>,
}

/// How the next regular check is scheduled.
enum Timing {
    /// In a daemon: the grid and its next due time.
    Grid { grid: Grid, next: Mono },
    /// In a pass: at most one regular check, and the moment of the next one, beyond which a
    /// retry must not wait.
    Once { due: Option<Mono>, next: Mono },
    /// Of a part of a monitor: it is checked with the monitor.
    Part { is_pass: bool },
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
        let timing = Timing::Grid { grid, next: first };
        Self::new(monitor, state, timing, now)
    }

    /// Creates a monitor of a pass at `now`.
    pub(super) fn for_pass(monitor: Arc<dyn Monitor>, state: Arc<MonitorState>, now: Now) -> Self {
        let watch = monitor.watch();
        let changed = state.last_config_checksum.as_deref() != Some(&*watch.checksum);
        let every = watch.policy.check_every;
        let soft = state.health().is_soft();
        let heartbeat_due = watch.policy.heartbeat.as_ref().is_some_and(|heartbeat| {
            heartbeat
                .every
                .is_some_and(|every| schedule::due_in_pass(state.last_successful_heartbeat, now.wall, every))
        });
        let always = watch
            .policy
            .heartbeat
            .as_ref()
            .is_some_and(|heartbeat| heartbeat.every.is_none());
        let due =
            changed || soft || heartbeat_due || schedule::due_in_pass(state.last_checked, now.wall, every);
        let timing = Timing::Once {
            due: due.then_some(now.mono),
            next: now.mono.plus(every),
        };
        let mut runtime = Self::new(monitor, state, timing, now);
        runtime.heartbeat =
            MonitorHeartbeat::for_pass(&runtime.monitor.watch().policy, heartbeat_due || always);
        // A reminder waits for the check, which may find the target up again.
        runtime.reminder = (!due && runtime.reminder_due_in_pass(now)).then_some(now.mono);
        runtime
    }

    /// Creates a part of a monitor at `now`. Its own name begins at `part_at`.
    pub(super) fn for_part(
        monitor: Arc<dyn Monitor>,
        state: Arc<MonitorState>,
        part_at: Option<NonZeroU32>,
        is_pass: bool,
        now: Now,
    ) -> Self {
        let mut runtime = Self::new(monitor, state, Timing::Part { is_pass }, now);
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
        let heartbeat = MonitorHeartbeat::for_daemon(&monitor.watch().policy, &state, now);
        Self {
            monitor,
            state,
            device: None,
            recent: Recent::default(),
            failed_steps: None,
            signals: VecDeque::new(),
            generation: 0,
            check_phase: CheckPhase::Idle,
            missed: 0,
            timing,
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
        let new = match self.timing {
            Timing::Grid { .. } | Timing::Part { is_pass: false } => {
                Self::for_daemon(monitor, state, now, grid, first)
            }
            Timing::Once { .. } | Timing::Part { is_pass: true } => Self::for_pass(monitor, state, now),
        };
        *self = Self {
            generation,
            missed: self.missed,
            recent: std::mem::take(&mut self.recent),
            ..new
        };
    }

    fn reminder_due_in_pass(&self, now: Now) -> bool {
        let policy = &self.monitor.watch().policy;
        match alert::reminder_due(policy, &self.state, now) {
            None => false,
            Some(due) if due <= now.mono => true,
            Some(due) => {
                let wait = alert::reminder_wait(policy, &self.state);
                schedule::left_in_pass(due.minus(wait), now, wait).is_zero()
            }
        }
    }

    /// Takes over the monitor of a new plan with the same options: its phase and state stay.
    /// What an embedder's checksum leaves out may be different: `grid` is that of the new
    /// policy.
    pub(super) fn renew(&mut self, monitor: Arc<dyn Monitor>, now: Now, grid: Grid) {
        let (old, new) = (&self.monitor.watch().policy, &monitor.watch().policy);
        if old.check_every != new.check_every && matches!(self.timing, Timing::Grid { .. }) {
            let next = grid.due_after(now.mono);
            self.timing = Timing::Grid { grid, next };
        }
        let period = |policy: &Policy| policy.heartbeat.as_ref().map(|heartbeat| heartbeat.every);
        if period(old) != period(new) {
            self.heartbeat = MonitorHeartbeat::for_daemon(new, &self.state, now);
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
        matches!(self.timing, Timing::Part { .. })
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
        let regular = match self.timing {
            Timing::Grid { next, .. } => Some(next),
            Timing::Once { due, .. } => due,
            Timing::Part { .. } => None,
        };
        let heartbeat = self.heartbeat.as_ref().and_then(|heartbeat| heartbeat.check_at());
        [regular, self.retry, heartbeat].into_iter().flatten().min()
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
        match &mut self.timing {
            Timing::Part { .. } => {}
            Timing::Once { due, .. } => *due = None,
            Timing::Grid { grid, next } => {
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
        self.schedule_reminder_after_check(now);
    }

    /// Schedules a retry, after a check that failed for the monitor or for a part of it.
    pub(super) fn schedule_retry(&mut self, now: Now) {
        if let Timing::Once { next, .. } | Timing::Grid { next, .. } = &self.timing {
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

    /// Schedules the reminder, once the check is over that it waits for.
    pub(super) fn schedule_reminder_after_check(&mut self, now: Now) {
        match self.timing {
            Timing::Once { .. } | Timing::Part { is_pass: true } => {
                self.reminder = self.reminder_due_in_pass(now).then_some(now.mono);
            }
            Timing::Grid { .. } | Timing::Part { is_pass: false } => self.schedule_reminder(now),
        }
    }

    /// When the period of the current heartbeat ends.
    pub(super) fn heartbeat_period_end(&self) -> Option<Mono> {
        let due = self.heartbeat.as_ref().and_then(|heartbeat| heartbeat.due());
        // Without a grid of its own, the next check brings the next heartbeat.
        due.or(match self.timing {
            Timing::Grid { next, .. } => Some(next),
            Timing::Once { .. } | Timing::Part { .. } => None,
        })
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

    /// Schedules the next reminder, after a notification or the end of an outage.
    fn schedule_reminder(&mut self, now: Now) {
        self.reminder = match self.timing {
            Timing::Once { .. } | Timing::Part { is_pass: true } => None,
            Timing::Grid { .. } | Timing::Part { is_pass: false } => {
                alert::reminder_due(&self.monitor.watch().policy, &self.state, now)
            }
        };
    }
}
