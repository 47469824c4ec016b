//! Values at other steps than those at which they are stored.

use crate::{schema::Consolidation, series::Fetched};

/// The ends of equal steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Grid {
    /// The end of the first step.
    pub(super) start: i64,
    pub(super) step: u64,
    pub(super) rows: usize,
}

impl Grid {
    pub(super) fn of(fetched: &Fetched) -> Self {
        Self {
            start: fetched.start,
            step: fetched.step.max(1),
            rows: fetched.len(),
        }
    }

    fn step(self) -> i64 {
        i64::try_from(self.step).unwrap_or(i64::MAX)
    }

    fn rows(self) -> i64 {
        i64::try_from(self.rows).unwrap_or(i64::MAX)
    }

    /// The beginning of the first step.
    fn beginning(self) -> i64 {
        self.start.saturating_sub(self.step())
    }

    /// The end of the last step.
    fn end(self) -> i64 {
        self.beginning()
            .saturating_add(self.rows().saturating_mul(self.step()))
    }

    /// The same span in at most `points` steps, and one for the border, that are a multiple of
    /// these and end at multiples of themselves, so that the borders do not move with the span.
    pub(super) fn at_most(self, points: usize) -> Self {
        let between = self.rows.saturating_sub(1);
        let factor = between.div_ceil(points.max(1)).max(1);
        if factor == 1 {
            return self;
        }
        self.coarser(u64::try_from(factor).unwrap_or(u64::MAX))
    }

    /// Steps as long as `factor` of these.
    pub(super) fn coarser(self, factor: u64) -> Self {
        let step = self.step.saturating_mul(factor.max(1));
        let signed = i64::try_from(step).unwrap_or(i64::MAX);
        let beginning = self.beginning().div_euclid(signed).saturating_mul(signed);
        let length = self.end().saturating_sub(beginning);
        let rows = length.div_euclid(signed) + i64::from(length.rem_euclid(signed) != 0);
        Self {
            start: beginning.saturating_add(signed),
            step,
            rows: usize::try_from(rows).unwrap_or(0),
        }
    }
}

/// Brings a column to another grid. A step whose known part is less than half of what the column
/// has of it is unknown.
pub(super) fn resample(column: &[f64], from: Grid, to: Grid, consolidation: Consolidation) -> Vec<f64> {
    (0..to.rows())
        .map(|row| {
            let end = to.start.saturating_add(row.saturating_mul(to.step()));
            let beginning = end.saturating_sub(to.step());
            one(column, from, (beginning, end), consolidation)
        })
        .collect()
}

fn one(column: &[f64], from: Grid, (beginning, end): (i64, i64), consolidation: Consolidation) -> f64 {
    let origin = from.beginning();
    let first = beginning.saturating_sub(origin).div_euclid(from.step()).max(0);
    let last = end
        .saturating_sub(origin)
        .saturating_sub(1)
        .div_euclid(from.step());
    let last = last.min(from.rows() - 1);
    let (mut all, mut known, mut sum) = (0_i64, 0_i64, 0.0_f64);
    let mut extreme = f64::NAN;
    for row in first..=last {
        let begins = origin + row * from.step();
        let weight = end.min(begins + from.step()) - beginning.max(begins);
        let value = usize::try_from(row).ok().and_then(|row| column.get(row));
        let value = value.copied().unwrap_or(f64::NAN);
        all += weight;
        if value.is_nan() {
            continue;
        }
        known += weight;
        match consolidation {
            Consolidation::Average => sum += value * share(weight),
            Consolidation::Min => extreme = extreme.min(value),
            Consolidation::Max => extreme = extreme.max(value),
            // Nothing else is known of others.
            Consolidation::Last | Consolidation::Other => extreme = value,
        }
    }
    if known == 0 || known.saturating_mul(2) < all {
        return f64::NAN;
    }
    match consolidation {
        Consolidation::Average => sum / share(known),
        _ => extreme,
    }
}

#[allow(clippy::cast_precision_loss)] // seconds
fn share(weight: i64) -> f64 {
    weight as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    fn grid(start: i64, step: u64, rows: usize) -> Grid {
        Grid { start, step, rows }
    }

    fn same(left: &[f64], right: &[f64]) -> bool {
        let equal = |(a, b): (&f64, &f64)| (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-9;
        left.len() == right.len() && left.iter().zip(right).all(equal)
    }

    #[test]
    fn coarse_steps_are_repeated_and_fine_ones_averaged() {
        let fine = resample(
            &[1.0, 5.0],
            grid(300, 300, 2),
            grid(60, 60, 10),
            Consolidation::Average,
        );
        assert!(
            same(&fine, &[1.0, 1.0, 1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0, 5.0]),
            "{fine:?}"
        );
        let coarse = resample(
            &[1.0, 2.0, 3.0, NAN, 4.0],
            grid(60, 60, 5),
            grid(300, 300, 1),
            Consolidation::Average,
        );
        assert!(same(&coarse, &[2.5]), "{coarse:?}");
        let max = resample(
            &[1.0, 9.0, 3.0, NAN, 4.0],
            grid(60, 60, 5),
            grid(300, 300, 1),
            Consolidation::Max,
        );
        assert!(same(&max, &[9.0]), "{max:?}");
    }

    #[test]
    fn steps_that_do_not_fit_are_weighed_by_their_overlap() {
        // Steps of 40 s: the second of 60 s has 20 s of one and 40 s of the next.
        let values = resample(
            &[1.0, 2.0, 8.0],
            grid(40, 40, 3),
            grid(60, 60, 2),
            Consolidation::Average,
        );
        assert!(
            same(
                &values,
                &[(40.0 + 2.0 * 20.0) / 60.0, (2.0 * 20.0 + 8.0 * 40.0) / 60.0]
            ),
            "{values:?}"
        );
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let values = resample(
            &[1.0, NAN, NAN, NAN],
            grid(60, 60, 4),
            grid(120, 120, 3),
            Consolidation::Average,
        );
        assert!(
            same(&values, &[1.0, NAN, NAN]),
            "half is enough, nothing is not: {values:?}"
        );
        let outside = resample(&[1.0], grid(60, 60, 1), grid(600, 60, 2), Consolidation::Average);
        assert!(same(&outside, &[NAN, NAN]), "{outside:?}");
    }

    #[test]
    fn fewer_points_end_at_multiples_of_their_step() {
        let from = grid(1_000_020, 60, 100);
        let to = from.at_most(30);
        assert_eq!(to.step, 240);
        assert_eq!(to.start % 240, 0);
        assert!(to.rows <= 31 && to.end() >= from.end(), "{to:?}");
        assert_eq!(from.at_most(100), from);
        assert_eq!(from.at_most(99), from, "one more for the border");
        assert!(from.at_most(0).rows <= 3, "{:?}", from.at_most(0));
    }
}
