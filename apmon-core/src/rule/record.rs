//! The rows that the history gets of a check, a notification, and a removal.

use std::time::Duration;

use jiff::Timestamp;

use super::effects::{Effects, FinishedCheck};
use crate::{
    device::PortChange,
    history::{CheckResult, Incident, IncidentKind, PortChangeRecord, Records, Stretch, StretchKind},
    monitor::Watch,
    notification::{Notification, NotificationKind},
    rule::health::Transition,
    state::MonitorState,
    time::Now,
};

/// Passes that are at most this far apart count as continuous monitoring, whatever the
/// monitors' interval.
const LONGEST_PASS_INTERVAL: Duration = Duration::from_secs(900);

/// The parts of a state that a check may clear and that rows need.
pub(super) struct StateBefore {
    pub(super) incident: Option<String>,
    reason: Option<String>,
    notifications: u32,
    alarm_started: Option<Timestamp>,
    pub(super) unknown_since: Option<Timestamp>,
    pub(super) unknown_incident: Option<String>,
    alarms_off_since: Option<Timestamp>,
}

impl StateBefore {
    pub(super) fn of(state: &MonitorState) -> Self {
        Self {
            incident: state.own.incident.clone(),
            reason: state.error_reason.clone().filter(|_| state.health().is_down()),
            notifications: state.notified_count,
            alarm_started: state.last_alarm_started,
            unknown_since: state.own.unknown_since,
            unknown_incident: state.own.unknown_incident.clone(),
            alarms_off_since: state.own.alarms_off_since,
        }
    }
}

/// The rows of one check: its result, incidents, stretches that ended, changes at ports.
pub(super) fn check(
    effects: &Effects,
    before: StateBefore,
    state: &MonitorState,
    watch: &Watch,
    check: &FinishedCheck<'_>,
    (is_pass, now): (bool, Now),
) -> Records {
    let mut rows = Records::default();
    rows.results.push_back(result(state, watch, check, is_pass, now));
    stretches(&mut rows, &watch.name, &before, state, now);
    ends(&mut rows, effects, &watch.name, &before, now);
    // Outages are recorded whether or not notifications are sent; everything else is an
    // incident once a notification is sent.
    let began = state
        .own
        .incident
        .clone()
        .filter(|_| effects.transition == Some(Transition::Outage));
    rows.incidents.extend(began.map(|id| Incident {
        id,
        monitor: watch.name.clone(),
        kind: IncidentKind::Outage,
        started: state.last_alarm_started.unwrap_or(now.wall),
        ended: None,
        reason: state.error_reason.clone(),
        notifications: state.notified_count,
    }));
    let notifications = effects
        .notifications
        .iter()
        .map(|addressed| &addressed.notification);
    for notification in notifications {
        let (started, reason) = match &notification.kind {
            NotificationKind::Outage | NotificationKind::Recovery | NotificationKind::Known => continue,
            NotificationKind::Unknown => (state.own.unknown_since, state.error_reason.as_deref()),
            _ => (None, None),
        };
        rows.incidents
            .push_back(incident_of(notification, started, reason, now));
    }
    // Also while alarms are off.
    rows.port_changes
        .extend(check.changes.iter().map(|change| PortChangeRecord {
            monitor: watch.name.clone(),
            at: now.wall,
            change: PortChange {
                notified: change.notified && watch.policy.alarms,
                ..change.clone()
            },
        }));
    rows
}

fn result(
    state: &MonitorState,
    watch: &Watch,
    check: &FinishedCheck<'_>,
    is_pass: bool,
    now: Now,
) -> CheckResult {
    let policy = &watch.policy;
    let mut every = policy.check_every.saturating_mul(2);
    if is_pass {
        every = every.max(LONGEST_PASS_INTERVAL);
    }
    CheckResult {
        monitor: watch.name.clone(),
        at: check.started.wall,
        verdict: check.verdict,
        latency: check.latency,
        reason: check.failure.map(|failure| failure.reason.clone()),
        max_gap: every.saturating_add(policy.max_try),
        known: (state.is_up.is_some() || state.own.unknown_since.is_some()).then_some(now.wall),
    }
}

/// The row of another notification of an outage.
pub(super) fn reminder(notification: &Notification, reason: Option<&str>, now: Now) -> Records {
    let mut rows = Records::default();
    rows.incidents
        .push_back(incident_of(notification, notification.since, reason, now));
    rows
}

/// The rows of a monitor's removal: the ends of its incidents, whether or not they are reported.
pub(super) fn removal(effects: &Effects, monitor: &str, before: &StateBefore, now: Now) -> Records {
    let mut rows = Records::default();
    stretches(&mut rows, monitor, before, &MonitorState::default(), now);
    ends(&mut rows, effects, monitor, before, now);
    rows
}

/// Adds the ends of the incidents that ended, whether or not a notification reports them.
fn ends(rows: &mut Records, effects: &Effects, monitor: &str, before: &StateBefore, now: Now) {
    for id in &effects.ended {
        let is_reported = effects.notifications.iter().any(|addressed| {
            let notification = &addressed.notification;
            notification.incident == *id && notification.kind.ends_incident()
        });
        let (kind, started, reason, notifications) = match before.unknown_incident.as_ref() == Some(id) {
            // It exists since its notification; the reason it began with stays.
            true => (IncidentKind::Unknown, before.unknown_since, None, 1),
            false => (
                IncidentKind::Outage,
                before.alarm_started,
                before.reason.clone(),
                before.notifications,
            ),
        };
        rows.incidents.push_back(Incident {
            id: id.clone(),
            monitor: monitor.to_owned(),
            kind,
            started: started.unwrap_or(now.wall),
            ended: Some(now.wall),
            reason,
            notifications: notifications + u32::from(is_reported),
        });
    }
}

/// Adds the stretches that ended.
fn stretches(rows: &mut Records, monitor: &str, before: &StateBefore, state: &MonitorState, now: Now) {
    let unknown = before.unknown_since.filter(|_| state.own.unknown_since.is_none());
    let alarms_off = before
        .alarms_off_since
        .filter(|_| state.own.alarms_off_since.is_none());
    let over = [
        (StretchKind::Unknown, unknown),
        (StretchKind::AlarmsOff, alarms_off),
    ];
    let over = over
        .into_iter()
        .filter_map(|(kind, started)| Some((kind, started?)));
    rows.stretches.extend(over.map(|(kind, started)| Stretch {
        monitor: monitor.to_owned(),
        kind,
        started,
        ended: now.wall,
    }));
}

fn incident_of(
    notification: &Notification,
    started: Option<Timestamp>,
    reason: Option<&str>,
    now: Now,
) -> Incident {
    // Ends have rows of their own.
    let over = matches!(notification.kind, NotificationKind::Notice(_));
    let reason = match (&notification.kind, reason) {
        // Its text is all there is.
        (NotificationKind::Notice(_), None) => Some(notification.text.clone()),
        (_, reason) => reason.map(str::to_owned),
    };
    Incident {
        id: notification.incident.clone(),
        monitor: notification.monitor.clone(),
        kind: IncidentKind::of(&notification.kind),
        started: started.unwrap_or(now.wall),
        ended: over.then_some(now.wall),
        reason,
        notifications: notification.number,
    }
}
