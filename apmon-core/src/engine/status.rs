//! The current status of a site, for people and for machines: from a running engine by
//! [`Handle::status`](super::Handle::status), or from the state in a store.

mod outbox;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(super) use self::outbox::MAX_SHOWN;
pub use self::outbox::{NotificationStatus, OutboxStatus};
use super::plan::Plan;
use crate::{
    device::Device,
    monitor::{Monitor, Watch},
    notification::OutboxEntry,
    rule::{announcement::Announcement, condition::Condition, route::Routes},
    state::MonitorState,
    store::Snapshot,
    time::{Mono, Now},
};

/// The status of one site. In JSON every key is always present, `null` if its value is not
/// known; times are UTC.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SiteStatus {
    /// The site's name.
    pub site: String,
    /// The time of this status.
    pub at: Timestamp,
    /// When the engine started; `None` if read from a store.
    pub started: Option<Timestamp>,
    /// Whether notifications are off ([`Plan::no_notify`](super::Plan)).
    pub no_notify: bool,
    /// Whether saving the state fails; monitoring and alerting then continue from memory.
    pub unsaved: bool,
    /// The checks since the start; `None` if read from a store.
    pub checks: Option<ChecksStatus>,
    /// The monitors, by name.
    pub monitors: Vec<MonitorStatus>,
    /// The channels, in the order of the site file.
    pub channels: Vec<ChannelStatus>,
    /// The undelivered notifications.
    pub outbox: OutboxStatus,
}

/// How well the schedule was kept.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ChecksStatus {
    /// Finished checks.
    pub ended: u64,
    /// Regular checks that were skipped because the one before was still running.
    pub missed: u64,
    /// Median of the checks' lateness, in milliseconds.
    pub late_p50_ms: f64,
    /// 99th percentile of the checks' lateness, in milliseconds.
    pub late_p99_ms: f64,
    /// Maximum of the checks' lateness, in milliseconds.
    pub late_max_ms: f64,
}

/// The status of one monitor.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct MonitorStatus {
    /// Its name.
    pub name: String,
    /// Its kind (`tcp`); not known to a store.
    pub kind: Option<String>,
    /// Its address, without passwords; not known to a store.
    pub address: Option<String>,
    /// Its condition.
    pub state: Condition,
    /// Since when it has been in this condition, if that is known.
    pub since: Option<Timestamp>,
    /// The reason why the target is not up; `None` if it is.
    pub reason: Option<String>,
    /// Since when it could not be checked, also while it is down.
    pub unknown_since: Option<Timestamp>,
    /// Start of the last finished check.
    pub last_checked: Option<Timestamp>,
    /// How long the last successful answer took, in milliseconds.
    pub last_response_time_ms: Option<f64>,
    /// Whether a check is running or waits for its turn.
    pub checking: bool,
    /// Start of the next check.
    pub next_check: Option<Timestamp>,
    /// When the next reminder of its outage is due.
    pub next_reminder: Option<Timestamp>,
    /// Notifications of its outage.
    pub notified_count: u32,
    /// Consecutive failed checks.
    pub down_count: u32,
    /// Consecutive failed checks before an outage is declared; not known to a store.
    pub max_retries: Option<u32>,
    /// Whether notifications are sent; not known to a store.
    pub alarms: Option<bool>,
    /// Who has been notified of its condition, or why nobody is: for people; not known to a store.
    #[serde(default)]
    pub announcement: Option<String>,
    /// The channels that do not get all notifications about it, by id, each with a clause that
    /// says why.
    #[serde(default)]
    pub left_out: BTreeMap<String, String>,
    /// The warnings and notes of its last check in this run, which are never notified.
    #[serde(default)]
    pub warning: Option<String>,
    /// When a heartbeat was last accepted.
    #[serde(default)]
    pub last_heartbeat: Option<Timestamp>,
    /// When the next heartbeat is due, if it has a period of its own.
    #[serde(default)]
    pub next_heartbeat: Option<Timestamp>,
    /// The target's own description of itself, from the last check of this run that could read
    /// it.
    #[serde(default, with = "shared")]
    pub device: Option<Arc<Device>>,
    /// Its parts, by name; each is named `monitor/part`, and has no parts itself. Empty for a
    /// monitor of one thing.
    #[serde(default)]
    pub parts: Vec<MonitorStatus>,
}

/// The status of one channel and its queue.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ChannelStatus {
    /// Its id.
    pub id: String,
    /// Notifications that wait for it, without those that it refused.
    pub waiting: usize,
    /// Notifications that it refused; they are kept and retried.
    pub refused: usize,
    /// When the oldest of all these was decided.
    pub oldest: Option<Timestamp>,
    /// When the next attempt is due; `None` also while one is in progress.
    pub next_try: Option<Timestamp>,
    /// Since when no attempt has succeeded, as far as this run knows.
    pub failing_since: Option<Timestamp>,
    /// Consecutive attempts that failed or were refused.
    pub failures: u32,
    /// The error of the last of them, without secrets.
    pub last_error: Option<String>,
    /// When it last accepted a notification in this run.
    pub last_delivered: Option<Timestamp>,
    /// Results of the attempts since the start.
    pub counts: DeliveryCounts,
}

/// Results counted since the start of a run, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DeliveryCounts {
    /// Accepted notifications.
    pub delivered: u64,
    /// Failed attempts that are repeated.
    pub failed: u64,
    /// Refused attempts.
    pub refused: u64,
    /// Notifications that were given up because they were too old.
    pub expired: u64,
}

impl SiteStatus {
    /// The status of a site according to the state in a store, as of `at`, and to its plan. Without
    /// a plan only channels with waiting notifications are known.
    #[must_use]
    pub fn from_snapshot(
        site: impl Into<String>,
        at: Timestamp,
        snapshot: &Snapshot,
        plan: Option<&Plan>,
    ) -> Self {
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
        let mut status = Self {
            site: site.into(),
            at,
            started: None,
            no_notify: false,
            unsaved: false,
            checks: None,
            monitors: with_parts(watched),
            outbox: OutboxStatus::of(&channels, snapshot.outbox.iter()),
            channels,
        };
        if let Some(plan) = plan {
            status.complete(plan, snapshot);
        }
        status
    }

    /// Adds what the plan knows and a store does not.
    fn complete(&mut self, plan: &Plan, snapshot: &Snapshot) {
        self.site.clone_from(&plan.site);
        let routes = plan.routes();
        let now = Now {
            mono: Mono::ORIGIN,
            wall: self.at,
        };
        let known = self.monitors.drain(..);
        let mut known: BTreeMap<String, MonitorStatus> =
            known.map(|monitor| (monitor.name.clone(), monitor)).collect();
        for monitor in &plan.monitors {
            let watch = monitor.watch();
            let status = known.entry(watch.name.clone()).or_insert_with(|| MonitorStatus {
                name: watch.name.clone(),
                ..MonitorStatus::default()
            });
            for part in &mut status.parts {
                part.complete(watch, &routes, snapshot, now);
            }
            status.complete(watch, &routes, snapshot, now);
        }
        self.monitors = known.into_values().collect();
    }
}

/// The status of each monitor by its state, with its parts.
fn with_parts<'a>(states: impl Iterator<Item = (&'a String, &'a Arc<MonitorState>)>) -> Vec<MonitorStatus> {
    let mut monitors: BTreeMap<&str, MonitorStatus> = BTreeMap::new();
    let mut parts = Vec::new();
    for (name, state) in states {
        let status = MonitorStatus::remembered(name, state);
        match state.own.split_part(name) {
            Some((monitor, part)) => parts.push((part, monitor, name, status)),
            None => drop(monitors.insert(name, status)),
        }
    }
    parts.sort_by_key(|(part, ..)| *part);
    for (_, monitor, name, part) in parts {
        match monitors.get_mut(monitor) {
            Some(monitor) => monitor.parts.push(part),
            // The state of its monitor was never stored.
            None => drop(monitors.insert(name, part)),
        }
    }
    monitors.into_values().collect()
}

impl MonitorStatus {
    fn complete(&mut self, watch: &Watch, routes: &Routes, snapshot: &Snapshot, now: Now) {
        let state = snapshot.monitors.get(&self.name).cloned().unwrap_or_default();
        self.planned_by(watch);
        self.announce(routes, watch, &state, now);
    }

    fn planned_by(&mut self, watch: &Watch) {
        self.kind = Some(watch.kind.clone());
        self.address = Some(watch.address.clone());
        self.max_retries = Some(watch.policy.max_retries.get());
        self.alarms = Some(watch.policy.alarms);
    }

    /// Says who is notified of it, and who is not.
    fn announce(&mut self, routes: &Routes, watch: &Watch, state: &MonitorState, now: Now) {
        let policy = &watch.policy;
        self.announcement = Some(Announcement::of(routes, policy, state, now).to_string());
        let left_out = routes.exclusions(policy);
        self.left_out = left_out
            .map(|(id, why)| (id.to_owned(), why.to_string()))
            .collect();
    }

    fn remembered(name: &str, state: &MonitorState) -> Self {
        let condition = Condition::of(state);
        Self {
            name: name.to_owned(),
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
            notified_count: state.notified_count,
            down_count: state.down_count,
            last_heartbeat: state.last_successful_heartbeat,
            ..Self::default()
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

    /// Counts another entry of its queue.
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

/// The data for a status, as the dispatcher hands it out: shared, not copied, so that the
/// dispatcher is not held up. Converting it to text is left to the caller.
pub(super) struct StatusSnapshot {
    pub(super) now: Now,
    /// The site without its monitors.
    pub(super) site: SiteStatus,
    pub(super) routes: Routes,
    pub(super) monitors: Vec<MonitorSnapshot>,
}

pub(super) struct MonitorSnapshot {
    pub(super) monitor: Arc<dyn Monitor>,
    pub(super) state: Arc<MonitorState>,
    pub(super) device: Option<Arc<Device>>,
    pub(super) checking: bool,
    pub(super) next_check: Option<Mono>,
    pub(super) next_reminder: Option<Mono>,
    pub(super) next_heartbeat: Option<Mono>,
    pub(super) warning: Option<Box<str>>,
    pub(super) parts: Vec<MonitorSnapshot>,
}

impl SiteStatus {
    /// The status of a plan that does not run yet.
    pub(super) fn of_plan(plan: &Plan, at: Timestamp) -> Self {
        let mut monitors: Vec<MonitorStatus> = plan
            .monitors
            .iter()
            .map(|monitor| MonitorStatus::planned(monitor.watch()))
            .collect();
        monitors.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            site: plan.site.clone(),
            at,
            started: None,
            no_notify: plan.no_notify,
            unsaved: false,
            checks: None,
            monitors,
            channels: plan
                .channels
                .iter()
                .map(|channel| ChannelStatus::named(&channel.id))
                .collect(),
            outbox: OutboxStatus::default(),
        }
    }
}

impl MonitorStatus {
    /// What a plan says of a monitor.
    fn planned(watch: &Watch) -> Self {
        let mut status = Self {
            name: watch.name.clone(),
            ..Self::default()
        };
        status.planned_by(watch);
        status
    }
}

impl StatusSnapshot {
    pub(super) fn into_status(self) -> SiteStatus {
        let now = self.now;
        let mut site = self.site;
        site.monitors = self
            .monitors
            .iter()
            .map(|snapshot| snapshot.status(&self.routes, now))
            .collect();
        site.monitors.sort_by(|a, b| a.name.cmp(&b.name));
        site
    }
}

impl MonitorSnapshot {
    fn status(&self, routes: &Routes, now: Now) -> MonitorStatus {
        let watch = self.monitor.watch();
        let wall = |at: Option<Mono>| at.map(|at| now.wall_of(at));
        let parts = self.parts.iter();
        let mut status = MonitorStatus {
            checking: self.checking,
            next_check: wall(self.next_check),
            next_reminder: wall(self.next_reminder),
            next_heartbeat: wall(self.next_heartbeat),
            warning: self.warning.as_deref().map(str::to_owned),
            device: self.device.clone(),
            parts: parts.map(|part| part.status(routes, now)).collect(),
            ..MonitorStatus::remembered(&watch.name, &self.state)
        };
        status.planned_by(watch);
        status.announce(routes, watch, &self.state, now);
        status
    }
}

/// Serializes a shared value like the value itself.
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

/// Milliseconds, rounded to three decimal places.
pub(super) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
