//! Decides which notifications to create after a check, when a reminder is due, and when a
//! monitor is removed.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use sha2::{Digest, Sha256};

use crate::{
    monitor::{Notice, Policy, Watch},
    notification::{Notification, NotificationKind},
    outcome::{Failure, Verdict},
    rule::{health::Transition, pacing, wording::Subject},
    secret::hex,
    state::MonitorState,
    time::{Mono, Now},
};

/// The site and time zone in which notifications are worded.
#[derive(Clone, Debug)]
pub struct MessageContext {
    /// The site's name.
    pub site: String,
    /// The zone in which times are displayed.
    pub zone: TimeZone,
}

/// Applies one check to a monitor's state and returns the transition and the notifications.
///
/// `state` is changed in place; it must be committed in one step with the notifications.
pub fn after_check(
    context: &MessageContext,
    watch: &Watch,
    state: &mut MonitorState,
    check: FinishedCheck<'_>,
    now: Now,
) -> (Option<Transition>, Vec<Notification>) {
    let builder = MessageBuilder { context, watch, now };
    let mut notifications = Vec::new();
    state.last_checked = Some(check.started.wall);
    state.last_config_checksum = Some(watch.checksum.clone());
    state.own.alarms_off = !watch.policy.alarms;
    state.own.classes_off.clone_from(&watch.policy.classes_off);
    let (health, transition) = state.health().after(check.verdict, watch.policy.max_retries);
    if state.is_up != health.is_up {
        state.own.up_since = (health.is_up == Some(true)).then_some(now.wall);
    }
    state.is_up = health.is_up;
    state.down_count = health.failed;
    match (check.verdict, check.failure) {
        (Verdict::Unknown, failure) => {
            let reason = failure.map_or("no reason given", |failure| failure.reason.as_str());
            notifications.extend(builder.unknown_message(state, reason));
        }
        (verdict, failure) => {
            if verdict == Verdict::Up {
                state.last_response_time = check.latency;
            }
            state.error_reason = failure.map(|failure| failure.reason.clone());
            notifications.extend(builder.known_message(state, verdict == Verdict::Up));
        }
    }
    match transition {
        Some(Transition::Outage) => {
            state.last_alarm_started = Some(now.wall);
            state.mono.alarm_started = Some(now.mono);
            state.last_notified = None;
            state.mono.notified = None;
            state.notified_count = 0;
            state.own.incident = Some(builder.incident_id("outage"));
            notifications.extend(builder.outage_message(state));
        }
        Some(Transition::Recovery) => notifications.extend(builder.recovery_message(state)),
        _ => {}
    }
    let alarms_off = state.health().is_down() && !watch.policy.alarms;
    let since = state.own.alarms_off_since.or(Some(now.wall));
    state.own.alarms_off_since = since.filter(|_| alarms_off);
    notifications.extend(builder.notice_messages(check.notices));
    (transition, notifications)
}

/// A finished check, as the alert rule needs it.
#[derive(Clone, Copy, Debug)]
pub struct FinishedCheck<'a> {
    /// When it started.
    pub started: Now,
    /// Its verdict.
    pub verdict: Verdict,
    /// The reason why it was not up.
    pub failure: Option<&'a Failure>,
    /// How long the answer took.
    pub latency: Option<Duration>,
    /// Other events to report.
    pub notices: &'a [Notice],
}

/// When the next notification of an open outage is due; `None` without an open outage.
#[must_use]
pub fn reminder_due(policy: &Policy, state: &MonitorState, now: Now) -> Option<Mono> {
    if !state.health().is_down() || !policy.alarms {
        return None;
    }
    match state.last_notified {
        // Down, but not announced: alarms were off when it began.
        None => Some(now.mono),
        Some(last) => {
            let last = state.mono.notified.unwrap_or_else(|| now.mono_of(last));
            Some(last.plus(reminder_wait(policy, state)))
        }
    }
}

/// How long the next reminder waits after the previous notification.
#[must_use]
pub(crate) fn reminder_wait(policy: &Policy, state: &MonitorState) -> Duration {
    let wait = pacing::wait(
        state.notified_count.max(1),
        policy.notify_every,
        policy.after_every_n,
    );
    // Options set in code may be zero: reminders are never closer together than this.
    wait.max(Duration::from_millis(100))
}

/// The notification of an open outage that is due now.
pub fn remind(
    context: &MessageContext,
    watch: &Watch,
    state: &mut MonitorState,
    now: Now,
) -> Option<Notification> {
    if !state.health().is_down() {
        return None;
    }
    MessageBuilder { context, watch, now }.outage_message(state)
}

/// Processes the removal of a monitor from the site file. A notification is created if it was
/// down and that had been announced.
pub fn removed(
    context: &MessageContext,
    watch: &Watch,
    state: &mut MonitorState,
    now: Now,
) -> Option<Notification> {
    let builder = MessageBuilder { context, watch, now };
    state.own.removed_at = Some(now.wall);
    let down = state.health().is_down();
    let lasted = builder.lasted(state);
    let number = state.notified_count + 1;
    let incident = state.own.incident.take();
    // If it is monitored again some day, it starts from scratch.
    if down {
        state.is_up = None;
    }
    state.down_count = 0;
    state.notified_count = 0;
    state.last_notified = None;
    state.own.unknown_since = None;
    state.own.unknown_incident = None;
    state.own.up_since = None;
    state.own.alarms_off_since = None;
    state.mono = crate::state::MonoTimes::default();
    (down && number > 1 && watch.policy.alarms).then(|| {
        builder.notification(
            NotificationKind::NoLongerWatched,
            incident.unwrap_or_else(|| builder.incident_id("outage")),
            number,
            builder.subject().no_longer_watched(lasted),
            (state.last_alarm_started, Some(lasted)),
        )
    })
}

struct MessageBuilder<'a> {
    context: &'a MessageContext,
    watch: &'a Watch,
    now: Now,
}

impl MessageBuilder<'_> {
    fn subject(&self) -> Subject<'_> {
        Subject {
            monitor: &self.watch.name,
            site: &self.context.site,
            address: &self.watch.address,
            at: self.now.wall,
            zone: &self.context.zone,
        }
    }

    /// An id that no other incident has, derived from monitor, kind and moment.
    fn incident_id(&self, kind: &str) -> String {
        let mut hash = Sha256::new();
        for part in [self.context.site.as_str(), &self.watch.name, kind] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash.update(self.now.wall.as_nanosecond().to_be_bytes());
        hex(&hash.finalize()[..10])
    }

    fn lasted(&self, state: &MonitorState) -> Duration {
        outage_lasted(state, self.now)
    }

    /// Creates a notification about an incident that began at `since` and has lasted for the
    /// given time.
    fn notification(
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
            ended: None,
        }
    }

    /// The first notification of an outage, or its next reminder.
    fn outage_message(&self, state: &mut MonitorState) -> Option<Notification> {
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
            (NotificationKind::Outage, self.subject().outage(reason, lasted))
        } else {
            (
                NotificationKind::Reminder,
                self.subject().reminder(reason, lasted),
            )
        };
        let began = (state.last_alarm_started, Some(lasted));
        let message = self.notification(kind, incident, state.notified_count, text, began);
        let wait = reminder_wait(&self.watch.policy, state);
        Some(Notification {
            next_reminder: self.now.wall.checked_add(wait).ok(),
            ..message
        })
    }

    /// No recovery is sent for an outage that was never announced.
    fn recovery_message(&self, state: &mut MonitorState) -> Option<Notification> {
        let count = std::mem::take(&mut state.notified_count);
        let incident = state.own.incident.take();
        state.last_notified = None;
        state.mono.notified = None;
        if count == 0 || !self.watch.policy.alarms {
            return None;
        }
        let lasted = self.lasted(state);
        Some(self.notification(
            NotificationKind::Recovery,
            incident.unwrap_or_else(|| self.incident_id("outage")),
            count.saturating_add(1),
            self.subject().recovery(lasted),
            (state.last_alarm_started, Some(lasted)),
        ))
    }

    fn unknown_message(&self, state: &mut MonitorState, reason: &str) -> Option<Notification> {
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
            self.subject().unknown(reason, lasted),
            (Some(since), Some(lasted)),
        ))
    }

    fn known_message(&self, state: &mut MonitorState, is_up: bool) -> Option<Notification> {
        let since = state.own.unknown_since.take()?;
        let began = state.mono.unknown_since.take();
        let incident = state.own.unknown_incident.take()?;
        if !self.watch.policy.alarms {
            return None;
        }
        let began = began.unwrap_or_else(|| self.now.mono_of(since));
        let lasted = self.now.mono.since(began);
        Some(self.notification(
            NotificationKind::Known,
            incident,
            2,
            self.subject().known(is_up, lasted),
            (Some(since), Some(lasted)),
        ))
    }

    fn notice_messages<'a>(&'a self, notices: &'a [Notice]) -> impl Iterator<Item = Notification> + 'a {
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
                    self.subject().notice(&notice.text),
                    (None, None),
                )
            })
    }
}

/// How long the current or last outage has lasted.
#[must_use]
pub(crate) fn outage_lasted(state: &MonitorState, now: Now) -> Duration {
    let began = state
        .mono
        .alarm_started
        .or_else(|| state.last_alarm_started.map(|began| now.mono_of(began)));
    began.map_or(Duration::ZERO, |began| now.mono.since(began))
}
