//! The notifications of one monitor.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{RuleContext, outage_lasted, reminder_wait};
use crate::{
    monitor::{Notice, Watch},
    notification::{Notification, NotificationKind},
    rule::wording::Sentence,
    secret::hex,
    state::{MonitorState, OwnState},
    time::Now,
};

/// Creates the notifications of one monitor, as decided at `now`.
pub(super) struct NotificationBuilder<'a> {
    pub(super) context: &'a RuleContext,
    pub(super) watch: &'a Watch,
    pub(super) now: Now,
}

impl NotificationBuilder<'_> {
    pub(super) fn sentence(&self) -> Sentence<'_> {
        Sentence {
            monitor: &self.watch.name,
            site: &self.context.site,
            address: &self.watch.address,
            at: self.now.wall,
            zone: &self.context.zone,
        }
    }

    /// An id that no other incident has, derived from monitor, kind and moment.
    pub(super) fn incident_id(&self, kind: &str) -> String {
        let mut hash = Sha256::new();
        for part in [self.context.site.as_str(), &self.watch.name, kind] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash.update(self.now.wall.as_nanosecond().to_be_bytes());
        hex(&hash.finalize()[..10])
    }

    pub(super) fn lasted(&self, state: &MonitorState) -> Duration {
        outage_lasted(state, self.now)
    }

    /// Creates a notification about an incident that began at `since` and has lasted for the
    /// given time.
    pub(super) fn notification(
        &self,
        kind: NotificationKind,
        incident: String,
        number: u32,
        text: String,
        (since, lasted): (Option<Timestamp>, Option<Duration>),
    ) -> Notification {
        // A process that could not save its state may have sent a reminder with this number: a
        // receiver that drops duplicates must not take the end for it.
        let end = if kind.ends_outage() { "-end" } else { "" };
        Notification {
            id: format!("{incident}-{number}{end}"),
            incident,
            kind,
            site: self.context.site.clone(),
            monitor: self.watch.name.clone(),
            address: self.watch.address.clone(),
            text,
            number,
            at: self.now.wall,
            since,
            lasted,
            next_reminder: None,
            subject: Default::default(),
            covers: Vec::new(),
            ended: None,
        }
    }

    /// The first notification of an outage, or its next reminder.
    pub(super) fn outage_notification(&self, state: &mut MonitorState) -> Option<Notification> {
        if !self.watch.policy.alarms {
            return None;
        }
        state.last_alarm_started.get_or_insert(self.now.wall);
        let incident = state
            .own
            .incident
            .get_or_insert_with(|| self.incident_id("outage"))
            .clone();
        let first = state.notified_count == 0;
        state.notified_count = state.notified_count.saturating_add(1);
        state.last_notified = Some(self.now.wall);
        state.mono.notified = Some(self.now.mono);
        let lasted = self.lasted(state);
        let reason = state.error_reason.as_deref().unwrap_or("no reason given");
        let (kind, text) = if first {
            (NotificationKind::Outage, self.sentence().outage(reason, lasted))
        } else {
            (
                NotificationKind::Reminder,
                self.sentence().reminder(reason, lasted),
            )
        };
        let began = (state.last_alarm_started, Some(lasted));
        let notification = self.notification(kind, incident, state.notified_count, text, began);
        let wait = reminder_wait(&self.watch.policy, state);
        Some(Notification {
            next_reminder: self.now.wall.checked_add(wait).ok(),
            ..notification
        })
    }

    /// The id of an outage that was announced and has ended. A state of APMonitor has none, and
    /// does not say to whom it was announced.
    pub(super) fn announced_incident(&self, incident: Option<String>, own: &mut OwnState) -> String {
        incident.unwrap_or_else(|| {
            let incident = self.incident_id("outage");
            self.context.routes.assume_announced(&incident, own);
            incident
        })
    }

    /// No recovery is sent for an outage that was never announced. While alarms are off, the
    /// rule that addresses it knows who gets it nevertheless, and who gets it later.
    pub(super) fn recovery_notification(&self, state: &mut MonitorState) -> Option<Notification> {
        let count = std::mem::take(&mut state.notified_count);
        let incident = state.own.incident.take();
        if count == 0 {
            return None;
        }
        let lasted = self.lasted(state);
        Some(self.notification(
            NotificationKind::Recovery,
            self.announced_incident(incident, &mut state.own),
            count.saturating_add(1),
            self.sentence().recovery(lasted),
            (state.last_alarm_started, Some(lasted)),
        ))
    }

    pub(super) fn unknown_notification(
        &self,
        state: &mut MonitorState,
        reason: &str,
    ) -> Option<Notification> {
        let since = *state.own.unknown_since.get_or_insert(self.now.wall);
        let began = *state
            .mono
            .unknown_since
            .get_or_insert_with(|| self.now.mono_of(since));
        let lasted = self.now.mono.since(began);
        if !state.health().is_down() {
            state.error_reason = Some(reason.to_owned());
        }
        if state.own.unknown_incident.is_some()
            || lasted < self.watch.policy.unknown_after
            || !self.watch.policy.alarms
        {
            return None;
        }
        let incident = self.incident_id("unknown");
        state.own.unknown_incident = Some(incident.clone());
        Some(self.notification(
            NotificationKind::Unknown,
            incident,
            1,
            self.sentence().unknown(reason, lasted),
            (Some(since), Some(lasted)),
        ))
    }

    pub(super) fn known_notification(&self, state: &mut MonitorState, is_up: bool) -> Option<Notification> {
        self.end_unknown(state, |lasted| self.sentence().known(is_up, lasted))
    }

    /// The end of an announced unknown period of a monitor that is removed.
    pub(super) fn unknown_removed_notification(&self, state: &mut MonitorState) -> Option<Notification> {
        self.end_unknown(state, |lasted| self.sentence().removed_while("unknown", lasted))
    }

    fn end_unknown(
        &self,
        state: &mut MonitorState,
        text: impl FnOnce(Duration) -> String,
    ) -> Option<Notification> {
        let since = state.own.unknown_since.take()?;
        let began = state.mono.unknown_since.take();
        let incident = state.own.unknown_incident.take()?;
        let began = began.unwrap_or_else(|| self.now.mono_of(since));
        let lasted = self.now.mono.since(began);
        Some(self.notification(
            NotificationKind::Known,
            incident,
            2,
            text(lasted),
            (Some(since), Some(lasted)),
        ))
    }

    pub(super) fn notice_notifications<'a>(
        &'a self,
        notices: &'a [Notice],
    ) -> impl Iterator<Item = Notification> + 'a {
        let alarms = self.watch.policy.alarms;
        notices
            .iter()
            .enumerate()
            .filter(move |_| alarms)
            .map(|(i, notice)| {
                self.notification(
                    NotificationKind::Notice(notice.label.clone()),
                    self.incident_id(&format!("notice {i}")),
                    1,
                    self.sentence().notice(&notice.text),
                    (None, None),
                )
            })
    }
}
