//! Self-monitoring: whether the engine is healthy enough to send its own heartbeat, and when it
//! is due.

use std::{fmt, time::Duration};

use super::{delivery::Deliveries, monitors::Monitors, persistence::Persistence, task::HeartbeatSource};
use crate::{
    notification::DeliveryError,
    notification::Heartbeat,
    rule::{resend::Resend, wording},
    time::{Mono, Now},
};

/// The interval of the engine's heartbeats unless the plan sets one.
const EVERY: Duration = Duration::from_secs(60);
/// The first heartbeat follows the start by this time, when there have been checks.
const FIRST: Duration = Duration::from_secs(5);
/// Checks that start later than this are not monitoring.
const MAX_LAG: Duration = Duration::from_secs(5);
/// A notification that has not been delivered for this long is stuck.
const STUCK: Duration = Duration::from_secs(600);

/// The engine's own heartbeat.
#[derive(Debug, Default)]
pub(super) struct SelfMonitor {
    heartbeat: Option<Heartbeat>,
    /// The interval of the grid; in a pass there is none before the first check.
    every: Option<Duration>,
    /// Whether it is that of a pass.
    in_pass: bool,
    due: Option<Mono>,
    resend: Resend,
    /// The greatest lateness of a check since the previous heartbeat.
    lag: Duration,
    /// Whether there has been a check.
    checked: bool,
    withheld: bool,
    /// When the last one was accepted.
    accepted: Option<Mono>,
    /// Whether a request is in flight.
    in_flight: bool,
    /// Distinguishes an answer to an older plan's heartbeat from one to the current plan's.
    generation: u64,
}

/// The reason why the engine's own heartbeat is withheld.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HealthProblem {
    /// There has been no check yet.
    NoChecks,
    /// Checks start this late.
    LateChecks(Duration),
    /// State is not being saved.
    StateUnsaved,
    /// The state of a monitor is too large for the store.
    StateTooLarge,
    /// A notification has not been delivered for this long.
    StuckNotification(Duration),
}

impl SelfMonitor {
    /// Creates the self-monitoring of a single pass, which sends a heartbeat at its end, and
    /// others before that if it takes long.
    pub(super) fn for_pass(heartbeat: Option<Heartbeat>) -> Self {
        Self {
            heartbeat,
            in_pass: true,
            ..Self::default()
        }
    }

    /// Applies the plan's heartbeat. The grid continues if the interval is the same.
    pub(super) fn configure(&mut self, heartbeat: Option<Heartbeat>, now: Mono) {
        let every = heartbeat
            .as_ref()
            .map(|heartbeat| heartbeat.every.unwrap_or(EVERY));
        self.heartbeat = heartbeat;
        if self.every == every {
            return;
        }
        self.generation += 1;
        self.in_flight = false;
        self.every = every;
        self.due = every.map(|every| now.plus(every.min(FIRST)));
        self.resend = Resend::default();
    }

    /// Whether there is a heartbeat for the end of a pass: none was accepted just before it.
    pub(super) fn has_last_heartbeat(&self, now: Mono) -> bool {
        let every = self.every.unwrap_or_default();
        let is_recent = |accepted: Mono| now.since(accepted) < every / 2;
        self.heartbeat.is_some() && !self.accepted.is_some_and(is_recent)
    }

    /// When the next attempt is due.
    pub(super) fn wake_at(&self) -> Option<Mono> {
        [self.due, self.resend.at()].into_iter().flatten().min()
    }

    /// Whether a heartbeat is due now; advances the grid.
    pub(super) fn is_due(&mut self, now: Mono) -> bool {
        let (Some(every), Some(due)) = (self.every, self.due) else {
            return false;
        };
        if due <= now {
            self.resend = Resend::default();
            self.lag = self.lag.max(now.since(due));
            let missed =
                u32::try_from(now.since(due).as_nanos() / every.as_nanos().max(1)).unwrap_or(u32::MAX);
            self.due = Some(due.plus(every.saturating_mul(missed.saturating_add(1))));
            return true;
        }
        let again = self.resend.at().is_some_and(|at| at <= now);
        if again {
            self.resend.clear();
        }
        again
    }

    /// The heartbeat to send now, provided that the engine is healthy: its source, and when its
    /// period ends.
    pub(super) fn next_heartbeat(
        &mut self,
        monitors: &Monitors,
        persistence: &Persistence,
        delivery: &Deliveries,
        now: Now,
    ) -> Option<(HeartbeatSource, Heartbeat, Option<Mono>)> {
        let heartbeat = self.heartbeat.clone()?;
        // Checks that wait for a permit are late although they have not started; in a pass, where
        // all are due at once, that says nothing.
        if let Some(due) = monitors.waiting_since().filter(|_| !self.in_pass) {
            self.lag = self.lag.max(now.mono.since(due));
        }
        if let Some(problem) = self.health_problem(persistence, delivery, now) {
            if !std::mem::replace(&mut self.withheld, true) {
                tracing::warn!("apmon's own heartbeat is withheld: {problem}");
            }
            return None;
        }
        if std::mem::take(&mut self.withheld) {
            tracing::info!("apmon's own heartbeat is sent again");
        }
        Some((HeartbeatSource::Engine(self.generation), heartbeat, self.due))
    }

    /// Records a check that ended at `now` and had started with this lateness.
    pub(super) fn record_check(&mut self, lateness: Duration, now: Mono) {
        self.checked = true;
        self.lag = self.lag.max(lateness);
        if self.in_pass && self.every.is_none() {
            // The last pass has sent one at its end.
            let every = self.heartbeat.as_ref().map(|it| it.every.unwrap_or(EVERY));
            self.every = every;
            self.due = every.map(|every| now.plus(every.min(FIRST)));
        }
    }

    /// The reason why the heartbeat is withheld now, if there is one. Checks count since the
    /// previous heartbeat.
    fn health_problem(
        &mut self,
        persistence: &Persistence,
        delivery: &Deliveries,
        now: Now,
    ) -> Option<HealthProblem> {
        let lag = std::mem::take(&mut self.lag);
        if !self.checked {
            return Some(HealthProblem::NoChecks);
        }
        if lag > MAX_LAG {
            return Some(HealthProblem::LateChecks(lag));
        }
        if persistence.is_failing() || persistence.is_stalled() {
            return Some(HealthProblem::StateUnsaved);
        }
        if persistence.has_oversized() {
            return Some(HealthProblem::StateTooLarge);
        }
        let stuck = delivery.stuck_since().map(|since| now.mono.since(since));
        stuck
            .filter(|stuck| *stuck >= STUCK)
            .map(HealthProblem::StuckNotification)
    }

    /// Whether a request is in flight.
    pub(super) fn is_sending(&self) -> bool {
        self.in_flight
    }

    /// Marks a request as in flight.
    pub(super) fn start_sending(&mut self) {
        self.in_flight = true;
    }

    /// Processes the result of a heartbeat of this generation.
    pub(super) fn heartbeat_finished(
        &mut self,
        generation: u64,
        result: Result<(), DeliveryError>,
        now: Mono,
    ) {
        if generation != self.generation {
            return;
        }
        self.in_flight = false;
        match result {
            Ok(()) => {
                tracing::debug!("apmon's own heartbeat sent");
                self.accepted = Some(now);
                self.resend.accepted();
            }
            Err(error) => {
                self.resend.failed(now, self.due);
                if self.every.is_none() {
                    self.resend.clear(); // a pass without a check
                }
                if self.resend.failures() == 1 {
                    tracing::warn!("apmon's own heartbeat not sent: {error}");
                }
            }
        }
    }
}

impl fmt::Display for HealthProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoChecks => f.write_str("nothing has been checked yet"),
            Self::LateChecks(lag) => write!(f, "checks start {:.1} secs late", lag.as_secs_f64()),
            Self::StateUnsaved => f.write_str("state cannot be saved"),
            Self::StateTooLarge => f.write_str("the state of a monitor is too large for the store"),
            Self::StuckNotification(by) => write!(
                f,
                "a notification has not been delivered for {}",
                wording::duration(*by)
            ),
        }
    }
}
