//! What is remembered of a monitor.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    memory::Memory,
    monitor::Policy,
    notification::Notification,
    rule::health::Health,
    time::{Mono, Now},
};

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
    /// are none of the [`STATE_KEYS`](crate::memory::STATE_KEYS) stand here: what APMonitor had kept for
    /// the monitor is there for it again.
    pub memory: Memory,
    /// Moments of this process, never written.
    pub mono: MonoTimes,
}

/// The written moments that decide something, on the monotonic clock: a step
/// of the wall clock must not move them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MonoTimes {
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
    /// The same of its `email`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub email_off: bool,
}

impl OwnState {
    /// The switches of a monitor that is no longer in the site file, as they
    /// were; the rest is default.
    #[must_use]
    pub fn last_policy(&self) -> Policy {
        Policy {
            alarms: !self.alarms_off,
            email: !self.email_off,
            ..Policy::default()
        }
    }
}

impl OwnState {
    /// Messages of this incident are still to come.
    #[must_use]
    pub fn has_open(&self, incident: &str) -> bool {
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
        all.retain(|incident, _| self.has_open(incident));
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
        match message.kind.ends_incident() {
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
        mark(&mut self.mono.alarm_started, &mut self.last_alarm_started);
        mark(&mut self.mono.notified, &mut self.last_notified);
        mark(&mut self.mono.unknown_since, &mut self.own.unknown_since);
    }
}

/// How long the state of a monitor is kept that is no longer watched.
pub const RETENTION_AFTER_REMOVAL: Duration = Duration::from_secs(30 * 86_400);
