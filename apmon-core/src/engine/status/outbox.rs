//! The undelivered notifications in a status.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ChannelStatus;
use crate::notification::OutboxEntry;

/// How many undelivered notifications are listed, the oldest first.
pub(in crate::engine) const MAX_SHOWN: usize = 20;

/// The undelivered notifications.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct OutboxStatus {
    /// Those that were not refused.
    pub waiting: usize,
    /// Those that were refused; they are kept and retried.
    pub refused: usize,
    /// The oldest of all, at most twenty.
    pub oldest: Vec<NotificationStatus>,
}

/// One undelivered notification of one channel.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NotificationStatus {
    /// The channel's id.
    pub channel: String,
    /// The notification's id.
    pub id: String,
    /// The monitor's name.
    pub monitor: String,
    /// Its text.
    pub text: String,
    /// When it was decided.
    pub at: Timestamp,
    /// Failed attempts.
    pub attempts: u32,
    /// Whether the receiver refused it.
    pub refused: bool,
    /// The error of the last attempt, without secrets.
    pub last_error: Option<String>,
}

impl OutboxStatus {
    pub(in crate::engine) fn of<'a>(
        channels: &[ChannelStatus],
        candidates: impl Iterator<Item = &'a OutboxEntry>,
    ) -> Self {
        Self {
            waiting: channels.iter().map(|channel| channel.waiting).sum(),
            refused: channels.iter().map(|channel| channel.refused).sum(),
            oldest: oldest(candidates.collect()),
        }
    }

    /// Those of `entries` that are about a monitor, a part of it, or the part of this name.
    #[must_use]
    pub fn about<'a>(monitor: &str, entries: impl Iterator<Item = &'a OutboxEntry>) -> Self {
        let is_about = |entry: &&OutboxEntry| {
            let rest = entry.notification.monitor.strip_prefix(monitor);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let entries: Vec<&OutboxEntry> = entries.filter(is_about).collect();
        let refused = entries.iter().filter(|entry| entry.refused).count();
        Self {
            waiting: entries.len() - refused,
            refused,
            oldest: oldest(entries),
        }
    }
}

fn oldest(mut entries: Vec<&OutboxEntry>) -> Vec<NotificationStatus> {
    entries.sort_by_key(|entry| entry.notification.at);
    let oldest = entries.into_iter().take(MAX_SHOWN);
    oldest.map(NotificationStatus::of).collect()
}

impl NotificationStatus {
    fn of(entry: &OutboxEntry) -> Self {
        let notification = &entry.notification;
        Self {
            channel: entry.channel.clone(),
            id: notification.id.clone(),
            monitor: notification.monitor.clone(),
            text: notification.text.clone(),
            at: notification.at,
            attempts: entry.attempts,
            refused: entry.refused,
            last_error: entry.last_error.clone(),
        }
    }
}
