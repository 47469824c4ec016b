//! The shapes of a picture, and the backend by which plotters draws them.

use std::convert::Infallible;

use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    text_anchor::{HPos, VPos},
};

use super::font;

/// The steps of a unit: plotters knows whole numbers only, and a line of whole pixels is ragged.
pub(crate) const FINE: i32 = 100;

/// What is drawn, from the back to the front. All measures are hundredths of a unit, which is a
/// pixel at the scale of 1.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Canvas {
    pub width: u32,
    pub height: u32,
    /// The size of a pixel of the picture.
    pub pixel: f64,
    pub shapes: Vec<Shape>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Shape {
    Line {
        points: Vec<BackendCoord>,
        width: f64,
        colour: Colour,
    },
    Area {
        points: Vec<BackendCoord>,
        colour: Colour,
    },
    Text {
        text: String,
        /// Where its first letter stands on the line.
        at: BackendCoord,
        /// The size of an em.
        size: f64,
        colour: Colour,
    },
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Colour {
    pub rgb: (u8, u8, u8),
    /// From 0, invisible, to 1.
    pub alpha: f64,
}

impl From<BackendColor> for Colour {
    fn from(colour: BackendColor) -> Self {
        Self {
            rgb: colour.rgb,
            alpha: colour.alpha,
        }
    }
}

/// Collects what plotters draws.
pub(crate) struct Backend<'a>(pub &'a mut Canvas);

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl Backend<'_> {
    fn line(&mut self, mut points: Vec<BackendCoord>, style: &impl BackendStyle) {
        let width = f64::from(style.stroke_width());
        if let [(x1, y1), (x2, y2)] = points.as_mut_slice() {
            // A line between two rows of pixels would be two pale ones.
            if x1 == x2 {
                *x1 = self.centre(*x1, width);
                *x2 = *x1;
            } else if y1 == y2 {
                *y1 = self.centre(*y1, width);
                *y2 = *y1;
            }
        }
        self.0.shapes.push(Shape::Line {
            points,
            width,
            colour: style.color().into(),
        });
    }

    /// The next place at which a line of this width covers whole pixels.
    #[expect(clippy::cast_possible_truncation)]
    fn centre(&self, place: i32, width: f64) -> i32 {
        let pixel = self.0.pixel;
        let odd = (width / pixel).round() as i64 % 2 != 0;
        let half = if odd { 0.5 } else { 0.0 };
        (((f64::from(place) / pixel).floor() + half) * pixel).round() as i32
    }
}

impl DrawingBackend for Backend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.0.width, self.0.height)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Drawn {
        self.draw_rect((x, y), (x + 1, y + 1), &colour, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.line(vec![from, to], style);
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (x1, y1): BackendCoord,
        (x2, y2): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)];
        if fill {
            return self.fill_polygon(corners, style);
        }
        self.line(corners.into_iter().chain([(x1, y1)]).collect(), style);
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        self.line(path.into_iter().collect(), style);
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        corners: I,
        style: &S,
    ) -> Drawn {
        self.0.shapes.push(Shape::Area {
            points: corners.into_iter().collect(),
            colour: style.color().into(),
        });
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation)]
    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, (x, y): BackendCoord) -> Drawn {
        let em = style.size();
        #[expect(clippy::cast_precision_loss)]
        let width = font::width(text) as f64 / font::EM * em;
        let capital = font::CAPITAL / font::EM * em;
        let left = match style.anchor().h_pos {
            HPos::Left => 0.0,
            HPos::Center => width / 2.0,
            HPos::Right => width,
        };
        let rise = match style.anchor().v_pos {
            VPos::Top => capital,
            VPos::Center => capital / 2.0,
            VPos::Bottom => 0.0,
        };
        self.0.shapes.push(Shape::Text {
            text: text.to_owned(),
            at: (x - left.round() as i32, y + rise.round() as i32),
            size: em,
            colour: style.color().into(),
        });
        Ok(())
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let em = style.size();
        let width = font::width(text) as f64 / font::EM * em;
        Ok((
            width.round() as u32,
            (font::CAPITAL / font::EM * em).round() as u32,
        ))
    }
}
