//! Random numbers from a seed (SplitMix64).

use std::{
    fs::File,
    io::Read as _,
    ops::{Range, RangeInclusive},
    time::Duration,
};

use crate::fault::{During, Fault};

#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A random seed.
    pub(super) fn fresh_seed() -> Result<u64, Fault> {
        let mut bytes = [0; 8];
        let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
        read.during("read /dev/urandom")?;
        // Short enough to be typed again.
        Ok(u64::from_le_bytes(bytes) % 1_000_000_000)
    }

    /// The seed of one round.
    pub(super) fn seed(&mut self) -> u64 {
        self.next()
    }

    /// An independent generator, so that one part does not affect the others.
    pub(super) fn branch(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A duration from `range`, all equally likely.
    pub(super) fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        let span = range.end() - range.start() + 1;
        Duration::from_millis(range.start() + self.next() % span)
    }

    pub(super) fn index(&mut self, range: Range<usize>) -> usize {
        let span = u64::try_from(range.len().max(1)).unwrap_or(1);
        range.start + usize::try_from(self.next() % span).unwrap_or(0)
    }

    /// True in `chance` of 100 cases.
    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.next() % 100 < chance
    }

    pub(super) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.index(0..list.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..5).map(|_| random.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        // The value of the authors' reference implementation.
        assert_eq!(draw(1_234_567)[0], 6_457_827_717_110_365_317);
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut random = Random::new(1);
        for _ in 0..1_000 {
            assert!((5..=9).contains(&random.millis(5..=9).as_millis()));
            assert!((2..4).contains(&random.index(2..4)));
        }
        assert!(!random.percent(0) && random.percent(100));
    }
}
