//! Soft and hard states: a monitor is soft until `max_retries` consecutive checks have failed,
//! then hard. Only hard states are reported.

use std::num::NonZeroU32;

use crate::outcome::Verdict;

/// The soft or hard state of a monitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Health {
    /// The hard state; `None` until one is known.
    pub is_up: Option<bool>,
    /// Consecutive failed checks.
    pub failed: u32,
}

/// The change that a check caused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transition {
    /// Up for the first time.
    FirstUp,
    /// A check failed, but not enough of them for an outage.
    Soft,
    /// A soft state ended with a successful check. No notification is sent.
    SoftCleared,
    /// Down (hard state): an outage begins.
    Outage,
    /// Up after an outage.
    Recovery,
}

impl Health {
    /// Whether the monitor is down (hard state).
    #[must_use]
    pub fn is_down(self) -> bool {
        self.is_up == Some(false)
    }

    /// Whether checks fail, but not enough of them for an outage.
    #[must_use]
    pub fn is_soft(self) -> bool {
        self.failed > 0 && !self.is_down()
    }

    /// The health after one more check, and the transition.
    ///
    /// `Unknown` changes nothing: it neither opens nor closes an outage, and it is not a failed
    /// check.
    #[must_use]
    pub fn after(self, verdict: Verdict, max_retries: NonZeroU32) -> (Self, Option<Transition>) {
        match verdict {
            Verdict::Unknown => (self, None),
            Verdict::Up => {
                let up = Self {
                    is_up: Some(true),
                    failed: 0,
                };
                let transition = match self.is_up {
                    Some(false) => Some(Transition::Recovery),
                    _ if self.failed > 0 => Some(Transition::SoftCleared),
                    None => Some(Transition::FirstUp),
                    Some(true) => None,
                };
                (up, transition)
            }
            Verdict::Down => {
                let failed = self.failed.saturating_add(1);
                if self.is_down() {
                    return (Self { failed, ..self }, None);
                }
                if failed >= max_retries.get() {
                    let down = Self {
                        is_up: Some(false),
                        failed,
                    };
                    return (down, Some(Transition::Outage));
                }
                (Self { failed, ..self }, Some(Transition::Soft))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn n(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    fn run(verdicts: &str, max_retries: u32) -> Vec<Option<Transition>> {
        let mut health = Health::default();
        verdicts
            .chars()
            .map(|c| {
                let verdict = match c {
                    'u' => Verdict::Up,
                    'd' => Verdict::Down,
                    _ => Verdict::Unknown,
                };
                let (next, transition) = health.after(verdict, n(max_retries));
                health = next;
                transition
            })
            .collect()
    }

    #[test]
    fn with_three_retries_the_third_failed_check_is_an_outage() {
        use Transition::*;
        assert_eq!(
            run("uddddu", 3),
            [
                Some(FirstUp),
                Some(Soft),
                Some(Soft),
                Some(Outage),
                None,
                Some(Recovery)
            ]
        );
    }

    #[test]
    fn a_soft_state_that_clears_is_not_a_recovery() {
        use Transition::*;
        assert_eq!(run("udu", 2), [Some(FirstUp), Some(Soft), Some(SoftCleared)]);
    }

    #[test]
    fn with_one_retry_the_first_failed_check_is_an_outage() {
        assert_eq!(run("d", 1), [Some(Transition::Outage)]);
    }

    #[test]
    fn unknown_neither_counts_nor_interrupts() {
        use Transition::*;
        assert_eq!(run("ud?d", 2), [Some(FirstUp), Some(Soft), None, Some(Outage)]);
        assert_eq!(run("d?u", 1), [Some(Outage), None, Some(Recovery)]);
    }

    proptest! {
        /// Promise 5: "the check was not possible" is not "it is down".
        #[test]
        fn dropping_every_unknown_changes_nothing(verdicts in "[ud?]{0,40}", max in 1u32..5) {
            let known: String = verdicts.chars().filter(|c| *c != '?').collect();
            let with: Vec<_> = run(&verdicts, max).into_iter().flatten().collect();
            let without: Vec<_> = run(&known, max).into_iter().flatten().collect();
            prop_assert_eq!(with, without);
        }

        #[test]
        fn outages_and_recoveries_alternate(verdicts in "[ud?]{0,60}", max in 1u32..5) {
            let hard: Vec<_> = run(&verdicts, max).into_iter().flatten()
                .filter(|t| matches!(t, Transition::Outage | Transition::Recovery)).collect();
            for (i, transition) in hard.iter().enumerate() {
                let expected = if i % 2 == 0 { Transition::Outage } else { Transition::Recovery };
                prop_assert_eq!(*transition, expected);
            }
        }
    }
}
