//! When to check next: a fixed grid on the monotonic clock. Missed checks are skipped and
//! counted, never caught up with; phases are spread over the interval so that thousands of
//! monitors do not fire together.

use std::time::Duration;

use jiff::Timestamp;

use crate::{monitor::Policy, time::Mono};

/// The first checks of all monitors fall within this time (or within their interval, if that is
/// shorter), so that a daemon soon knows every state.
pub(crate) const FIRST_ROUND: Duration = Duration::from_secs(5);

/// The longest time before its due moment at which a pass does something.
pub(crate) const LONGEST_SLACK: Duration = Duration::from_secs(5);

/// A monitor's phase within its interval: 0 to 1, always the same for its name.
#[must_use]
pub(crate) fn phase(site: &str, name: &str) -> f64 {
    // FNV-1a with a final mixing step: evenly spread, and equal on every machine.
    let mut hash = site
        .bytes()
        .chain([0])
        .chain(name.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    #[allow(clippy::cast_precision_loss)] // 53 bits are kept
    let fraction = (hash >> 11) as f64 / (1u64 << 53) as f64;
    fraction
}

/// A monitor's grid: checks are due at `origin + k * interval`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Grid {
    origin: Mono,
    interval: Duration,
}

impl Grid {
    /// The grid of a monitor that is added at `start`. An interval of zero counts as one
    /// nanosecond.
    #[must_use]
    pub(crate) fn new(start: Mono, interval: Duration, phase: f64) -> Self {
        let interval = interval.max(Duration::from_nanos(1));
        Self {
            origin: start.plus(interval.mul_f64(phase)),
            interval,
        }
    }

    /// The first check: within [`FIRST_ROUND`], spread by the same phase.
    #[must_use]
    pub(crate) fn first(start: Mono, interval: Duration, phase: f64) -> Mono {
        start.plus(interval.min(FIRST_ROUND).mul_f64(phase))
    }

    /// The first due time later than `after`.
    #[must_use]
    pub(crate) fn due_after(&self, after: Mono) -> Mono {
        if after < self.origin {
            return self.origin;
        }
        let step = nanos(self.interval);
        let passed = (after.nanos() - self.origin.nanos()) / step + 1;
        Mono::from_nanos(self.origin.nanos().saturating_add(passed.saturating_mul(step)))
    }

    /// The number of missed due times: those after `due` and not after `now`.
    #[must_use]
    pub(crate) fn missed(&self, due: Mono, now: Mono) -> u64 {
        let first = self.due_after(due);
        if first > now {
            return 0;
        }
        let step = u64::try_from(nanos(self.interval)).unwrap_or(1);
        u64::try_from(now.since(first).as_nanos()).unwrap_or(u64::MAX) / step + 1
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// When a monitor in a soft state is checked again: `retry` after the failed check ended, or at
/// its next regular check if that is sooner.
#[must_use]
pub(crate) fn retry_at(ended: Mono, retry: Duration, regular: Mono) -> Mono {
    ended.plus(retry).min(regular)
}

/// Whether something that is done every `interval`, and was last done at `last`, is due in a
/// pass.
///
/// Cron never starts a pass exactly on time, so whatever would be due a moment after this pass
/// is done in it (a tenth of the interval, at most 5 s); otherwise every second pass would skip
/// it. A `last` in the future (the clock was set back) is due.
#[must_use]
pub(crate) fn due_in_pass(last: Option<Timestamp>, now: Timestamp, interval: Duration) -> bool {
    let Some(last) = last else { return true };
    match Duration::try_from(now.duration_since(last)) {
        Ok(elapsed) => elapsed + slack(interval) >= interval,
        Err(_) => true,
    }
}

fn slack(interval: Duration) -> Duration {
    (interval / 10).min(LONGEST_SLACK)
}

/// Whether something that is done every `interval`, and is due at `due`, would be due a moment
/// after a pass, by the rule of [`due_in_pass`].
#[must_use]
pub(crate) fn is_soon_in_pass(due: Mono, now: Mono, interval: Duration) -> bool {
    due <= now.plus(slack(interval))
}

/// How long it takes at most until a monitor with this policy, found down, is in a hard state.
/// A check may take `grace` longer than the policy says.
#[must_use]
pub(crate) fn longest_retries(policy: &Policy, grace: Duration) -> Duration {
    let checks = policy.max_retries.get();
    let pause = policy.retry_after().min(policy.check_every);
    let checking = policy.max_try.saturating_add(grace).saturating_mul(checks);
    checking.saturating_add(pause.saturating_mul(checks - 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(secs: i64) -> Mono {
        Mono::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn slots_are_fixed_and_missed_ones_are_counted() {
        let grid = Grid::new(at(0), 10 * SECOND, 0.5);
        assert_eq!(grid.due_after(at(0)), at(5));
        assert_eq!(grid.due_after(at(5)), at(15));
        assert_eq!(grid.due_after(at(14)), at(15));
        assert_eq!(grid.missed(at(5), at(14)), 0);
        assert_eq!(grid.missed(at(5), at(15)), 1);
        assert_eq!(grid.missed(at(5), at(44)), 3);
    }

    #[test]
    fn the_first_check_comes_within_five_seconds() {
        assert!(Grid::first(at(0), 3600 * SECOND, 0.999) < at(5));
        assert!(Grid::first(at(0), SECOND, 0.999) < at(1));
    }

    #[test]
    fn a_retry_does_not_wait_past_the_next_slot() {
        assert_eq!(retry_at(at(3), 20 * SECOND, at(10)), at(10));
        assert_eq!(retry_at(at(3), 2 * SECOND, at(10)), at(5));
    }

    #[test]
    fn a_pass_that_starts_a_little_early_still_checks() {
        let t = |s: &str| s.parse::<Timestamp>().unwrap();
        let last = Some(t("2026-02-11T10:00:01Z"));
        assert!(due_in_pass(last, t("2026-02-11T10:01:00Z"), 60 * SECOND));
        assert!(!due_in_pass(last, t("2026-02-11T10:00:31Z"), 60 * SECOND));
        assert!(due_in_pass(None, t("2026-02-11T10:00:31Z"), 60 * SECOND));
        // the clock was set back by an hour
        assert!(due_in_pass(last, t("2026-02-11T09:00:31Z"), 60 * SECOND));
    }

    #[test]
    fn phases_are_spread_evenly() {
        let mut buckets = [0u32; 10];
        for i in 0..10_000 {
            let phase = phase("site", &format!("host{i}"));
            assert!((0.0..1.0).contains(&phase));
            buckets[(phase * 10.0) as usize] += 1;
        }
        assert!(buckets.iter().all(|n| (850..1150).contains(n)), "{buckets:?}");
    }

    proptest! {
        #[test]
        fn the_next_slot_is_at_most_one_interval_later(
            start in 0i64..1_000_000_000_000, after in 0i64..2_000_000_000_000, millis in 1u64..4_000_000, phase in 0.0f64..1.0,
        ) {
            let interval = Duration::from_millis(millis);
            let grid = Grid::new(Mono::from_nanos(start), interval, phase);
            let after = Mono::from_nanos(after);
            let due = grid.due_after(after);
            prop_assert!(due > after);
            if after >= Mono::from_nanos(start).plus(interval) {
                prop_assert!(due.since(after) <= interval);
            }
            prop_assert_eq!(grid.due_after(due), due.plus(interval));
        }
    }
}
