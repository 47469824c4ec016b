//! What is drawn where.

use std::{convert::Infallible, ops::Range};

use plotters::{
    chart::{ChartBuilder, ChartContext},
    coord::cartesian::Cartesian2d,
    drawing::{DrawingAreaErrorKind, IntoDrawingArea},
    element::{PathElement, Polygon, Rectangle},
    style::{
        Color, RGBColor, ShapeStyle, TRANSPARENT,
        text_anchor::{HPos, VPos},
    },
};

use super::{
    Chart, ChartOptions,
    axis::ValueAxis,
    calendar::{TimeAxis, range_name},
    canvas::{Backend, Canvas, FINE},
    figures, font,
    legend::Legend,
    lettering::{Area, Drawn, fitting, put, text_style, text_width},
    palette::Palette,
    resample::Bucket,
    trace::{Trace, traces},
};
use crate::Unit;

/// A picture, and what is said to those who do not see it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Picture {
    pub canvas: Canvas,
    pub title: String,
    pub description: String,
}

/// Measures in units.
const MARGIN: i32 = 12;
const TITLE: i32 = 15;
const SMALL: i32 = 11;
/// The mark of a tick; its label is twice as far away.
const MARK: i32 = 3;
/// The height of the labels below the lines.
const TIMES: i32 = SMALL + 2 * MARK + 6;
/// The room beside the lines for half of the last label.
const HALF_LABEL: i32 = 24;
/// The least height of the lines, below which the legend gives way.
const LEAST_HEIGHT: i32 = 56;

pub(crate) fn draw(chart: &Chart, options: &ChartOptions) -> Picture {
    let fine = f64::from(FINE);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let size = |pixels: u32| (f64::from(pixels) / options.scale * fine).round() as u32;
    let mut canvas = Canvas {
        width: size(options.width),
        height: size(options.height),
        pixel: fine / options.scale,
        shapes: Vec::new(),
    };
    let traces = traces(chart, options);
    let title = font::printable(&options.title);
    let description = description(&traces, chart, options);
    Sheet {
        chart,
        options,
        palette: Palette::of(options.dark),
        traces: &traces,
        title: &title,
    }
    .draw(&Backend(&mut canvas).into_drawing_area())
    .expect("a canvas refuses no shape");
    Picture {
        canvas,
        title,
        description,
    }
}

/// The picture in words.
fn description(traces: &[Trace<'_>], chart: &Chart, options: &ChartOptions) -> String {
    let mut sentences = vec![range_name(&options.range, &options.zone)];
    for trace in traces {
        let unit = trace.line.unit;
        let figures = trace.figures;
        let mut sentence = format!(
            "{}: maximum {}, average {}, current {}",
            font::printable(&trace.line.label),
            unit.text(figures.max),
            unit.text(figures.average),
            unit.text(figures.current)
        );
        if let (Some(rank), Some(value)) = (options.percentile, figures.percentile) {
            sentence += &format!(", {} {}", figures::percentile_name(rank), unit.text(value));
        }
        sentences.push(sentence);
    }
    sentences.extend(figures::outages(&chart.outages, &options.range));
    sentences.join(". ") + "."
}

struct Sheet<'a> {
    chart: &'a Chart,
    options: &'a ChartOptions,
    palette: &'static Palette,
    traces: &'a [Trace<'a>],
    title: &'a str,
}

/// Where the lines are, in units.
struct Frame {
    x: Range<i32>,
    y: Range<i32>,
}

impl Sheet<'_> {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        area.fill(&self.palette.background)?;
        let (width, height) = area.dim_in_pixel();
        let (width, height) = (whole(width) / FINE, whole(height) / FINE);
        let below_title = self.draw_title(area, width)?;
        let legend = Legend::of(self.traces, self.chart, self.options, self.palette);
        let names = SMALL + 12;
        let top = below_title + names;
        let rest = height - top - TIMES - MARGIN / 2;
        let legend = legend.filter(|legend| rest - legend.height() >= LEAST_HEIGHT);
        let bottom = top + (rest - legend.as_ref().map_or(0, Legend::height)).max(1);

        let left = self.axis(false, bottom - top);
        let right = self
            .traces
            .iter()
            .any(|trace| trace.right)
            .then(|| self.axis(true, bottom - top));
        let room = |axis: &ValueAxis| {
            let widest = axis
                .ticks
                .iter()
                .map(|tick| text_width(&axis.label(*tick), SMALL))
                .max();
            widest.unwrap_or(0) + 2 * MARK + MARGIN
        };
        let frame = Frame {
            x: room(&left)
                ..(width
                    - right
                        .as_ref()
                        .map_or(HALF_LABEL, |axis| room(axis).max(HALF_LABEL))),
            y: top..bottom,
        };
        self.draw_lines(area, &frame, (width, height), left, right)?;
        self.draw_axis_names(area, &frame)?;
        if self
            .traces
            .iter()
            .all(|trace| !trace.buckets.iter().any(Bucket::is_known))
        {
            let at = ((frame.x.start + frame.x.end) / 2, (top + bottom) / 2);
            let style = text_style(13, self.palette.pale, HPos::Center, VPos::Center);
            // Values that fill less than half of a step are not drawn, but the legend has them.
            let has_figures = self.traces.iter().any(|trace| trace.figures.average.is_finite());
            let text = match has_figures {
                true => "Too few values to draw in this range",
                false => "No data in this range",
            };
            put(area, text, &style, at)?;
        }
        if let Some(legend) = legend {
            legend.draw(area, (MARGIN, bottom + TIMES), width - 2 * MARGIN)?;
        }
        Ok(())
    }

    /// The title and the range; returns where they end.
    fn draw_title(&self, area: &Area<'_>, width: i32) -> Result<i32, DrawingAreaErrorKind<Infallible>> {
        let range = range_name(&self.options.range, &self.options.zone);
        let range_style = |side| text_style(SMALL, self.palette.pale, side, VPos::Bottom);
        let room = width - 2 * MARGIN;
        let range_width = text_width(&range, SMALL);
        let mut line = MARGIN + TITLE - 3;
        let beside = room - range_width - 2 * MARGIN;
        let fits = text_width(self.title, TITLE) <= beside;
        if !self.title.is_empty() {
            let title = fitting(self.title, TITLE, if fits { beside } else { room });
            let style = text_style(TITLE, self.palette.text, HPos::Left, VPos::Bottom);
            put(area, &title, &style, (MARGIN, line))?;
            if !fits {
                line += SMALL + 6;
            }
        }
        let range = fitting(&range, SMALL, room);
        if fits && !self.title.is_empty() {
            put(area, &range, &range_style(HPos::Right), (width - MARGIN, line))?;
        } else {
            put(area, &range, &range_style(HPos::Left), (MARGIN, line))?;
        }
        Ok(line + 8)
    }

    fn axis(&self, right: bool, height: i32) -> ValueAxis {
        let traces = || self.traces.iter().filter(|trace| trace.right == right);
        let values = || traces().flat_map(|trace| &trace.buckets);
        let min = values().map(|bucket| bucket.min).fold(f64::NAN, f64::min);
        let max = values().map(|bucket| bucket.max).fold(f64::NAN, f64::max);
        let unit = traces().next().map_or(Unit::Number, |trace| trace.line.unit);
        let ticks = usize::try_from(height / 36 + 1).unwrap_or(2);
        ValueAxis::of(unit, (min, max), ticks)
    }

    fn draw_lines(
        &self,
        area: &Area<'_>,
        frame: &Frame,
        (width, height): (i32, i32),
        left: ValueAxis,
        right: Option<ValueAxis>,
    ) -> Drawn {
        let palette = self.palette;
        let ticks = usize::try_from((frame.x.end - frame.x.start) / 64).unwrap_or(1);
        let time = TimeAxis::of(&self.options.range, &self.options.zone, ticks);
        let two = right.is_some();
        let right = right.unwrap_or_else(|| left.clone());
        let bottoms = (bottom_of(&left), bottom_of(&right));
        let mut builder = ChartBuilder::on(area);
        builder
            .margin_top(frame.y.start * FINE)
            .margin_bottom((height - frame.y.end - TIMES) * FINE)
            .x_label_area_size(TIMES * FINE)
            .y_label_area_size(frame.x.start * FINE);
        let room = (width - frame.x.end) * FINE;
        if two {
            builder.right_y_label_area_size(room);
        } else {
            builder.margin_right(room);
        }
        let mut plot = builder
            .build_cartesian_2d(time.clone(), left)?
            .set_secondary_coord(time, right);
        plot.plotting_area().fill(&palette.plot)?;
        self.draw_outages(&plot)?;
        let line = |colour: RGBColor| ShapeStyle::from(&colour).stroke_width(FINE.unsigned_abs());
        let label = text_style(SMALL, palette.pale, HPos::Center, VPos::Center);
        plot.configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(line(palette.grid))
            .axis_style(line(palette.axis))
            .label_style(label.clone())
            .set_all_tick_mark_size(MARK * FINE)
            .draw()?;
        if two {
            plot.configure_secondary_axes()
                .axis_style(line(palette.axis))
                .label_style(label)
                .set_all_tick_mark_size(MARK * FINE)
                .draw()?;
        }
        for (place, trace) in self.traces.iter().enumerate() {
            if trace.right {
                plot.draw_secondary_series(fills(trace, bottoms.1, false))?;
            } else {
                plot.draw_series(fills(trace, bottoms.0, place == 0))?;
            }
        }
        for trace in self.traces {
            let lines = strokes(trace)
                .into_iter()
                .chain(self.percentile_dashes(trace, frame));
            if trace.right {
                plot.draw_secondary_series(lines)?;
            } else {
                plot.draw_series(lines)?;
            }
        }
        Ok(())
    }

    /// Outages are shaded from top to bottom, with a bar at the top: an area of a pale colour alone
    /// is not seen by everybody, and at the bottom are the lines of what is down.
    fn draw_outages(&self, plot: &ChartContext<'_, Backend<'_>, Cartesian2d<TimeAxis, ValueAxis>>) -> Drawn {
        let colour = self.palette.outage;
        let range = &self.options.range;
        let (x, y) = plot.plotting_area().get_pixel_range();
        let area = plot.plotting_area().use_screen_coord();
        let whole = f64::from(x.end - x.start);
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        let place = |at: i64| {
            let share = (at as f64 - range.start as f64) / (range.end - range.start) as f64;
            x.start + (share.clamp(0.0, 1.0) * whole).round() as i32
        };
        for outage in &self.chart.outages {
            if outage.end <= range.start || outage.start >= range.end || outage.end <= outage.start {
                continue;
            }
            // The shortest outage is still seen.
            let (from, to) = (place(outage.start), place(outage.end));
            let to = to.max(from + FINE);
            area.draw(&Rectangle::new(
                [(from, y.start), (to, y.end)],
                colour.mix(0.16).filled(),
            ))?;
            area.draw(&Rectangle::new(
                [(from, y.start), (to, y.start + 5 * FINE)],
                colour.filled(),
            ))?;
        }
        Ok(())
    }

    /// A dashed line at the percentile.
    fn percentile_dashes(&self, trace: &Trace<'_>, frame: &Frame) -> Vec<PathElement<(f64, f64)>> {
        let Some(value) = trace.figures.percentile.filter(|value| value.is_finite()) else {
            return Vec::new();
        };
        const DASH: i32 = 7;
        const GAP: i32 = 4;
        let range = &self.options.range;
        let width = frame.x.end - frame.x.start;
        let style = ShapeStyle::from(&trace.colour).stroke_width((FINE.unsigned_abs() * 5) / 4);
        #[expect(clippy::cast_precision_loss)]
        let place = |unit: i32| {
            let share = f64::from(unit.min(width)) / f64::from(width.max(1));
            range.start as f64 + share * (range.end - range.start) as f64
        };
        let starts = (0..width).step_by(usize::try_from(DASH + GAP).unwrap_or(1));
        starts
            .map(|start| PathElement::new(vec![(place(start), value), (place(start + DASH), value)], style))
            .collect()
    }

    /// The names above the axes, in the colours of their lines where there are two.
    fn draw_axis_names(&self, area: &Area<'_>, frame: &Frame) -> Drawn {
        let y = frame.y.start - 10;
        let width = (frame.x.end - frame.x.start) / 2 + frame.x.start - MARGIN;
        let two = self.traces.iter().any(|trace| trace.right);
        for (right, side, x) in [(false, HPos::Left, MARGIN), (true, HPos::Right, frame.x.end)] {
            let mut on_this = self.traces.iter().filter(|trace| trace.right == right);
            let Some(first) = on_this.next() else { continue };
            let shared = on_this.next().is_some();
            let name = if shared {
                self.chart.shared_name(first.line.unit)
            } else {
                &first.line.axis
            };
            let colour = if two && !shared {
                first.colour
            } else {
                self.palette.pale
            };
            let x = if right {
                x + (area_width(area) - x - MARGIN)
            } else {
                x
            };
            let text = fitting(&font::printable(name), SMALL, width);
            put(
                area,
                &text,
                &text_style(SMALL, colour, side, VPos::Bottom),
                (x, y),
            )?;
        }
        Ok(())
    }
}

fn bottom_of(axis: &ValueAxis) -> f64 {
    axis.ticks.first().copied().unwrap_or(0.0)
}

fn area_width(area: &Area<'_>) -> i32 {
    whole(area.dim_in_pixel().0) / FINE
}

/// The band between the extremes, and for the first line what lies below it.
fn fills(trace: &Trace<'_>, bottom: f64, first: bool) -> Vec<Polygon<(f64, f64)>> {
    let mut fills = Vec::new();
    if first {
        let floor = bottom.max(0.0);
        for mut piece in trace.pieces(|bucket| bucket.average) {
            let (Some(start), Some(end)) = (piece.first().copied(), piece.last().copied()) else {
                continue;
            };
            piece.push((end.0, floor));
            piece.push((start.0, floor));
            fills.push(Polygon::new(piece, trace.colour.mix(0.13)));
        }
    }
    if trace.buckets.iter().any(|bucket| bucket.max > bucket.min) {
        let tops = trace.pieces(|bucket| bucket.max);
        let bottoms = trace.pieces(|bucket| bucket.min);
        for (mut piece, bottom) in tops.into_iter().zip(bottoms) {
            piece.extend(bottom.into_iter().rev());
            fills.push(Polygon::new(piece, trace.colour.mix(0.28)));
        }
    }
    fills
}

fn strokes(trace: &Trace<'_>) -> Vec<PathElement<(f64, f64)>> {
    let style = ShapeStyle::from(&trace.colour).stroke_width((FINE.unsigned_abs() * 3) / 2);
    trace
        .pieces(|bucket| bucket.average)
        .into_iter()
        .map(|piece| PathElement::new(piece, style))
        .collect()
}

fn whole(fine: u32) -> i32 {
    i32::try_from(fine).unwrap_or(i32::MAX)
}
