//! The growth of one counter between two reads.

use std::time::Duration;

use jiff::Timestamp;

use crate::rule::{counter_value::CounterValue, restart::Restart};

/// A counter as it was last read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StoredCounter {
    /// The value, extended to 64 bits: a 32-bit counter that has wrapped continues
    /// here, and its lower half is what the agent reported.
    pub value: u64,
    /// Whether the agent reported a Counter64.
    pub is_64: bool,
    /// When it was read.
    pub at: Timestamp,
}

/// The change of a counter since it was last read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CounterStep {
    /// The counter is new: there is no last value.
    New,
    /// The counter was reset, or changed its width: its difference to the last value
    /// means nothing.
    Reset,
    /// The counter continued, possibly by wrapping.
    Continued {
        /// The growth since then.
        delta: u64,
        /// When it was last read.
        since: Timestamp,
    },
}

impl CounterStep {
    pub(super) fn continues(self) -> bool {
        matches!(self, Self::Continued { .. })
    }
}

/// The time since `since`; zero if the clock was set back.
pub(super) fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// Compares a counter with its last value. It can grow by at most `max_rate` per
/// second.
pub(super) fn advance(
    before: Option<StoredCounter>,
    current: CounterValue,
    max_rate: u64,
    restart: Restart,
    now: Timestamp,
) -> (StoredCounter, CounterStep) {
    let grown = before
        .filter(|before| before.is_64 == current.is_64 && !restart.resets_counters())
        .and_then(|before| {
            let delta = match current.is_64 {
                true => delta_64(before.value, current.value, restart),
                false => {
                    // The value as the agent reported it.
                    let was = before.value & u64::from(u32::MAX);
                    let passed = elapsed(before.at, now);
                    delta_32(was, current.value, max_rate, passed, restart)
                }
            };
            Some((before, delta?))
        });
    let (value, step) = match grown {
        Some((before, delta)) => {
            let since = before.at;
            let step = CounterStep::Continued { delta, since };
            (before.value.wrapping_add(delta), step)
        }
        None if before.is_none() => (current.value, CounterStep::New),
        None => (current.value, CounterStep::Reset),
    };
    let next = StoredCounter {
        value,
        is_64: current.is_64,
        at: now,
    };
    (next, step)
}

fn delta_64(was: u64, is: u64, restart: Restart) -> Option<u64> {
    const QUARTER: u64 = 1 << 62;
    let wrapped = was >= 3 * QUARTER && is < QUARTER && restart == Restart::No;
    (is >= was || wrapped).then(|| is.wrapping_sub(was))
}

fn delta_32(was: u64, is: u64, max_rate: u64, passed: Duration, restart: Restart) -> Option<u64> {
    if let Some(delta) = is.checked_sub(was) {
        return Some(delta);
    }
    let delta = (1_u64 << 32) + is - was;
    let possible = u128::from(max_rate) * passed.as_millis() / 1_000;
    (restart == Restart::No && u128::from(delta) <= possible).then_some(delta)
}
