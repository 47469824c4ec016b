//! The four periods of MRTG's pictures.

use jiff::Timestamp;

/// The period that a picture shows, up to now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Period {
    /// The last 30 hours.
    Day,
    /// The last 8 days.
    Week,
    /// The last 36 days.
    Month,
    /// The last 396 days.
    Year,
}

impl Period {
    /// All of them, the shortest first.
    pub const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Year];

    /// The word in the names of files: `day`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The word above a picture: `Daily`.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Day => "Daily",
            Self::Week => "Weekly",
            Self::Month => "Monthly",
            Self::Year => "Yearly",
        }
    }

    /// Its length in seconds.
    #[must_use]
    pub fn secs(self) -> i64 {
        const HOUR: i64 = 3_600;
        match self {
            Self::Day => 30 * HOUR,
            Self::Week => 8 * 24 * HOUR,
            Self::Month => 36 * 24 * HOUR,
            Self::Year => 396 * 24 * HOUR,
        }
    }

    /// Whether a picture of `width` pixels that was drawn at that time (`None`: never) would be
    /// different now: it is older than one of its pixels, or of a time to come.
    #[must_use]
    pub fn is_stale(self, drawn: Option<Timestamp>, width: u32, now: Timestamp) -> bool {
        let pixel = self.secs() / i64::from(width.max(1));
        drawn.is_none_or(|drawn| {
            let age = now.as_second() - drawn.as_second();
            !(0..pixel.max(1)).contains(&age)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_drawn_again_when_it_is_older_than_its_pixel() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        // 400 pixels of 30 hours: 270 seconds each.
        for (drawn, stale) in [
            (None, true),
            (Some(at(-269)), false),
            (Some(at(-270)), true),
            (Some(at(0)), false),
            (Some(at(1)), true),
        ] {
            assert_eq!(Period::Day.is_stale(drawn, 400, at(0)), stale, "{drawn:?}");
        }
        assert!(!Period::Year.is_stale(Some(at(-86_400 / 2)), 400, at(0)));
        assert!(Period::Day.is_stale(Some(at(-1)), u32::MAX, at(0)));
    }
}
