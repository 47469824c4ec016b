//! The texts of notifications. Their wording is that of APMonitor, so that scripts that read
//! its lines keep working.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use crate::text::printable;

/// Formats a duration: `0 secs`, `1 mins 3 secs`, `2 hrs 5 mins`, `3 days 4 hrs`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    let (days, hours, mins) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60);
    match (days, hours, mins) {
        (0, 0, 0) => format!("{secs} secs"),
        (0, 0, _) => format!("{mins} mins {} secs", secs % 60),
        (0, ..) => format!("{hours} hrs {mins} mins"),
        _ => format!("{days} days {hours} hrs"),
    }
}

/// Formats a time of day in the given zone: `2:15 PM`.
#[must_use]
pub fn clock(at: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(at).strftime("%-I:%M %p").to_string()
}

/// The note in a notification that is delivered `by` later than it was decided: `was down
/// 14:02-14:09; delivered 26 mins 0 secs late`. The first part is there if the incident is
/// over. A moment on another day than `now` gets its date.
#[must_use]
pub(crate) fn lateness_note(
    was: Option<(&str, Timestamp, Timestamp)>,
    by: Duration,
    now: Timestamp,
    zone: &TimeZone,
) -> String {
    let delivered = format!("delivered {} late", duration(by));
    let Some((what, began, ended)) = was else {
        return delivered;
    };
    let moment = |at: Timestamp| {
        let (at, now) = (zone.to_datetime(at), zone.to_datetime(now));
        let shape = if at.date() == now.date() {
            "%H:%M"
        } else {
            "%Y-%m-%d %H:%M"
        };
        at.strftime(shape).to_string()
    };
    format!("was {what} {}-{}; {delivered}", moment(began), moment(ended))
}

/// The parts that every sentence has.
#[derive(Clone, Copy, Debug)]
pub struct Sentence<'a> {
    /// The monitor's name.
    pub monitor: &'a str,
    /// The site's name.
    pub site: &'a str,
    /// The monitor's address for display.
    pub address: &'a str,
    /// When the sentence was worded.
    pub at: Timestamp,
    /// The zone in which times are displayed.
    pub zone: &'a TimeZone,
}

impl Sentence<'_> {
    fn head(&self) -> String {
        format!("{} in {}", printable(self.monitor), printable(self.site))
    }

    fn tail(&self) -> String {
        format!("({}) at {}", printable(self.address), clock(self.at, self.zone))
    }

    /// The text of a new outage.
    #[must_use]
    pub fn outage(&self, reason: &str, lasted: Duration) -> String {
        format!(
            "{} new outage: {} {}, down for {}",
            self.head(),
            printable(reason),
            self.tail(),
            duration(lasted)
        )
    }

    /// The text of a reminder.
    #[must_use]
    pub fn reminder(&self, reason: &str, lasted: Duration) -> String {
        format!(
            "{} is down: {} {}, down for {}",
            self.head(),
            printable(reason),
            self.tail(),
            duration(lasted)
        )
    }

    /// The text of a recovery.
    #[must_use]
    pub fn recovery(&self, lasted: Duration) -> String {
        format!(
            "{} is UP {}, outage lasted {}",
            self.head(),
            self.tail(),
            duration(lasted)
        )
    }

    /// The text for a monitor that could not be checked for a long time.
    #[must_use]
    pub fn unknown(&self, reason: &str, lasted: Duration) -> String {
        format!(
            "{} cannot be checked: {} {}, unknown for {}",
            self.head(),
            printable(reason),
            self.tail(),
            duration(lasted)
        )
    }

    /// The text for a monitor that can be checked again.
    #[must_use]
    pub fn known(&self, is_up: bool, lasted: Duration) -> String {
        let state = if is_up { "UP" } else { "down" };
        format!(
            "{} can be checked again and is {state} {}, was unknown for {}",
            self.head(),
            self.tail(),
            duration(lasted)
        )
    }

    /// The text for a monitor that was removed from the site file while down.
    #[must_use]
    pub fn no_longer_watched(&self, lasted: Duration) -> String {
        self.removed_while("down", lasted)
    }

    /// The text for a monitor that was removed from the site file while it `was` "down" or
    /// "unknown".
    pub(crate) fn removed_while(&self, was: &str, lasted: Duration) -> String {
        format!(
            "{} is no longer watched at {} (was {was} for {})",
            self.head(),
            clock(self.at, self.zone),
            duration(lasted)
        )
    }

    /// The text of any other event.
    #[must_use]
    pub fn notice(&self, text: &str) -> String {
        format!(
            "{}: {} at {}",
            self.head(),
            printable(text),
            clock(self.at, self.zone)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(zone: &TimeZone) -> Sentence<'_> {
        Sentence {
            monitor: "web",
            site: "HomeLab",
            address: "http://192.168.1.12/",
            at: "2026-02-11T14:15:00Z".parse().unwrap(),
            zone,
        }
    }

    #[test]
    fn durations_are_worded_as_by_apmonitor() {
        for (secs, words) in [
            (0, "0 secs"),
            (59, "59 secs"),
            (60, "1 mins 0 secs"),
            (63, "1 mins 3 secs"),
            (3_599, "59 mins 59 secs"),
            (7_500, "2 hrs 5 mins"),
            (86_399, "23 hrs 59 mins"),
            (273_600, "3 days 4 hrs"),
        ] {
            assert_eq!(duration(Duration::from_secs(secs)), words);
        }
    }

    #[test]
    fn sentences_are_worded_as_by_apmonitor() {
        let zone = TimeZone::UTC;
        let sentence = sentence(&zone);
        assert_eq!(
            sentence.outage("refused", Duration::ZERO),
            "web in HomeLab new outage: refused (http://192.168.1.12/) at 2:15 PM, down for 0 secs"
        );
        assert_eq!(
            sentence.reminder("refused", Duration::from_secs(600)),
            "web in HomeLab is down: refused (http://192.168.1.12/) at 2:15 PM, down for 10 mins 0 secs"
        );
        assert_eq!(
            sentence.recovery(Duration::from_secs(63)),
            "web in HomeLab is UP (http://192.168.1.12/) at 2:15 PM, outage lasted 1 mins 3 secs"
        );
    }

    #[test]
    fn midnight_and_noon_are_twelve() {
        let clock = |s: &str| clock(s.parse().unwrap(), &TimeZone::UTC);
        assert_eq!(clock("2026-02-11T00:05:00Z"), "12:05 AM");
        assert_eq!(clock("2026-02-11T12:00:00Z"), "12:00 PM");
    }

    #[test]
    fn control_characters_in_a_name_are_escaped() {
        let zone = TimeZone::UTC;
        let sentence = Sentence {
            monitor: "a\x1b[31m\n",
            ..sentence(&zone)
        };
        assert!(
            sentence
                .outage("x\ny", Duration::ZERO)
                .starts_with("a\\u{1b}[31m\\n in HomeLab new outage: x\\ny (")
        );
    }
}
