//! When a daemon writes the pages.

use std::time::Duration;

use apmon_core::time::Mono;

/// As often as pages are written when states change.
const CHANGED: Duration = Duration::from_secs(10);
/// As often as they are written when nothing changes: the figures on them do.
const UNCHANGED: Duration = Duration::from_secs(60);

/// When pages that were last written at `written` are due again, if a state has changed since, or
/// none has.
#[must_use]
pub fn next_write(written: Mono, has_changed: bool) -> Mono {
    written.plus(if has_changed { CHANGED } else { UNCHANGED })
}
