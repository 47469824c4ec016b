//! The table below the lines.

use plotters::{
    element::Rectangle,
    style::{
        Color, RGBColor,
        text_anchor::{HPos, VPos},
    },
};

use super::{
    Chart, ChartOptions,
    canvas::FINE,
    figures, font,
    lettering::{Area, Drawn, fitting, put, text_style, text_width},
    palette::Palette,
    trace::Trace,
};

const SIZE: i32 = 12;
const HEADING: i32 = 11;
const ROW: i32 = 18;
/// The square in the colour of a line, and the distance to its name.
const SQUARE: i32 = 10;
const GAP: i32 = 6;
/// Between two columns.
const COLUMN: i32 = 22;

/// A row for each line, and one for the outages.
pub(crate) struct Legend {
    headings: Vec<String>,
    rows: Vec<Row>,
    outages: Option<String>,
    palette: &'static Palette,
}

struct Row {
    colour: RGBColor,
    label: String,
    figures: Vec<String>,
}

impl Legend {
    /// The legend of a chart, unless there is nothing in it.
    pub(crate) fn of(
        traces: &[Trace<'_>],
        chart: &Chart,
        options: &ChartOptions,
        palette: &'static Palette,
    ) -> Option<Self> {
        let mut headings = vec!["Maximum".to_owned(), "Average".to_owned(), "Current".to_owned()];
        headings.extend(options.percentile.map(figures::percentile_name));
        let rows = traces.iter().map(|trace| {
            let figures = trace.figures;
            let values = [figures.max, figures.average, figures.current];
            Row {
                colour: trace.colour,
                label: font::printable(&trace.line.label),
                figures: values
                    .into_iter()
                    .chain(figures.percentile)
                    .map(|value| trace.line.unit.text(value))
                    .collect(),
            }
        });
        let legend = Self {
            headings,
            rows: rows.collect(),
            outages: figures::outages(&chart.outages, &options.range),
            palette,
        };
        (!legend.rows.is_empty()).then_some(legend)
    }

    /// Its height in units.
    pub(crate) fn height(&self) -> i32 {
        let rows = self.rows.len() + 1 + usize::from(self.outages.is_some());
        i32::try_from(rows).unwrap_or(i32::MAX).saturating_mul(ROW)
    }

    pub(crate) fn draw(&self, area: &Area<'_>, (left, top): (i32, i32), width: i32) -> Drawn {
        let palette = self.palette;
        let indent = SQUARE + GAP;
        let columns: Vec<i32> = (0..self.headings.len())
            .map(|column| self.width_of(column))
            .collect();
        let figures: i32 = columns.iter().map(|column| column + COLUMN).sum();
        let labels = self
            .rows
            .iter()
            .map(|row| text_width(&row.label, SIZE))
            .max()
            .unwrap_or(0);
        let labels = labels.min(width - indent - figures).max(0);

        // Each column ends here.
        let mut ends = Vec::new();
        let mut end = left + indent + labels;
        for column in &columns {
            end += COLUMN + column;
            ends.push(end);
        }
        let mut line = top + ROW / 2;
        let heading = text_style(HEADING, palette.pale, HPos::Right, VPos::Center);
        for (text, end) in self.headings.iter().zip(&ends) {
            put(area, text, &heading, (*end, line))?;
        }
        for row in &self.rows {
            line += ROW;
            square(area, row.colour, (left, line))?;
            let label = text_style(SIZE, palette.text, HPos::Left, VPos::Center);
            put(
                area,
                &fitting(&row.label, SIZE, labels),
                &label,
                (left + indent, line),
            )?;
            let figure = text_style(SIZE, palette.text, HPos::Right, VPos::Center);
            for (text, end) in row.figures.iter().zip(&ends) {
                put(area, text, &figure, (*end, line))?;
            }
        }
        if let Some(outages) = &self.outages {
            line += ROW;
            square(area, palette.outage, (left, line))?;
            let style = text_style(SIZE, palette.text, HPos::Left, VPos::Center);
            put(
                area,
                &fitting(outages, SIZE, width - indent),
                &style,
                (left + indent, line),
            )?;
        }
        Ok(())
    }

    fn width_of(&self, column: usize) -> i32 {
        let heading = self
            .headings
            .get(column)
            .map_or(0, |text| text_width(text, HEADING));
        let figures = self.rows.iter().filter_map(|row| row.figures.get(column));
        figures
            .map(|text| text_width(text, SIZE))
            .max()
            .unwrap_or(0)
            .max(heading)
    }
}

fn square(area: &Area<'_>, colour: RGBColor, (x, y): (i32, i32)) -> Drawn {
    let half = SQUARE / 2;
    let corners = [
        (x * FINE, (y - half) * FINE),
        ((x + SQUARE) * FINE, (y + half) * FINE),
    ];
    area.draw(&Rectangle::new(corners, colour.filled()))
}
