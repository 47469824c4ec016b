//! Pictures of what was fetched: SVG, PNG, and text for a terminal.
//!
//! | module | holds |
//! |---|---|
//! | `axis` | the scale of values and its ticks |
//! | `calendar` | the scale of time and its ticks |
//! | `canvas` | the shapes of a picture, and the backend by which plotters draws them |
//! | `figures` | maximum, average, percentile and latest value of a line |
//! | `font` | the letters, from a font of our own |
//! | `legend` | the table below the lines |
//! | `lettering` | texts at places in units |
//! | `palette` | the colours, light and dark |
//! | `picture` | what is drawn where |
//! | `png` | files of pixels |
//! | `raster` | the shapes as pixels |
//! | `resample` | as many points as there are pixels |
//! | `svg` | the shapes as SVG |
//! | `terminal` | the chart as text |
//! | `trace` | a line with its points and figures |

mod axis;
mod calendar;
mod canvas;
mod figures;
mod font;
mod legend;
mod lettering;
mod palette;
mod picture;
mod png;
mod raster;
mod resample;
mod svg;
mod terminal;
mod trace;

use std::ops::{Range, RangeInclusive};

use jiff::tz::TimeZone;

pub use self::terminal::TerminalSize;
use crate::{Fetched, Pair, Side, Unit};

/// What is drawn: lines over time, with the outages of the same time.
#[derive(Clone, PartialEq, Debug)]
pub struct Chart {
    /// The lines, at most four. Those of the first one's unit share the left axis, those of
    /// another unit the right axis.
    pub lines: Vec<ChartLine>,
    /// The name of the left axis where several lines share it; if empty, that of the unit.
    pub shared_axis: String,
    /// The averages of all lines.
    pub average: Fetched,
    /// The smallest values, where they are kept. They may begin later or have another step.
    pub min: Option<Fetched>,
    /// The greatest values, where they are kept.
    pub max: Option<Fetched>,
    /// When the monitor was down, in seconds since the epoch. One that goes on ends now.
    pub outages: Vec<Range<i64>>,
    /// The present, in seconds since the epoch.
    pub now: i64,
}

/// A line of a chart.
#[derive(Clone, PartialEq, Debug)]
pub struct ChartLine {
    /// The data source.
    pub source: String,
    /// What the legend calls it.
    pub label: String,
    /// What its axis is called.
    pub axis: String,
    /// The unit of its values.
    pub unit: Unit,
    /// What every value is multiplied by: 8 where bytes are kept and bits are drawn.
    pub factor: f64,
}

/// How a chart is drawn.
#[derive(Clone, Debug)]
pub struct ChartOptions {
    /// The width in pixels, within [`ChartOptions::PIXELS`].
    pub width: u32,
    /// The height in pixels, within [`ChartOptions::PIXELS`].
    pub height: u32,
    /// How many times as large letters and lines are.
    pub scale: f64,
    /// Whether the background is dark.
    pub dark: bool,
    /// The title, as text.
    pub title: String,
    /// The time that is shown, in seconds since the epoch.
    pub range: Range<i64>,
    /// The percentile that is drawn as a line, between 0 and 100.
    pub percentile: Option<f64>,
    /// The zone of the times.
    pub zone: TimeZone,
}

impl Chart {
    /// A chart of the data sources of a pair.
    #[must_use]
    pub fn of_pair(pair: &Pair, average: Fetched, now: i64) -> Self {
        Self {
            lines: pair.drawn().iter().map(ChartLine::from).collect(),
            shared_axis: pair.short_legend.to_owned(),
            average,
            min: None,
            max: None,
            outages: Vec::new(),
            now,
        }
    }

    /// A chart of some data sources, whose units are those of their names.
    #[must_use]
    pub fn of_sources(average: Fetched, now: i64) -> Self {
        Self {
            lines: average
                .sources
                .iter()
                .map(|source| ChartLine::of_source(source))
                .collect(),
            shared_axis: String::new(),
            average,
            min: None,
            max: None,
            outages: Vec::new(),
            now,
        }
    }

    /// The name of an axis that several lines of a unit share.
    fn shared_name(&self, unit: Unit) -> &str {
        match unit {
            Unit::Number | Unit::PerSecond if !self.shared_axis.is_empty() => &self.shared_axis,
            _ => unit.name(),
        }
    }

    /// Draws the chart as an SVG document. It needs no font and no other file.
    #[must_use]
    pub fn svg(&self, options: &ChartOptions) -> String {
        let options = options.bounded();
        svg::document(&picture::draw(self, &options), &options)
    }

    /// Draws the chart as a PNG file.
    #[must_use]
    pub fn png(&self, options: &ChartOptions) -> Vec<u8> {
        let options = options.bounded();
        raster::png(&picture::draw(self, &options), &options)
    }

    /// Draws the chart as lines of text. Width, height, scale and colours of the options do not
    /// matter here.
    #[must_use]
    pub fn terminal(&self, options: &ChartOptions, size: TerminalSize) -> String {
        terminal::text(self, &options.bounded(), size)
    }
}

impl ChartLine {
    /// The line of a data source, whose unit is that of its name.
    #[must_use]
    pub fn of_source(source: &str) -> Self {
        let unit = Unit::of(source);
        Self {
            source: source.to_owned(),
            label: source.to_owned(),
            axis: unit.name().to_owned(),
            unit,
            factor: 1.0,
        }
    }
}

impl From<&Side> for ChartLine {
    fn from(side: &Side) -> Self {
        Self {
            source: side.source.to_owned(),
            label: side.legend.to_owned(),
            axis: side.axis.to_owned(),
            unit: side.unit,
            factor: 1.0,
        }
    }
}

impl ChartOptions {
    /// The sizes of a picture.
    pub const PIXELS: RangeInclusive<u32> = 100..=8192;

    /// Options for a picture of this size, light and in UTC. Letters grow with it, so that they can
    /// be read on a large screen from further away.
    #[must_use]
    pub fn new(width: u32, height: u32, range: Range<i64>) -> Self {
        let scale = (f64::from(width) / 960.0).min(f64::from(height) / 360.0);
        Self {
            width,
            height,
            scale: scale.clamp(1.0, 8.0),
            dark: false,
            title: String::new(),
            range,
            percentile: None,
            zone: TimeZone::UTC,
        }
    }

    /// The same with sizes that can be drawn, and a range that is not empty.
    fn bounded(&self) -> Self {
        let mut options = self.clone();
        let size = |pixels: u32| pixels.clamp(*Self::PIXELS.start(), *Self::PIXELS.end());
        options.width = size(self.width);
        options.height = size(self.height);
        options.scale = if self.scale.is_finite() {
            self.scale.clamp(0.5, 16.0)
        } else {
            1.0
        };
        // A thousand years, so that sums of times cannot overflow.
        const FURTHEST: i64 = 31_557_600_000;
        options.range.start = self.range.start.clamp(-FURTHEST, FURTHEST);
        options.range.end = self.range.end.clamp(options.range.start + 1, FURTHEST + 1);
        options.percentile = self.percentile.filter(|rank| (0.0..=100.0).contains(rank));
        options
    }
}

#[cfg(test)]
mod tests;
