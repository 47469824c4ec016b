//! The clocks. This is the only place that reads one; everything else gets a [`Now`].
//!
//! Two clocks are read together: the monotonic one decides (what is due, how long something has
//! lasted), the wall clock is written and displayed. A step of the wall clock therefore starts
//! and ends no outage.

mod local_zone;

use std::time::Duration;

use jiff::Timestamp;

pub use self::local_zone::local_zone;

/// A point on the monotonic clock, in nanoseconds since the clock's origin.
///
/// It may lie before the origin, as the start of an outage that began in a previous process
/// does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Mono(i64);

impl Mono {
    /// The clock's origin.
    pub const ORIGIN: Self = Self(0);

    /// The point `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The point later by `by`.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }

    /// The point earlier by `by`.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(by)))
    }

    /// Time since `earlier`; zero if that is actually later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        u64::try_from(self.0.saturating_sub(earlier.0)).map_or(Duration::ZERO, Duration::from_nanos)
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// A reading of both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// The clock that decides.
    pub mono: Mono,
    /// The clock that is written and displayed.
    pub wall: Timestamp,
}

impl Now {
    /// The point on the monotonic clock of a written timestamp. A timestamp in the future (the
    /// wall clock has been set back since) counts as now: it must neither suppress a reminder
    /// nor give an outage a negative duration.
    #[must_use]
    pub fn mono_of(self, written: Timestamp) -> Mono {
        let elapsed = self.wall.duration_since(written);
        self.mono
            .minus(Duration::try_from(elapsed).unwrap_or(Duration::ZERO))
    }

    /// The wall clock's time at a point of the monotonic clock, provided that nobody sets it.
    #[must_use]
    pub(crate) fn wall_of(self, at: Mono) -> Timestamp {
        let nanos = at.nanos().saturating_sub(self.mono.nanos());
        let wall = self.wall.checked_add(jiff::SignedDuration::from_nanos(nanos));
        wall.unwrap_or(self.wall)
    }
}

/// Reads both clocks. The engine sleeps with tokio's timer and asks a clock only for the time.
pub trait Clock: Send + Sync {
    /// Reads both clocks.
    fn now(&self) -> Now;
}

/// The machine's clocks. Under tokio's paused time the monotonic part is paused too, and so, on
/// request, is the wall part.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: tokio::time::Instant,
    frozen_wall: Option<Timestamp>,
}

impl SystemClock {
    /// Creates a clock whose origin is now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: tokio::time::Instant::now(),
            frozen_wall: None,
        }
    }

    /// Creates a clock whose wall part starts at `wall` and moves with the monotonic part: for
    /// tests under paused time.
    #[must_use]
    pub fn starting_at(wall: Timestamp) -> Self {
        Self {
            frozen_wall: Some(wall),
            ..Self::new()
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the only place
    fn now(&self) -> Now {
        let elapsed = self.origin.elapsed();
        let mono = Mono::ORIGIN.plus(elapsed);
        let wall = match self.frozen_wall {
            Some(start) => start.saturating_add(elapsed).unwrap_or(start),
            None => Timestamp::now(),
        };
        Now { mono, wall }
    }
}

/// A stopwatch for the phases of a check.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(tokio::time::Instant);

impl Stopwatch {
    /// Starts a stopwatch.
    #[must_use]
    pub fn start() -> Self {
        Self::started_at(tokio::time::Instant::now())
    }

    /// A stopwatch that was started at this moment.
    pub(crate) fn started_at(began: tokio::time::Instant) -> Self {
        Self(began)
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Now {
        Now {
            mono: Mono::from_nanos(5_000_000_000),
            wall: "2026-02-11T06:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn an_old_timestamp_lies_before_the_origin() {
        let written = "2026-02-11T05:59:00Z".parse().unwrap();
        assert_eq!(now().mono_of(written), Mono::from_nanos(-55_000_000_000));
    }

    #[test]
    fn a_timestamp_in_the_future_counts_as_now() {
        let written = "2026-02-11T07:00:00Z".parse().unwrap();
        assert_eq!(now().mono_of(written), now().mono);
    }

    #[test]
    fn the_wall_clock_advances_with_the_monotonic_one() {
        let table = [(65, "2026-02-11T06:01:00Z"), (-55, "2026-02-11T05:59:00Z")];
        for (secs, expected) in table {
            let at = Mono::from_nanos(secs * 1_000_000_000);
            assert_eq!(now().wall_of(at), expected.parse().unwrap());
        }
        let late = Mono::from_nanos(i64::MAX);
        assert!(now().wall_of(late) > now().wall);
    }

    #[test]
    fn nothing_overflows() {
        let late = Mono::from_nanos(i64::MAX);
        assert_eq!(late.plus(Duration::MAX), late);
        assert_eq!(Mono::ORIGIN.since(late), Duration::ZERO);
    }
}
