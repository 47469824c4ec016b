//! The chart as text.

use std::fmt::Write as _;

use super::{
    Chart, ChartOptions,
    axis::ValueAxis,
    calendar::{TimeAxis, range_name},
    figures, font,
    trace::{Trace, traces},
};
use crate::Unit;

/// The room that a terminal has for a chart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TerminalSize {
    /// The letters of a line.
    pub columns: usize,
    /// The lines.
    pub rows: usize,
    /// Whether colours can be shown (ANSI escapes).
    pub colour: bool,
}

/// The dots of a cell of Braille.
const DOTS: (usize, usize) = (2, 4);
const LEAST: (usize, usize) = (24, 8);
/// The colours of lines: blue, yellow, green, magenta.
const LINES: [u8; 4] = [94, 93, 92, 95];
const OUTAGE: u8 = 91;
const PALE: u8 = 90;
const BOLD: u8 = 1;

pub(crate) fn text(chart: &Chart, options: &ChartOptions, size: TerminalSize) -> String {
    Screen::new(chart, options, size).text()
}

struct Screen<'a> {
    chart: &'a Chart,
    options: &'a ChartOptions,
    size: TerminalSize,
    traces: Vec<Trace<'a>>,
    axes: Vec<Panel>,
    /// The width of the labels on the left.
    labels: usize,
}

/// Lines that share an axis, one panel below the other.
struct Panel {
    /// Which of the lines.
    lines: Vec<usize>,
    name: String,
    axis: ValueAxis,
    height: usize,
}

impl<'a> Screen<'a> {
    fn new(chart: &'a Chart, options: &'a ChartOptions, size: TerminalSize) -> Self {
        let size = TerminalSize {
            columns: size.columns.clamp(LEAST.0, 1_000),
            rows: size.rows.clamp(LEAST.1, 500),
            ..size
        };
        let dots = ChartOptions {
            // A point for each column of dots.
            width: u32::try_from(size.columns * DOTS.0).unwrap_or(u32::MAX),
            scale: 1.0 / 1.5,
            ..options.clone()
        };
        let traces = traces(chart, &dots);
        let groups = groups(&traces, size.colour);
        let outages = figures::outages(&chart.outages, &options.range).is_some();
        // Title and range, a name for each panel, the time axis and its labels, the legend.
        let around = 2 + groups.len() + 2 + chart.lines.len() + usize::from(outages);
        let height = (size.rows.saturating_sub(around) / groups.len().max(1)).max(3);
        let axes: Vec<Panel> = groups
            .into_iter()
            .map(|lines| panel(chart, &traces, lines, height))
            .collect();
        let ticks = axes
            .iter()
            .flat_map(|panel| panel.axis.ticks.iter().map(|tick| panel.axis.label(*tick)));
        let labels = ticks.map(|label| cells(&label)).max().unwrap_or(1);
        Self {
            chart,
            options,
            size,
            traces,
            axes,
            labels,
        }
    }

    /// The cells of a line that show values.
    fn width(&self) -> usize {
        self.size.columns.saturating_sub(self.labels + 2).max(1)
    }

    fn text(&self) -> String {
        let mut lines = Vec::new();
        let title = cut(&font::printable(&self.options.title), self.size.columns);
        if !title.is_empty() {
            lines.push(self.paint(&title, BOLD));
        }
        let range = range_name(&self.options.range, &self.options.zone);
        lines.push(self.paint(&cut(&range, self.size.columns), PALE));
        for panel in &self.axes {
            lines.push(self.paint(&cut(&panel.name, self.size.columns), PALE));
            lines.extend(self.panel(panel));
        }
        lines.extend(self.time_axis());
        lines.extend(self.legend());
        let mut text = String::new();
        for line in lines {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn panel(&self, panel: &Panel) -> Vec<String> {
        let mut dots = Dots::new(self.width(), panel.height);
        for line in &panel.lines {
            if let Some(trace) = self.traces.get(*line) {
                self.plot(&mut dots, trace, panel, LINES.get(*line).copied().unwrap_or(PALE));
            }
        }
        let mut labels = vec![String::new(); panel.height];
        for tick in &panel.axis.ticks {
            let row = row_of(panel.axis.height(*tick), panel.height * DOTS.1) / DOTS.1;
            if let Some(label) = labels.get_mut(row) {
                *label = panel.axis.label(*tick);
            }
        }
        let lines = labels.iter().enumerate().map(|(row, label)| {
            let mark = if label.is_empty() { '│' } else { '┤' };
            let gap = " ".repeat(self.labels.saturating_sub(cells(label)));
            let axis = self.paint(&format!("{gap}{label} {mark}"), PALE);
            format!("{axis}{}", self.cells_of(&dots, row))
        });
        lines.collect()
    }

    /// The band between the extremes of each column, and the average joined to the one before.
    fn plot(&self, dots: &mut Dots, trace: &Trace<'_>, panel: &Panel, colour: u8) {
        let (columns, rows) = (dots.width * DOTS.0, dots.height * DOTS.1);
        let range = &self.options.range;
        let mut before: Option<usize> = None;
        for column in 0..columns {
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
            let at = {
                let share = (column as f64 + 0.5) / columns as f64;
                range.start + (share * (range.end - range.start) as f64) as i64
            };
            let step = usize::try_from((at - trace.grid.start).div_euclid(trace.grid.step)).ok();
            let bucket = step
                .and_then(|step| trace.buckets.get(step))
                .filter(|bucket| bucket.is_known());
            let Some(bucket) = bucket else {
                before = None;
                continue;
            };
            let row = |value: f64| row_of(panel.axis.height(value), rows);
            let average = row(bucket.average);
            let joined = before.unwrap_or(average);
            let top = row(bucket.max).min(average).min(joined);
            let bottom = row(bucket.min).max(average).max(joined);
            for dot in top..=bottom {
                dots.set(column, dot, colour);
            }
            before = Some(average);
        }
    }

    fn cells_of(&self, dots: &Dots, row: usize) -> String {
        let mut text = String::new();
        let mut present = None;
        for column in 0..dots.width {
            let (letter, colour) = dots.cell(column, row);
            let colour = colour.filter(|_| self.size.colour);
            if colour != present {
                if present.is_some() {
                    text.push_str("\x1b[0m");
                }
                if let Some(colour) = colour {
                    let _ = write!(text, "\x1b[{colour}m");
                }
                present = colour;
            }
            text.push(letter);
        }
        if present.is_some() {
            text.push_str("\x1b[0m");
        }
        text
    }

    /// The axis, on which outages are marked, and the labels below it.
    fn time_axis(&self) -> [String; 2] {
        let width = self.width();
        let axis = TimeAxis::of(&self.options.range, &self.options.zone, (width / 10).max(1));
        let mut line = vec!['─'; width];
        let mut labels = String::new();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let column = |at: i64| ((axis.share(at as f64) * width as f64) as usize).min(width - 1);
        for tick in &axis.ticks {
            let place = column(tick.at);
            if let Some(mark) = line.get_mut(place) {
                *mark = '┴';
            }
            let begin = place.saturating_sub(cells(&tick.label) / 2);
            let free = labels.is_empty() || cells(&labels) < begin;
            if free && begin + cells(&tick.label) <= width {
                labels.push_str(&" ".repeat(begin - cells(&labels)));
                labels.push_str(&tick.label);
            }
        }
        let range = &self.options.range;
        for outage in &self.chart.outages {
            if outage.end <= range.start || outage.start >= range.end || outage.end <= outage.start {
                continue;
            }
            for place in column(outage.start)..=column(outage.end - 1) {
                if let Some(mark) = line.get_mut(place) {
                    *mark = 'x';
                }
            }
        }
        let mut painted = self.paint(&format!("{} └", " ".repeat(self.labels)), PALE);
        for part in line.chunk_by(|one, other| (*one == 'x') == (*other == 'x')) {
            let down = part.first() == Some(&'x');
            let text: String = part.iter().collect();
            painted += &self.paint(&text, if down { OUTAGE } else { PALE });
        }
        let labels = format!("{}{labels}", " ".repeat(self.labels + 2));
        [painted, self.paint(&labels, PALE)]
    }

    fn legend(&self) -> Vec<String> {
        let label = |trace: &Trace<'_>| font::printable(&trace.line.label);
        let widest = self
            .traces
            .iter()
            .map(|trace| cells(&label(trace)))
            .max()
            .unwrap_or(0);
        let columns = self.columns();
        let mut lines = Vec::new();
        for (place, trace) in self.traces.iter().enumerate() {
            let label = label(trace);
            let gap = " ".repeat(widest - cells(&label));
            let figures = columns
                .iter()
                .map(|column| column.get(place).map_or("", String::as_str));
            let text = format!("{label}{gap}  {}", figures.collect::<Vec<_>>().join("  "));
            let square = self.paint("■", LINES.get(place).copied().unwrap_or(PALE));
            lines.push(format!("{square} {}", cut(&text, self.size.columns - 2)));
        }
        if let Some(outages) = figures::outages(&self.chart.outages, &self.options.range) {
            lines.push(format!("{} {outages}", self.paint("x", OUTAGE)));
        }
        lines
    }

    /// The figures of the lines, column by column, equally wide.
    fn columns(&self) -> Vec<Vec<String>> {
        let rank = self.options.percentile.map(figures::ordinal);
        let columns = (0..3 + usize::from(rank.is_some())).map(|column| {
            let texts: Vec<String> = self
                .traces
                .iter()
                .map(|trace| {
                    let figures = trace.figures;
                    let (name, value) = match column {
                        0 => ("max", figures.max),
                        1 => ("avg", figures.average),
                        2 => ("now", figures.current),
                        _ => (
                            rank.as_deref().unwrap_or_default(),
                            figures.percentile.unwrap_or(f64::NAN),
                        ),
                    };
                    format!("{name} {}", trace.line.unit.text(value))
                })
                .collect();
            let widest = texts.iter().map(|text| cells(text)).max().unwrap_or(0);
            texts.into_iter().map(|text| format!("{text:<widest$}")).collect()
        });
        columns.collect()
    }

    fn paint(&self, text: &str, code: u8) -> String {
        if self.size.colour && !text.trim().is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Which lines share a panel: those of one unit, or none where colours do not tell them apart.
fn groups(traces: &[Trace<'_>], colour: bool) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (place, trace) in traces.iter().enumerate() {
        let same = groups.iter_mut().find(|group| {
            let first = group.first().and_then(|first| traces.get(*first));
            colour && first.is_some_and(|first| first.line.unit == trace.line.unit)
        });
        match same {
            Some(group) => group.push(place),
            None => groups.push(vec![place]),
        }
    }
    groups
}

fn panel(chart: &Chart, traces: &[Trace<'_>], lines: Vec<usize>, height: usize) -> Panel {
    let of = || lines.iter().filter_map(|line| traces.get(*line));
    let buckets = || of().flat_map(|trace| &trace.buckets);
    let min = buckets().map(|bucket| bucket.min).fold(f64::NAN, f64::min);
    let max = buckets().map(|bucket| bucket.max).fold(f64::NAN, f64::max);
    let unit = of().next().map_or(Unit::Number, |trace| trace.line.unit);
    let name = match of().next() {
        Some(trace) if lines.len() == 1 => trace.line.axis.clone(),
        _ => chart.shared_name(unit).to_owned(),
    };
    Panel {
        name: font::printable(&name),
        axis: ValueAxis::of(unit, (min, max), height.div_ceil(3)),
        lines,
        height,
    }
}

/// The row of dots at a height, counted from above.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn row_of(height: f64, rows: usize) -> usize {
    ((1.0 - height) * rows.saturating_sub(1) as f64).round() as usize
}

/// A picture of Braille.
struct Dots {
    width: usize,
    height: usize,
    cells: Vec<(u8, Option<u8>)>,
}

impl Dots {
    fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            cells: vec![(0, None); width * height],
        }
    }

    fn set(&mut self, column: usize, row: usize, colour: u8) {
        // The order in which Unicode counts the dots of a cell.
        const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        let place = row / DOTS.1 * self.width + column / DOTS.0;
        if let Some((bits, painted)) = self.cells.get_mut(place) {
            *bits |= BITS[column % DOTS.0][row % DOTS.1];
            *painted = Some(colour);
        }
    }

    fn cell(&self, column: usize, row: usize) -> (char, Option<u8>) {
        match self.cells.get(row * self.width + column) {
            Some((bits, colour)) if *bits > 0 => {
                let letter = char::from_u32(0x2800 + u32::from(*bits)).unwrap_or(' ');
                (letter, *colour)
            }
            _ => (' ', None),
        }
    }
}

/// The cells that a text takes.
fn cells(text: &str) -> usize {
    text.chars().map(cells_of_letter).sum()
}

fn cells_of_letter(letter: char) -> usize {
    match u32::from(letter) {
        0x0300..=0x036F | 0x200B..=0x200D | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F | 0x2E80..=0xD7FF | 0xF900..=0xFAFF | 0xFE30..=0xFE4F | 0xFF00..=0xFF60 => 2,
        0x1F300.. => 2,
        _ => 1,
    }
}

/// As much of a text as fits.
fn cut(text: &str, columns: usize) -> String {
    if cells(text) <= columns {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut taken = 1;
    for letter in text.chars() {
        taken += cells_of_letter(letter);
        if taken > columns {
            break;
        }
        cut.push(letter);
    }
    cut.push('…');
    cut
}
