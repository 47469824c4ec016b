//! The state of a monitor.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    memory::Memory,
    monitor::Policy,
    notification::{ChannelClass, Notification},
    rule::health::Health,
    time::{Mono, Now},
};

/// The state of one monitor: the fields of APMonitor's state file, and those that apmon adds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MonitorState {
    /// The hard state; `None` until one is known.
    pub is_up: Option<bool>,
    /// When the last check started.
    pub last_checked: Option<Timestamp>,
    /// How long the last successful answer took.
    pub last_response_time: Option<Duration>,
    /// When the last notification of an outage was decided: its beginning, a reminder or its end.
    pub last_notified: Option<Timestamp>,
    /// When the current or last outage began.
    pub last_alarm_started: Option<Timestamp>,
    /// When the last heartbeat was accepted.
    pub last_successful_heartbeat: Option<Timestamp>,
    /// Consecutive failed checks.
    pub down_count: u32,
    /// Notifications of the current outage.
    pub notified_count: u32,
    /// Why it is down or could not be checked.
    pub error_reason: Option<String>,
    /// [`Watch::checksum`](crate::Watch) at the last check.
    pub last_config_checksum: Option<Arc<str>>,
    /// The fields that apmon adds.
    pub own: OwnState,
    /// Data that the last check left for the next one. It includes the keys of the state file
    /// that are not among the [`STATE_KEYS`](crate::memory::STATE_KEYS), so that a monitor
    /// finds what APMonitor had stored for it.
    pub memory: Memory,
    /// Points on this process's monotonic clock; never written.
    pub mono: MonoTimes,
}

/// The written timestamps that decisions depend on, as points on the monotonic clock: a step of
/// the wall clock must not move them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MonoTimes {
    /// `last_alarm_started`.
    pub alarm_started: Option<Mono>,
    /// `last_notified`.
    pub notified: Option<Mono>,
    /// `unknown_since`.
    pub unknown_since: Option<Mono>,
}

/// The state that apmon keeps besides APMonitor's fields.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnState {
    /// Id of the current outage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// Since when it could not be checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_since: Option<Timestamp>,
    /// Id of the incident under which that was announced.
    #[serde(rename = "unknown_told", skip_serializing_if = "Option::is_none")]
    pub unknown_incident: Option<String>,
    /// Since when it is up; `None` while it is down, and where it was up before this field
    /// existed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_since: Option<Timestamp>,
    /// Since when it is down with alarms off.
    #[serde(rename = "silenced_since", skip_serializing_if = "Option::is_none")]
    pub alarms_off_since: Option<Timestamp>,
    /// The channels to which each open incident was announced: they also get its end, even if
    /// they are fallbacks by then.
    #[serde(rename = "heard", skip_serializing_if = "BTreeMap::is_empty")]
    pub announced_to: BTreeMap<String, Vec<String>>,
    /// Ends that are still to be sent, oldest first.
    #[serde(rename = "owed", skip_serializing_if = "Vec::is_empty")]
    pub owed_ends: Vec<OwedEnd>,
    /// When it was removed from the site file; the state is deleted 30 days later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Timestamp>,
    /// Whether its `alarms` were off at the last check. Once the monitor has left the site
    /// file, nothing else knows who may be notified of its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub alarms_off: bool,
    /// For a part of a monitor: the byte of its name at which the name of the part begins, 7 in
    /// `switch/eth0`. `None` for a monitor. Both names may contain slashes, so that the name
    /// alone does not say whose part it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_at: Option<NonZeroU32>,
    /// Its policy's `classes_off`, likewise.
    #[serde(
        rename = "email_off",
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "write_classes",
        deserialize_with = "read_classes"
    )]
    pub classes_off: Vec<ChannelClass>,
}

/// The end of an incident for channels to which its beginning was announced, and that could not
/// get the end at its time: they were switched off, or were not in the site file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OwedEnd {
    /// The notification as it was decided when the incident ended.
    pub notification: Notification,
    /// The ids of the channels.
    pub channels: Vec<String>,
    /// The ids of the channels that it was sent to so far: while one of `channels` is not in the
    /// site file, a service of another id may be that one, and gets it once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sent_to: Vec<String>,
}

impl OwnState {
    /// The last known switches of a monitor that is no longer in the site file; everything else
    /// is default.
    #[must_use]
    pub fn last_policy(&self) -> Policy {
        Policy {
            alarms: !self.alarms_off,
            classes_off: self.classes_off.clone(),
            ..Policy::default()
        }
    }

    /// The names of the monitor and of its part, if this is the state of the part `name`.
    pub(crate) fn split_part<'a>(&self, name: &'a str) -> Option<(&'a str, &'a str)> {
        let at = usize::try_from(self.part_at?.get()).ok()?;
        Some((name.get(..at)?.strip_suffix('/')?, &name[at..]))
    }

    /// Whether this incident is still open, so that more notifications of it may follow.
    #[must_use]
    pub(crate) fn has_open_incident(&self, incident: &str) -> bool {
        let is_it = |id: &Option<String>| id.as_deref() == Some(incident);
        is_it(&self.incident) || is_it(&self.unknown_incident)
    }

    /// Whether `incident` has been announced to all of these channels.
    pub(crate) fn is_announced_to(&self, incident: &str, channels: &[String]) -> bool {
        let announced_to = self.announced_to.get(incident);
        announced_to.is_some_and(|announced_to| channels.iter().all(|channel| announced_to.contains(channel)))
    }

    /// Notes that the open `incident` has been announced to these channels.
    pub(crate) fn add_announced(&mut self, incident: &str, channels: &[String]) {
        let mut all = std::mem::take(&mut self.announced_to);
        all.retain(|incident, _| self.has_open_incident(incident));
        add_all(all.entry(incident.to_owned()).or_default(), channels);
        self.announced_to = all;
    }

    /// The channels to which the incident that `notification` ends was announced; they are removed.
    pub(crate) fn take_announced(&mut self, notification: &Notification) -> Vec<String> {
        match notification.kind.ends_incident() {
            true => self
                .announced_to
                .remove(&notification.incident)
                .unwrap_or_default(),
            false => Vec::new(),
        }
    }

    /// Whether the end of the incident of `notification`, its beginning, is owed to others than
    /// these channels.
    pub(crate) fn owes_to_others(&self, notification: &Notification, channels: &[String]) -> bool {
        let owed = self.owed_end(&notification.incident);
        let has_all = |owed: &OwedEnd| channels.iter().all(|id| owed.channels.contains(id));
        notification.kind.is_ongoing() && owed.is_some_and(|owed| !has_all(owed))
    }

    /// Notes that the end of the incident of `notification`, which is owed to others, is owed to
    /// these channels too.
    pub(crate) fn owe_to(&mut self, notification: &Notification, channels: &[String]) {
        let is_it = |owed: &&mut OwedEnd| owed.notification.incident == notification.incident;
        if let Some(owed) = self.owed_ends.iter_mut().find(is_it) {
            add_all(&mut owed.channels, channels);
        }
    }

    /// Whether any channel is owed the end of the incident.
    pub(crate) fn owes_end(&self, incident: &str) -> bool {
        self.owed_end(incident).is_some()
    }

    /// Whether this channel is owed the end of the incident.
    pub(crate) fn owes_to(&self, incident: &str, channel: &str) -> bool {
        let mut owed = self.owed_ends.iter();
        owed.any(|owed| {
            owed.notification.incident == incident && owed.channels.iter().any(|id| id == channel)
        })
    }

    /// Notes that this channel is not owed the end of the incident any more.
    pub(crate) fn cancel_owed(&mut self, incident: &str, channel: &str) {
        for owed in &mut self.owed_ends {
            if owed.notification.incident == incident {
                owed.channels.retain(|id| id != channel);
            }
        }
        self.owed_ends.retain(|owed| !owed.channels.is_empty());
    }

    fn owed_end(&self, incident: &str) -> Option<&OwedEnd> {
        self.owed_ends
            .iter()
            .find(|owed| owed.notification.incident == incident)
    }

    /// Notes that these channels are still to get the end of an incident, which was `sent_to`
    /// others.
    pub(crate) fn owe(&mut self, end: &Notification, channels: Vec<String>, sent_to: &[String]) {
        if channels.is_empty() {
            return;
        }
        let is_it = |owed: &OwedEnd| owed.notification.incident == end.incident;
        let at = self.owed_ends.iter().position(is_it).unwrap_or_else(|| {
            self.owed_ends.push(OwedEnd {
                notification: end.clone(),
                channels: Vec::new(),
                sent_to: Vec::new(),
            });
            self.owed_ends.len() - 1
        });
        let owed = &mut self.owed_ends[at];
        add_all(&mut owed.channels, &channels);
        add_all(&mut owed.sent_to, sent_to);
    }

    /// Notes that this channel was sent nothing about the incident, so that it gets no end either.
    pub(crate) fn forget_announced(&mut self, incident: &str, channel: &str) {
        if let Some(announced_to) = self.announced_to.get_mut(incident) {
            announced_to.retain(|id| id != channel);
            if announced_to.is_empty() {
                self.announced_to.remove(incident);
            }
        }
        self.cancel_owed(incident, channel);
    }
}

/// Adds the ids that are not in the list yet.
fn add_all(list: &mut Vec<String>, ids: &[String]) {
    for id in ids {
        if !list.contains(id) {
            list.push(id.clone());
        }
    }
}

impl MonitorState {
    /// The part that the health rule needs.
    #[must_use]
    pub fn health(&self) -> Health {
        Health {
            is_up: self.is_up,
            failed: self.down_count,
        }
    }

    /// Derives the missing points on the monotonic clock from the written timestamps: done once
    /// when a state is loaded, before the wall clock can step. A timestamp in the future (the
    /// clock has been set back since) becomes now: otherwise each pass would count it as now
    /// again, and a reminder would wait until the clock has caught up.
    pub(crate) fn anchor(&mut self, now: Now) {
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

/// The classes that are off, under the key of the time when e-mail was the only one:
/// that class alone is still written as `true`.
fn write_classes<S: Serializer>(classes: &Vec<ChannelClass>, serializer: S) -> Result<S::Ok, S::Error> {
    if *classes == [ChannelClass::EMAIL] {
        serializer.serialize_bool(true)
    } else {
        classes.serialize(serializer)
    }
}

fn read_classes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ChannelClass>, D::Error> {
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

/// How long the state of a removed monitor is kept, and how long a channel is owed the end of
/// an incident.
pub(crate) const RETENTION_AFTER_REMOVAL: Duration = Duration::from_secs(30 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_part_says_whose_part_it_is() {
        let part_at = |at| OwnState {
            part_at: NonZeroU32::new(at),
            ..OwnState::default()
        };
        assert_eq!(part_at(4).split_part("a/b/c"), Some(("a/b", "c")));
        assert_eq!(part_at(2).split_part("a/b/c"), Some(("a", "b/c")));
        let written = serde_json::to_string(&part_at(4)).unwrap();
        assert_eq!(written, r#"{"part_at":4}"#);
        assert_eq!(serde_json::from_str::<OwnState>(&written).unwrap(), part_at(4));
        // Neither a monitor, nor a file that was edited.
        for (at, name) in [(0, "a/b"), (1, "a/b"), (9, "a/b"), (3, "aé/b"), (2, "é/b")] {
            assert_eq!(part_at(at).split_part(name), None, "{at} in {name}");
        }
    }

    #[test]
    fn a_file_of_an_older_apmon_reads_the_classes_that_are_off() {
        let state = |classes: Vec<ChannelClass>| OwnState {
            classes_off: classes,
            ..OwnState::default()
        };
        let pager = ChannelClass::new("pager");
        for (classes, text) in [
            (vec![], "{}"),
            (vec![ChannelClass::EMAIL], r#"{"email_off":true}"#),
            (
                vec![ChannelClass::EMAIL, pager],
                r#"{"email_off":["email","pager"]}"#,
            ),
        ] {
            let state = state(classes);
            assert_eq!(serde_json::to_string(&state).unwrap(), text);
            assert_eq!(serde_json::from_str::<OwnState>(text).unwrap(), state);
        }
        let on: OwnState = serde_json::from_str(r#"{"email_off":false}"#).unwrap();
        assert_eq!(on, OwnState::default());
    }
}
