//! Repeats a heartbeat that was not accepted, within its period.

use std::time::Duration;

use crate::time::Mono;

/// Pause after the first failed heartbeat; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The attempts of one heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Resend {
    failures: u32,
    at: Option<Mono>,
}

impl Resend {
    /// When it is sent again.
    #[must_use]
    pub(crate) fn at(&self) -> Option<Mono> {
        self.at
    }

    /// How many attempts have failed since one was accepted.
    #[must_use]
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Records that it was accepted.
    pub(crate) fn accepted(&mut self) {
        *self = Self::default();
    }

    /// Records that it was not accepted. `ends` is the end of its period, if it has one.
    pub(crate) fn failed(&mut self, now: Mono, ends: Option<Mono>) {
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        let at = now.plus(pause);
        self.at = Some(at).filter(|at| ends.is_none_or(|ends| *at < ends));
    }

    /// Cancels the next attempt: it is made now, or is no longer wanted.
    pub(crate) fn clear(&mut self) {
        self.at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: i64) -> Mono {
        Mono::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn attempts_become_rarer_until_the_period_ends() {
        let mut resend = Resend::default();
        let mut now = secs(0);
        let mut tries = Vec::new();
        for _ in 0..20 {
            resend.failed(now, Some(secs(300)));
            let Some(at) = resend.at() else { break };
            tries.push(at.since(secs(0)).as_secs());
            now = at;
        }
        assert_eq!(tries, [1, 3, 7, 15, 31, 63, 123, 183, 243]);
    }

    #[test]
    fn an_accepted_heartbeat_resets_the_pause() {
        let mut resend = Resend::default();
        resend.failed(secs(0), None);
        resend.failed(secs(1), None);
        assert_eq!(resend.failures(), 2);
        resend.accepted();
        assert_eq!(resend.at(), None);
        resend.failed(secs(9), None);
        assert_eq!(resend.at(), Some(secs(10)));
    }
}
