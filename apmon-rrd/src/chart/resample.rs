//! As many points as there are pixels.

use std::ops::Range;

use crate::Fetched;

/// Equal steps over the time that is shown.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Grid {
    /// The beginning of the first step.
    pub start: i64,
    /// The seconds of a step.
    pub step: i64,
    /// The number of steps.
    pub steps: usize,
}

/// A step of the grid. All three are NaN where nothing is known.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Bucket {
    pub average: f64,
    pub min: f64,
    pub max: f64,
}

impl Bucket {
    pub(crate) const UNKNOWN: Self = Self {
        average: f64::NAN,
        min: f64::NAN,
        max: f64::NAN,
    };

    pub(crate) fn is_known(&self) -> bool {
        self.average.is_finite()
    }
}

impl Grid {
    /// Steps of whole rows, at most `points` of them. They begin at multiples of themselves, so
    /// that the same rows fall together in every picture, however late it is drawn.
    pub(crate) fn of(range: &Range<i64>, step: u64, points: usize) -> Self {
        let row = i64::try_from(step).unwrap_or(i64::MAX).max(1);
        let span = (range.end - range.start).max(1);
        let points = i64::try_from(points).unwrap_or(i64::MAX).max(1);
        // One step is lost to the alignment at either end.
        let rows = (span / row).div_euclid((points - 1).max(1)) + 1;
        let rows = if span / row <= points { 1 } else { rows };
        let step = neat(row, row.saturating_mul(rows));
        let start = range.start.div_euclid(step).saturating_mul(step);
        let steps =
            (range.end - start).div_euclid(step) + i64::from((range.end - start).rem_euclid(step) != 0);
        Self {
            start,
            step,
            steps: usize::try_from(steps).unwrap_or(0),
        }
    }

    /// When a step begins.
    pub(crate) fn at(&self, step: usize) -> i64 {
        let steps = i64::try_from(step).unwrap_or(i64::MAX);
        self.start.saturating_add(steps.saturating_mul(self.step))
    }
}

/// The next larger step that people know: what comes and goes with the hours of a day would make a
/// pattern with steps of seven hours.
fn neat(row: i64, step: i64) -> i64 {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    if step == row {
        return step;
    }
    let minutes = [1, 2, 3, 5, 10, 15, 20, 30].map(|count| count * MINUTE);
    let hours = [1, 2, 3, 4, 6, 8, 12].map(|count| count * HOUR);
    let known = minutes.into_iter().chain(hours).find(|known| *known >= step);
    let neat = known.unwrap_or_else(|| (step - 1).div_euclid(DAY).saturating_add(1).saturating_mul(DAY));
    if neat % row == 0 { neat } else { step }
}

/// The values of a data source in the steps of the grid. A step is unknown if more than half of
/// what it should consist of is, as in the files themselves.
pub(crate) fn buckets(
    grid: &Grid,
    source: &str,
    factor: f64,
    average: &Fetched,
    min: Option<&Fetched>,
    max: Option<&Fetched>,
) -> Vec<Bucket> {
    let Some(sums) = sums(grid, source, average) else {
        return vec![Bucket::UNKNOWN; grid.steps];
    };
    let smallest = min.and_then(|fetched| self::sums(grid, source, fetched));
    let greatest = max.and_then(|fetched| self::sums(grid, source, fetched));
    sums.iter()
        .enumerate()
        .map(|(step, sum)| {
            let average = sum.average();
            if !average.is_finite() {
                return Bucket::UNKNOWN;
            }
            let extreme = |sums: &Option<Vec<Sum>>| sums.as_ref().and_then(|sums| sums.get(step).copied());
            // Peaks are kept for a shorter time than averages.
            let min = extreme(&smallest).map_or(sum.min, |sum| sum.min).min(sum.min);
            let max = extreme(&greatest).map_or(sum.max, |sum| sum.max).max(sum.max);
            Bucket {
                average: average * factor,
                min: min * factor,
                max: max * factor,
            }
        })
        .collect()
}

/// What the rows give that overlap a step.
#[derive(Clone, Copy)]
struct Sum {
    /// Values times seconds.
    weighted: f64,
    /// The seconds that are known.
    known: i64,
    /// The seconds for which there is a row.
    covered: i64,
    min: f64,
    max: f64,
}

impl Sum {
    const NOTHING: Self = Self {
        weighted: 0.0,
        known: 0,
        covered: 0,
        min: f64::NAN,
        max: f64::NAN,
    };

    fn average(&self) -> f64 {
        if self.known > 0 && self.known.saturating_mul(2) >= self.covered {
            #[expect(clippy::cast_precision_loss)]
            let known = self.known as f64;
            self.weighted / known
        } else {
            f64::NAN
        }
    }
}

fn sums(grid: &Grid, source: &str, fetched: &Fetched) -> Option<Vec<Sum>> {
    let column = fetched.column(source)?;
    let row_step = i64::try_from(fetched.step).ok()?.max(1);
    let mut sums = vec![Sum::NOTHING; grid.steps];
    for (row, value) in column.into_iter().enumerate() {
        // The time of a row is the end of its step.
        let end = fetched.at(row);
        let begin = end.saturating_sub(row_step);
        let first = usize::try_from((begin - grid.start).div_euclid(grid.step)).unwrap_or(0);
        for (step, sum) in sums.iter_mut().enumerate().skip(first) {
            let step_begin = grid.at(step);
            let step_end = grid.at(step + 1);
            let overlap = end.min(step_end) - begin.max(step_begin);
            if step_begin >= end {
                break;
            }
            if overlap <= 0 {
                continue;
            }
            sum.covered += overlap;
            if value.is_finite() {
                #[expect(clippy::cast_precision_loss)]
                let seconds = overlap as f64;
                sum.weighted += value * seconds;
                sum.known += overlap;
                sum.min = sum.min.min(value);
                sum.max = sum.max.max(value);
            }
        }
    }
    Some(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(start: i64, step: u64, values: &[f64]) -> Fetched {
        Fetched {
            start,
            step,
            sources: vec!["x".to_owned()],
            values: values.to_vec(),
        }
    }

    fn averages(buckets: &[Bucket]) -> Vec<Option<f64>> {
        buckets
            .iter()
            .map(|bucket| bucket.is_known().then_some(bucket.average))
            .collect()
    }

    #[test]
    fn rows_stay_as_they_are_where_there_are_pixels_for_them() {
        let grid = Grid::of(&(0..300), 60, 100);
        assert_eq!(
            grid,
            Grid {
                start: 0,
                step: 60,
                steps: 5
            }
        );
        let rows = fetched(60, 60, &[1.0, f64::NAN, 3.0, 4.0, 5.0]);
        let buckets = buckets(&grid, "x", 1.0, &rows, None, None);
        assert_eq!(
            averages(&buckets),
            [Some(1.0), None, Some(3.0), Some(4.0), Some(5.0)]
        );
    }

    #[test]
    fn there_are_never_more_points_than_pixels() {
        for span in [1, 59, 3_600, 86_400, 31_536_000, 31_536_017] {
            for points in [1, 2, 7, 600] {
                for start in [0, 13, -7_201, 1_700_000_000] {
                    let grid = Grid::of(&(start..start + span), 60, points);
                    assert!(
                        grid.steps <= points.max(2) + 1,
                        "{span} {points} {start} {grid:?}"
                    );
                    assert!(grid.start <= start && grid.at(grid.steps) >= start + span);
                    assert_eq!(grid.start.rem_euclid(grid.step), 0);
                }
            }
        }
    }

    #[test]
    fn steps_are_those_that_people_know() {
        let step = |span: i64, row: u64, points: usize| Grid::of(&(0..span), row, points).step;
        assert_eq!(step(365 * 86_400, 3_600, 640), 86_400);
        assert_eq!(step(86_400, 60, 640), 180);
        assert_eq!(step(86_400, 60, 1_440), 60);
        assert_eq!(step(7 * 86_400, 300, 640), 1_200);
        // Seven minutes are a part of no hour.
        assert_eq!(step(86_400, 420, 100), 1_260);
        assert_eq!(step(3_650 * 86_400, 86_400, 640), 6 * 86_400);
    }

    #[test]
    fn extremes_survive_what_averages_smooth() {
        let grid = Grid {
            start: 0,
            step: 240,
            steps: 1,
        };
        let rows = fetched(60, 60, &[1.0, 1.0, 9.0, 1.0]);
        let seen = buckets(&grid, "x", 1.0, &rows, None, None)[0];
        assert_eq!((seen.min, seen.average, seen.max), (1.0, 3.0, 9.0));
        let peaks = fetched(120, 120, &[2.0, 50.0]);
        let troughs = fetched(120, 120, &[0.5, 1.0]);
        let seen = buckets(&grid, "x", 2.0, &rows, Some(&troughs), Some(&peaks))[0];
        assert_eq!((seen.min, seen.average, seen.max), (1.0, 6.0, 100.0));
    }

    #[test]
    fn peaks_that_are_kept_for_a_shorter_time_fall_back_on_the_averages() {
        let grid = Grid {
            start: 0,
            step: 60,
            steps: 2,
        };
        let rows = fetched(60, 60, &[4.0, 5.0]);
        let peaks = fetched(60, 60, &[f64::NAN, 7.0]);
        let seen = buckets(&grid, "x", 1.0, &rows, None, Some(&peaks));
        assert_eq!((seen[0].max, seen[1].max), (4.0, 7.0));
    }

    #[test]
    fn a_step_is_unknown_if_more_than_half_of_it_is() {
        let grid = Grid {
            start: 0,
            step: 240,
            steps: 2,
        };
        let nan = f64::NAN;
        let rows = fetched(60, 60, &[1.0, nan, 3.0, nan, nan, nan, 3.0, nan]);
        let seen = buckets(&grid, "x", 1.0, &rows, None, None);
        assert_eq!(averages(&seen), [Some(2.0), None]);
    }

    #[test]
    fn a_row_longer_than_a_step_counts_in_each() {
        let grid = Grid {
            start: 0,
            step: 60,
            steps: 4,
        };
        let seen = buckets(&grid, "x", 1.0, &fetched(180, 180, &[7.0]), None, None);
        assert_eq!(averages(&seen), [Some(7.0), Some(7.0), Some(7.0), None]);
    }

    #[test]
    fn what_was_not_fetched_is_unknown() {
        let grid = Grid {
            start: 0,
            step: 60,
            steps: 2,
        };
        let seen = buckets(&grid, "y", 1.0, &fetched(60, 60, &[1.0, 2.0]), None, None);
        assert_eq!(averages(&seen), [None, None]);
    }
}
