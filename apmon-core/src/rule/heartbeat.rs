//! When a sign of life leaves: at its due moment, and only on the strength of
//! a check that succeeded just before it. So the check is started early by the
//! time it usually takes.

use std::time::Duration;

use crate::time::Mono;

/// How long before the due moment the check starts at least: the timer's own
/// grain and a scheduler's delay.
const MARGIN: Duration = Duration::from_millis(20);

/// The heartbeats of one monitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeartbeatTimer {
    every: Option<Duration>,
    due: Option<Mono>,
    usual: Duration,
}

/// What a check means for the heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendDecision {
    /// Nothing now.
    No,
    /// At this moment, which may be now.
    At(Mono),
}

impl HeartbeatTimer {
    /// Heartbeats on a grid of `every` (after each good check without it), the
    /// last one sent at `last`.
    #[must_use]
    pub fn new(every: Option<Duration>, last: Option<Mono>) -> Self {
        Self {
            every,
            due: every.zip(last).map(|(every, last)| last.plus(every)),
            usual: Duration::ZERO,
        }
    }

    /// When the check for the next heartbeat has to start; `None` while there
    /// is no grid yet, or none at all.
    #[must_use]
    pub fn check_at(&self) -> Option<Mono> {
        self.due.map(|due| due.minus(self.lead()))
    }

    /// When the next heartbeat is due.
    #[must_use]
    pub fn due(&self) -> Option<Mono> {
        self.due
    }

    fn lead(&self) -> Duration {
        let lead = self.usual.mul_f64(1.25) + MARGIN;
        self.every.map_or(lead, |every| lead.min(every / 2))
    }

    /// A check ended at `now`, having started at `started`. Says whether a
    /// heartbeat leaves on its strength, and moves the grid on.
    #[must_use]
    pub fn after_check(&mut self, up: bool, started: Mono, now: Mono) -> SendDecision {
        let took = now.since(started);
        let before = self.lead();
        // The peak, slowly forgotten: a check must rarely take longer than this.
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
        // What ended before the lead began is too old to vouch for anything.
        // The lead it was started by counts, not only the one it changed.
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
    fn the_first_good_check_starts_the_grid() {
        let mut timer = HeartbeatTimer::new(Some(10 * SECOND), None);
        assert_eq!(timer.after_check(false, ms(0), ms(5)), SendDecision::No);
        assert_eq!(
            timer.after_check(true, ms(1000), ms(1005)),
            SendDecision::At(ms(1005))
        );
        assert_eq!(timer.due(), Some(ms(11_005)));
    }

    #[test]
    fn the_check_starts_early_and_the_heartbeat_leaves_when_due() {
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

    /// Promise 2, with a target whose answer takes 160 to 240 ms: one check a
    /// heartbeat, and each leaves when due.
    #[test]
    fn checks_of_changing_length_come_once_a_heartbeat() {
        let mut timer = HeartbeatTimer::new(Some(2 * SECOND), Some(ms(0)));
        let _ = timer.after_check(true, ms(100), ms(340));
        let mut late = 0;
        for k in 1..200 {
            let took = Duration::from_millis(160 + (k * 37) % 81);
            let due = timer.due().unwrap();
            let start = timer.check_at().unwrap();
            match timer.after_check(true, start, start.plus(took)) {
                SendDecision::At(at) => late = late.max(at.since(due).as_millis()),
                SendDecision::No => panic!("check {k} was for nothing"),
            }
            assert_eq!(timer.due().unwrap(), due.plus(2 * SECOND));
        }
        assert_eq!(late, 0);
    }

    #[test]
    fn a_failed_check_sends_none_and_the_grid_stays() {
        let mut timer = HeartbeatTimer::new(Some(10 * SECOND), Some(ms(0)));
        assert_eq!(timer.after_check(false, ms(9_980), ms(9_990)), SendDecision::No);
        assert_eq!(timer.due(), Some(ms(20_000)));
    }

    #[test]
    fn a_check_that_took_too_long_sends_late_and_the_grid_stays() {
        let mut timer = HeartbeatTimer::new(Some(10 * SECOND), Some(ms(0)));
        assert_eq!(
            timer.after_check(true, ms(9_980), ms(12_000)),
            SendDecision::At(ms(12_000))
        );
        assert_eq!(timer.due(), Some(ms(20_000)));
    }

    #[test]
    fn missed_heartbeats_are_not_made_up_for() {
        let mut timer = HeartbeatTimer::new(Some(10 * SECOND), Some(ms(0)));
        assert_eq!(
            timer.after_check(true, ms(55_000), ms(55_001)),
            SendDecision::At(ms(55_001))
        );
        assert_eq!(timer.due(), Some(ms(60_000)));
    }

    #[test]
    fn without_a_grid_every_good_check_sends() {
        let mut timer = HeartbeatTimer::new(None, None);
        assert_eq!(timer.check_at(), None);
        assert_eq!(timer.after_check(true, ms(0), ms(3)), SendDecision::At(ms(3)));
        assert_eq!(timer.after_check(false, ms(10), ms(13)), SendDecision::No);
        assert_eq!(timer.after_check(true, ms(20), ms(23)), SendDecision::At(ms(23)));
    }
}
