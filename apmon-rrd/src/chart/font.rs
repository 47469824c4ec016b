//! The letters, from a font of our own: a picture is the same on a machine without fonts.

use std::{fmt::Write as _, sync::LazyLock};

use ttf_parser::{Face, GlyphId, OutlineBuilder};

static FACE: LazyLock<Face<'static>> = LazyLock::new(|| {
    let bytes = include_bytes!("../../font/NotoSans-Regular.ttf");
    Face::parse(bytes, 0).expect("the font is part of the program")
});

/// The units of the font in an em, in which all measures here are given.
pub(crate) const EM: f64 = 1000.0;
/// The height of a capital.
pub(crate) const CAPITAL: f64 = 714.0;

/// A part of a text, at a distance from its beginning.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Piece {
    Glyph {
        id: u16,
        x: i64,
    },
    /// Letters that the font does not have.
    Foreign {
        text: String,
        x: i64,
        width: i64,
    },
}

/// The pieces of a text, and its width.
pub(crate) fn lay_out(text: &str) -> (Vec<Piece>, i64) {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut end = 0;
    for letter in text.chars() {
        if let Some(id) = FACE.glyph_index(letter) {
            pieces.push(Piece::Glyph { id: id.0, x: end });
            end += i64::from(FACE.glyph_hor_advance(id).unwrap_or(0));
            continue;
        }
        let advance = foreign_advance(letter);
        match pieces.last_mut() {
            // Kept together, so that a viewer that has a font can shape them.
            Some(Piece::Foreign { text, width, .. }) => {
                text.push(letter);
                *width += advance;
            }
            _ => pieces.push(Piece::Foreign {
                text: letter.to_string(),
                x: end,
                width: advance,
            }),
        }
        end += advance;
    }
    (pieces, end)
}

/// The width of a text.
pub(crate) fn width(text: &str) -> i64 {
    lay_out(text).1
}

/// A letter whose width is not known: those of East Asia are as wide as high.
fn foreign_advance(letter: char) -> i64 {
    match u32::from(letter) {
        0x0300..=0x036F | 0x200B..=0x200D | 0xFE00..=0xFE0F => 0,
        0x1100..=0x11FF | 0x2E80..=0xD7FF | 0xF900..=0xFAFF | 0xFE30..=0xFE4F | 0xFF00..=0xFF60 => 1000,
        0x1F000.. => 1000,
        _ => 600,
    }
}

/// The text, or as much of it as fits with an ellipsis.
pub(crate) fn fitting(text: &str, most: i64) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let room = most - width("…");
    let mut fitting = String::new();
    let mut end = 0;
    for letter in text.chars() {
        end += width(letter.encode_utf8(&mut [0; 4]));
        if end > room {
            break;
        }
        fitting.push(letter);
    }
    format!("{}…", fitting.trim_end())
}

/// The text without what cannot be drawn: control characters, and those that turn the direction
/// of what stands after them.
pub(crate) fn printable(text: &str) -> String {
    let visible = text.chars().filter_map(|letter| match letter {
        '\t' | '\n' | '\r' => Some(' '),
        '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}' => None,
        '\u{FFFE}' | '\u{FFFF}' => None,
        _ if letter.is_control() => None,
        _ => Some(letter),
    });
    visible.collect()
}

/// The glyph that stands for letters for which there is none.
pub(crate) fn replacement() -> u16 {
    FACE.glyph_index('\u{FFFD}').map_or(0, |id| id.0)
}

/// Draws the outline of a glyph, in units of the font with y upwards.
pub(crate) fn outline(id: u16, builder: &mut dyn OutlineBuilder) {
    // A blank has none.
    let _ = FACE.outline_glyph(GlyphId(id), builder);
}

/// The outline of a glyph as the `d` of an SVG path.
pub(crate) fn outline_path(id: u16) -> String {
    let mut path = SvgPath::default();
    outline(id, &mut path);
    path.0
}

#[derive(Default)]
struct SvgPath(String);

impl SvgPath {
    fn push(&mut self, command: char, points: &[f32]) {
        self.0.push(command);
        for (place, point) in points.iter().enumerate() {
            let gap = if place > 0 && *point >= 0.0 { " " } else { "" };
            let _ = write!(self.0, "{gap}{point}");
        }
    }
}

impl OutlineBuilder for SvgPath {
    fn move_to(&mut self, x: f32, y: f32) {
        self.push('M', &[x, y]);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.push('L', &[x, y]);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.push('Q', &[x1, y1, x, y]);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.push('C', &[x1, y1, x2, y2, x, y]);
    }

    fn close(&mut self) {
        self.0.push('Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_the_letters_of_europe() {
        for letter in "AZaz09 äöüßéøłőžŁ αβΩ ЖяЇ µ … – % / ( ) € \u{FFFD}".chars() {
            assert!(FACE.glyph_index(letter).is_some(), "{letter}");
        }
        assert_eq!(f64::from(FACE.units_per_em()), EM);
        assert_eq!(FACE.capital_height().map(f64::from), Some(CAPITAL));
    }

    #[test]
    fn digits_are_equally_wide() {
        assert_eq!(width("1111"), width("8888"));
    }

    #[test]
    fn letters_without_a_glyph_stay_together() {
        let (pieces, end) = lay_out("a日本");
        let first = width("a");
        assert_eq!(
            pieces[1],
            Piece::Foreign {
                text: "日本".to_owned(),
                x: first,
                width: 2_000
            }
        );
        assert_eq!(end, first + 2_000);
    }

    #[test]
    fn a_long_text_ends_with_an_ellipsis() {
        assert_eq!(fitting("core", 10_000), "core");
        let cut = fitting("a switch with a long name", 6_000);
        assert!(cut.ends_with('…') && cut.starts_with("a sw"), "{cut}");
        assert!(width(&cut) <= 6_000);
        assert_eq!(fitting("core", 0), "…");
    }

    #[test]
    fn what_would_turn_or_end_a_text_is_left_out() {
        assert_eq!(printable("a\u{0}b\nc\u{202E}d\u{1b}[1m"), "ab cd[1m");
    }
}
