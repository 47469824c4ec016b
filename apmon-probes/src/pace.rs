//! Sending no faster than the other side can read.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// So far ahead of its pace a burst may run: below it the timer is too coarse.
const BURST: Duration = Duration::from_millis(1);

/// Hands out turns, a gap apart. It limits how fast things start, never how
/// many are under way: what is dead must not hold up what lives.
pub(crate) struct Pace {
    gap: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(crate) const fn every(gap: Duration) -> Self {
        Self {
            gap,
            next: Mutex::new(None),
        }
    }

    /// Waits for the next turn.
    pub(crate) async fn turn(&self) {
        if let Some(at) = self.take() {
            tokio::time::sleep_until(at).await;
        }
    }

    fn take(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let due = next.map_or(now, |next| next.max(now));
        *next = Some(due + self.gap);
        (due.duration_since(now) > BURST).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_spread_and_a_single_turn_waits_for_nothing() {
        let pace = Pace::every(Duration::from_micros(10));
        assert_eq!(pace.take(), None);
        let start = Instant::now();
        let last = (0..10_000).filter_map(|_| pace.take()).last().unwrap();
        let spread = last.duration_since(start);
        // The first was for the turn before.
        assert_eq!(spread, Duration::from_micros(10) * 10_000);
    }
}
