//! A clock whose wall time a test sets.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::script::locked;
use crate::time::{Clock, Mono, Now, SystemClock};

/// The wall time at which a [`TestClock`] starts by default: noon on 11 February 2026, in UTC.
pub const START: Timestamp = Timestamp::constant(1_770_811_200, 0);

/// A clock in virtual time. Its wall part can be set, as an operator or NTP sets a machine's
/// clock; its monotonic part goes on regardless.
#[derive(Debug)]
pub struct TestClock {
    /// `None` if the clock has stopped.
    running: Option<SystemClock>,
    start: Timestamp,
    offset: Mutex<SignedDuration>,
}

impl TestClock {
    /// Creates a clock that starts at [`START`].
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::starting_at(START)
    }

    /// Creates a clock that starts at `wall`.
    #[must_use]
    pub fn starting_at(wall: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            running: Some(SystemClock::starting_at(wall)),
            start: wall,
            offset: Mutex::default(),
        })
    }

    /// Creates a clock that always shows `wall`, for a single pass in real time whose texts
    /// have to be exact.
    #[must_use]
    pub fn stopped_at(wall: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            running: None,
            start: wall,
            offset: Mutex::default(),
        })
    }

    /// Sets the wall time this much ahead of the true time, or behind it.
    pub fn set_offset(&self, offset: SignedDuration) {
        *locked(&self.offset) = offset;
    }

    /// Time since the clock was created.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.now().mono.since(Mono::ORIGIN)
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let now = match &self.running {
            Some(clock) => clock.now(),
            None => Now {
                mono: Mono::ORIGIN,
                wall: self.start,
            },
        };
        Now {
            wall: now.wall + *locked(&self.offset),
            ..now
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn setting_the_wall_clock_leaves_the_monotonic_clock_alone() {
        let clock = TestClock::new();
        assert_eq!(clock.now().wall, "2026-02-11T12:00:00Z".parse().unwrap());
        tokio::time::sleep(Duration::from_secs(60)).await;
        clock.set_offset(SignedDuration::from_hours(-1));
        assert_eq!(clock.now().wall, "2026-02-11T11:01:00Z".parse().unwrap());
        // Tokio's timers may fire up to a millisecond late.
        assert_eq!(clock.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_clock_does_not_move() {
        let clock = TestClock::stopped_at(START);
        let before = clock.now();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(clock.now(), before);
    }
}
