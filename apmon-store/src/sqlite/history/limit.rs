//! What reading a database may cost that may be anybody's.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use apmon_core::{Clock as _, Mono, SystemClock};
use rusqlite::Connection;

use crate::sqlite::{MAX_SHOWN_BYTES, table::Room};

/// How long a database may be read in all. Between two reads no time passes.
#[derive(Debug)]
pub(super) struct TimeLimit {
    nanos: i64,
    /// How long the reads that have ended took.
    spent: AtomicI64,
    /// When the present read began.
    began: AtomicI64,
    clock: SystemClock,
}

/// How many steps SQLite makes between two readings of the clock: less than a millisecond.
const STEPS: i32 = 10_000;

impl TimeLimit {
    pub(super) fn new(limit: Duration) -> Arc<Self> {
        Arc::new(Self {
            nanos: i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX),
            spent: AtomicI64::new(0),
            began: AtomicI64::new(0),
            clock: SystemClock::new(),
        })
    }

    fn now(&self) -> i64 {
        let since = self.clock.now().mono.since(Mono::ORIGIN);
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }

    /// Interrupts the queries of this connection when the time is up.
    pub(super) fn apply(self: &Arc<Self>, connection: &mut Connection) -> rusqlite::Result<()> {
        self.began.store(self.now(), Ordering::Relaxed);
        let limit = Arc::clone(self);
        let is_over = move || {
            let present = limit.now() - limit.began.load(Ordering::Relaxed);
            present + limit.spent.load(Ordering::Relaxed) > limit.nanos
        };
        connection.progress_handler(STEPS, Some(is_over))
    }

    /// Begins a read, which ends when the result is dropped.
    pub(super) fn start(self: &Arc<Self>) -> Reading {
        self.began.store(self.now(), Ordering::Relaxed);
        Reading(Arc::clone(self))
    }
}

/// A read in progress.
pub(super) struct Reading(Arc<TimeLimit>);

impl Drop for Reading {
    fn drop(&mut self) {
        let took = self.0.now() - self.0.began.load(Ordering::Relaxed);
        self.0.spent.fetch_add(took, Ordering::Relaxed);
    }
}

/// The room for the rows of one read.
pub(super) fn room(is_limited: bool) -> Room {
    Room::new(if is_limited { MAX_SHOWN_BYTES } else { usize::MAX })
}
