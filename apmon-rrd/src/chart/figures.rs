//! Maximum, average, percentile and latest value of a line.

use std::ops::Range;

use super::{Chart, ChartLine};
use crate::Fetched;

/// The figures of a line in the legend. NaN where nothing is known.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Figures {
    pub max: f64,
    pub average: f64,
    pub current: f64,
    pub percentile: Option<f64>,
}

impl Figures {
    pub(crate) fn of(chart: &Chart, line: &ChartLine, range: &Range<i64>, rank: Option<f64>) -> Self {
        let rows = known(&chart.average, &line.source, range);
        let peaks = chart.max.as_ref().map_or(f64::NAN, |max| {
            greatest(
                known(max, &line.source, range)
                    .into_iter()
                    .map(|(_, value)| value),
            )
        });
        let values: Vec<f64> = rows.iter().map(|(_, value)| *value).collect();
        #[expect(clippy::cast_precision_loss)]
        let average = values.iter().sum::<f64>() / values.len() as f64;
        // The newest rows of a file are unknown until their steps have ended.
        let step = i64::try_from(chart.average.step).unwrap_or(i64::MAX);
        let oldest = chart.now.min(range.end).saturating_sub(step.saturating_mul(2));
        let current = rows
            .last()
            .filter(|(at, _)| *at >= oldest)
            .map_or(f64::NAN, |(_, value)| *value);
        Self {
            max: greatest(values.iter().copied()).max(peaks) * line.factor,
            average: average * line.factor,
            current: current * line.factor,
            percentile: rank.map(|rank| percentile(values, rank) * line.factor),
        }
    }
}

/// The rows that are known and end within the range, with their times.
fn known(fetched: &Fetched, source: &str, range: &Range<i64>) -> Vec<(i64, f64)> {
    let column = fetched.column(source).unwrap_or_default();
    column
        .into_iter()
        .enumerate()
        .map(|(row, value)| (fetched.at(row), value))
        .filter(|(at, value)| *at > range.start && *at <= range.end && value.is_finite())
        .collect()
}

fn greatest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::NAN, f64::max)
}

/// The smallest value that this percentage of the values does not exceed; NaN if there is none.
fn percentile(mut values: Vec<f64>, rank: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    let position = (rank / 100.0 * values.len() as f64).ceil() as usize;
    values
        .get(position.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

/// A percentile's name: `95th percentile`.
pub(crate) fn percentile_name(rank: f64) -> String {
    format!("{} percentile", ordinal(rank))
}

/// The number of a percentile: `95th`.
pub(crate) fn ordinal(rank: f64) -> String {
    let text = rank.to_string();
    let ending = match text.as_bytes() {
        _ if text.contains('.') => "th",
        [.., b'1', b'1' | b'2' | b'3'] => "th",
        [.., b'1'] => "st",
        [.., b'2'] => "nd",
        [.., b'3'] => "rd",
        _ => "th",
    };
    format!("{text}{ending}")
}

/// What the legend says of the outages within the range: how many, and how long in all. `None`
/// if there was none.
pub(crate) fn outages(outages: &[Range<i64>], range: &Range<i64>) -> Option<String> {
    let seconds: Vec<i64> = outages
        .iter()
        .map(|outage| outage.end.min(range.end) - outage.start.max(range.start))
        .filter(|seconds| *seconds > 0)
        .collect();
    let noun = match seconds.len() {
        0 => return None,
        1 => "outage",
        _ => "outages",
    };
    Some(format!(
        "{} {noun}, {}",
        seconds.len(),
        duration(seconds.iter().sum())
    ))
}

/// A duration in its two largest units: `1 h 12 min`.
fn duration(seconds: i64) -> String {
    let parts: Vec<String> = [
        (seconds / 86_400, "d"),
        (seconds % 86_400 / 3_600, "h"),
        (seconds % 3_600 / 60, "min"),
        (seconds % 60, "s"),
    ]
    .iter()
    .skip_while(|(count, _)| *count == 0)
    .take(2)
    .filter(|(count, _)| *count > 0)
    .map(|(count, unit)| format!("{count} {unit}"))
    .collect();
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[f64], now: i64) -> Chart {
        let average = Fetched {
            start: 60,
            step: 60,
            sources: vec!["bytes".to_owned()],
            values: values.to_vec(),
        };
        Chart::of_sources(average, now)
    }

    #[test]
    fn the_figures_are_those_of_the_known_rows_in_the_range() {
        let chart = chart(&[100.0, 1.0, f64::NAN, 3.0, 5.0, f64::NAN], 360);
        let figures = Figures::of(&chart, &chart.lines[0], &(60..360), Some(50.0));
        let expected = Figures {
            max: 5.0,
            average: 3.0,
            current: 5.0,
            percentile: Some(3.0),
        };
        assert_eq!(figures, expected);
    }

    #[test]
    fn a_value_of_long_ago_is_not_the_current_one() {
        let chart = chart(&[1.0, 2.0, f64::NAN, f64::NAN, f64::NAN, f64::NAN], 360);
        let figures = Figures::of(&chart, &chart.lines[0], &(0..360), None);
        assert!(figures.current.is_nan());
        assert_eq!(figures.max, 2.0);
    }

    #[test]
    fn the_maximum_is_that_of_the_peaks() {
        let mut chart = chart(&[1.0, 2.0], 120);
        chart.max = Some(Fetched {
            values: vec![8.0, 2.0],
            ..chart.average.clone()
        });
        chart.lines[0].factor = 8.0;
        let figures = Figures::of(&chart, &chart.lines[0], &(0..120), None);
        assert_eq!((figures.max, figures.average), (64.0, 12.0));
    }

    #[test]
    fn without_a_known_row_every_figure_is_unknown() {
        let chart = chart(&[f64::NAN], 60);
        let figures = Figures::of(&chart, &chart.lines[0], &(0..60), Some(95.0));
        assert!(figures.max.is_nan() && figures.average.is_nan() && figures.current.is_nan());
        assert!(figures.percentile.is_some_and(f64::is_nan));
    }

    #[test]
    fn the_percentile_is_one_of_the_values() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        for (rank, value) in [
            (95.0, 95.0),
            (50.0, 50.0),
            (100.0, 100.0),
            (0.0, 1.0),
            (99.9, 100.0),
        ] {
            assert_eq!(percentile(hundred.clone(), rank), value);
        }
        assert_eq!(percentile(vec![7.0], 95.0), 7.0);
    }

    #[test]
    fn percentiles_have_names() {
        for (rank, name) in [
            (95.0, "95th"),
            (91.0, "91st"),
            (11.0, "11th"),
            (2.0, "2nd"),
            (99.9, "99.9th"),
            (3.0, "3rd"),
        ] {
            assert_eq!(percentile_name(rank), format!("{name} percentile"));
        }
    }

    #[test]
    fn outages_count_as_far_as_they_are_shown() {
        let range = 1_000..10_000;
        assert_eq!(outages(&[], &range), None);
        assert_eq!(outages(&[0..500, 10_000..20_000], &range), None);
        assert_eq!(
            outages(std::slice::from_ref(&(0..1_060)), &range).as_deref(),
            Some("1 outage, 1 min")
        );
        assert_eq!(
            outages(&[2_000..5_600, 9_280..99_999], &range).as_deref(),
            Some("2 outages, 1 h 12 min")
        );
        assert_eq!(duration(90_061), "1 d 1 h");
        assert_eq!(duration(59), "59 s");
    }
}
