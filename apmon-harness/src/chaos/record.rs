//! The evidence of a round: what happened, and what apmon and the receivers recorded.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{notification::NotificationKind, site::Site};

/// A time in which a target did not change. The first one has number 0 and is
/// up, so those with odd numbers are down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Period {
    pub(super) is_up: bool,
    pub(super) from: Duration,
    pub(super) to: Duration,
}

impl Period {
    pub(super) fn new(is_up: bool, from: Duration) -> Self {
        Self {
            is_up,
            from,
            to: from,
        }
    }
}

/// One attempt that reached a receiver. Times are those of the rig.
#[derive(Clone, Debug)]
pub(super) struct Receipt {
    pub(super) at: Duration,
    /// Index into [`Site::channels`].
    pub(super) channel: usize,
    /// The notification's id on this channel.
    pub(super) id: String,
    /// The id that all notifications of one incident share on this channel.
    pub(super) incident: String,
    /// `None` if the notification cannot be understood.
    pub(super) kind: Option<NotificationKind>,
    pub(super) monitor: String,
    pub(super) text: String,
    /// Whether the receiver accepted it.
    pub(super) accepted: bool,
}

/// Every attempt that reached a webhook receiver, and every mail that was accepted, as they arrive.
pub(super) type Receipts = Arc<Mutex<Vec<Receipt>>>;

/// A line that apmon printed.
#[derive(Clone, Debug)]
pub(super) struct OutputLine {
    pub(super) at: Duration,
    pub(super) text: String,
}

/// The contents of the state file.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    pub(super) outbox: Vec<Waiting>,
    /// Monitors and whether they are up.
    pub(super) states: Vec<(String, Option<bool>)>,
    /// Only a database has a history.
    pub(super) history: Option<History>,
}

/// A notification that is not yet delivered.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) channel: String,
    pub(super) key: String,
    pub(super) is_reminder: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) incidents: Vec<Incident>,
    /// Channel and key of each notification that is recorded as delivered.
    pub(super) delivered: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub(super) struct Incident {
    pub(super) id: String,
    pub(super) monitor: String,
    pub(super) ended: bool,
    pub(super) notifications: u32,
}

/// Everything that a round is judged by.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    pub(super) site: Site,
    /// The periods of each monitor's target.
    pub(super) truth: Vec<Vec<Period>>,
    /// When a process existed and was not stopped.
    pub(super) awake: Vec<(Duration, Duration)>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) output: Vec<OutputLine>,
    /// Log lines that must not occur.
    pub(super) complaints: Vec<String>,
    pub(super) stored: Stored,
}
