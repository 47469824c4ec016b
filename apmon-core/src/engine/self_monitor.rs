//! Whether the engine is well enough to vouch for itself, and when it does.

use std::{fmt, time::Duration};

use super::{outbox::Outbox, pending::PendingWrites};
use crate::{
    monitor::Heartbeat,
    rule::{resend::Resend, wording},
    time::{Mono, Now},
};

/// Between two of the engine's heartbeats, where nobody says otherwise.
const EVERY: Duration = Duration::from_secs(60);
/// The first one leaves so long after the start, when something was looked at.
const FIRST: Duration = Duration::from_secs(5);
/// Looks that start later than this are no watching.
const MAX_LAG: Duration = Duration::from_secs(5);
/// A message that got nowhere for so long is stuck.
const STUCK: Duration = Duration::from_secs(600);

/// The engine's own sign of life.
#[derive(Debug, Default)]
pub(super) struct SelfMonitor {
    every: Option<Duration>,
    due: Option<Mono>,
    resend: Resend,
    /// The latest start of a look since the heartbeat before.
    lag: Duration,
    /// Something was looked at.
    checked: bool,
    withheld: bool,
    /// One is under way.
    in_flight: bool,
    /// Tells an answer to an older plan's heartbeat from one to this one's.
    generation: u64,
}

/// Why it must not vouch for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HealthProblem {
    /// Nothing was looked at yet.
    NoChecks,
    /// Looks start so late.
    LateChecks(Duration),
    /// State is not saved.
    StateUnsaved,
    /// A message has waited so long.
    StuckMessage(Duration),
}

impl SelfMonitor {
    /// By the plan's heartbeat. The grid goes on where the interval is the same.
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

    /// That of the present plan.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// When it wants attention.
    pub(super) fn wake_at(&self) -> Option<Mono> {
        [self.due, self.resend.at()].into_iter().flatten().min()
    }

    /// Whether one leaves now; called once at a time.
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

    /// When the period of the present one ends.
    pub(super) fn period_end(&self) -> Option<Mono> {
        self.due
    }

    /// A look ended that had started so late.
    pub(super) fn record_check(&mut self, lateness: Duration) {
        self.checked = true;
        self.record_wait(lateness);
    }

    /// A look has waited so long.
    pub(super) fn record_wait(&mut self, lateness: Duration) {
        self.lag = self.lag.max(lateness);
    }

    /// Why it must not vouch for itself now. Looks count from the heartbeat
    /// before on.
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

    /// It is withheld; whether that is news.
    pub(super) fn withhold(&mut self) -> bool {
        !std::mem::replace(&mut self.withheld, true)
    }

    /// It leaves; whether it was withheld before.
    pub(super) fn resume(&mut self) -> bool {
        std::mem::replace(&mut self.withheld, false)
    }

    /// One is under way.
    pub(super) fn is_sending(&self) -> bool {
        self.in_flight
    }

    /// One leaves.
    pub(super) fn start_sending(&mut self) {
        self.in_flight = true;
    }

    /// It was answered, or not in time.
    pub(super) fn finish_sending(&mut self) {
        self.in_flight = false;
    }

    /// It was taken.
    pub(super) fn accepted(&mut self) {
        self.resend.accepted();
    }

    /// It was not taken; whether that is news.
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
            Self::NoChecks => f.write_str("nothing has been looked at yet"),
            Self::LateChecks(lag) => write!(f, "looks start {:.1} secs late", lag.as_secs_f64()),
            Self::StateUnsaved => f.write_str("state cannot be saved"),
            Self::StuckMessage(by) => write!(
                f,
                "a message has not been delivered for {}",
                wording::duration(*by)
            ),
        }
    }
}
