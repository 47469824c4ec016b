//! The scale of time and its ticks, which are full hours, days and months of the zone.

use std::ops::Range;

use jiff::{
    Span, Timestamp, Zoned,
    civil::{DateTime, Weekday, date},
    tz::TimeZone,
};
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::axis::interpolate;

/// A moment with a name.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Tick {
    /// Seconds since the epoch.
    pub at: i64,
    pub label: String,
}

/// The time that is shown.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct TimeAxis {
    range: Range<f64>,
    pub(crate) ticks: Vec<Tick>,
}

/// The distance of two ticks.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Distance {
    Minutes(i64),
    Hours(i64),
    Days(i64),
    Weeks,
    Months(i64),
    Years(i64),
}

use Distance::{Days, Hours, Minutes, Months, Weeks, Years};

const DISTANCES: [Distance; 27] = [
    Minutes(1),
    Minutes(2),
    Minutes(5),
    Minutes(10),
    Minutes(15),
    Minutes(30),
    Hours(1),
    Hours(2),
    Hours(3),
    Hours(6),
    Hours(12),
    Days(1),
    Days(2),
    Weeks,
    Months(1),
    Months(2),
    Months(3),
    Months(6),
    Years(1),
    Years(2),
    Years(5),
    Years(10),
    Years(20),
    Years(50),
    Years(100),
    Years(200),
    Years(500),
];

impl Distance {
    /// Its seconds, if no clock is changed.
    fn seconds(self) -> i64 {
        const DAY: i64 = 86_400;
        match self {
            Minutes(count) => count * 60,
            Hours(count) => count * 3_600,
            Days(count) => count * DAY,
            Weeks => 7 * DAY,
            Months(count) => count * 30 * DAY,
            Years(count) => count * 365 * DAY,
        }
    }

    /// The last tick that is not after a moment.
    fn floor(self, moment: DateTime) -> Option<DateTime> {
        let midnight = moment.date().to_datetime(jiff::civil::Time::midnight());
        let floor = |value: i64, unit: i64| value - value.rem_euclid(unit);
        match self {
            Minutes(count) => {
                let minutes = floor(i64::from(moment.minute()), count);
                midnight
                    .checked_add(Span::new().hours(moment.hour()).minutes(minutes))
                    .ok()
            }
            Hours(count) => midnight
                .checked_add(Span::new().hours(floor(i64::from(moment.hour()), count)))
                .ok(),
            Days(count) => {
                let days = midnight.date().since(date(1970, 1, 1)).ok()?.get_days();
                midnight
                    .checked_sub(Span::new().days(i64::from(days).rem_euclid(count)))
                    .ok()
            }
            Weeks => {
                let days = midnight.weekday().since(Weekday::Monday);
                midnight.checked_sub(Span::new().days(days)).ok()
            }
            Months(count) => {
                let month = floor(i64::from(moment.month()) - 1, count) + 1;
                Some(
                    date(moment.year(), i8::try_from(month).ok()?, 1)
                        .to_datetime(jiff::civil::Time::midnight()),
                )
            }
            Years(count) => {
                let year = floor(i64::from(moment.year()), count);
                Some(date(i16::try_from(year).ok()?, 1, 1).to_datetime(jiff::civil::Time::midnight()))
            }
        }
    }

    fn span(self) -> Span {
        match self {
            Minutes(count) => Span::new().minutes(count),
            Hours(count) => Span::new().hours(count),
            Days(count) => Span::new().days(count),
            Weeks => Span::new().days(7),
            Months(count) => Span::new().months(count),
            Years(count) => Span::new().years(count),
        }
    }

    fn label(self, moment: &Zoned) -> String {
        let format = match self {
            Minutes(_) | Hours(_) if moment.hour() == 0 && moment.minute() == 0 => "%-d %b",
            Minutes(_) | Hours(_) => "%H:%M",
            Days(_) if moment.day() == 1 => "%-d %b",
            Days(_) => "%a %-d",
            Weeks => "%-d %b",
            Months(_) if moment.month() != 1 => "%b",
            Months(_) | Years(_) => "%Y",
        };
        moment.strftime(format).to_string()
    }
}

impl TimeAxis {
    /// A scale with at most this number of ticks.
    pub(crate) fn of(range: &Range<i64>, zone: &TimeZone, ticks: usize) -> Self {
        #[expect(clippy::cast_precision_loss)]
        let seconds = range.start as f64..range.end as f64;
        Self {
            range: seconds,
            ticks: self::ticks(range, zone, ticks).unwrap_or_default(),
        }
    }

    pub(crate) fn share(&self, at: f64) -> f64 {
        ((at - self.range.start) / (self.range.end - self.range.start)).clamp(0.0, 1.0)
    }
}

fn ticks(range: &Range<i64>, zone: &TimeZone, most: usize) -> Option<Vec<Tick>> {
    let span = range.end - range.start;
    let most = i64::try_from(most).unwrap_or(i64::MAX).max(1);
    let distance = DISTANCES
        .into_iter()
        .find(|distance| span / distance.seconds() <= most)
        .unwrap_or(Years(500));
    let first = distance.floor(zoned(range.start, zone)?.datetime())?;
    let mut ticks: Vec<Tick> = Vec::new();
    let mut civil = first;
    let mut moment = zone.to_zoned(first).ok()?;
    while moment.timestamp().as_second() <= range.end {
        let at = moment.timestamp().as_second();
        // A clock that is set forward has two ticks at the same moment.
        if at >= range.start && ticks.last().is_none_or(|tick| tick.at < at) {
            ticks.push(Tick {
                at,
                label: distance.label(&moment),
            });
        }
        moment = if matches!(distance, Minutes(_)) {
            // By the clock, the hour that comes twice would have no ticks.
            moment.checked_add(distance.span()).ok()?
        } else {
            civil = civil.checked_add(distance.span()).ok()?;
            zone.to_zoned(civil).ok()?
        };
    }
    Some(ticks)
}

/// What a range is called: `30 Nov 2026 12:00 to 1 Dec 2026 12:00 CET`.
pub(crate) fn range_name(range: &Range<i64>, zone: &TimeZone) -> String {
    const FORTNIGHT: i64 = 14 * 86_400;
    let name = || {
        let (from, to) = (zoned(range.start, zone)?, zoned(range.end, zone)?);
        Some(if range.end - range.start >= FORTNIGHT {
            format!("{} to {}", from.strftime("%-d %b %Y"), to.strftime("%-d %b %Y"))
        } else {
            format!(
                "{} to {}",
                from.strftime("%-d %b %Y %H:%M"),
                to.strftime("%-d %b %Y %H:%M %Z")
            )
        })
    };
    name().unwrap_or_default()
}

fn zoned(at: i64, zone: &TimeZone) -> Option<Zoned> {
    Some(Timestamp::from_second(at).ok()?.to_zoned(zone.clone()))
}

impl Ranged for TimeAxis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        interpolate(self.share(*value), limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        #[expect(clippy::cast_precision_loss)]
        self.ticks.iter().map(|tick| tick.at as f64).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for TimeAxis {
    fn format_ext(&self, value: &f64) -> String {
        #[expect(clippy::cast_precision_loss)]
        let tick = self
            .ticks
            .iter()
            .find(|tick| (tick.at as f64 - value).abs() < 0.5);
        tick.map(|tick| tick.label.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> TimeZone {
        // Berlin, without the zone database of the machine.
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("it is a zone")
    }

    fn at(text: &str) -> i64 {
        let civil: DateTime = text.parse().expect("it is a time");
        zone().to_zoned(civil).expect("it exists").timestamp().as_second()
    }

    fn labels(from: &str, to: &str, most: usize) -> Vec<String> {
        let axis = TimeAxis::of(&(at(from)..at(to)), &zone(), most);
        axis.ticks.into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_full_hours_of_the_zone() {
        assert_eq!(
            labels("2026-11-30T13:20", "2026-12-01T13:20", 8),
            [
                "15:00", "18:00", "21:00", "1 Dec", "03:00", "06:00", "09:00", "12:00"
            ]
        );
        assert_eq!(
            labels("2026-12-01T08:01", "2026-12-01T09:01", 6),
            ["08:10", "08:20", "08:30", "08:40", "08:50", "09:00"]
        );
    }

    #[test]
    fn a_day_on_which_the_clock_is_changed_has_its_hours() {
        let spring = labels("2026-03-29T00:00", "2026-03-30T00:00", 12);
        assert_eq!(spring[..3], ["29 Mar", "03:00", "04:00"]);
        let autumn = labels("2026-10-25T00:00", "2026-10-25T05:00", 12);
        assert_eq!(
            autumn.iter().filter(|label| *label == "02:00").count(),
            2,
            "{autumn:?}"
        );
    }

    #[test]
    fn weeks_months_and_years_have_ticks_of_their_own() {
        assert_eq!(
            labels("2026-11-26T12:00", "2026-12-03T12:00", 8),
            ["Fri 27", "Sat 28", "Sun 29", "Mon 30", "1 Dec", "Wed 2", "Thu 3"]
        );
        assert_eq!(
            labels("2026-11-01T00:00", "2026-12-01T00:00", 6),
            ["2 Nov", "9 Nov", "16 Nov", "23 Nov", "30 Nov"]
        );
        assert_eq!(
            labels("2025-10-15T00:00", "2026-03-15T00:00", 8),
            ["Nov", "Dec", "2026", "Feb", "Mar"]
        );
        assert_eq!(
            labels("2001-06-01T00:00", "2026-06-01T00:00", 6),
            ["2005", "2010", "2015", "2020", "2025"]
        );
    }

    #[test]
    fn there_are_never_many_ticks() {
        for span in [
            1,
            61,
            3_600,
            86_401,
            604_800,
            2_678_400,
            31_622_400,
            3_155_760_000,
            31_557_600_000,
        ] {
            let axis = TimeAxis::of(&(1_700_000_000..1_700_000_000 + span), &zone(), 7);
            assert!(axis.ticks.len() <= 9, "{span} {:?}", axis.ticks);
        }
    }

    #[test]
    fn a_range_is_named_with_its_zone() {
        let name = |from: &str, to: &str| range_name(&(at(from)..at(to)), &zone());
        assert_eq!(
            name("2026-11-30T12:00", "2026-12-01T12:00"),
            "30 Nov 2026 12:00 to 1 Dec 2026 12:00 CET"
        );
        assert_eq!(
            name("2025-12-01T12:00", "2026-12-01T12:00"),
            "1 Dec 2025 to 1 Dec 2026"
        );
    }
}
