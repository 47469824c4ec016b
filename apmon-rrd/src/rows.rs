//! How long values are kept, and at which resolution.

use crate::schema::{Consolidation, Round};

/// How much is kept.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Rows {
    /// As APMonitor keeps it: 31 days of every step, 64 days of 5 minutes, a year of half hours,
    /// 5 years of hours, 62 years of days.
    #[default]
    Full,
    /// A sixth of that: 2 days of every step, 14 days of 5 minutes, 60 days of half hours, 2 years
    /// of hours, 5 years of days.
    Small,
    /// These numbers of rows.
    ByHand(RowCounts),
}

/// The numbers of rows, which APMonitor has as constants in its program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RowCounts {
    /// Single steps.
    pub native: u64,
    /// Averages, least and greatest values of 5 minutes.
    pub five_minutes: u64,
    /// Averages of half an hour.
    pub half_hour: u64,
    /// Averages of an hour.
    pub hour: u64,
    /// Averages of a day.
    pub day: u64,
}

const DAY: u64 = 86_400;

impl Rows {
    /// The number of rows at this step, in seconds. There is at least one of each kind, because
    /// librrd refuses none.
    #[must_use]
    pub fn counts(&self, step: u64) -> RowCounts {
        // APMonitor creates no file for a step over a day, of which a day has none.
        let a_day = (DAY / step.max(1)).max(1);
        let counts = match self {
            Self::Full => RowCounts {
                native: a_day * 31,
                five_minutes: 18_600,
                half_hour: 18_600,
                hour: 43_830,
                day: 22_692,
            },
            Self::Small => RowCounts {
                native: a_day * 2,
                five_minutes: 4_032,
                half_hour: 2_880,
                hour: 17_520,
                day: 1_826,
            },
            Self::ByHand(counts) => *counts,
        };
        RowCounts {
            native: counts.native.max(1),
            five_minutes: counts.five_minutes.max(1),
            half_hour: counts.half_hour.max(1),
            hour: counts.hour.max(1),
            day: counts.day.max(1),
        }
    }

    /// The nine archives in APMonitor's order.
    #[must_use]
    pub fn rounds(&self, step: u64) -> Vec<Round> {
        use Consolidation::{Average, Max, Min};

        let counts = self.counts(step);
        let steps = |seconds: u64| (seconds / step.max(1)).max(1);
        [
            (Average, 1, counts.native),
            (Min, 1, counts.native),
            (Max, 1, counts.native),
            (Average, steps(300), counts.five_minutes),
            (Average, steps(1_800), counts.half_hour),
            (Average, steps(3_600), counts.hour),
            (Average, steps(DAY), counts.day),
            (Min, steps(300), counts.five_minutes),
            (Max, steps(300), counts.five_minutes),
        ]
        .map(|(consolidation, steps, rows)| Round {
            consolidation,
            xff: 0.5,
            steps,
            rows,
        })
        .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(rows: &Rows, step: u64) -> u64 {
        rows.rounds(step).iter().map(|round| round.rows).sum()
    }

    #[test]
    fn the_archives_are_those_of_apmonitor() {
        let rounds = Rows::Full.rounds(60);
        let short: Vec<(&str, u64, u64)> = rounds
            .iter()
            .map(|round| (round.consolidation.as_str(), round.steps, round.rows))
            .collect();
        assert_eq!(
            short,
            [
                ("AVERAGE", 1, 44_640),
                ("MIN", 1, 44_640),
                ("MAX", 1, 44_640),
                ("AVERAGE", 5, 18_600),
                ("AVERAGE", 30, 18_600),
                ("AVERAGE", 60, 43_830),
                ("AVERAGE", 1_440, 22_692),
                ("MIN", 5, 18_600),
                ("MAX", 5, 18_600),
            ]
        );
        assert!(rounds.iter().all(|round| (round.xff - 0.5).abs() < f64::EPSILON));
    }

    #[test]
    fn the_numbers_of_rows_are_those_of_the_tables() {
        for (step, full, small) in [
            (10, 944_442, 86_162),
            (30, 408_762, 51_602),
            (60, 274_842, 42_962),
            (300, 167_706, 36_050),
        ] {
            assert_eq!(
                (total(&Rows::Full, step), total(&Rows::Small, step)),
                (full, small),
                "{step}"
            );
        }
    }

    #[test]
    fn a_step_over_a_day_has_rows() {
        for step in [86_400, 86_401, 604_800, u64::MAX] {
            let rounds = Rows::Full.rounds(step);
            assert_eq!((rounds[0].steps, rounds[0].rows), (1, 31));
            assert_eq!((rounds[6].steps, rounds[6].rows), (1, 22_692));
        }
        let none = RowCounts {
            native: 0,
            five_minutes: 0,
            half_hour: 0,
            hour: 0,
            day: 0,
        };
        assert_eq!(total(&Rows::ByHand(none), 60), 9, "one of each");
    }

    #[test]
    fn a_step_that_does_not_divide_an_hour_is_rounded_as_apmonitor_does() {
        let rounds = Rows::Full.rounds(7);
        assert_eq!((rounds[0].rows, rounds[3].steps), (382_602, 42));
    }
}
