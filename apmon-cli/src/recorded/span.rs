//! The span of time that is shown.

use std::ops::Range;

use apmon_core::text::printable;
use clap::Args;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// Arguments for a span of time. Without any it is the last day.
#[derive(Args, Default)]
pub(super) struct SpanArgs {
    /// The time up to now, e.g. 90m, 6h, 1d, 7w or 1y. [default: 1d]
    #[arg(long, value_name = "TIME", value_parser = length, conflicts_with_all = ["from", "to"])]
    last: Option<i64>,
    /// The beginning: a date, a date and time (2026-11-21 14:30, local), or either with an offset
    /// (2026-11-21T14:30:00Z). [default: a day before the end]
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    from: Option<Moment>,
    /// The end, likewise. [default: now]
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    to: Option<Moment>,
}

const DAY: i64 = 86_400;

/// The longest span that makes sense: nothing is kept longer.
const LONGEST: i64 = 100 * 366 * DAY;

/// A moment as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// With an offset.
    Exact(Timestamp),
    /// On the clock of the local zone.
    Local(DateTime),
}

impl Moment {
    fn parse(text: &str) -> Result<Self, String> {
        let exact = text.parse().map(Self::Exact);
        let local = || text.parse().map(Self::Local);
        exact
            .or_else(|_| local())
            .map_err(|_| "must be a date or a time, such as 2026-11-21 or \"2026-11-21 14:30\"".to_owned())
    }

    fn resolve(self, zone: &TimeZone) -> anyhow::Result<i64> {
        Ok(match self {
            Self::Exact(at) => at.as_second(),
            Self::Local(local) => zone.to_ambiguous_timestamp(local).compatible()?.as_second(),
        })
    }
}

/// Parses a length of time: a number and a unit.
fn length(text: &str) -> Result<i64, String> {
    let wrong = || "must be a number with a unit, such as 90m, 6h, 1d, 7w or 1y".to_owned();
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit);
    let unit = match unit {
        "m" | "min" => 60,
        "h" => 3600,
        "d" => DAY,
        "w" => 7 * DAY,
        "y" => 365 * DAY,
        _ => return Err(wrong()),
    };
    let number: i64 = number.trim().parse().map_err(|_| wrong())?;
    let secs = number
        .checked_mul(unit)
        .filter(|secs| (1..=LONGEST).contains(secs));
    secs.ok_or_else(|| "must be more than nothing and at most 100 years".to_owned())
}

impl SpanArgs {
    /// The span, in seconds since the epoch.
    ///
    /// # Errors
    /// If it ends before it begins.
    pub(super) fn resolve(&self, now: Timestamp, zone: &TimeZone) -> anyhow::Result<Range<i64>> {
        let resolve = |moment: Option<Moment>| moment.map(|moment| moment.resolve(zone)).transpose();
        let end = resolve(self.to)?.unwrap_or(now.as_second());
        let start = resolve(self.from)?.unwrap_or(end - self.last.unwrap_or(DAY));
        let shown = |second: i64| {
            let at = Timestamp::from_second(second).unwrap_or_default();
            printable(&at.display_with_offset(zone.to_offset(at)).to_string()).into_owned()
        };
        if start >= end {
            anyhow::bail!(
                "the end, {}, is not after the beginning, {}",
                shown(end),
                shown(start)
            );
        }
        if end - start > LONGEST {
            anyhow::bail!("the time from {} to {} is too long", shown(start), shown(end));
        }
        Ok(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T13:00:00Z".parse().unwrap()
    }

    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn span(args: &SpanArgs) -> Result<[String; 2], String> {
        let span = args
            .resolve(now(), &berlin())
            .map_err(|error| error.to_string())?;
        Ok([span.start, span.end].map(|second| Timestamp::from_second(second).unwrap().to_string()))
    }

    #[test]
    fn a_length_is_a_number_with_a_unit() {
        for (text, secs) in [
            ("90m", 5400),
            ("6h", 21_600),
            ("1d", 86_400),
            ("7w", 4_233_600),
            ("1y", 31_536_000),
        ] {
            assert_eq!(length(text), Ok(secs));
        }
        for wrong in [
            "",
            "6",
            "h",
            "-1d",
            "0d",
            "1.5h",
            "6 parsecs",
            "101y",
            "9223372036854775807y",
        ] {
            assert!(length(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_day_is_shown_unless_something_else_is_said() {
        let args = SpanArgs::default();
        assert_eq!(
            span(&args).unwrap(),
            ["2026-11-20T13:00:00Z", "2026-11-21T13:00:00Z"]
        );
        let args = SpanArgs {
            last: Some(3600),
            ..SpanArgs::default()
        };
        assert_eq!(span(&args).unwrap()[0], "2026-11-21T12:00:00Z");
    }

    #[test]
    fn times_without_an_offset_are_local() {
        let args = |from: &str, to: &str| SpanArgs {
            last: None,
            from: Some(Moment::parse(from).unwrap()),
            to: Some(Moment::parse(to).unwrap()),
        };
        assert_eq!(
            span(&args("2026-11-20", "2026-11-20 14:30")).unwrap(),
            ["2026-11-19T23:00:00Z", "2026-11-20T13:30:00Z"]
        );
        assert_eq!(
            span(&args("2026-06-01T00:00:00Z", "2026-06-01T12:00:00+02:00")).unwrap(),
            ["2026-06-01T00:00:00Z", "2026-06-01T10:00:00Z"]
        );
        assert_eq!(
            span(&args("2026-11-20", "2026-11-20")).unwrap_err(),
            "the end, 2026-11-20T00:00:00+01:00, is not after the beginning, 2026-11-20T00:00:00+01:00"
        );
        assert!(Moment::parse("yesterday").is_err());
    }
}
