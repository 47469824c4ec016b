//! The curve of reminders: close together at first, then further and further apart, up to
//! `notify_every_n_secs`.

use std::{num::NonZeroU32, time::Duration};

/// How long reminder number `k` (from 1) waits after the previous notification: `base * (1 - (1
/// - k/n)^2)` for `k < n`, then `base`.
#[must_use]
pub fn wait(k: u32, base: Duration, n: NonZeroU32) -> Duration {
    if k >= n.get() {
        return base;
    }
    let left = 1.0 - f64::from(k) / f64::from(n.get());
    let wait = base.mul_f64(1.0 - left * left);
    wait.min(base)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn waits(base: u64, n: u32, count: u32) -> Vec<f64> {
        let n = NonZeroU32::new(n).unwrap();
        let base = Duration::from_secs(base);
        (1..=count).map(|k| wait(k, base, n).as_secs_f64()).collect()
    }

    #[test]
    fn four_notifications_of_eight_seconds() {
        assert_eq!(waits(8, 4, 5), [3.5, 6.0, 7.5, 8.0, 8.0]);
    }

    #[test]
    fn one_notification_is_a_constant_interval() {
        assert_eq!(waits(600, 1, 3), [600.0, 600.0, 600.0]);
    }

    proptest! {
        #[test]
        fn waits_never_shrink_and_never_exceed_the_base(base in 1u64..10_000_000, n in 1u32..10_000, k in 1u32..20_000) {
            let n = NonZeroU32::new(n).unwrap();
            let base = Duration::from_secs(base);
            let (this, next) = (wait(k, base, n), wait(k + 1, base, n));
            prop_assert!(this <= next, "{this:?} {next:?}");
            prop_assert!(next <= base);
            prop_assert!(this > Duration::ZERO);
        }
    }
}
