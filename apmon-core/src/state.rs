//! What is remembered of a monitor, and the seam to where it is kept.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    history::Records,
    memory::Memory,
    monitor::Policy,
    notification::{ChannelClass, Notification},
    rule::health::Health,
    time::{Mono, Now},
};

/// A monitor's keys in seed 003's state file.
pub const STATE_KEYS: [&str; 10] = [
    "is_up",
    "last_checked",
    "last_response_time_ms",
    "last_notified",
    "last_alarm_started",
    "last_successful_heartbeat",
    "down_count",
    "notified_count",
    "error_reason",
    "last_config_checksum",
];

/// What is remembered of one monitor. The fields of seed 003's state file, and
/// what apmon adds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MonitorState {
    /// The hard state; `None` until one is known.
    pub is_up: Option<bool>,
    /// When it was last looked at.
    pub last_checked: Option<Timestamp>,
    /// How long the last good answer took.
    pub last_response_time: Option<Duration>,
    /// When the last message of the present outage was decided.
    pub last_notified: Option<Timestamp>,
    /// When the present or last outage began.
    pub last_alarm_started: Option<Timestamp>,
    /// When the last heartbeat was accepted.
    pub last_successful_heartbeat: Option<Timestamp>,
    /// Looks in a row that found it down.
    pub down_count: u32,
    /// Messages told in the present outage.
    pub notified_count: u32,
    /// Why it is down, or could not be looked at.
    pub error_reason: Option<String>,
    /// [`Watch::checksum`](crate::Watch) of the last look.
    pub last_config_checksum: Option<Arc<str>>,
    /// What apmon adds.
    pub own: OwnState,
    /// What its last look left for the next one. Keys of the state file that
    /// are none of the [`STATE_KEYS`] stand here: what APMonitor had kept for
    /// the monitor is there for it again.
    pub memory: Memory,
    /// Moments of this process, never written.
    pub marks: Marks,
}

/// The written moments that decide something, on the monotonic clock: a step
/// of the wall clock must not move them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Marks {
    /// `last_alarm_started`.
    pub alarm_started: Option<Mono>,
    /// `last_notified`.
    pub notified: Option<Mono>,
    /// `unknown_since`.
    pub unknown_since: Option<Mono>,
}

/// What apmon remembers beside the fields of seed 003.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnState {
    /// Id of the present outage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// Since when it could not be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_since: Option<Timestamp>,
    /// Incident id under which that was told.
    #[serde(rename = "unknown_told", skip_serializing_if = "Option::is_none")]
    pub unknown_incident: Option<String>,
    /// Since when it is up; `None` while it is down, and where it was up before
    /// this was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_since: Option<Timestamp>,
    /// Since when it is down and nobody is to be told.
    #[serde(rename = "silenced_since", skip_serializing_if = "Option::is_none")]
    pub alarms_off_since: Option<Timestamp>,
    /// The channels that heard that something began and is not over, by
    /// incident: they are to hear its end, whatever they are by then.
    #[serde(rename = "heard", skip_serializing_if = "BTreeMap::is_empty")]
    pub announced_to: BTreeMap<String, Vec<String>>,
    /// When it was taken out of the site file; forgotten 30 days later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Timestamp>,
    /// Its `alarms` were off at the last look. Once it is out of the site file
    /// nothing else knows whom to tell of its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub alarms_off: bool,
    /// Its policy's `classes_off`, likewise.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        alias = "email_off",
        deserialize_with = "classes"
    )]
    pub classes_off: Vec<ChannelClass>,
}

impl OwnState {
    /// The switches of a monitor that is no longer in the site file, as they
    /// were; the rest is default.
    #[must_use]
    pub fn last_policy(&self) -> Policy {
        Policy {
            alarms: !self.alarms_off,
            classes_off: self.classes_off.clone(),
            ..Policy::default()
        }
    }
}

impl OwnState {
    /// Messages of this incident are still to come.
    #[must_use]
    pub fn goes_on(&self, incident: &str) -> bool {
        let is_it = |id: &Option<String>| id.as_deref() == Some(incident);
        is_it(&self.incident) || is_it(&self.unknown_incident)
    }

    /// All of these channels have heard of `incident`.
    pub(crate) fn is_announced_to(&self, incident: &str, channels: &[String]) -> bool {
        let announced_to = self.announced_to.get(incident);
        announced_to.is_some_and(|announced_to| channels.iter().all(|channel| announced_to.contains(channel)))
    }

    /// These channels have heard of `incident`, which goes on.
    pub(crate) fn add_announced(&mut self, incident: &str, channels: &[String]) {
        let mut all = std::mem::take(&mut self.announced_to);
        all.retain(|incident, _| self.goes_on(incident));
        let announced_to = all.entry(incident.to_owned()).or_default();
        for channel in channels {
            if !announced_to.contains(channel) {
                announced_to.push(channel.clone());
            }
        }
        self.announced_to = all;
    }

    /// Who heard that began what `message` ends.
    pub(crate) fn take_announced(&mut self, message: &Notification) -> Vec<String> {
        match message.kind.is_end() {
            true => self.announced_to.remove(&message.incident).unwrap_or_default(),
            false => Vec::new(),
        }
    }
}

impl MonitorState {
    /// What the health rule needs.
    #[must_use]
    pub fn health(&self) -> Health {
        Health {
            is_up: self.is_up,
            failed: self.down_count,
        }
    }

    /// Sets the marks that are missing from what is written: done once when a
    /// state is loaded, before the wall clock can step. What is written in the
    /// future (the clock was set back since) becomes now: else each pass would
    /// count it as now again, and a reminder wait until the clock has caught up.
    pub fn anchor(&mut self, now: Now) {
        let mark = |mark: &mut Option<Mono>, written: &mut Option<Timestamp>| {
            if let (None, Some(written)) = (&mark, written) {
                *written = (*written).min(now.wall);
                *mark = Some(now.mono_of(*written));
            }
        };
        mark(&mut self.marks.alarm_started, &mut self.last_alarm_started);
        mark(&mut self.marks.notified, &mut self.last_notified);
        mark(&mut self.marks.unknown_since, &mut self.own.unknown_since);
    }
}

/// The classes that were off. Before there were several, `email_off` was a
/// switch for the one there was.
fn classes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<ChannelClass>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Switch(bool),
        Classes(Vec<ChannelClass>),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Switch(true) => vec![ChannelClass::EMAIL],
        Written::Switch(false) => Vec::new(),
        Written::Classes(classes) => classes,
    })
}

/// How long the state of a monitor is kept that is no longer watched.
pub const KEPT_AFTER_REMOVAL: Duration = Duration::from_secs(30 * 86_400);

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

/// Everything a store knows of one site.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Snapshot {
    /// The owner epoch granted to whoever loaded this.
    pub epoch: u64,
    /// State by monitor name.
    pub monitors: BTreeMap<String, Arc<MonitorState>>,
    /// Messages on their way, oldest first.
    pub outbox: Vec<OutboxEntry>,
    /// What an operator must know about how this was loaded (a damaged file
    /// was set aside).
    pub warnings: Vec<String>,
}

/// One atomic, durable step.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Commit {
    /// The epoch of the [`Snapshot`] this follows.
    pub epoch: u64,
    /// States that changed. Shared, not copied: a store may keep them as they are.
    pub states: Vec<(String, Arc<MonitorState>)>,
    /// Monitors to forget.
    pub forget: Vec<String>,
    /// Outbox entries, new or changed.
    pub outbox: Vec<OutboxEntry>,
    /// Keys of outbox entries that are over.
    pub settled: Vec<String>,
    /// When a pass ended, and how long it took.
    pub pass: Option<(Timestamp, Duration)>,
    /// What happened; empty where the store keeps no history. Shared, so that
    /// handing it on costs nothing.
    pub history: Arc<Records>,
}

impl Commit {
    /// Nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
            && self.forget.is_empty()
            && self.outbox.is_empty()
            && self.settled.is_empty()
            && self.pass.is_none()
            && self.history.is_empty()
    }
}

/// Where state is kept.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Everything there is, and a new owner epoch.
    ///
    /// # Errors
    /// When it cannot be read. A damaged file that could be recovered from is
    /// no error but a warning.
    async fn load(&self) -> Result<Snapshot, StoreError>;

    /// Makes all of `commit` durable, or none of it.
    ///
    /// # Errors
    /// When it cannot be written, or the epoch is not the newest.
    async fn commit(&self, commit: &Commit) -> Result<(), StoreError>;

    /// Whether it keeps what stands under [`Commit::history`]. If not, nothing
    /// is gathered there.
    fn keeps_history(&self) -> bool {
        false
    }
}

/// Why a store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Reading or writing failed.
    #[error("{step} {place}")]
    Io {
        /// What was tried (`write`, `rename`).
        step: &'static str,
        /// Which file.
        place: String,
        /// Why.
        source: std::io::Error,
    },
    /// The content makes no sense.
    #[error("{place}: {reason}")]
    Damaged {
        /// Which file.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// Somebody else has taken over.
    #[error("state is owned by epoch {newest}, not by {epoch}")]
    Superseded {
        /// Ours.
        epoch: u64,
        /// The owner's.
        newest: u64,
    },
    /// The store is gone.
    #[error("the store has stopped")]
    Stopped,
}

impl StoreError {
    /// The error with its cause, as one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}
