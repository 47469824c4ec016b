//! The runtime of many checks.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// The number of tasks after which due timers fire. A task may be a TLS handshake, so
/// tokio's 61 could delay a check by tens of milliseconds.
const TASKS_BETWEEN_TIMERS: u32 = 16;

/// Creates a runtime of one thread.
pub(crate) fn create() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .event_interval(TASKS_BETWEEN_TIMERS)
        .build()
}
