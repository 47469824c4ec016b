//! A line with its points and figures.

use plotters::style::RGBColor;

use super::{
    Chart, ChartLine, ChartOptions,
    figures::Figures,
    palette::Palette,
    resample::{Bucket, Grid, buckets},
};

/// A line with its points and figures.
pub(crate) struct Trace<'a> {
    pub line: &'a ChartLine,
    pub grid: Grid,
    /// The values of the steps of the grid.
    pub buckets: Vec<Bucket>,
    pub figures: Figures,
    pub colour: RGBColor,
    /// Whether its axis is the right one.
    pub right: bool,
}

impl Trace<'_> {
    /// The pieces of a line between its gaps. A piece reaches from the beginning of its first step to
    /// the end of its last one, and passes through the middle of each.
    pub(crate) fn pieces(&self, value: impl Fn(&Bucket) -> f64) -> Vec<Vec<(f64, f64)>> {
        #[expect(clippy::cast_precision_loss)]
        let at = |step: usize, share: f64| self.grid.at(step) as f64 + share * self.grid.step as f64;
        let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
        let mut open = false;
        for (step, bucket) in self.buckets.iter().enumerate() {
            if bucket.is_known() {
                if !open {
                    pieces.push(vec![(at(step, 0.0), value(bucket))]);
                }
                let last = !self.buckets.get(step + 1).is_some_and(Bucket::is_known);
                if let Some(piece) = pieces.last_mut() {
                    piece.push((at(step, 0.5), value(bucket)));
                    if last {
                        piece.push((at(step, 1.0), value(bucket)));
                    }
                }
            }
            open = bucket.is_known();
        }
        pieces
    }
}

/// The lines with as many points as there are pixels.
pub(crate) fn traces<'a>(chart: &'a Chart, options: &ChartOptions) -> Vec<Trace<'a>> {
    let palette = Palette::of(options.dark);
    // A line is this thick; what is closer together is a blot.
    const THICKNESS: f64 = 1.5;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let points = (f64::from(options.width) / options.scale / THICKNESS) as usize;
    let grid = Grid::of(&options.range, chart.average.step, points);
    let left = chart.lines.first().map(|line| line.unit);
    let traces = chart.lines.iter().zip(palette.lines).map(|(line, colour)| Trace {
        line,
        grid,
        buckets: buckets(
            &grid,
            &line.source,
            line.factor,
            &chart.average,
            chart.min.as_ref(),
            chart.max.as_ref(),
        ),
        figures: Figures::of(chart, line, &options.range, options.percentile),
        colour,
        right: Some(line.unit) != left,
    });
    traces.collect()
}
