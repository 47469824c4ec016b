//! The decision of when a child is started again.

use std::time::Duration;

use crate::limits::WorkerLimits;

/// How many times as long as at first a suspension may become.
const LONGEST_SUSPENSION: u32 = 10;

/// The history of deaths, as far as it matters for the next start.
#[derive(Debug, Default)]
pub(crate) struct RestartPolicy {
    /// Deaths since the last answer.
    deaths: u32,
}

/// The consequence of a death.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    /// The next child may start after this pause; requests wait for it.
    After(Duration),
    /// Requests fail until this pause has passed.
    Suspended(Duration),
}

impl RestartPolicy {
    /// The child has answered a request, so it works.
    pub(crate) fn answered(&mut self) {
        self.deaths = 0;
    }

    /// A child has died, or could not be started.
    pub(crate) fn died(&mut self, limits: &WorkerLimits) -> Restart {
        self.deaths = self.deaths.saturating_add(1);
        if self.deaths >= limits.deaths {
            return Restart::Suspended(suspension(self.deaths - limits.deaths, limits));
        }
        // A child that dies of one request, after it answered others, is replaced at once.
        let pause = match self.deaths {
            1 => Duration::ZERO,
            deaths => doubled(limits.restart_pause, deaths - 2),
        };
        Restart::After(pause.min(limits.suspension))
    }

    /// The command cannot be started, and trying again soon is of no use.
    pub(crate) fn cannot_start(&mut self, limits: &WorkerLimits) -> Duration {
        let before = self.deaths.saturating_sub(limits.deaths.saturating_sub(1));
        self.deaths = self.deaths.max(limits.deaths.saturating_sub(1)).saturating_add(1);
        suspension(before, limits)
    }

    /// Deaths since the last answer.
    pub(crate) fn deaths(&self) -> u32 {
        self.deaths
    }
}

fn suspension(before: u32, limits: &WorkerLimits) -> Duration {
    let longest = limits.suspension.saturating_mul(LONGEST_SUSPENSION);
    doubled(limits.suspension, before).min(longest)
}

fn doubled(pause: Duration, times: u32) -> Duration {
    pause.saturating_mul(2_u32.saturating_pow(times))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> WorkerLimits {
        WorkerLimits {
            deaths: 4,
            restart_pause: Duration::from_secs(1),
            suspension: Duration::from_secs(10),
            ..WorkerLimits::default()
        }
    }

    fn died(policy: &mut RestartPolicy) -> (bool, u64) {
        match policy.died(&limits()) {
            Restart::After(pause) => (false, pause.as_secs()),
            Restart::Suspended(pause) => (true, pause.as_secs()),
        }
    }

    #[test]
    fn pauses_grow_until_the_worker_is_suspended_for_longer_and_longer() {
        let mut policy = RestartPolicy::default();
        let pauses: Vec<_> = (0..9).map(|_| died(&mut policy)).collect();
        let expected = [
            (false, 0),
            (false, 1),
            (false, 2),
            (true, 10),
            (true, 20),
            (true, 40),
            (true, 80),
            (true, 100),
            (true, 100),
        ];
        assert_eq!(pauses, expected);
    }

    #[test]
    fn an_answer_ends_the_row_of_deaths() {
        let mut policy = RestartPolicy::default();
        for _ in 0..6 {
            died(&mut policy);
        }
        policy.answered();
        assert_eq!([died(&mut policy), died(&mut policy)], [(false, 0), (false, 1)]);
    }

    #[test]
    fn a_command_that_cannot_be_started_is_suspended_at_once() {
        let mut policy = RestartPolicy::default();
        let pauses = [(); 3].map(|()| policy.cannot_start(&limits()).as_secs());
        assert_eq!(pauses, [10, 20, 40]);
        assert_eq!(died(&mut policy), (true, 80));
    }

    #[test]
    fn no_number_of_deaths_overflows() {
        let mut policy = RestartPolicy { deaths: u32::MAX - 1 };
        assert_eq!([died(&mut policy), died(&mut policy)], [(true, 100); 2]);
        let mut policy = RestartPolicy::default();
        let limits = WorkerLimits {
            deaths: 0,
            suspension: Duration::MAX,
            ..limits()
        };
        assert_eq!(policy.died(&limits), Restart::Suspended(Duration::MAX));
        assert_eq!(policy.cannot_start(&limits), Duration::MAX);
    }
}
