//! Timestamps and durations, short enough for a table.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

/// A timestamp: `14:03:11` today, `Nov 20 14:03` this year, else `2025-11-20`.
pub(crate) fn timestamp(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, now) = (zone.to_datetime(at), zone.to_datetime(now));
    let format = if at.date() == now.date() {
        "%H:%M:%S"
    } else if at.year() == now.year() {
        "%b %d %H:%M"
    } else {
        "%Y-%m-%d"
    };
    at.strftime(format).to_string()
}

/// A duration: `45s`, `3m 12s`, `42m`, `5h 7m`, `3d 4h`, `12d`.
pub(crate) fn duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    let (days, hours, mins) = (secs / 86_400, secs / 3600, secs / 60);
    match secs {
        0..60 => format!("{secs}s"),
        60..600 => format!("{mins}m {}s", secs % 60),
        600..3600 => format!("{mins}m"),
        3600..86_400 => format!("{hours}h {}m", mins % 60),
        86_400..864_000 => format!("{days}d {}h", hours % 24),
        _ => format!("{days}d"),
    }
}

/// A time in the past: `3m 12s ago`. A time in the future (the clock was set back)
/// is `0s ago`.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", duration(between(at, now)))
}

/// A time in the future: `in 48s`, or `now`.
pub(crate) fn until(at: Timestamp, now: Timestamp) -> String {
    match between(now, at) {
        wait if wait < Duration::from_secs(1) => "now".to_owned(),
        wait => format!("in {}", duration(wait)),
    }
}

/// The time from `from` to `to`; zero if `to` comes first.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_more_precise_the_closer_it_is() {
        let now = "2026-11-21T14:00:00Z".parse().unwrap();
        let table = [
            ("2026-11-21T00:00:05Z", "00:00:05"),
            ("2026-11-20T23:59:59Z", "Nov 20 23:59"),
            ("2025-12-31T23:00:00Z", "2025-12-31"),
        ];
        for (at, expected) in table {
            assert_eq!(timestamp(at.parse().unwrap(), now, &TimeZone::UTC), expected);
        }
    }

    #[test]
    fn a_duration_has_at_most_two_numbers() {
        let table = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m 0s"),
            (599, "9m 59s"),
            (600, "10m"),
            (3599, "59m"),
            (3600, "1h 0m"),
            (86_399, "23h 59m"),
            (86_400, "1d 0h"),
            (863_999, "9d 23h"),
            (864_000, "10d"),
            (34_560_000, "400d"),
        ];
        for (secs, expected) in table {
            assert_eq!(duration(Duration::from_secs(secs)), expected);
        }
    }
}
