//! What is known of a site right now, for people and for machines: of a running
//! engine by [`Handle::status`](super::Handle::status), else of what a store remembers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    device::Device,
    monitor::Monitor,
    notification::OutboxEntry,
    state::MonitorState,
    store::Snapshot,
    time::{Mono, Now},
};

/// Of the messages on their way so many are shown, the oldest.
pub(super) const MAX_SHOWN: usize = 20;

/// Everything about one site. As JSON every key is always there, `null` where
/// nothing is known; times are UTC.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SiteStatus {
    /// The site's name.
    pub site: String,
    /// When this was so.
    pub at: Timestamp,
    /// When the engine started; `None` of what a store remembers.
    pub started: Option<Timestamp>,
    /// It tells nobody ([`Plan::no_notify`](super::Plan)).
    pub no_notify: bool,
    /// State cannot be saved; monitoring and alerting go on from memory.
    pub unsaved: bool,
    /// The looks since the start; `None` of what a store remembers.
    pub checks: Option<ChecksStatus>,
    /// What is watched, by name.
    pub monitors: Vec<MonitorStatus>,
    /// Who is told, in the order of the site file.
    pub channels: Vec<ChannelStatus>,
    /// Messages on their way.
    pub outbox: OutboxStatus,
}

/// How the schedule was kept.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ChecksStatus {
    /// Looks that ended.
    pub ended: u64,
    /// Regular looks that could not be made because the one before them ran on.
    pub missed: u64,
    /// So late half of them started at most, in milliseconds.
    pub late_p50_ms: f64,
    /// The same of 99 in 100.
    pub late_p99_ms: f64,
    /// The latest of all.
    pub late_max_ms: f64,
}

/// One watched thing.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct MonitorStatus {
    /// Its name.
    pub name: String,
    /// Its kind (`tcp`); a store does not know it.
    pub kind: Option<String>,
    /// Where, without passwords; a store does not know it.
    pub address: Option<String>,
    /// What is believed of it.
    pub state: Condition,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
    /// Why it is not up.
    pub reason: Option<String>,
    /// Since when it could not be looked at, also while it is down.
    pub unknown_since: Option<Timestamp>,
    /// Start of the last look that ended.
    pub last_checked: Option<Timestamp>,
    /// How long the last good answer took, in milliseconds.
    pub last_response_time_ms: Option<f64>,
    /// A look is under way, or waits for its turn.
    pub checking: bool,
    /// Start of the next look.
    pub next_check: Option<Timestamp>,
    /// When the next reminder of its outage is told.
    pub next_reminder: Option<Timestamp>,
    /// Messages told in its outage.
    pub notified_count: u32,
    /// Looks in a row that found it down.
    pub down_count: u32,
    /// So many of them are an outage; a store does not know it.
    pub max_retries: Option<u32>,
    /// Whether anybody is told of it; a store does not know it.
    pub alarms: Option<bool>,
    /// What it said of itself at the last look that could ask it, in this run.
    #[serde(default, with = "shared")]
    pub device: Option<Arc<Device>>,
}

/// What is believed of a monitor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Down, hard.
    Down,
    /// It cannot be looked at.
    Unknown,
    /// Looks failed, not yet enough of them for an outage.
    Soft,
    /// It was not looked at yet.
    #[default]
    Pending,
    /// Up.
    Up,
}

impl Condition {
    /// The word for it in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Unknown => "unknown",
            Self::Soft => "soft",
            Self::Pending => "pending",
            Self::Up => "up",
        }
    }

    /// What a state means. An outage that cannot be looked at goes on.
    #[must_use]
    pub fn of(state: &MonitorState) -> Self {
        let health = state.health();
        if health.is_down() {
            Self::Down
        } else if state.own.unknown_since.is_some() {
            Self::Unknown
        } else if health.is_soft() {
            Self::Soft
        } else if state.is_up == Some(true) {
            Self::Up
        } else {
            Self::Pending
        }
    }
}

/// One channel and what waits for it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ChannelStatus {
    /// Its id.
    pub id: String,
    /// Messages that wait for it, without those it refused.
    pub waiting: usize,
    /// Messages it refused, which are kept and tried again.
    pub refused: usize,
    /// When the oldest of all these was decided.
    pub oldest: Option<Timestamp>,
    /// When the next message is tried; `None` also while one is under way.
    pub next_try: Option<Timestamp>,
    /// Since when no try succeeded, as far as this run knows.
    pub failing_since: Option<Timestamp>,
    /// Tries in a row that failed or were refused.
    pub failures: u32,
    /// What the last of them said, without secrets.
    pub last_error: Option<String>,
    /// When it last took a message in this run.
    pub last_delivered: Option<Timestamp>,
    /// What came of tries since the start.
    pub counts: DeliveryCounts,
}

/// Counted since the start of a run, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DeliveryCounts {
    /// Messages taken.
    pub delivered: u64,
    /// Tries that failed and are repeated.
    pub failed: u64,
    /// Tries that were refused.
    pub refused: u64,
    /// Messages given up: too old.
    pub expired: u64,
}

/// Messages on their way.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct OutboxStatus {
    /// Those that were not refused.
    pub waiting: usize,
    /// Those that were; they are kept and tried again.
    pub refused: usize,
    /// The oldest of all, at most twenty.
    pub oldest: Vec<MessageStatus>,
}

/// One message on its way to one channel.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MessageStatus {
    /// The channel's id.
    pub channel: String,
    /// The message's id.
    pub id: String,
    /// The monitor it is about.
    pub monitor: String,
    /// What it says.
    pub text: String,
    /// When it was decided.
    pub at: Timestamp,
    /// Tries that failed.
    pub attempts: u32,
    /// The receiver refused it.
    pub refused: bool,
    /// What the last try said, without secrets.
    pub last_error: Option<String>,
}

impl SiteStatus {
    /// What a store remembers of a site called `site`, asked at `at`. Of the
    /// channels only those are known for which something waits.
    #[must_use]
    pub fn from_snapshot(site: impl Into<String>, at: Timestamp, snapshot: &Snapshot) -> Self {
        let watched = snapshot
            .monitors
            .iter()
            .filter(|(_, state)| state.own.removed_at.is_none());
        let mut channels: BTreeMap<&str, ChannelStatus> = BTreeMap::new();
        for entry in &snapshot.outbox {
            let channel = channels.entry(&entry.channel);
            channel
                .or_insert_with_key(|id| ChannelStatus::named(id))
                .add(entry);
        }
        let channels: Vec<_> = channels.into_values().collect();
        Self {
            site: site.into(),
            at,
            started: None,
            no_notify: false,
            unsaved: false,
            checks: None,
            monitors: watched
                .map(|(name, state)| MonitorStatus::remembered(name, state))
                .collect(),
            outbox: OutboxStatus::of(&channels, snapshot.outbox.iter()),
            channels,
        }
    }
}

impl MonitorStatus {
    fn remembered(name: &str, state: &MonitorState) -> Self {
        let condition = Condition::of(state);
        Self {
            name: name.to_owned(),
            kind: None,
            address: None,
            state: condition,
            since: match condition {
                Condition::Down => state.last_alarm_started,
                Condition::Unknown => state.own.unknown_since,
                Condition::Soft | Condition::Up => state.own.up_since,
                Condition::Pending => None,
            },
            reason: state.error_reason.clone(),
            unknown_since: state.own.unknown_since,
            last_checked: state.last_checked,
            last_response_time_ms: state.last_response_time.map(millis),
            checking: false,
            next_check: None,
            next_reminder: None,
            notified_count: state.notified_count,
            down_count: state.down_count,
            max_retries: None,
            alarms: None,
            device: None,
        }
    }
}

impl ChannelStatus {
    pub(super) fn named(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ..Self::default()
        }
    }

    /// One more message for it.
    pub(super) fn add(&mut self, entry: &OutboxEntry) {
        match entry.refused {
            true => self.refused += 1,
            false => self.waiting += 1,
        }
        let at = entry.notification.at;
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
        if self.last_error.is_none() {
            self.last_error.clone_from(&entry.last_error);
        }
    }
}

impl OutboxStatus {
    pub(super) fn of<'a>(
        channels: &[ChannelStatus],
        candidates: impl Iterator<Item = &'a OutboxEntry>,
    ) -> Self {
        let mut oldest: Vec<&OutboxEntry> = candidates.collect();
        oldest.sort_by_key(|entry| entry.notification.at);
        Self {
            waiting: channels.iter().map(|channel| channel.waiting).sum(),
            refused: channels.iter().map(|channel| channel.refused).sum(),
            oldest: oldest
                .into_iter()
                .take(MAX_SHOWN)
                .map(MessageStatus::of)
                .collect(),
        }
    }
}

impl MessageStatus {
    fn of(entry: &OutboxEntry) -> Self {
        let message = &entry.notification;
        Self {
            channel: entry.channel.clone(),
            id: message.id.clone(),
            monitor: message.monitor.clone(),
            text: message.text.clone(),
            at: message.at,
            attempts: entry.attempts,
            refused: entry.refused,
            last_error: entry.last_error.clone(),
        }
    }
}

/// What the dispatcher hands out: shared, not copied, so that it goes on at
/// once. Who asked makes texts of it.
pub(super) struct StatusSnapshot {
    pub(super) now: Now,
    /// Without its monitors.
    pub(super) site: SiteStatus,
    pub(super) monitors: Vec<MonitorSnapshot>,
}

pub(super) struct MonitorSnapshot {
    pub(super) monitor: Arc<dyn Monitor>,
    pub(super) state: Arc<MonitorState>,
    pub(super) device: Option<Arc<Device>>,
    pub(super) checking: bool,
    pub(super) next_check: Option<Mono>,
    pub(super) next_reminder: Option<Mono>,
}

impl StatusSnapshot {
    pub(super) fn into_status(self) -> SiteStatus {
        let now = self.now;
        let mut site = self.site;
        site.monitors = self
            .monitors
            .iter()
            .map(|snapshot| snapshot.status(now))
            .collect();
        site.monitors.sort_by(|a, b| a.name.cmp(&b.name));
        site
    }
}

impl MonitorSnapshot {
    fn status(&self, now: Now) -> MonitorStatus {
        let watch = self.monitor.watch();
        MonitorStatus {
            kind: Some(watch.kind.clone()),
            address: Some(watch.address.clone()),
            checking: self.checking,
            next_check: self.next_check.map(|at| now.wall_of(at)),
            next_reminder: self.next_reminder.map(|at| now.wall_of(at)),
            max_retries: Some(watch.policy.max_retries.get()),
            alarms: Some(watch.policy.alarms),
            device: self.device.clone(),
            ..MonitorStatus::remembered(&watch.name, &self.state)
        }
    }
}

/// What is shared here is written as what it holds.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::Device;

    pub(super) fn serialize<S: Serializer>(device: &Option<Arc<Device>>, to: S) -> Result<S::Ok, S::Error> {
        device.as_deref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Arc<Device>>, D::Error> {
        Ok(Option::<Device>::deserialize(from)?.map(Arc::new))
    }
}

/// Milliseconds to the third place.
pub(super) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::OwnState;

    #[test]
    fn what_is_believed_follows_the_hard_state_then_unknown_then_the_failed_looks() {
        let since = Some(Timestamp::UNIX_EPOCH);
        let table = [
            (None, None, 0, Condition::Pending),
            (None, None, 1, Condition::Soft),
            (None, since, 1, Condition::Unknown),
            (Some(true), None, 0, Condition::Up),
            (Some(true), None, 2, Condition::Soft),
            (Some(true), since, 2, Condition::Unknown),
            (Some(false), None, 3, Condition::Down),
            (Some(false), since, 3, Condition::Down),
        ];
        for (is_up, unknown_since, down_count, expected) in table {
            let state = MonitorState {
                is_up,
                down_count,
                own: OwnState {
                    unknown_since,
                    ..OwnState::default()
                },
                ..MonitorState::default()
            };
            assert_eq!(
                Condition::of(&state),
                expected,
                "{is_up:?} {unknown_since:?} {down_count}"
            );
        }
    }
}
