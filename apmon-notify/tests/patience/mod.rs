//! How long a test waits, on a machine that may let a process stand still for
//! seconds.

#![allow(dead_code)] // not every test file asks for both

use std::time::Duration;

/// What happens at once happens within this; a peer that falls silent after its
/// first words has said them by then.
pub const STALL: Duration = Duration::from_secs(5);

/// The deadline where the peer answers.
pub const LONG: Duration = STALL.saturating_mul(4);
