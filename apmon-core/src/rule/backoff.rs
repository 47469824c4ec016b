//! How long a channel pauses after a try that failed.

use std::time::Duration;

use super::schedule;

/// After the first.
const FIRST: Duration = Duration::from_secs(1);
/// At most.
const LONGEST: Duration = Duration::from_secs(300);
/// Pauses are shorter by up to so much of them: after a server has been away,
/// not all that wait for it come back in one moment.
const JITTER: f64 = 0.2;

/// The pause after `failures` failed tries and one more: 1 s, doubled by each
/// up to 5 minutes, and up to a fifth shorter. By how much is a constant of
/// `key`, such as that of the message, and of the count.
#[must_use]
pub fn pause(failures: u32, key: &str) -> Duration {
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
    fn those_who_failed_together_do_not_come_back_together() {
        let mut pauses: Vec<_> = (0..100).map(|i| pause(9, &format!("i{i}-1-c"))).collect();
        pauses.sort_unstable();
        pauses.dedup();
        assert_eq!(pauses.len(), 100);
        let spread = *pauses.last().unwrap() - pauses[0];
        assert!(spread > Duration::from_secs(50), "{spread:?}");
    }
}
