//! Local times as Python writes them: `2026-02-11T14:15:00.123456`.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// Formats `at` in `zone`, cut to microseconds, without an offset.
pub(crate) fn format(at: Timestamp, zone: &TimeZone) -> String {
    format!("{:.6}", zone.to_datetime(at))
}

/// Parses what [`format()`] writes, with or without a fraction, with a `T` or a
/// blank. With an offset or a `Z` the time is exact, otherwise local. A local
/// time that the clocks skipped is read with the offset before the change; of
/// one that they showed twice, the first is meant.
pub(crate) fn parse(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(exact) = text.parse::<Timestamp>() {
        return Some(exact);
    }
    let local: DateTime = text.parse().ok()?;
    zone.to_ambiguous_timestamp(local).compatible().ok()
}

/// Whether [`parse`] would read what [`format()`] writes for `at` as another
/// moment: within an hour that the clocks show for the second time.
pub(crate) fn is_ambiguous(at: Timestamp, zone: &TimeZone) -> bool {
    let parsed = zone.to_ambiguous_timestamp(zone.to_datetime(at)).compatible();
    parsed.is_ok_and(|parsed| parsed != at)
}

/// Replaces `parsed` by `exact` if both are written alike.
pub(crate) fn make_exact(parsed: &mut Timestamp, exact: Timestamp, zone: &TimeZone) {
    if format(*parsed, zone) == format(exact, zone) {
        *parsed = Timestamp::from_microsecond(exact.as_microsecond()).unwrap_or(exact);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    #[test]
    fn times_are_written_as_python_writes_them() {
        let table = [
            ("2026-02-11T13:15:00.123456789Z", "2026-02-11T14:15:00.123456"),
            ("2026-07-11T13:15:00Z", "2026-07-11T15:15:00.000000"),
            ("2026-02-11T22:59:59.999999999Z", "2026-02-11T23:59:59.999999"),
        ];
        for (at, expected) in table {
            assert_eq!(format(at.parse().unwrap(), &berlin()), expected);
        }
    }

    #[test]
    fn times_are_read_in_every_form_in_use() {
        let table = [
            ("2026-02-11T14:15:00.123456", "2026-02-11T13:15:00.123456Z"),
            ("2026-02-11T14:15:00", "2026-02-11T13:15:00Z"),
            ("2026-02-11 14:15:00.5", "2026-02-11T13:15:00.5Z"),
            ("2026-02-11T14:15:00Z", "2026-02-11T14:15:00Z"),
            ("2026-02-11T14:15:00+00:00", "2026-02-11T14:15:00Z"),
            ("2026-02-11 14:15:00.25-08:00", "2026-02-11T22:15:00.25Z"),
            // skipped: 2:30 does not exist on that day
            ("2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
            // shown twice: the first, still summer time
            ("2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text, &berlin()), Some(expected.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn an_hour_shown_twice_is_ambiguous_the_second_time() {
        let table = [
            ("2026-10-25T00:30:00Z", false),
            ("2026-10-25T00:59:59.999999999Z", false),
            ("2026-10-25T01:00:00Z", true),
            ("2026-10-25T01:59:59.999999999Z", true),
            ("2026-10-25T02:00:00Z", false),
            ("2026-03-29T01:00:00Z", false),
        ];
        for (at, expected) in table {
            assert_eq!(is_ambiguous(at.parse().unwrap(), &berlin()), expected, "{at}");
        }
    }

    #[test]
    fn a_time_edited_since_is_not_made_exact() {
        let moment = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut parsed = moment("2026-10-25T00:30:00.000001Z");
        make_exact(&mut parsed, moment("2026-10-25T01:30:00.000001999Z"), &berlin());
        assert_eq!(parsed, moment("2026-10-25T01:30:00.000001Z"));
        make_exact(&mut parsed, moment("2026-10-25T01:31:00Z"), &berlin());
        assert_eq!(parsed, moment("2026-10-25T01:30:00.000001Z"));
    }

    #[test]
    fn texts_that_are_not_times_are_refused() {
        for text in [
            "",
            "never",
            "2026-02-30T00:00:00",
            "14:15",
            "1770819300",
            "2026-02-11T14:15:00+99:99",
        ] {
            assert_eq!(parse(text, &berlin()), None, "{text}");
        }
    }
}
