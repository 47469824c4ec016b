//! Limits the rate of sending to what the receiver can keep up with.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How far a burst may run ahead of its pace; the timer is too coarse below this.
const BURST: Duration = Duration::from_millis(1);

/// A rate limit: turns at a fixed interval. It limits how fast requests start,
/// never how many are pending, since dead targets must not delay others.
pub(crate) struct Pace {
    interval: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// One turn per `interval`.
    pub(crate) const fn every(interval: Duration) -> Self {
        Self {
            interval,
            next: Mutex::new(None),
        }
    }

    /// Waits for the next turn.
    pub(crate) async fn turn(&self) {
        if let Some(at) = self.take() {
            tokio::time::sleep_until(at).await;
        }
    }

    /// Takes the next turn. Returns its time if that is worth waiting for.
    fn take(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let due = next.map_or(now, |next| next.max(now));
        *next = Some(due + self.interval);
        (due.duration_since(now) > BURST).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_spread_and_a_single_turn_does_not_wait() {
        let pace = Pace::every(Duration::from_micros(10));
        assert_eq!(pace.take(), None);
        let start = Instant::now();
        let last = (0..10_000).filter_map(|_| pace.take()).last().unwrap();
        let spread = last.duration_since(start);
        // The first of these turns is one interval after the turn above.
        assert_eq!(spread, Duration::from_micros(10) * 10_000);
    }
}
