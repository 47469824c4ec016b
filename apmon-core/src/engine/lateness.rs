//! How late checks start: an engine that promises to keep time measures itself.

use std::{fmt, time::Duration};

/// Buckets per doubling: values are accurate to about 4 percent.
const PER_OCTAVE: usize = 16;
/// From a microsecond to more than a minute.
const OCTAVES: usize = 28;

/// A histogram of lateness with a small, fixed size.
#[derive(Clone, PartialEq, Eq)]
pub struct Lateness {
    buckets: Box<[u64; PER_OCTAVE * OCTAVES]>,
    count: u64,
    max: Duration,
}

impl Default for Lateness {
    fn default() -> Self {
        Self {
            buckets: Box::new([0; PER_OCTAVE * OCTAVES]),
            count: 0,
            max: Duration::ZERO,
        }
    }
}

impl Lateness {
    pub(super) fn record(&mut self, late: Duration) {
        self.buckets[bucket(late)] += 1;
        self.count += 1;
        self.max = self.max.max(late);
    }

    /// The number of checks.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The greatest lateness.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The lateness that this share of the checks (0 to 1) did not exceed; accurate to about 4
    /// percent, rounded up.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let wanted = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (i, n) in self.buckets.iter().enumerate() {
            seen += n;
            if seen >= wanted {
                return upper(i).min(self.max);
            }
        }
        self.max
    }
}

fn bucket(late: Duration) -> usize {
    let micros = late.as_secs_f64() * 1e6;
    if micros <= 1.0 {
        return 0;
    }
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    let index = (micros.log2() * PER_OCTAVE as f64) as usize;
    index.min(PER_OCTAVE * OCTAVES - 1)
}

fn upper(bucket: usize) -> Duration {
    #[allow(clippy::cast_precision_loss)]
    let octaves = (bucket + 1) as f64 / PER_OCTAVE as f64;
    Duration::from_secs_f64(octaves.exp2() / 1e6)
}

impl fmt::Debug for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Formats as `p50 0.52 ms, p99 1.60 ms, p99.9 2.10 ms, max 3.00 ms`.
impl fmt::Display for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
        write!(
            f,
            "p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms",
            ms(self.quantile(0.5)),
            ms(self.quantile(0.99)),
            ms(self.quantile(0.999)),
            ms(self.max)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_accurate_to_a_bucket() {
        let mut lateness = Lateness::default();
        for ms in 1..=1000 {
            lateness.record(Duration::from_millis(ms));
        }
        for (share, ms) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0)] {
            let found = lateness.quantile(share).as_secs_f64() * 1000.0;
            assert!((ms..ms * 1.05).contains(&found), "{share}: {found}");
        }
        assert_eq!(lateness.quantile(1.0), Duration::from_secs(1));
        assert_eq!(Lateness::default().quantile(0.99), Duration::ZERO);
    }

    #[test]
    fn nothing_is_too_late_to_be_counted() {
        let mut lateness = Lateness::default();
        lateness.record(Duration::MAX);
        lateness.record(Duration::ZERO);
        assert_eq!(lateness.count(), 2);
        assert_eq!(lateness.max(), Duration::MAX);
    }
}
