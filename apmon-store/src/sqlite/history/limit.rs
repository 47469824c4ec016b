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

/// How long a database may be read in all, its opening included. Between two reads no time passes.
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

    /// Interrupts the queries of this connection when the time is up: the read that opens it is in
    /// progress.
    pub(super) fn apply(self: &Arc<Self>, connection: &mut Connection) -> rusqlite::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A query of some hundred thousand steps.
    fn query(connection: &Connection) -> rusqlite::Result<i64> {
        let select = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 50000)
            SELECT count(*) FROM n";
        connection.query_row(select, [], |row| row.get(0))
    }

    #[test]
    fn the_time_that_opening_takes_counts() {
        let limit = TimeLimit::new(Duration::from_secs(600));
        let reading = limit.start();
        let mut connection = Connection::open_in_memory().unwrap();
        limit.apply(&mut connection).unwrap();
        assert_eq!(query(&connection).unwrap(), 50_000);
        // As if it had begun much earlier.
        let hour = 3_600_000_000_000;
        limit.began.fetch_sub(hour, Ordering::Relaxed);
        let mut connection = Connection::open_in_memory().unwrap();
        limit.apply(&mut connection).unwrap();
        query(&connection).unwrap_err();
        drop(reading);
        let _next = limit.start();
        query(&connection).unwrap_err();
        limit.spent.fetch_sub(hour, Ordering::Relaxed);
        assert_eq!(query(&connection).unwrap(), 50_000);
    }
}
