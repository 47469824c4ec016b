//! Records of what happened, for a store that keeps a history.

use std::time::Duration;

use jiff::Timestamp;

use super::Dispatcher;
use crate::{
    device::PortChange,
    history::{
        CheckResult, Delivery, DeliveryFate, Incident, IncidentKind, PortChangeRecord, Stretch, StretchKind,
    },
    monitor::Watch,
    notification::{Notification, NotificationKind, OutboxEntry},
    outcome::Outcome,
    probe::Check,
    rule::health::Transition,
    state::MonitorState,
    time::Now,
};

/// Passes that are at most this far apart count as continuous monitoring, whatever the
/// monitors' interval.
const LONGEST_PASS_INTERVAL: Duration = Duration::from_secs(900);

/// The parts of a state that a check may clear and that records need.
pub(super) struct StateBefore {
    outage: Option<String>,
    reason: Option<String>,
    messages: u32,
    unknown: Option<Timestamp>,
    alarms_off: Option<Timestamp>,
}

impl StateBefore {
    pub(super) fn of(state: &MonitorState) -> Self {
        Self {
            outage: state.own.incident.clone(),
            reason: state.error_reason.clone().filter(|_| state.health().is_down()),
            messages: state.notified_count,
            unknown: state.own.unknown_since,
            alarms_off: state.own.alarms_off_since,
        }
    }
}

impl Dispatcher {
    pub(super) fn record_check(
        &mut self,
        watch: &Watch,
        check: &Check,
        outcome: &Outcome,
        state: &MonitorState,
        now: Now,
    ) {
        let policy = &watch.policy;
        let every = policy.check_every.saturating_mul(2);
        let every = if self.is_pass {
            every.max(LONGEST_PASS_INTERVAL)
        } else {
            every
        };
        let result = CheckResult {
            monitor: watch.name.clone(),
            at: check.started.wall,
            verdict: outcome.verdict(),
            latency: outcome.latency,
            reason: outcome.failure().map(|failure| failure.reason.clone()),
            max_gap: every.saturating_add(policy.max_try),
            known: (state.is_up.is_some() || state.own.unknown_since.is_some()).then_some(now.wall),
        };
        self.pending.record(|records| records.results.push_back(result));
    }

    /// Outages are recorded whether or not notifications are sent; everything else is an
    /// incident once a notification is sent.
    pub(super) fn record_incidents(
        &mut self,
        before: StateBefore,
        state: &MonitorState,
        watch: &Watch,
        transition: Option<Transition>,
        notifications: &[Notification],
        now: Now,
    ) {
        self.record_stretches(&watch.name, &before, state, now);
        let outage = |id: String, ended: Option<Timestamp>, messages: u32| Incident {
            id,
            monitor: watch.name.clone(),
            kind: IncidentKind::Outage,
            started: state.last_alarm_started.unwrap_or(now.wall),
            ended,
            reason: state.error_reason.clone(),
            messages,
        };
        let incident = match transition {
            Some(Transition::Outage) => state
                .own
                .incident
                .clone()
                .map(|id| outage(id, None, state.notified_count)),
            Some(Transition::Recovery) => before.outage.map(|id| {
                let notified = notifications
                    .iter()
                    .any(|message| message.kind == NotificationKind::Recovery);
                Incident {
                    reason: before.reason,
                    ..outage(id, Some(now.wall), before.messages + u32::from(notified))
                }
            }),
            _ => None,
        };
        if let Some(incident) = incident {
            self.pending
                .record(|records| records.incidents.push_back(incident));
        }
        for message in notifications {
            let (started, reason) = match &message.kind {
                NotificationKind::Outage | NotificationKind::Recovery => continue,
                NotificationKind::Known => (before.unknown, None),
                NotificationKind::Unknown => (state.own.unknown_since, state.error_reason.as_deref()),
                _ => (None, None),
            };
            self.record_incident_of(message, started, reason, now);
        }
    }

    /// Records the stretches that ended.
    fn record_stretches(&mut self, monitor: &str, before: &StateBefore, state: &MonitorState, now: Now) {
        let unknown = before.unknown.filter(|_| state.own.unknown_since.is_none());
        let alarms_off = before.alarms_off.filter(|_| state.own.alarms_off_since.is_none());
        let over = [
            (StretchKind::Unknown, unknown),
            (StretchKind::AlarmsOff, alarms_off),
        ];
        for (kind, started) in over {
            let Some(started) = started else { continue };
            let stretch = Stretch {
                monitor: monitor.to_owned(),
                kind,
                started,
                ended: now.wall,
            };
            self.pending
                .record(|records| records.stretches.push_back(stretch));
        }
    }

    /// Records changes at ports, also while alarms are off.
    pub(super) fn record_port_changes(&mut self, watch: &Watch, changes: &[PortChange], now: Now) {
        if changes.is_empty() {
            return;
        }
        let record = |change: &PortChange| PortChangeRecord {
            monitor: watch.name.clone(),
            at: now.wall,
            change: PortChange {
                notified: change.notified && watch.policy.alarms,
                ..change.clone()
            },
        };
        self.pending
            .record(|records| records.port_changes.extend(changes.iter().map(record)));
    }

    /// Records another notification of an outage.
    pub(super) fn record_message(&mut self, message: &Notification, reason: Option<&str>, now: Now) {
        if self.keeps_history {
            self.record_incident_of(message, message.since, reason, now);
        }
    }

    fn record_incident_of(
        &mut self,
        message: &Notification,
        started: Option<Timestamp>,
        reason: Option<&str>,
        now: Now,
    ) {
        let over = message.kind.ends_outage()
            || matches!(
                message.kind,
                NotificationKind::Known | NotificationKind::Notice(_)
            );
        let reason = match (&message.kind, reason) {
            // Its text is all there is.
            (NotificationKind::Notice(_), None) => Some(message.text.clone()),
            (_, reason) => reason.map(str::to_owned),
        };
        let incident = Incident {
            id: message.incident.clone(),
            monitor: message.monitor.clone(),
            kind: IncidentKind::of(&message.kind),
            started: started.unwrap_or(now.wall),
            ended: over.then_some(now.wall),
            reason,
            messages: message.number,
        };
        self.pending
            .record(|records| records.incidents.push_back(incident));
    }

    /// Records the end of a removed monitor's outage, whether or not it is reported.
    pub(super) fn record_retirement(&mut self, name: &str, before: &MonitorState, notified: bool, now: Now) {
        if self.keeps_history {
            self.record_stretches(name, &StateBefore::of(before), &MonitorState::default(), now);
        }
        let (true, true, Some(id)) = (
            self.keeps_history,
            before.health().is_down(),
            before.own.incident.clone(),
        ) else {
            return;
        };
        let incident = Incident {
            id,
            monitor: name.to_owned(),
            kind: IncidentKind::Outage,
            started: before.last_alarm_started.unwrap_or(now.wall),
            ended: Some(now.wall),
            reason: before.error_reason.clone(),
            messages: before.notified_count + u32::from(notified),
        };
        self.pending
            .record(|records| records.incidents.push_back(incident));
    }

    pub(super) fn record_delivery(&mut self, entry: &OutboxEntry, fate: DeliveryFate, now: Now) {
        if self.keeps_history {
            let delivery = Delivery::of(entry, fate, now.wall);
            self.pending
                .record(|records| records.deliveries.push_back(delivery));
        }
    }
}
