//! The limits of a worker.

use std::time::Duration;

/// Limits of a [`Worker`](crate::Worker). The defaults suit requests of a few milliseconds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerLimits {
    /// The most requests that may be unanswered, sent or not. Default: 1,024.
    pub queue: usize,
    /// The most bytes of unanswered requests. A single request is accepted whatever its length.
    /// Default: 16 MiB.
    pub queue_bytes: usize,
    /// The most requests that are sent ahead of their answers. Default: 256.
    pub open: usize,
    /// How long the child may work on one request before it is killed. Default: 30 seconds.
    pub request_time: Duration,
    /// How long the child may take from its start to its first call of
    /// [`serve`](crate::serve()) before it is killed. Default: 10 seconds.
    pub start_time: Duration,
    /// The number of deaths in a row, without an answer in between, after which the worker is
    /// suspended: all requests fail at once. Default: 5.
    pub deaths: u32,
    /// The pause before the child is started again after the second death in a row; it doubles
    /// with each further one. After the first death there is none. Default: 100 milliseconds.
    pub restart_pause: Duration,
    /// How long the worker stays suspended at first. If the next child dies as well before it
    /// answers, this doubles, up to ten times as long. Default: 30 seconds.
    pub suspension: Duration,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self {
            queue: 1024,
            queue_bytes: 16 << 20,
            open: 256,
            request_time: Duration::from_secs(30),
            start_time: Duration::from_secs(10),
            deaths: 5,
            restart_pause: Duration::from_millis(100),
            suspension: Duration::from_secs(30),
        }
    }
}
