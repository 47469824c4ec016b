//! Local times as Python writes them: `2026-02-11T14:15:00.123456`.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// `at` in `zone`, cut to microseconds, without an offset.
pub(crate) fn write(at: Timestamp, zone: &TimeZone) -> String {
    format!("{:.6}", zone.to_datetime(at))
}

/// Reads what [`write`] writes, with or without a fraction, with a `T` or a
/// blank. An offset or a `Z` makes it exact; without, it is local. A local time
/// that the clocks skipped is read by the offset before, one that they showed
/// twice is the first.
pub(crate) fn read(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(exact) = text.parse::<Timestamp>() {
        return Some(exact);
    }
    let local: DateTime = text.parse().ok()?;
    zone.to_ambiguous_timestamp(local).compatible().ok()
}

/// Whether what [`write`] writes of `at` is read as another moment: within the
/// hour that the clocks show for the second time.
pub(crate) fn is_unclear(at: Timestamp, zone: &TimeZone) -> bool {
    let read = zone.to_ambiguous_timestamp(zone.to_datetime(at)).compatible();
    read.is_ok_and(|read| read != at)
}

/// `exact` in place of `read`, if both are written alike.
pub(crate) fn clear_up(read: &mut Timestamp, exact: Timestamp, zone: &TimeZone) {
    if write(*read, zone) == write(exact, zone) {
        *read = Timestamp::from_microsecond(exact.as_microsecond()).unwrap_or(exact);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    #[test]
    fn a_moment_is_written_as_python_does() {
        let table = [
            ("2026-02-11T13:15:00.123456789Z", "2026-02-11T14:15:00.123456"),
            ("2026-07-11T13:15:00Z", "2026-07-11T15:15:00.000000"),
            ("2026-02-11T22:59:59.999999999Z", "2026-02-11T23:59:59.999999"),
        ];
        for (at, expected) in table {
            assert_eq!(write(at.parse().unwrap(), &berlin()), expected);
        }
    }

    #[test]
    fn a_moment_is_read_in_the_forms_there_are() {
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
            assert_eq!(read(text, &berlin()), Some(expected.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn an_hour_shown_twice_is_unclear_the_second_time() {
        let table = [
            ("2026-10-25T00:30:00Z", false),
            ("2026-10-25T00:59:59.999999999Z", false),
            ("2026-10-25T01:00:00Z", true),
            ("2026-10-25T01:59:59.999999999Z", true),
            ("2026-10-25T02:00:00Z", false),
            ("2026-03-29T01:00:00Z", false),
        ];
        for (at, expected) in table {
            assert_eq!(is_unclear(at.parse().unwrap(), &berlin()), expected, "{at}");
        }
    }

    #[test]
    fn a_moment_is_only_cleared_up_where_nobody_changed_it_since() {
        let moment = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut read = moment("2026-10-25T00:30:00.000001Z");
        clear_up(&mut read, moment("2026-10-25T01:30:00.000001999Z"), &berlin());
        assert_eq!(read, moment("2026-10-25T01:30:00.000001Z"));
        clear_up(&mut read, moment("2026-10-25T01:31:00Z"), &berlin());
        assert_eq!(read, moment("2026-10-25T01:30:00.000001Z"));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "never",
            "2026-02-30T00:00:00",
            "14:15",
            "1770819300",
            "2026-02-11T14:15:00+99:99",
        ] {
            assert_eq!(read(text, &berlin()), None, "{text}");
        }
    }
}
