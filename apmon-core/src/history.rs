//! Records of what happened: results of checks, incidents, deliveries, changes at ports; and
//! availability, computed from them.
//!
//! A store that keeps a history says so ([`StateStore::keeps_history`]) and gets the records
//! with each commit; for other stores none are gathered.
//!
//! [`StateStore::keeps_history`]: crate::StateStore::keeps_history

mod availability;

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;

pub use self::availability::{Availability, Coverage, Day, Timeline, days};
use crate::{
    device::PortChange,
    notification::{NotificationKind, OutboxEntry},
    outcome::Verdict,
    state::MonitorState,
};

/// While nothing can be written, at most this many results are held in memory; the oldest are
/// dropped first.
const MAX_RESULTS: usize = 50_000;
/// The same limit for incidents, deliveries, stretches and changes at ports.
const MAX_RECORDS: usize = 10_000;

/// The result of one check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckResult {
    /// The monitor's name.
    pub monitor: String,
    /// When the check started.
    pub at: Timestamp,
    /// The verdict.
    pub verdict: Verdict,
    /// How long the answer took, if there was one.
    pub latency: Option<Duration>,
    /// Why it was not up.
    pub reason: Option<String>,
    /// If the next check comes later than this, the time between the two counts as unwatched.
    pub max_gap: Duration,
    /// When the monitor's state was known; `None` while it is not known yet (the first check
    /// failed, and too few have failed since for an outage). From the first such moment on, the
    /// monitor's time counts.
    pub known: Option<Timestamp>,
}

/// A stretch of time that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// The monitor's name.
    pub monitor: String,
    /// The monitor's situation in that time.
    pub kind: StretchKind,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
}

/// The kind of a stretch of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StretchKind {
    /// It could not be checked, whether or not that was reported.
    Unknown,
    /// It was down with alarms off.
    AlarmsOff,
    /// It was not checked because apmon did not run. A store detects these stretches itself
    /// ([`CheckResult::max_gap`]).
    Unwatched,
}

impl StretchKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Unknown, Self::AlarmsOff, Self::Unwatched];

    /// The name used in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::AlarmsOff => "alarms_off",
            Self::Unwatched => "unwatched",
        }
    }
}

/// Something that was reported: it began, and it has ended or is still open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Incident {
    /// The id that its notifications share.
    pub id: String,
    /// The monitor's name.
    pub monitor: String,
    /// The kind of incident.
    pub kind: IncidentKind,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; `None` while it is open.
    pub ended: Option<Timestamp>,
    /// The reason; if the record of its end has none, that of the previous record holds.
    pub reason: Option<String>,
    /// Notifications so far, including that of its end.
    pub notifications: u32,
}

/// The kind of an incident.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum IncidentKind {
    /// The monitor was down (hard state).
    Outage,
    /// The monitor could not be checked for a long time.
    Unknown,
    /// A one-time event with this label.
    Notice(String),
}

/// The result of delivering one notification to one channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// The channel's id.
    pub channel: String,
    /// The notification's id.
    pub notification: String,
    /// The id of the incident.
    pub incident: String,
    /// The monitor's name.
    pub monitor: String,
    /// The notification's label: `NEW OUTAGE`, `DOWN`, `RECOVERY` and so on.
    pub label: String,
    /// When the result was known.
    pub at: Timestamp,
    /// Attempts that were made.
    pub tries: u32,
    /// The result.
    pub fate: DeliveryFate,
    /// The error of the last failed attempt.
    pub error: Option<String>,
}

/// The final result of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DeliveryFate {
    /// The receiver accepted it.
    Delivered,
    /// The receiver refused it; it is kept, and may be delivered later.
    Refused,
    /// It was given up because it was too old.
    Expired,
    /// A reminder that was dropped because its outage had ended.
    Dropped,
    /// A reminder that was replaced by the next one.
    Replaced,
    /// Its channel is no longer in the site file.
    ChannelGone,
}

impl DeliveryFate {
    /// All results.
    pub const ALL: [Self; 6] = [
        Self::Delivered,
        Self::Refused,
        Self::Expired,
        Self::Dropped,
        Self::Replaced,
        Self::ChannelGone,
    ];

    /// The name used in files and output.
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
    /// Creates the record for `entry`, whose result was known at `at`.
    #[must_use]
    pub fn of(entry: &OutboxEntry, fate: DeliveryFate, at: Timestamp) -> Self {
        let notification = &entry.notification;
        // The entry counts the failed attempts, not the one that succeeded.
        let last = u32::from(fate == DeliveryFate::Delivered);
        Self {
            channel: entry.channel.clone(),
            notification: notification.id.clone(),
            incident: notification.incident.clone(),
            monitor: notification.monitor.clone(),
            label: notification.kind.label().to_owned(),
            at,
            tries: entry.attempts.saturating_add(last),
            fate,
            error: entry.last_error.clone(),
        }
    }
}

impl Incident {
    /// Whether the incident is still open according to the monitor's `state`. If not, an incident
    /// without an end is one whose end could not be written.
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
    /// The kind of incident that a notification of this kind belongs to.
    #[must_use]
    pub fn of(kind: &NotificationKind) -> Self {
        match kind {
            NotificationKind::Unknown | NotificationKind::Known => Self::Unknown,
            NotificationKind::Notice(label) => Self::Notice(label.clone()),
            _ => Self::Outage,
        }
    }
}

/// A change at a port of a monitored device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortChangeRecord {
    /// The monitor's name.
    pub monitor: String,
    /// When it was detected.
    pub at: Timestamp,
    /// The change; `notified` only if a notification was sent.
    pub change: PortChange,
}

/// Records to add to a history. A later record about the same incident or delivery replaces the
/// earlier one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Records {
    /// Results, oldest first.
    pub results: VecDeque<CheckResult>,
    /// Incidents, in the order in which they changed.
    pub incidents: VecDeque<Incident>,
    /// Results of deliveries, in the order in which they were known.
    pub deliveries: VecDeque<Delivery>,
    /// Stretches of time that have ended.
    pub stretches: VecDeque<Stretch>,
    /// Changes at ports, in the order in which they were detected.
    pub port_changes: VecDeque<PortChangeRecord>,
}

impl Records {
    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
            && self.incidents.is_empty()
            && self.deliveries.is_empty()
            && self.stretches.is_empty()
            && self.port_changes.is_empty()
    }

    /// Adds later records. Above the limits, the oldest are dropped.
    pub(crate) fn extend(&mut self, later: Self) {
        self.results.extend(later.results);
        self.incidents.extend(later.incidents);
        self.deliveries.extend(later.deliveries);
        self.stretches.extend(later.stretches);
        self.port_changes.extend(later.port_changes);
        self.cut();
    }

    /// Drops the oldest records above the limits. Called after each addition.
    pub(crate) fn cut(&mut self) {
        keep_last(&mut self.results, MAX_RESULTS);
        keep_last(&mut self.incidents, MAX_RECORDS);
        keep_last(&mut self.deliveries, MAX_RECORDS);
        keep_last(&mut self.stretches, MAX_RECORDS);
        keep_last(&mut self.port_changes, MAX_RECORDS);
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
    fn above_the_limit_the_newest_results_are_kept() {
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
        assert_eq!(records.results.len(), MAX_RESULTS);
        assert_eq!(records.results.front(), Some(&result(40_000)));
        assert_eq!(records.results.back(), Some(&result(89_999)));
    }

    #[test]
    fn the_attempt_that_succeeds_is_counted() {
        let notification = crate::Notification {
            lasted: None,
            next_reminder: None,
            subject: Default::default(),
            covers: Vec::new(),
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
