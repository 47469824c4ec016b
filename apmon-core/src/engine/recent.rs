//! The last results of a monitor, in a compact ring: for a dashboard.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    monitor::Monitor,
    probe::Step,
    read::{RECENT_RESULTS, RecentResult},
    rule::condition::Condition,
};

/// The last checks of a monitor, as an engine keeps them.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct RecentChecks {
    /// The monitor.
    pub monitor: String,
    /// Their results, the oldest first; at most [`RECENT_RESULTS`].
    pub results: Vec<RecentResult>,
    /// The steps of the last failed check of this run.
    pub failed_steps: Option<Arc<[Step]>>,
}

/// The same, as the dispatcher hands it out.
pub(super) struct RecentSnapshot {
    pub(super) monitor: Arc<dyn Monitor>,
    pub(super) recent: Recent,
    pub(super) failed_steps: Option<Arc<[Step]>>,
}

impl RecentSnapshot {
    pub(super) fn into_checks(self) -> RecentChecks {
        RecentChecks {
            monitor: self.monitor.watch().name.clone(),
            results: self.recent.iter().collect(),
            failed_steps: self.failed_steps,
        }
    }
}

/// The unit of a stored latency, in microseconds.
const UNIT_MICROS: u128 = 10;
/// A stored latency of a target that did not answer.
const NO_ANSWER: u32 = u32::MAX;

/// The bytes of a result: its second since 1970, its latency, its condition.
const BYTES: usize = 4 + 4 + 1;

/// The last results of a monitor, 9 bytes each. It grows with the results.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    bytes: Vec<u8>,
    /// Where the oldest result is, once the ring is full.
    oldest: u8,
}

impl Recent {
    /// Adds the newest result.
    pub(super) fn push(&mut self, result: RecentResult) {
        let bytes = encode(result);
        if self.bytes.len() == RECENT_RESULTS * BYTES {
            let at = usize::from(self.oldest) * BYTES;
            self.bytes[at..at + BYTES].copy_from_slice(&bytes);
            self.oldest = (self.oldest + 1) % (RECENT_RESULTS as u8);
            return;
        }
        if self.bytes.len() == self.bytes.capacity() {
            // By a few at a time: doubling would waste half of it.
            let more = RECENT_RESULTS - self.bytes.len() / BYTES;
            self.bytes.reserve_exact(more.min(12) * BYTES);
        }
        self.bytes.extend(bytes);
    }

    /// Adds results that a store held, if they are older than those of this run.
    pub(super) fn fill(&mut self, stored: Vec<RecentResult>) {
        let own: Vec<_> = std::mem::take(self).iter().collect();
        let first = own.first().map(|result| result.at);
        let older = stored
            .into_iter()
            .filter(|result| first.is_none_or(|first| result.at < first));
        for result in older.chain(own.iter().copied()) {
            self.push(result);
        }
    }

    /// The results, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = RecentResult> + '_ {
        let (newer, older) = self.bytes.split_at(usize::from(self.oldest) * BYTES);
        older
            .chunks_exact(BYTES)
            .chain(newer.chunks_exact(BYTES))
            .map(decode)
    }
}

fn encode(result: RecentResult) -> [u8; BYTES] {
    let second = u32::try_from(result.at.as_second()).unwrap_or(0).to_le_bytes();
    let latency = result.latency.map_or(NO_ANSWER, |latency| {
        let units = latency.as_micros() / UNIT_MICROS;
        u32::try_from(units).unwrap_or(NO_ANSWER).min(NO_ANSWER - 1)
    });
    let latency = latency.to_le_bytes();
    let mut bytes = [0; BYTES];
    bytes[..4].copy_from_slice(&second);
    bytes[4..8].copy_from_slice(&latency);
    bytes[8] = CONDITIONS
        .iter()
        .position(|condition| *condition == result.condition)
        .map_or(u8::MAX, |code| u8::try_from(code).unwrap_or(u8::MAX));
    bytes
}

fn decode(bytes: &[u8]) -> RecentResult {
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let latency = Some(number(4)).filter(|latency| *latency != NO_ANSWER);
    RecentResult::new(
        Timestamp::from_second(i64::from(number(0))).unwrap_or_default(),
        CONDITIONS.get(usize::from(bytes[8])).copied().unwrap_or_default(),
        latency.map(|units| Duration::from_micros(u64::from(units) * UNIT_MICROS as u64)),
    )
}

/// The conditions, by their code in the ring.
const CONDITIONS: [Condition; 5] = [
    Condition::Down,
    Condition::Unknown,
    Condition::Soft,
    Condition::Pending,
    Condition::Up,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn result(second: i64, latency_micros: Option<u64>) -> RecentResult {
        RecentResult::new(
            Timestamp::from_second(second).unwrap(),
            Condition::Up,
            latency_micros.map(Duration::from_micros),
        )
    }

    #[test]
    fn the_last_results_are_kept_in_600_bytes() {
        let mut recent = Recent::default();
        for second in 0..1_000 {
            recent.push(result(second, Some(120)));
        }
        let kept: Vec<_> = recent.iter().collect();
        assert_eq!(kept.len(), RECENT_RESULTS);
        assert_eq!(kept[0], result(940, Some(120)));
        assert_eq!(kept[59], result(999, Some(120)));
        let bytes = size_of::<Recent>() + recent.bytes.capacity();
        assert!(bytes <= 600, "{bytes}");
    }

    #[test]
    fn no_answer_and_a_very_late_one_are_told_apart() {
        let mut recent = Recent::default();
        recent.push(result(1, None));
        recent.push(result(2, Some(u64::MAX)));
        let latencies: Vec<_> = recent.iter().map(|result| result.latency).collect();
        assert_eq!(latencies[0], None);
        assert!(latencies[1].unwrap() > Duration::from_secs(40_000));
    }

    #[test]
    fn results_of_the_store_come_before_those_of_this_run() {
        let mut recent = Recent::default();
        recent.push(result(100, None));
        recent.push(result(101, None));
        recent.fill((0..200).map(|second| result(second, Some(10))).collect());
        let seconds: Vec<_> = recent.iter().map(|result| result.at.as_second()).collect();
        assert_eq!(seconds.len(), RECENT_RESULTS);
        assert_eq!(
            (seconds[0], seconds[57], seconds[58], seconds[59]),
            (42, 99, 100, 101)
        );
    }
}
