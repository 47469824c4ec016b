//! Texts at places in units.

use std::convert::Infallible;

use plotters::{
    coord::Shift,
    drawing::{DrawingArea, DrawingAreaErrorKind},
    style::{
        IntoFont, RGBColor, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{
    canvas::{Backend, FINE},
    font,
};

pub(crate) type Area<'a> = DrawingArea<Backend<'a>, Shift>;
pub(crate) type Drawn = Result<(), DrawingAreaErrorKind<Infallible>>;

/// The style of a text whose size is in units.
pub(crate) fn text_style(size: i32, colour: RGBColor, side: HPos, line: VPos) -> TextStyle<'static> {
    let font = ("sans-serif", f64::from(size * FINE)).into_font();
    font.color(&colour).pos(Pos::new(side, line))
}

/// Puts a text at a place in units.
pub(crate) fn put(area: &Area<'_>, text: &str, style: &TextStyle<'_>, (x, y): (i32, i32)) -> Drawn {
    area.draw_text(text, style, (x * FINE, y * FINE))
}

/// The width of a text in units, rounded up.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
pub(crate) fn text_width(text: &str, size: i32) -> i32 {
    (font::width(text) as f64 / font::EM * f64::from(size)).ceil() as i32
}

/// The text, cut to a width in units.
#[expect(clippy::cast_possible_truncation)]
pub(crate) fn fitting(text: &str, size: i32, width: i32) -> String {
    font::fitting(
        text,
        (f64::from(width.max(0)) / f64::from(size) * font::EM) as i64,
    )
}
