//! How long a channel pauses after a failed attempt.

use std::time::Duration;

use super::schedule;

/// Pause after the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST: Duration = Duration::from_secs(300);
/// The share by which a pause may be shorter: when a server returns, not everyone who waits for
/// it comes back at the same moment.
const JITTER: f64 = 0.2;

/// The pause after the attempt that follows `failures` failed ones: 1 s, doubled by each
/// failure up to 5 minutes, and up to a fifth shorter. The reduction depends only on the count
/// and on `key`, such as that of the notification.
#[must_use]
pub(crate) fn pause(failures: u32, key: &str) -> Duration {
    let pause = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
    pause.mul_f64(1.0 - JITTER * schedule::phase(key, &failures.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        for (failures, secs) in [
            (0, 1),
            (1, 2),
            (2, 4),
            (8, 256),
            (9, 300),
            (20, 300),
            (u32::MAX, 300),
        ] {
            let whole = Duration::from_secs(secs);
            for key in ["a-1-webhook:h", "a-1-mail:ops@example.com", ""] {
                let pause = pause(failures, key);
                assert!(
                    pause <= whole && pause >= whole.mul_f64(0.8),
                    "{failures} {pause:?}"
                );
            }
        }
    }

    #[test]
    fn simultaneous_failures_are_not_retried_simultaneously() {
        let mut pauses: Vec<_> = (0..100).map(|i| pause(9, &format!("i{i}-1-c"))).collect();
        pauses.sort_unstable();
        pauses.dedup();
        assert_eq!(pauses.len(), 100);
        let spread = *pauses.last().unwrap() - pauses[0];
        assert!(spread > Duration::from_secs(50), "{spread:?}");
    }
}
