//! What a round leaves behind: the truth, and what everybody says of it.

use std::time::Duration;

use super::site::{NAME, Site};

/// A time in which a target did not change. The first is number 0, and up; so
/// those with odd numbers are down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Spell {
    pub(super) is_up: bool,
    pub(super) from: Duration,
    pub(super) to: Duration,
}

impl Spell {
    pub(super) fn new(is_up: bool, from: Duration) -> Self {
        Self {
            is_up,
            from,
            to: from,
        }
    }
}

/// What a message says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Told {
    Outage,
    /// Which one, from 1.
    Reminder(u32),
    Recovery,
}

/// Something that reached a receiver. Times are those of the rig.
#[derive(Clone, Debug)]
pub(super) struct Receipt {
    pub(super) at: Duration,
    /// Place in [`Site::channels`].
    pub(super) channel: usize,
    /// The message's id on this channel.
    pub(super) id: String,
    /// What all messages of one incident share on this channel.
    pub(super) incident: String,
    /// `None`: nobody knows what it says.
    pub(super) told: Option<Told>,
    pub(super) monitor: String,
    pub(super) text: String,
    /// The receiver kept it. If not, it was only a try.
    pub(super) taken: bool,
}

/// A line of apmon's output.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) at: Duration,
    pub(super) text: String,
}

/// What stands in the state file.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    pub(super) outbox: Vec<Waiting>,
    /// Monitors and whether they are up.
    pub(super) states: Vec<(String, Option<bool>)>,
    /// A database has a history too.
    pub(super) history: Option<History>,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) channel: String,
    pub(super) key: String,
    pub(super) is_reminder: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) incidents: Vec<Incident>,
    /// Channel and key of each message that is said to be delivered.
    pub(super) delivered: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub(super) struct Incident {
    pub(super) id: String,
    pub(super) monitor: String,
    pub(super) ended: bool,
    pub(super) messages: u32,
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    pub(super) site: Site,
    /// Of each monitor.
    pub(super) truth: Vec<Vec<Spell>>,
    /// From when to when a process was there and ran.
    pub(super) awake: Vec<(Duration, Duration)>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) said: Vec<Said>,
    /// Lines of the log that must not be.
    pub(super) complaints: Vec<String>,
    pub(super) stored: Stored,
}

/// The monitor and what is told of it, by the sentence alone. Of a reminder the
/// number is not in it.
pub(super) fn read_sentence(text: &str) -> Option<(&str, Told)> {
    let (monitor, rest) = text.split_once(" in ")?;
    let rest = rest.strip_prefix(NAME)?.trim_start();
    let told = [
        ("new outage: ", Told::Outage),
        ("is down: ", Told::Reminder(0)),
        ("is UP ", Told::Recovery),
    ];
    let (_, told) = told.into_iter().find(|(words, _)| rest.starts_with(words))?;
    Some((monitor, told))
}

/// The console's `##### DOWN: sentence #####`.
pub(super) fn read_line(line: &str) -> Option<&str> {
    let line = line.strip_prefix("##### ")?.strip_suffix(" #####")?;
    line.split_once(": ").map(|(_, sentence)| sentence)
}

/// The sentence without what a late delivery adds to it:
/// `... (delivered 5 mins 0 secs late)`, with more before that within the brackets.
pub(super) fn plain(text: &str) -> &str {
    let at = text.rfind(" (").filter(|_| text.ends_with(" late)"));
    match at.map(|at| text.split_at(at)) {
        Some((sentence, remark)) if remark.contains("delivered ") => sentence,
        _ => text,
    }
}

/// Of which outage a target spoke: it said so many bytes.
pub(super) fn spell_of(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once("closed after ")?;
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_no_part_of_the_sentence() {
        assert_eq!(
            plain("m is UP (h), lasted 1 secs (delivered 2 hours 0 mins late)"),
            "m is UP (h), lasted 1 secs"
        );
        assert_eq!(
            plain("m (h) (was down 14:02-14:09; delivered 26 secs late)"),
            "m (h)"
        );
        assert_eq!(plain("m is UP (h late)"), "m is UP (h late)");
        assert_eq!(plain("m is UP (h), lasted 1 secs"), "m is UP (h), lasted 1 secs");
    }

    #[test]
    fn sentences_are_read() {
        let line = "##### NEW OUTAGE: m03 in Chaos new outage: closed after 17 bytes without \"up\" (127.1.2.3:7) \
                    at 2:15 PM, down for 0 secs #####";
        let text = read_line(line).unwrap();
        assert_eq!(read_sentence(text), Some(("m03", Told::Outage)));
        assert_eq!(spell_of(text), Some(17));
        let read = |text| read_sentence(text).map(|(_, told)| told);
        assert_eq!(read("m03 in Chaos is down: x (y)"), Some(Told::Reminder(0)));
        assert_eq!(read("m03 in Chaos is UP (y)"), Some(Told::Recovery));
        assert_eq!(read("m03 in Chaos is no longer watched"), None);
        assert_eq!(spell_of("m03 in Chaos is down: connection refused"), None);
    }
}
