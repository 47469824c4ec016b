//! When a heartbeat is sent: at its due moment, and only after a check that succeeded just
//! before it. So the check starts early by the time that it usually takes.

use std::{fmt, time::Duration};

use super::announcement::in_time;
use crate::time::Mono;

/// Minimum time by which the check starts before the due moment: covers the timer's granularity
/// and the scheduler's delay.
const MARGIN: Duration = Duration::from_millis(20);

/// The heartbeat schedule of one monitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HeartbeatTimer {
    every: Option<Duration>,
    due: Option<Mono>,
    usual: Duration,
}

/// The consequence of a check for the heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SendDecision {
    /// No heartbeat now.
    No,
    /// A heartbeat at this moment, which may be now.
    At(Mono),
}

/// Why no heartbeat follows from a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoHeartbeat {
    /// The check did not find the target up.
    NotUp,
    /// It is not due for this time.
    NotDue(Duration),
}

/// A clause about the monitor: `heartbeat not due for 12 secs`.
impl fmt::Display for NoHeartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUp => f.write_str("no heartbeat, because it is not up"),
            Self::NotDue(left) => write!(f, "heartbeat not due for {}", in_time(*left)),
        }
    }
}

impl HeartbeatTimer {
    /// A schedule with a grid of `every` (without it, a heartbeat after each successful check),
    /// the last one sent at `last`.
    #[must_use]
    pub(crate) fn new(every: Option<Duration>, last: Option<Mono>) -> Self {
        Self {
            every,
            due: every.zip(last).map(|(every, last)| last.plus(every)),
            usual: Duration::ZERO,
        }
    }

    /// When the check for the next heartbeat has to start; `None` while there is no grid.
    #[must_use]
    pub(crate) fn check_at(&self) -> Option<Mono> {
        self.due.map(|due| due.minus(self.lead()))
    }

    /// When the next heartbeat is due.
    #[must_use]
    pub(crate) fn due(&self) -> Option<Mono> {
        self.due
    }

    fn lead(&self) -> Duration {
        let lead = self.usual.mul_f64(1.25) + MARGIN;
        self.every.map_or(lead, |every| lead.min(every / 2))
    }

    /// Processes a check that ran from `started` to `now`: decides whether a heartbeat is sent
    /// because of it, and advances the grid.
    #[must_use]
    pub(crate) fn after_check(&mut self, up: bool, started: Mono, now: Mono) -> SendDecision {
        let took = now.since(started);
        let before = self.lead();
        // The peak, which decays slowly: a check should rarely take longer than this.
        self.usual = took.max(self.usual.mul_f64(0.9));
        let Some(every) = self.every else {
            return if up {
                SendDecision::At(now)
            } else {
                SendDecision::No
            };
        };
        let Some(due) = self.due else {
            if !up {
                return SendDecision::No;
            }
            self.due = Some(now.plus(every));
            return SendDecision::At(now);
        };
        // A check that ended before the lead began is too old to justify a heartbeat. The lead
        // with which it was started counts as well, not only the one updated by it.
        if now < due.minus(before.max(self.lead())) {
            return SendDecision::No;
        }
        self.due = Some(next_after(due, every, now));
        if up {
            SendDecision::At(due.max(now))
        } else {
            SendDecision::No
        }
    }
}

fn next_after(due: Mono, every: Duration, now: Mono) -> Mono {
    let mut next = due.plus(every);
    if next <= now {
        let step = every.as_nanos().max(1);
        let missed = now.since(next).as_nanos() / step + 1;
        next = next.plus(Duration::from_nanos(
            u64::try_from(missed * step).unwrap_or(u64::MAX),
        ));
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ms(ms: i64) -> Mono {
        Mono::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn the_first_successful_check_starts_the_grid() {
        let mut timer = HeartbeatTimer::new(Some(10 * SECOND), None);
        assert_eq!(timer.after_check(false, ms(0), ms(5)), SendDecision::No);
        assert_eq!(
            timer.after_check(true, ms(1000), ms(1005)),
            SendDecision::At(ms(1005))
        );
        assert_eq!(timer.due(), Some(ms(11_005)));
    }

    #[test]
    fn the_check_starts_early_and_the_heartbeat_is_sent_when_due() {
        let mut timer = HeartbeatTimer::new(Some(10 * SECOND), Some(ms(0)));
        assert_eq!(timer.after_check(true, ms(100), ms(400)), SendDecision::No);
        let start = timer.check_at().unwrap();
        assert_eq!(start, ms(10_000 - 375 - 20));
        assert_eq!(
            timer.after_check(true, start, start.plus(300_000 * Duration::from_micros(1))),
            SendDecision::At(ms(10_000))
        );
        assert_eq!(timer.due(), Some(ms(20_000)));
    }

    /// Promise 2, with a target that takes 160 to 240 ms to answer: one check per heartbeat,
    /// and each is sent when due.
    #[test]
    fn checks_of_varying_duration_run_once_per_heartbeat() {
        let mut timer = HeartbeatTimer::new(Some(2 * SECOND), Some(ms(0)));
        let _ = timer.after_check(true, ms(100), ms(340));
        let mut late = 0;
        for k in 1..200 {
            let took = Duration::from_millis(160 + (k * 37) % 81);
            let due = timer.due().unwrap();
            let start = timer.check_at().unwrap();
            match timer.after_check(true, start, start.plus(took)) {
                SendDecision::At(at) => late = late.max(at.since(due).as_millis()),
                SendDecision::No => panic!("check {k} led to no heartbeat"),
            }
            assert_eq!(timer.due().unwrap(), due.plus(2 * SECOND));
        }
        assert_eq!(late, 0);
    }

    #[test]
    fn a_failed_check_sends_no_heartbeat_and_keeps_the_grid() {
        let mut timer = HeartbeatTimer::new(Some(10 * SECOND), Some(ms(0)));
        assert_eq!(timer.after_check(false, ms(9_980), ms(9_990)), SendDecision::No);
        assert_eq!(timer.due(), Some(ms(20_000)));
    }

    #[test]
    fn a_slow_check_sends_late_and_keeps_the_grid() {
        let mut timer = HeartbeatTimer::new(Some(10 * SECOND), Some(ms(0)));
        assert_eq!(
            timer.after_check(true, ms(9_980), ms(12_000)),
            SendDecision::At(ms(12_000))
        );
        assert_eq!(timer.due(), Some(ms(20_000)));
    }

    #[test]
    fn missed_heartbeats_are_not_sent_later() {
        let mut timer = HeartbeatTimer::new(Some(10 * SECOND), Some(ms(0)));
        assert_eq!(
            timer.after_check(true, ms(55_000), ms(55_001)),
            SendDecision::At(ms(55_001))
        );
        assert_eq!(timer.due(), Some(ms(60_000)));
    }

    #[test]
    fn without_a_grid_every_successful_check_sends_a_heartbeat() {
        let mut timer = HeartbeatTimer::new(None, None);
        assert_eq!(timer.check_at(), None);
        assert_eq!(timer.after_check(true, ms(0), ms(3)), SendDecision::At(ms(3)));
        assert_eq!(timer.after_check(false, ms(10), ms(13)), SendDecision::No);
        assert_eq!(timer.after_check(true, ms(20), ms(23)), SendDecision::At(ms(23)));
    }
}
