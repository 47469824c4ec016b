//! The colours, light and dark.

use plotters::style::RGBColor;

/// The colours of a picture. Lines and outages have a contrast of at least 3 with the background,
/// letters of at least 4.5 (WCAG 2.2, 1.4.3 and 1.4.11). The lines are told apart by those who
/// see no red or no green as well, and the first one also by its area.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Palette {
    pub background: RGBColor,
    /// The background of the lines.
    pub plot: RGBColor,
    pub grid: RGBColor,
    pub axis: RGBColor,
    pub text: RGBColor,
    /// Letters of less weight.
    pub pale: RGBColor,
    pub lines: [RGBColor; 4],
    pub outage: RGBColor,
}

const LIGHT: Palette = Palette {
    background: RGBColor(0xff, 0xff, 0xff),
    plot: RGBColor(0xfa, 0xfb, 0xfc),
    grid: RGBColor(0xe3, 0xe7, 0xec),
    axis: RGBColor(0x7c, 0x87, 0x95),
    text: RGBColor(0x17, 0x1e, 0x27),
    pale: RGBColor(0x52, 0x5d, 0x6b),
    lines: [
        RGBColor(0x0b, 0x66, 0xb8),
        RGBColor(0xb8, 0x4a, 0x00),
        RGBColor(0x00, 0x7a, 0x5a),
        RGBColor(0x8a, 0x3f, 0x9c),
    ],
    outage: RGBColor(0xc8, 0x1e, 0x2c),
};

const DARK: Palette = Palette {
    background: RGBColor(0x12, 0x17, 0x1d),
    plot: RGBColor(0x17, 0x1d, 0x25),
    grid: RGBColor(0x2b, 0x34, 0x3f),
    axis: RGBColor(0x7b, 0x87, 0x95),
    text: RGBColor(0xed, 0xf1, 0xf6),
    pale: RGBColor(0xa5, 0xb1, 0xbf),
    lines: [
        RGBColor(0x5c, 0xb0, 0xff),
        RGBColor(0xff, 0xa2, 0x4d),
        RGBColor(0x3f, 0xd0, 0xa4),
        RGBColor(0xd4, 0x9b, 0xe6),
    ],
    outage: RGBColor(0xff, 0x5d, 0x66),
};

impl Palette {
    pub(crate) fn of(dark: bool) -> &'static Self {
        if dark { &DARK } else { &LIGHT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contrast ratio of WCAG 2.2.
    fn contrast(one: RGBColor, other: RGBColor) -> f64 {
        let luminance = |RGBColor(r, g, b): RGBColor| {
            let linear = |channel: u8| {
                let share = f64::from(channel) / 255.0;
                if share <= 0.04045 {
                    share / 12.92
                } else {
                    ((share + 0.055) / 1.055).powf(2.4)
                }
            };
            0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn every_colour_has_the_contrast_that_it_needs() {
        for dark in [false, true] {
            let palette = Palette::of(dark);
            for background in [palette.background, palette.plot] {
                for text in [palette.text, palette.pale] {
                    assert!(contrast(text, background) >= 4.5, "{text:?}");
                }
                // The names of the axes have the colours of their lines.
                for line in palette.lines {
                    assert!(
                        contrast(line, background) >= 4.5,
                        "{line:?} {}",
                        contrast(line, background)
                    );
                }
                for shape in [palette.axis, palette.outage] {
                    assert!(
                        contrast(shape, background) >= 3.0,
                        "{shape:?} {}",
                        contrast(shape, background)
                    );
                }
            }
        }
    }
}
