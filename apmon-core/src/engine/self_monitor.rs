//! Whether the engine is healthy enough to send its own heartbeat, and when it is due.

use std::{fmt, time::Duration};

use super::{outbox::Outbox, pending::PendingWrites};
use crate::{
    monitor::Heartbeat,
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
    every: Option<Duration>,
    due: Option<Mono>,
    resend: Resend,
    /// The greatest lateness of a check since the previous heartbeat.
    lag: Duration,
    /// Whether there has been a check.
    checked: bool,
    withheld: bool,
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
    /// A notification has not been delivered for this long.
    StuckMessage(Duration),
}

impl SelfMonitor {
    /// Applies the plan's heartbeat. The grid continues if the interval is the same.
    pub(super) fn configure(&mut self, heartbeat: Option<&Heartbeat>, now: Mono) {
        let every = heartbeat.map(|heartbeat| heartbeat.every.unwrap_or(EVERY));
        if self.every == every {
            return;
        }
        self.generation += 1;
        self.in_flight = false;
        self.every = every;
        self.due = every.map(|every| now.plus(every.min(FIRST)));
        self.resend = Resend::default();
    }

    /// The generation of the current plan's heartbeat.
    pub(super) fn generation(&self) -> u64 {
        self.generation
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

    /// When the period of the current heartbeat ends.
    pub(super) fn period_end(&self) -> Option<Mono> {
        self.due
    }

    /// Records a finished check that started with this lateness.
    pub(super) fn record_check(&mut self, lateness: Duration) {
        self.checked = true;
        self.record_wait(lateness);
    }

    /// Records a check that has been waiting this long.
    pub(super) fn record_wait(&mut self, lateness: Duration) {
        self.lag = self.lag.max(lateness);
    }

    /// The reason why the heartbeat is withheld now, if there is one. Checks count since the
    /// previous heartbeat.
    pub(super) fn health_problem(
        &mut self,
        pending: &PendingWrites,
        outbox: &Outbox,
        now: Now,
    ) -> Option<HealthProblem> {
        let lag = std::mem::take(&mut self.lag);
        if !self.checked {
            return Some(HealthProblem::NoChecks);
        }
        if lag > MAX_LAG {
            return Some(HealthProblem::LateChecks(lag));
        }
        if pending.failing || pending.is_stalled() {
            return Some(HealthProblem::StateUnsaved);
        }
        let stuck = outbox.stuck_since().map(|since| now.mono.since(since));
        stuck
            .filter(|stuck| *stuck >= STUCK)
            .map(HealthProblem::StuckMessage)
    }

    /// Marks the heartbeat as withheld; returns whether it was not withheld before.
    pub(super) fn withhold(&mut self) -> bool {
        !std::mem::replace(&mut self.withheld, true)
    }

    /// Marks the heartbeat as sent; returns whether it was withheld before.
    pub(super) fn resume(&mut self) -> bool {
        std::mem::replace(&mut self.withheld, false)
    }

    /// Whether a request is in flight.
    pub(super) fn is_sending(&self) -> bool {
        self.in_flight
    }

    /// Marks a request as in flight.
    pub(super) fn start_sending(&mut self) {
        self.in_flight = true;
    }

    /// Marks the request as answered or timed out.
    pub(super) fn finish_sending(&mut self) {
        self.in_flight = false;
    }

    /// Records that the heartbeat was accepted.
    pub(super) fn accepted(&mut self) {
        self.resend.accepted();
    }

    /// Records that the heartbeat was not accepted; returns whether it is the first failure.
    pub(super) fn failed(&mut self, now: Mono) -> bool {
        self.resend.failed(now, self.due);
        if self.every.is_none() {
            self.resend.clear(); // a pass leaves that to the next one
        }
        self.resend.failures() == 1
    }
}

impl fmt::Display for HealthProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoChecks => f.write_str("nothing has been checked yet"),
            Self::LateChecks(lag) => write!(f, "checks start {:.1} secs late", lag.as_secs_f64()),
            Self::StateUnsaved => f.write_str("state cannot be saved"),
            Self::StuckMessage(by) => write!(
                f,
                "a message has not been delivered for {}",
                wording::duration(*by)
            ),
        }
    }
}
