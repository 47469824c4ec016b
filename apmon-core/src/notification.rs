//! What is told, and the seam to those who carry it.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One message about one monitor.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Notification {
    /// The same on every try and after every restart.
    pub id: String,
    /// All messages of one outage share it.
    pub incident: String,
    /// What is said.
    pub kind: NotificationKind,
    /// The site's name.
    pub site: String,
    /// The monitor's name.
    pub monitor: String,
    /// Its address, without passwords.
    pub address: String,
    /// The sentence, as it goes to channels.
    pub text: String,
    /// Number of the message within its incident, from 1.
    pub number: u32,
    /// When it was decided.
    pub at: Timestamp,
    /// When it began that it was down, or could not be looked at.
    pub since: Option<Timestamp>,
    /// How long that had lasted when it was decided, by the monotonic clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasted: Option<Duration>,
    /// When the next reminder of the outage is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_reminder: Option<Timestamp>,
    /// When that ended which it tells the beginning of, if it had not been
    /// delivered by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

impl Notification {
    /// Which reminder of its outage it is, from 1.
    #[must_use]
    pub fn reminder(&self) -> Option<u32> {
        (self.kind == NotificationKind::Reminder).then(|| self.number.saturating_sub(1).max(1))
    }
}

/// One message on its way to one channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// The channel's id.
    pub channel: String,
    /// The message.
    pub notification: Notification,
    /// Tries so far.
    #[serde(default)]
    pub attempts: u32,
    /// When it was last tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_tried: Option<Timestamp>,
    /// What the last try said, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The receiver asked not to be tried again before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// The receiver refused it; it is kept until it expires.
    #[serde(default)]
    pub refused: bool,
    /// All channels that were to have the message when it was decided: each has
    /// an entry of its own, or had one and is through with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addressed: Vec<String>,
}

impl OutboxEntry {
    /// A message that was not tried yet.
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

    /// Message and channel: the key of an entry, and its `Idempotency-Key`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-{}", self.notification.id, self.channel)
    }
}

/// What a message says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotificationKind {
    /// Down, hard.
    Outage,
    /// Still down.
    Reminder,
    /// Up again.
    Recovery,
    /// Could not be looked at for long.
    Unknown,
    /// Can be looked at again.
    Known,
    /// Taken out of the site file while down.
    NoLongerWatched,
    /// Something else, under this label.
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

    /// After it there is nothing to be reminded of.
    #[must_use]
    pub(crate) fn ends_outage(&self) -> bool {
        matches!(self, Self::Recovery | Self::NoLongerWatched)
    }

    /// It tells that something began, or goes on.
    #[must_use]
    pub(crate) fn is_ongoing(&self) -> bool {
        matches!(self, Self::Outage | Self::Reminder | Self::Unknown)
    }

    /// It ends what messages before it began.
    #[must_use]
    pub(crate) fn ends_incident(&self) -> bool {
        self.ends_outage() || *self == Self::Known
    }

    /// Which of a channel's switches lets it through.
    #[must_use]
    pub fn switch(&self) -> Switch {
        match self {
            Self::Outage | Self::Unknown | Self::NoLongerWatched | Self::Notice(_) => Switch::Outages,
            Self::Reminder => Switch::Reminders,
            Self::Recovery | Self::Known => Switch::Recoveries,
        }
    }
}

/// A channel's three switches (`email_outages`, `email_reminders`, `email_recoveries`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Switch {
    /// Outages and everything without a switch of its own.
    Outages,
    /// Reminders.
    Reminders,
    /// Recoveries and the end of Unknown.
    Recoveries,
}

/// The console line: `##### NEW OUTAGE: web in HomeLab new outage: ... #####`.
impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = crate::text::printable(self.kind.label());
        write!(f, "##### {label}: {} #####", self.text)
    }
}

/// Hands one message to one channel. One attempt; retrying is the outbox's.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Delivers. `key` is the message's id on this channel, the same on every
    /// try: a receiver may use it to drop a duplicate.
    ///
    /// # Errors
    /// Whether another try is worth it.
    async fn deliver(&self, notification: &Notification, key: &str) -> Result<(), DeliveryError>;

    /// The same, for whoever tries a channel out: what was sent and what was
    /// answered is added to `shown`, line by line, without secrets.
    ///
    /// # Errors
    /// Whether another try is worth it.
    async fn deliver_with_transcript(
        &self,
        notification: &Notification,
        key: &str,
        shown: &mut Vec<String>,
    ) -> Result<(), DeliveryError> {
        let _ = shown; // a channel with nothing to show
        self.deliver(notification, key).await
    }
}

/// Why a message was not delivered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// Worth another try.
    #[error("{reason}")]
    Retryable {
        /// What happened, without secrets.
        reason: String,
        /// What the receiver asked for.
        retry_after: Option<Duration>,
    },
    /// Refused: the same message will be refused again.
    #[error("{reason}")]
    Permanent {
        /// What happened, without secrets.
        reason: String,
    },
}

impl DeliveryError {
    /// Worth another try.
    pub fn retryable(reason: impl Into<String>) -> Self {
        Self::Retryable {
            reason: reason.into(),
            retry_after: None,
        }
    }

    /// Refused.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self::Permanent {
            reason: reason.into(),
        }
    }
}

/// Sends one outgoing sign of life.
#[async_trait]
pub trait HeartbeatSender: Send + Sync {
    /// Requests `url` with GET, within `timeout`.
    ///
    /// # Errors
    /// Anything but a 2xx answer.
    async fn send(&self, url: &crate::secret::Secret, timeout: Duration) -> Result<(), DeliveryError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it was written before messages knew how long it had lasted.
    const OLD: &str = r#"{"id":"i-4","incident":"i","kind":"reminder","site":"HomeLab","monitor":"web",
        "address":"http://h/","text":"web in HomeLab is down","number":4,"at":"2026-02-11T14:15:00Z","since":null}"#;

    #[test]
    fn a_message_of_an_older_version_is_read() {
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
    fn reminders_are_counted_from_the_outage() {
        let mut message: Notification = serde_json::from_str(OLD).unwrap();
        assert_eq!(message.reminder(), Some(3));
        message.kind = NotificationKind::Outage;
        assert_eq!(message.reminder(), None);
    }
}
