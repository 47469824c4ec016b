//! The scale of values and its ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::Unit;

/// A scale from one tick to another.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ValueAxis {
    unit: Unit,
    /// The size by which the prefix of all labels is chosen, if they have the same one: 1.5 GiB would
    /// be 1536 MiB.
    common: Option<f64>,
    pub(crate) ticks: Vec<f64>,
}

impl ValueAxis {
    /// A scale for values between these two, with about this number of ticks. It contains zero, without
    /// which heights could not be compared.
    pub(crate) fn of(unit: Unit, (min, max): (f64, f64), ticks: usize) -> Self {
        let min = if min.is_finite() { min.min(0.0) } else { 0.0 };
        let max = if max.is_finite() { max.max(0.0) } else { 0.0 };
        let ticks = ticks.clamp(2, 12);
        // Percentages are compared with the whole, not with each other.
        if unit == Unit::Percent && min >= 0.0 && max <= 100.0 {
            let step = match ticks {
                10.. => 10.0,
                5.. => 20.0,
                4 => 25.0,
                _ => 50.0,
            };
            return Self::between(unit, None, (0.0, 100.0), step);
        }
        let span = if max - min > 0.0 { max - min } else { 1.0 };
        #[expect(clippy::cast_precision_loss)]
        let least = span / (ticks - 1) as f64;
        let common = is_binary(unit).then(|| max.max(-min));
        let step = step(unit, common, least);
        // Lines keep a distance from the edges.
        let room = |edge: f64| edge + edge.signum() * span * 0.03;
        let bottom = if min < 0.0 {
            (room(min) / step).floor() * step
        } else {
            0.0
        };
        let top = if max > 0.0 || min == 0.0 {
            (room(max.max(step * 0.5)) / step).ceil() * step
        } else {
            0.0
        };
        Self::between(unit, common, (bottom, top), step)
    }

    fn between(unit: Unit, common: Option<f64>, (bottom, top): (f64, f64), step: f64) -> Self {
        #[expect(clippy::cast_possible_truncation)]
        let count = ((top - bottom) / step).round() as i64;
        let ticks = (0..=count.clamp(1, 100))
            .map(|tick| {
                #[expect(clippy::cast_precision_loss)]
                let steps = tick as f64;
                bottom + steps * step
            })
            .collect();
        Self { unit, common, ticks }
    }

    pub(crate) fn label(&self, value: f64) -> String {
        self.unit.tick(value, self.common.unwrap_or(value.abs()))
    }

    fn edges(&self) -> (f64, f64) {
        let bottom = self.ticks.first().copied().unwrap_or(0.0);
        (bottom, self.ticks.last().copied().unwrap_or(1.0))
    }

    /// Where a value is, from 0 at the bottom to 1 at the top.
    pub(crate) fn height(&self, value: f64) -> f64 {
        let (bottom, top) = self.edges();
        ((value - bottom) / (top - bottom)).clamp(0.0, 1.0)
    }
}

fn is_binary(unit: Unit) -> bool {
    matches!(unit, Unit::Bytes | Unit::BytesPerSecond)
}

/// The smallest step of round figures that is not below `least`.
fn step(unit: Unit, common: Option<f64>, least: f64) -> f64 {
    let base = common.map_or(1.0, |size| unit.prefix(size).0);
    let decade = 10_f64.powf((least / base).log10().floor());
    let digit = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        // A tolerance, so that 0.1 + 0.2 is still 0.3.
        .find(|digit| digit * decade * base >= least * (1.0 - 1e-9))
        .unwrap_or(10.0);
    let step = digit * decade * base;
    match unit {
        // There is no half a thing.
        Unit::Number | Unit::Days | Unit::Bytes | Unit::BytesPerSecond => step.max(1.0),
        _ => step,
    }
}

impl Ranged for ValueAxis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        interpolate(self.height(*value), limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        let (bottom, top) = self.edges();
        bottom..top
    }
}

impl ValueFormatter<f64> for ValueAxis {
    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
}

/// The pixel that lies so far between the two ends.
pub(crate) fn interpolate(share: f64, (from, to): (i32, i32)) -> i32 {
    #[expect(clippy::cast_possible_truncation)]
    let distance = (share * f64::from(to - from)).round() as i32;
    from + distance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(unit: Unit, max: f64, ticks: usize) -> Vec<String> {
        let axis = ValueAxis::of(unit, (0.0, max), ticks);
        axis.ticks.iter().map(|tick| axis.label(*tick)).collect()
    }

    #[test]
    fn ticks_are_round_figures_of_the_unit() {
        assert_eq!(
            labels(Unit::BitsPerSecond, 941e6, 6),
            ["0", "200 M", "400 M", "600 M", "800 M", "1 G"]
        );
        assert_eq!(labels(Unit::Bytes, 900_000.0, 5), ["0", "500 Ki", "1000 Ki"]);
        assert_eq!(labels(Unit::Bytes, 3e9, 4), ["0", "1 Gi", "2 Gi", "3 Gi"]);
        assert_eq!(
            labels(Unit::Bytes, 2.1e9, 6),
            ["0", "0.5 Gi", "1 Gi", "1.5 Gi", "2 Gi", "2.5 Gi"]
        );
        assert_eq!(
            labels(Unit::Milliseconds, 0.37, 5),
            ["0", "0.1", "0.2", "0.3", "0.4"]
        );
        assert_eq!(labels(Unit::Number, 2.0, 8), ["0", "1", "2", "3"]);
    }

    #[test]
    fn percentages_are_of_a_hundred() {
        assert_eq!(
            labels(Unit::Percent, 3.0, 6),
            ["0", "20", "40", "60", "80", "100"]
        );
        assert_eq!(labels(Unit::Percent, 100.0, 3), ["0", "50", "100"]);
        assert_eq!(labels(Unit::Percent, 160.0, 4), ["0", "100", "200"]);
    }

    #[test]
    fn an_axis_of_nothing_still_has_a_height() {
        for max in [0.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(labels(Unit::Number, max, 4), ["0", "1"]);
            assert!(labels(Unit::Milliseconds, max, 4).len() >= 2);
        }
    }

    #[test]
    fn every_value_lies_within_its_axis() {
        for unit in [
            Unit::Number,
            Unit::PerSecond,
            Unit::Bytes,
            Unit::Milliseconds,
            Unit::Percent,
        ] {
            for exponent in -6..18 {
                for digit in [1.0, 1.99, 2.0, 3.7, 5.0, 9.99] {
                    for ticks in [2, 3, 5, 9] {
                        let max = digit * 10_f64.powi(exponent);
                        let axis = ValueAxis::of(unit, (-max / 3.0, max), ticks);
                        let range = axis.range();
                        assert!(
                            range.start <= -max / 3.0 && range.end >= max,
                            "{unit:?} {max} {axis:?}"
                        );
                        assert!(axis.ticks.len() <= ticks + 4, "{unit:?} {max} {axis:?}");
                        assert!(axis.ticks.contains(&0.0), "{unit:?} {max} {axis:?}");
                    }
                }
            }
        }
    }
}
