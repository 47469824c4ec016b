//! One count, then and now.

use std::time::Duration;

use jiff::Timestamp;

use crate::rule::{counted::Counted, restart::Restart};

/// A count as it was last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Remembered {
    /// The count, gone on where a 32-bit one started anew: its lower half is
    /// then what the agent had.
    pub value: u64,
    /// It is a Counter64.
    pub is_64: bool,
    /// When it was read.
    pub at: Timestamp,
}

/// What became of a count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// It is not known from before, or counts otherwise now.
    Anew,
    /// It went on.
    On {
        /// By so much.
        by: u64,
        /// Since then.
        since: Timestamp,
    },
}

impl Step {
    pub(super) fn continues(self) -> bool {
        matches!(self, Self::On { .. })
    }
}

/// Zero where the clock was set back.
pub(super) fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// What became of a count that may grow by `most` in a second.
pub(super) fn step(
    before: Option<Remembered>,
    counted: Counted,
    most: u64,
    restart: Restart,
    now: Timestamp,
) -> (Remembered, Step) {
    let grown = before
        .filter(|before| before.is_64 == counted.is_64 && !restart.is_of_counts())
        .and_then(|before| {
            let by = match counted.is_64 {
                true => grown_64(before.value, counted.value, restart),
                false => {
                    // What the agent had; a count beyond 32 bits cannot be one of 32.
                    let was = before.value & u64::from(u32::MAX);
                    let passed = elapsed(before.at, now);
                    grown_32(was, counted.value, most, passed, restart)
                }
            };
            Some((before, by?))
        });
    let (value, step) = match grown {
        Some((before, by)) => {
            let since = before.at;
            (before.value.wrapping_add(by), Step::On { by, since })
        }
        None => (counted.value, Step::Anew),
    };
    let next = Remembered {
        value,
        is_64: counted.is_64,
        at: now,
    };
    (next, step)
}

fn grown_64(was: u64, is: u64, restart: Restart) -> Option<u64> {
    const QUARTER: u64 = 1 << 62;
    let starts_anew = was >= 3 * QUARTER && is < QUARTER && restart == Restart::No;
    (is >= was || starts_anew).then(|| is.wrapping_sub(was))
}

fn grown_32(was: u64, is: u64, most: u64, passed: Duration, restart: Restart) -> Option<u64> {
    if let Some(by) = is.checked_sub(was) {
        return Some(by);
    }
    let by = (1_u64 << 32) + is - was;
    let possible = u128::from(most) * passed.as_millis() / 1_000;
    (restart == Restart::No && u128::from(by) <= possible).then_some(by)
}
