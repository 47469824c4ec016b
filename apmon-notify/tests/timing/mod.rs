//! Time limits of the tests, for machines that may suspend a process for seconds.

#![allow(dead_code)] // not every test file uses both

use std::time::Duration;

/// The time limit for anything immediate. A peer that falls silent after its first
/// bytes has sent them by then.
pub const STALL: Duration = Duration::from_secs(5);

/// The deadline when the peer answers.
pub const LONG: Duration = STALL.saturating_mul(4);
