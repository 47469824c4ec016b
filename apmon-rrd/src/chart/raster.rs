//! The shapes as pixels.

use tiny_skia::{FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, Transform};
use ttf_parser::OutlineBuilder;

use super::{
    ChartOptions,
    canvas::{Canvas, Colour, Shape},
    font::{self, Piece},
    picture::Picture,
    png,
};

pub(crate) fn png(picture: &Picture, options: &ChartOptions) -> Vec<u8> {
    let mut pixmap = Pixmap::new(options.width, options.height).expect("the sizes are bounded");
    draw(&mut pixmap, &picture.canvas);
    png::encode(options.width, options.height, pixmap.data())
}

fn draw(pixmap: &mut Pixmap, canvas: &Canvas) {
    #[expect(clippy::cast_possible_truncation)]
    let scale = (1.0 / canvas.pixel) as f32;
    let transform = Transform::from_scale(scale, scale);
    for shape in &canvas.shapes {
        match shape {
            Shape::Line {
                points,
                width,
                colour,
            } => {
                let Some(path) = path(points, false) else { continue };
                #[expect(clippy::cast_possible_truncation)]
                let stroke = Stroke {
                    width: *width as f32,
                    line_join: LineJoin::Round,
                    ..Stroke::default()
                };
                pixmap.stroke_path(&path, &paint(*colour), &stroke, transform, None);
            }
            Shape::Area { points, colour } => {
                let Some(path) = path(points, true) else { continue };
                pixmap.fill_path(&path, &paint(*colour), FillRule::Winding, transform, None);
            }
            Shape::Text {
                text,
                at,
                size,
                colour,
            } => {
                let mut letters = Letters(PathBuilder::new(), 0.0);
                for piece in font::lay_out(text).0 {
                    match piece {
                        Piece::Glyph { id, x } => letters.push(id, x),
                        Piece::Foreign { text, x, width } => {
                            let each = width / i64::try_from(text.chars().count()).unwrap_or(1).max(1);
                            let places = (0..).map(|place| x + place * each);
                            for place in places.take(text.chars().count()) {
                                letters.push(font::replacement(), place);
                            }
                        }
                    }
                }
                let Some(path) = letters.0.finish() else { continue };
                #[expect(clippy::cast_possible_truncation)]
                let em = (size / font::EM) as f32;
                #[expect(clippy::cast_precision_loss)]
                let place = transform
                    .pre_translate(at.0 as f32, at.1 as f32)
                    .pre_scale(em, -em);
                pixmap.fill_path(&path, &paint(*colour), FillRule::Winding, place, None);
            }
        }
    }
}

fn path(points: &[(i32, i32)], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (place, (x, y)) in points.iter().enumerate() {
        #[expect(clippy::cast_precision_loss)]
        let (x, y) = (*x as f32, *y as f32);
        if place == 0 {
            path.move_to(x, y);
        } else {
            path.line_to(x, y);
        }
    }
    if closed {
        path.close();
    }
    path.finish()
}

fn paint(colour: Colour) -> Paint<'static> {
    let (r, g, b) = colour.rgb;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let alpha = (colour.alpha.clamp(0.0, 1.0) * 255.0).round() as u8;
    let mut paint = Paint::default();
    paint.set_color_rgba8(r, g, b, alpha);
    paint.anti_alias = true;
    paint
}

/// The outlines of a text, and where the present glyph begins.
struct Letters(PathBuilder, f32);

impl Letters {
    fn push(&mut self, id: u16, x: i64) {
        #[expect(clippy::cast_precision_loss)]
        let x = x as f32;
        self.1 = x;
        font::outline(id, self);
    }
}

impl OutlineBuilder for Letters {
    fn move_to(&mut self, x: f32, y: f32) {
        self.0.move_to(x + self.1, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.0.line_to(x + self.1, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let left = self.1;
        self.0.quad_to(x1 + left, y1, x + left, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let left = self.1;
        self.0.cubic_to(x1 + left, y1, x2 + left, y2, x + left, y);
    }

    fn close(&mut self) {
        self.0.close();
    }
}
