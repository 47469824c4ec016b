//! Notifications, outbox entries, and the seam to channels.

use std::{borrow::Cow, fmt, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One notification about one monitor.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Notification {
    /// Its id: the same on every attempt and after every restart.
    pub id: String,
    /// The incident's id, which all notifications of one outage share.
    pub incident: String,
    /// What it reports.
    pub kind: NotificationKind,
    /// The site's name.
    pub site: String,
    /// What it is about: the monitor, unless it says otherwise.
    #[serde(default, skip_serializing_if = "Subject::is_monitor")]
    pub subject: Subject,
    /// The ids of the incidents that it covers besides its own: those of a digest or report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<String>,
    /// The monitor's name, `monitor/part` for a part; empty if it is about more than one.
    pub monitor: String,
    /// The monitor's address, without passwords.
    pub address: String,
    /// The text that is sent to channels.
    pub text: String,
    /// Its number within the incident, from 1.
    pub number: u32,
    /// When it was decided.
    pub at: Timestamp,
    /// Since when the monitor was down or could not be checked.
    pub since: Option<Timestamp>,
    /// How long that had lasted by then, measured on the monotonic clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasted: Option<Duration>,
    /// When the next reminder of the outage is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_reminder: Option<Timestamp>,
    /// When the incident ended, if that was before this notification of its beginning was
    /// delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// What a notification is about.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Subject {
    /// One monitor: [`Notification::monitor`].
    #[default]
    Monitor,
    /// The monitors of this group.
    Group(String),
    /// The whole site.
    Site,
}

impl Subject {
    fn is_monitor(&self) -> bool {
        *self == Self::Monitor
    }
}

impl Notification {
    /// The ids of all incidents that it is about: its own and those that it covers.
    pub fn incidents(&self) -> impl Iterator<Item = &str> {
        let own = std::iter::once(&self.incident).chain(&self.covers);
        own.map(String::as_str)
    }

    /// The number of the reminder within its outage, from 1.
    #[must_use]
    pub fn reminder(&self) -> Option<u32> {
        (self.kind == NotificationKind::Reminder).then(|| self.number.saturating_sub(1).max(1))
    }
}

/// One notification that waits for delivery to one channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// The channel's id.
    pub channel: String,
    /// The notification.
    pub notification: Notification,
    /// Failed attempts so far.
    #[serde(default)]
    pub attempts: u32,
    /// When the last attempt ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_tried: Option<Timestamp>,
    /// The error of the last attempt, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The earliest time of the next attempt, if the receiver asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// Whether the receiver refused it; it is kept until it expires.
    #[serde(default)]
    pub refused: bool,
    /// All channels that were to receive the notification when it was decided: each has an
    /// entry of its own, or had one that is finished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addressed: Vec<String>,
}

impl OutboxEntry {
    /// Creates an entry without attempts.
    #[must_use]
    pub fn new(channel: impl Into<String>, notification: Notification, addressed: Vec<String>) -> Self {
        Self {
            channel: channel.into(),
            notification,
            attempts: 0,
            last_tried: None,
            last_error: None,
            retry_at: None,
            refused: false,
            addressed,
        }
    }

    /// The key of the entry, made of notification and channel; also its `Idempotency-Key`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-{}", self.notification.id, self.channel)
    }
}

/// What a notification reports.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotificationKind {
    /// The monitor is down (hard state).
    Outage,
    /// The monitor is still down.
    Reminder,
    /// The monitor is up again.
    Recovery,
    /// The monitor could not be checked for a long time.
    Unknown,
    /// The monitor can be checked again, or was removed from the site file while it could not be.
    Known,
    /// The monitor was removed from the site file while down.
    NoLongerWatched,
    /// Another event, with this label.
    Notice(String),
}

impl NotificationKind {
    /// The first words of the console line.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::Outage => "NEW OUTAGE",
            Self::Reminder => "DOWN",
            Self::Recovery => "RECOVERY",
            Self::Unknown => "UNKNOWN",
            Self::Known => "KNOWN",
            Self::NoLongerWatched => "NO LONGER WATCHED",
            Self::Notice(label) => label,
        }
    }

    /// Whether it ends an outage, so that there are no more reminders.
    #[must_use]
    pub(crate) fn ends_outage(&self) -> bool {
        matches!(self, Self::Recovery | Self::NoLongerWatched)
    }

    /// Whether it reports an incident that has begun or continues.
    #[must_use]
    pub(crate) fn is_ongoing(&self) -> bool {
        matches!(self, Self::Outage | Self::Reminder | Self::Unknown)
    }

    /// Whether it is the first notification of an incident.
    #[must_use]
    pub(crate) fn begins_incident(&self) -> bool {
        matches!(self, Self::Outage | Self::Unknown)
    }

    /// Whether it ends an incident that an earlier notification announced.
    #[must_use]
    pub(crate) fn ends_incident(&self) -> bool {
        self.ends_outage() || *self == Self::Known
    }

    /// The switch that a channel must have on to receive notifications of this kind.
    #[must_use]
    pub fn switch(&self) -> Switch {
        match self {
            Self::Outage | Self::Unknown | Self::NoLongerWatched | Self::Notice(_) => Switch::Outages,
            Self::Reminder => Switch::Reminders,
            Self::Recovery | Self::Known => Switch::Recoveries,
        }
    }
}

/// Which of a channel's switches lets a notification through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Switch {
    /// Outages and everything without a switch of its own.
    Outages,
    /// Reminders.
    Reminders,
    /// Recoveries, also from Unknown.
    Recoveries,
}

impl Switch {
    /// The notifications that the switch lets through, as a plural noun (`recoveries`).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outages => "outages",
            Self::Reminders => "reminders",
            Self::Recoveries => "recoveries",
        }
    }
}

/// A channel's switches; all on by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Switches {
    /// Outages and everything without a switch of its own.
    pub outages: bool,
    /// Reminders.
    pub reminders: bool,
    /// Recoveries and the end of Unknown.
    pub recoveries: bool,
}

impl Switches {
    /// Whether `switch` is on.
    #[must_use]
    pub fn are_on(self, switch: Switch) -> bool {
        match switch {
            Switch::Outages => self.outages,
            Switch::Reminders => self.reminders,
            Switch::Recoveries => self.recoveries,
        }
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            outages: true,
            reminders: true,
            recoveries: true,
        }
    }
}

/// A class of channels, which a monitor's policy can switch off as a whole
/// ([`Policy::classes_off`](crate::Policy::classes_off)).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelClass(Cow<'static, str>);

impl ChannelClass {
    /// The class that the site file's `email: no` switches off. It is the only one that
    /// this crate names: `email` is an option of every monitor, of whatever kind, and
    /// state files have a key for this class alone (`"email_off": true`). Both need its
    /// name, so the channel that has the class takes it from here.
    pub const EMAIL: Self = Self::new("email");

    /// The class of this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// The console line: `##### NEW OUTAGE: web in HomeLab new outage: ... #####`.
impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = crate::text::printable(self.kind.label());
        // The text may come from a state file that somebody else wrote.
        write!(f, "##### {label}: {} #####", crate::text::printable(&self.text))
    }
}

/// A channel: delivers one notification in one attempt. Retries are up to the outbox.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Delivers `notification`. `key` identifies it on this channel and is the same on every
    /// attempt, so that a receiver can drop duplicates.
    ///
    /// # Errors
    /// If it was not delivered; the error says whether another attempt is worthwhile.
    async fn deliver(&self, notification: &Notification, key: &str) -> Result<(), DeliveryError>;

    /// Delivers as [`deliver`](Self::deliver) does, for someone who tests a channel: appends
    /// what was sent and answered to `transcript`, line by line, without secrets.
    ///
    /// # Errors
    /// If it was not delivered; the error says whether another attempt is worthwhile.
    async fn deliver_with_transcript(
        &self,
        notification: &Notification,
        key: &str,
        transcript: &mut Vec<String>,
    ) -> Result<(), DeliveryError> {
        let _ = transcript; // a channel with nothing to show
        self.deliver(notification, key).await
    }

    /// Reaches the receiver as far as its protocol allows without sending a
    /// notification (connects, greets, logs in), so that a wrong password is
    /// reported at start and not at the first outage.
    ///
    /// # Errors
    /// As a delivery would end now.
    async fn test_connection(&self) -> Result<(), DeliveryError> {
        Ok(())
    }
}

/// The reason why a notification was not delivered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// Another attempt is worthwhile.
    #[error("{reason}")]
    Retryable {
        /// What happened, without secrets.
        reason: String,
        /// The delay that the receiver asked for.
        retry_after: Option<Duration>,
    },
    /// The receiver refused it and would refuse it again.
    #[error("{reason}")]
    Permanent {
        /// What happened, without secrets.
        reason: String,
    },
}

impl DeliveryError {
    /// Creates an error after which another attempt is worthwhile.
    pub fn retryable(reason: impl Into<String>) -> Self {
        Self::Retryable {
            reason: reason.into(),
            retry_after: None,
        }
    }

    /// Creates the error of a refusal.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self::Permanent {
            reason: reason.into(),
        }
    }
}

/// Sends outgoing heartbeats.
#[async_trait]
pub trait HeartbeatSender: Send + Sync {
    /// Requests `url` with GET, within `timeout`.
    ///
    /// # Errors
    /// If the answer is anything but 2xx.
    async fn send(&self, url: &crate::secret::Secret, timeout: Duration) -> Result<(), DeliveryError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As written before notifications stored how long the incident had lasted.
    const OLD: &str = r#"{"id":"i-4","incident":"i","kind":"reminder","site":"HomeLab","monitor":"web",
        "address":"http://h/","text":"web in HomeLab is down","number":4,"at":"2026-02-11T14:15:00Z","since":null}"#;

    #[test]
    fn a_notification_of_an_older_version_can_be_read() {
        let old: Notification = serde_json::from_str(OLD).unwrap();
        assert_eq!((old.lasted, old.next_reminder), (None, None));
        assert!(!serde_json::to_string(&old).unwrap().contains("lasted"));
        let new = Notification {
            lasted: Some(Duration::from_millis(600_500)),
            next_reminder: Some(old.at),
            ..old
        };
        let written = serde_json::to_string(&new).unwrap();
        assert_eq!(serde_json::from_str::<Notification>(&written).unwrap(), new);
    }

    #[test]
    fn a_digest_covers_several_incidents_and_one_of_yesterday_its_own() {
        let old: Notification = serde_json::from_str(OLD).unwrap();
        assert_eq!(old.subject, Subject::Monitor);
        assert_eq!(old.incidents().collect::<Vec<_>>(), ["i"]);
        let text = serde_json::to_string(&old).unwrap();
        assert!(!text.contains("subject") && !text.contains("covers"), "{text}");
        let digest = Notification {
            subject: Subject::Group("printers".into()),
            covers: vec!["j".into(), "k".into()],
            monitor: String::new(),
            ..old
        };
        let written = serde_json::to_string(&digest).unwrap();
        let read: Notification = serde_json::from_str(&written).unwrap();
        assert_eq!(read, digest);
        assert_eq!(read.incidents().collect::<Vec<_>>(), ["i", "j", "k"]);
    }

    #[test]
    fn reminders_are_numbered_from_the_outage() {
        let mut notification: Notification = serde_json::from_str(OLD).unwrap();
        assert_eq!(notification.reminder(), Some(3));
        notification.kind = NotificationKind::Outage;
        assert_eq!(notification.reminder(), None);
    }
}
