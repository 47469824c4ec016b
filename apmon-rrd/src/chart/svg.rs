//! The shapes as SVG.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    ChartOptions,
    canvas::{Colour, FINE, Shape},
    font::{self, Piece},
    picture::Picture,
};

pub(crate) fn document(picture: &Picture, options: &ChartOptions) -> String {
    let canvas = &picture.canvas;
    let mut svg = String::with_capacity(64 * 1024);
    let (width, height) = (units(canvas.width.into()), units(canvas.height.into()));
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\" aria-label=\"{}\">",
        options.width,
        options.height,
        escaped(&picture.title)
    );
    let _ = writeln!(svg, "<title>{}</title>", escaped(&picture.title));
    let _ = writeln!(svg, "<desc>{}</desc>", escaped(&picture.description));
    let visible = glyphs(&mut svg, &canvas.shapes);
    for shape in &canvas.shapes {
        match shape {
            Shape::Line {
                points,
                width,
                colour,
            } => {
                let _ = writeln!(
                    svg,
                    "<path d=\"{}\" fill=\"none\" stroke=\"{}\"{} stroke-width=\"{}\" stroke-linejoin=\"round\"/>",
                    path(points, canvas.pixel),
                    hex(*colour),
                    opacity("stroke-opacity", *colour),
                    units(*width),
                );
            }
            Shape::Area { points, colour } => {
                let _ = writeln!(
                    svg,
                    "<path d=\"{}Z\" fill=\"{}\"{}/>",
                    path(points, canvas.pixel),
                    hex(*colour),
                    opacity("fill-opacity", *colour)
                );
            }
            Shape::Text {
                text,
                at,
                size,
                colour,
            } => words(&mut svg, &visible, text, (*at, *size, *colour)),
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Writes the outline of each glyph once, as most letters occur several times. Returns the glyphs
/// that have an outline: a blank has none.
fn glyphs(svg: &mut String, shapes: &[Shape]) -> BTreeSet<u16> {
    let mut used = BTreeSet::new();
    for shape in shapes {
        if let Shape::Text { text, .. } = shape {
            for piece in font::lay_out(text).0 {
                if let Piece::Glyph { id, .. } = piece {
                    used.insert(id);
                }
            }
        }
    }
    svg.push_str("<defs>\n");
    used.retain(|id| {
        let outline = font::outline_path(*id);
        if !outline.is_empty() {
            let _ = writeln!(svg, "<path id=\"{}\" d=\"{outline}\"/>", name(*id));
        }
        !outline.is_empty()
    });
    svg.push_str("</defs>\n");
    used
}

/// The name of a glyph. It is the same in every picture, so that several may be parts of one page.
fn name(id: u16) -> String {
    format!("apmon-noto-{id}")
}

fn words(
    svg: &mut String,
    visible: &BTreeSet<u16>,
    text: &str,
    ((x, y), size, colour): ((i32, i32), f64, Colour),
) {
    let (x, y) = (units(x.into()), units(y.into()));
    let scale = size / f64::from(FINE) / font::EM;
    let fill = hex(colour);
    let (pieces, _) = font::lay_out(text);
    let _ = write!(
        svg,
        "<g transform=\"translate({x} {y}) scale({scale:.5} -{scale:.5})\" fill=\"{fill}\">"
    );
    for piece in &pieces {
        match piece {
            Piece::Glyph { id, x } => {
                if visible.contains(id) {
                    let _ = write!(svg, "<use href=\"#{}\" x=\"{x}\"/>", name(*id));
                }
            }
            // The viewer may have a font for it.
            Piece::Foreign { text, x, width } => {
                let _ = write!(
                    svg,
                    "<text transform=\"translate({x} 0) scale(1 -1)\" font-family=\"sans-serif\" font-size=\"1000\" \
                     textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\">{}</text>",
                    escaped(text)
                );
            }
        }
    }
    svg.push_str("</g>\n");
}

/// A path whose points are given by the distance from the one before, which is shorter. They are
/// rounded to a tenth of a unit, or less if a unit is several pixels.
#[expect(clippy::cast_possible_truncation)]
fn path(points: &[(i32, i32)], pixel: f64) -> String {
    let grain = if pixel < f64::from(FINE) / 2.0 {
        2
    } else {
        FINE / 10
    };
    let rounded = |fine: i32| (f64::from(fine) / f64::from(grain)).round() as i32 * grain;
    let mut path = String::with_capacity(points.len() * 10);
    let mut before = (0, 0);
    for (place, (x, y)) in points.iter().enumerate() {
        let point = (rounded(*x), rounded(*y));
        let (dx, dy) = (point.0 - before.0, point.1 - before.1);
        path.push(if place == 0 { 'M' } else { 'l' });
        let gap = if dy < 0 { "" } else { " " };
        let _ = write!(path, "{}{gap}{}", units(dx.into()), units(dy.into()));
        before = point;
    }
    path
}

/// A measure in units, with no more places than it has.
fn units(fine: f64) -> String {
    let text = format!("{:.2}", fine / f64::from(FINE));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn hex(Colour { rgb: (r, g, b), .. }: Colour) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn opacity(name: &str, colour: Colour) -> String {
    if colour.alpha < 1.0 {
        format!(" {name}=\"{:.2}\"", colour.alpha)
    } else {
        String::new()
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}
