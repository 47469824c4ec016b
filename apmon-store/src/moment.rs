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
