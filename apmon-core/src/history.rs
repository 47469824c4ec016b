//! What happened, for those who look back: results of looks, incidents, what
//! became of messages, what changed at ports; and how much of the time something was up.
//!
//! A store that keeps a history says so ([`StateStore::keeps_history`]) and
//! gets it with each commit; for the others none is gathered.
//!
//! [`StateStore::keeps_history`]: crate::StateStore::keeps_history

mod availability;

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;

pub use self::availability::{Day, Sums, Times, Watched, days};
use crate::{
    device::PortChange,
    notification::NotificationKind,
    outcome::Verdict,
    state::{MonitorState, OutboxEntry},
};

/// While nothing can be written, no more results are held than this; the
/// oldest go first.
const MOST_RESULTS: usize = 50_000;
/// The same of incidents, of deliveries, of stretches and of changes at ports.
const MOST_RECORDS: usize = 10_000;

/// What one look found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckResult {
    /// The monitor's name.
    pub monitor: String,
    /// When the look started.
    pub at: Timestamp,
    /// What it said.
    pub verdict: Verdict,
    /// How long the answer took, if there was one.
    pub latency: Option<Duration>,
    /// Why it was not up.
    pub reason: Option<String>,
    /// If the next look comes later than this, nobody watched between the two.
    pub max_gap: Duration,
    /// When it was known what to believe; `None` while that is not known yet
    /// (the first look failed, and more must fail). From the first such moment
    /// on the monitor's time counts.
    pub known: Option<Timestamp>,
}

/// A stretch of time in which something was so, with its two ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// The monitor's name.
    pub monitor: String,
    /// What was so.
    pub kind: StretchKind,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
}

/// What was so for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StretchKind {
    /// It could not be looked at, told or not.
    Unknown,
    /// It was down, and nobody was to be told.
    AlarmsOff,
    /// Nobody looked: apmon did not run. A store finds these by itself
    /// ([`CheckResult::max_gap`]).
    Unwatched,
}

impl StretchKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Unknown, Self::AlarmsOff, Self::Unwatched];

    /// The word for it in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::AlarmsOff => "alarms_off",
            Self::Unwatched => "unwatched",
        }
    }
}

/// Something that began, was told, and ended or has not ended yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Incident {
    /// The id its messages share.
    pub id: String,
    /// The monitor's name.
    pub monitor: String,
    /// What it is.
    pub kind: IncidentKind,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; `None` while it goes on.
    pub ended: Option<Timestamp>,
    /// Why; in a record of its end this may be missing, and the one before holds.
    pub reason: Option<String>,
    /// Messages told of it so far, the one of its end included.
    pub messages: u32,
}

/// What kind of incident it is.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum IncidentKind {
    /// It was down, hard.
    Outage,
    /// It could not be looked at for long.
    Unknown,
    /// Something that is told once, under this label.
    Notice(String),
}

/// What became of one message on one channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// The channel's id.
    pub channel: String,
    /// The message's id.
    pub message: String,
    /// The incident it is about.
    pub incident: String,
    /// The monitor it is about.
    pub monitor: String,
    /// What it said: `NEW OUTAGE`, `DOWN`, `RECOVERY` and so on.
    pub label: String,
    /// When that was known.
    pub at: Timestamp,
    /// Tries it took.
    pub tries: u32,
    /// What became of it.
    pub fate: DeliveryFate,
    /// What the last failed try said.
    pub error: Option<String>,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DeliveryFate {
    /// The receiver has it.
    Delivered,
    /// The receiver refused it; it is kept, and may be delivered later.
    Refused,
    /// It was given up: too old.
    Expired,
    /// A reminder that had nothing left to say: its outage had ended.
    Dropped,
    /// A reminder in whose place its successor went.
    Replaced,
    /// Its channel is no longer in the site file.
    ChannelGone,
}

impl DeliveryFate {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Delivered,
        Self::Refused,
        Self::Expired,
        Self::Dropped,
        Self::Replaced,
        Self::ChannelGone,
    ];

    /// The word for it in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Dropped => "dropped",
            Self::Replaced => "replaced",
            Self::ChannelGone => "channel gone",
        }
    }
}

impl Delivery {
    /// What became of `entry` at `at`.
    #[must_use]
    pub fn of(entry: &OutboxEntry, fate: DeliveryFate, at: Timestamp) -> Self {
        let message = &entry.notification;
        // Failed tries are counted in the entry, the one that succeeded is not.
        let last = u32::from(fate == DeliveryFate::Delivered);
        Self {
            channel: entry.channel.clone(),
            message: message.id.clone(),
            incident: message.incident.clone(),
            monitor: message.monitor.clone(),
            label: message.kind.label().to_owned(),
            at,
            tries: entry.attempts.saturating_add(last),
            fate,
            error: entry.last_error.clone(),
        }
    }
}

impl Incident {
    /// It goes on, as `state` of its monitor knows. One without an end that does
    /// not go on is one whose end could not be written.
    #[must_use]
    pub fn is_open(&self, state: &MonitorState) -> bool {
        let known = match self.kind {
            IncidentKind::Unknown => &state.own.unknown_incident,
            _ => &state.own.incident,
        };
        self.ended.is_none() && known.as_ref() == Some(&self.id)
    }
}

impl IncidentKind {
    /// What a message of this kind is part of.
    #[must_use]
    pub fn of(kind: &NotificationKind) -> Self {
        match kind {
            NotificationKind::Unknown | NotificationKind::Known => Self::Unknown,
            NotificationKind::Notice(label) => Self::Notice(label.clone()),
            _ => Self::Outage,
        }
    }
}

/// What changed at a port of a monitored device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortChangeRecord {
    /// The monitor's name.
    pub monitor: String,
    /// When it was seen.
    pub at: Timestamp,
    /// What it is; `told` only if somebody was to be told of it.
    pub change: PortChange,
}

/// What is to be added to a history. Of an incident or a message that is in it
/// already, the later record holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Records {
    /// Results, oldest first.
    pub results: VecDeque<CheckResult>,
    /// Incidents, in the order in which they changed.
    pub incidents: VecDeque<Incident>,
    /// Fates of messages, in the order in which they were known.
    pub deliveries: VecDeque<Delivery>,
    /// Stretches of time that have ended.
    pub stretches: VecDeque<Stretch>,
    /// Changes at ports, in the order in which they were seen.
    pub port_changes: VecDeque<PortChangeRecord>,
}

impl Records {
    /// Nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
            && self.incidents.is_empty()
            && self.deliveries.is_empty()
            && self.stretches.is_empty()
            && self.port_changes.is_empty()
    }

    /// Adds what happened later. What is too much is forgotten, the oldest first.
    pub(crate) fn extend(&mut self, later: Self) {
        self.results.extend(later.results);
        self.incidents.extend(later.incidents);
        self.deliveries.extend(later.deliveries);
        self.stretches.extend(later.stretches);
        self.port_changes.extend(later.port_changes);
        self.cut();
    }

    /// Forgets what is too much. Asked after each addition.
    pub(crate) fn cut(&mut self) {
        keep_last(&mut self.results, MOST_RESULTS);
        keep_last(&mut self.incidents, MOST_RECORDS);
        keep_last(&mut self.deliveries, MOST_RECORDS);
        keep_last(&mut self.stretches, MOST_RECORDS);
        keep_last(&mut self.port_changes, MOST_RECORDS);
    }
}

fn keep_last<T>(list: &mut VecDeque<T>, most: usize) {
    if let Some(surplus) = list.len().checked_sub(most) {
        list.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_results_the_newest_are_kept() {
        let result = |n: i64| CheckResult {
            monitor: "a".into(),
            at: Timestamp::from_second(n).unwrap(),
            verdict: Verdict::Up,
            latency: None,
            reason: None,
            max_gap: Duration::from_secs(120),
            known: None,
        };
        let mut records = Records::default();
        for n in 0..3 {
            let n = n * 30_000;
            records.extend(Records {
                results: (n..n + 30_000).map(result).collect(),
                ..Records::default()
            });
        }
        assert_eq!(records.results.len(), MOST_RESULTS);
        assert_eq!(records.results.front(), Some(&result(40_000)));
        assert_eq!(records.results.back(), Some(&result(89_999)));
    }

    #[test]
    fn a_try_that_succeeded_counts_as_one() {
        let notification = crate::Notification {
            lasted: None,
            next_reminder: None,
            ended: None,
            id: "i-1".into(),
            incident: "i".into(),
            kind: NotificationKind::Outage,
            site: "s".into(),
            monitor: "m".into(),
            address: "a".into(),
            text: "t".into(),
            number: 1,
            at: Timestamp::UNIX_EPOCH,
            since: None,
        };
        let mut entry = OutboxEntry::new("c", notification, Vec::new());
        entry.attempts = 2;
        let of = |fate| Delivery::of(&entry, fate, Timestamp::UNIX_EPOCH).tries;
        assert_eq!((of(DeliveryFate::Delivered), of(DeliveryFate::Refused)), (3, 2));
    }
}
