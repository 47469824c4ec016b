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
    /// When the outage began.
    pub since: Option<Timestamp>,
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
    async fn deliver_shown(
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
