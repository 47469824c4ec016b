//! The clock. Everything that decides gets the time passed in.

use std::time::{Duration, Instant};

/// Reads the clock.
#[allow(clippy::disallowed_methods)] // the only place: this crate uses no other crate of apmon
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The moment `by` after `from`; `None` is never, for a duration that no clock reaches.
pub(crate) fn after(from: Instant, by: Duration) -> Option<Instant> {
    from.checked_add(by)
}

/// The earlier of two moments; `None` means never.
pub(crate) fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
