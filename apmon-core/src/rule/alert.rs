//! Decides which notifications to send after a check, when a reminder is due, and when a monitor
//! is removed.

mod notification;

use std::{sync::Arc, time::Duration};

use jiff::tz::TimeZone;

use self::notification::NotificationBuilder;
use super::{
    condition::Condition,
    effects::{Effects, FinishedCheck, StateChange},
    record::{self, StateBefore},
    route::Routes,
};
use crate::{
    monitor::{Policy, Watch},
    notification::{Notification, NotificationKind},
    outcome::Verdict,
    rule::{health::Transition, pacing},
    state::{MonitorState, MonoTimes},
    time::{Mono, Now},
};

/// The parts of a site, besides its monitors, that the rules depend on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RuleContext {
    /// The site's name.
    pub site: String,
    /// The zone in which times are displayed.
    pub zone: TimeZone,
    /// The channels, and what each of them takes.
    pub routes: Routes,
    /// Whether rows for the history are wanted. Default no.
    pub keeps_history: bool,
    /// Whether the checks are those of a single pass. Default no.
    pub is_pass: bool,
}

impl RuleContext {
    /// Creates the context of a daemon that keeps no history.
    pub fn new(site: impl Into<String>, zone: TimeZone, routes: Routes) -> Self {
        Self {
            site: site.into(),
            zone,
            routes,
            keeps_history: false,
            is_pass: false,
        }
    }
}

/// Applies one check to a monitor's state and decides everything that follows from it.
///
/// `state` is changed in place; it must be stored in one step with the notifications.
pub fn after_check(
    context: &RuleContext,
    watch: &Watch,
    state: &mut MonitorState,
    check: FinishedCheck<'_>,
    now: Now,
) -> Effects {
    let builder = NotificationBuilder { context, watch, now };
    let (before, condition) = (StateBefore::of(state), Condition::of(state));
    let mut notifications = Vec::new();
    state.last_checked = Some(check.started.wall);
    if state.last_config_checksum.as_ref() != Some(&watch.checksum) {
        state.last_config_checksum = Some(Arc::clone(&watch.checksum));
    }
    state.own.alarms_off = !watch.policy.alarms;
    if state.own.classes_off != watch.policy.classes_off {
        state.own.classes_off.clone_from(&watch.policy.classes_off);
    }
    let (health, transition) = state.health().after(check.verdict, watch.policy.max_retries);
    if state.is_up != health.is_up {
        state.own.up_since = (health.is_up == Some(true)).then_some(now.wall);
    }
    state.is_up = health.is_up;
    state.down_count = health.failed;
    match (check.verdict, check.failure) {
        (Verdict::Unknown, failure) => {
            let reason = failure.map_or("no reason given", |failure| failure.reason.as_str());
            notifications.extend(builder.unknown_notification(state, reason));
        }
        (verdict, failure) => {
            if verdict == Verdict::Up {
                state.last_response_time = check.latency;
            }
            state.error_reason = failure.map(|failure| failure.reason.clone());
            notifications.extend(builder.known_notification(state, verdict == Verdict::Up));
        }
    }
    match transition {
        Some(Transition::Outage) => {
            state.last_alarm_started = Some(now.wall);
            state.mono.alarm_started = Some(now.mono);
            state.notified_count = 0;
            state.own.incident = Some(builder.incident_id("outage"));
            notifications.extend(builder.outage_notification(state));
        }
        Some(Transition::Recovery) => notifications.extend(builder.recovery_notification(state)),
        _ => {}
    }
    let alarms_off = state.health().is_down() && !watch.policy.alarms;
    let since = state.own.alarms_off_since.or(Some(now.wall));
    state.own.alarms_off_since = since.filter(|_| alarms_off);
    notifications.extend(builder.notice_notifications(check.notices));
    let is_urgent =
        !notifications.is_empty() || matches!(transition, Some(Transition::Outage | Transition::Recovery));
    let mut effects = Effects {
        before: condition,
        after: Condition::of(state),
        transition,
        unknown_changed: state.own.unknown_since.is_some() != before.unknown_since.is_some(),
        state: match is_urgent {
            true => StateChange::Urgent,
            false => StateChange::Minor,
        },
        ..Effects::default()
    };
    if transition == Some(Transition::Outage) {
        effects
            .before_notify
            .clone_from(&watch.policy.check_before_notify);
    }
    incidents(&mut effects, &before, state);
    address(&mut effects, notifications, context, &watch.policy, state);
    if context.keeps_history {
        let rows = record::check(&effects, before, state, watch, &check, (context.is_pass, now));
        effects.history = Some(Box::new(rows));
    }
    effects
}

/// Lists the incidents that began and ended.
fn incidents(effects: &mut Effects, before: &StateBefore, state: &MonitorState) {
    for (before, after) in [
        (&before.incident, &state.own.incident),
        (&before.unknown_incident, &state.own.unknown_incident),
    ] {
        if before != after {
            effects.ended.extend(before.clone());
            effects.opened.extend(after.clone());
        }
    }
}

/// Addresses the notifications, once the state says which incidents are open.
fn address(
    effects: &mut Effects,
    notifications: impl IntoIterator<Item = Notification>,
    context: &RuleContext,
    policy: &Policy,
    state: &mut MonitorState,
) {
    let routes = &context.routes;
    let notifications = notifications.into_iter();
    effects.notifications = notifications
        .filter_map(|notification| routes.address(notification, policy, &mut state.own))
        .collect();
    let sent = effects
        .notifications
        .iter()
        .map(|addressed| &addressed.notification);
    let end = sent.rev().find(|notification| notification.kind.ends_outage());
    state.last_notified = end.map(|end| end.at).or(state.last_notified);
}

/// Decides which ends of earlier incidents are sent now, after the site file was read: those
/// that its channels and the switches of the monitor did not let through at the time.
pub(crate) fn settle(context: &RuleContext, watch: &Watch, state: &mut MonitorState, now: Now) -> Effects {
    let condition = Condition::of(state);
    let owed = state.own.owed_ends.len();
    let notifications = context
        .routes
        .take_owed_ends(&watch.policy, &mut state.own, now.wall);
    let is_changed = !notifications.is_empty() || state.own.owed_ends.len() != owed;
    Effects {
        before: condition,
        after: condition,
        state: match is_changed {
            true => StateChange::Urgent,
            false => StateChange::None,
        },
        notifications,
        ..Effects::default()
    }
}

/// When the next notification of an open outage is due; `None` without an open outage.
#[must_use]
pub fn reminder_due(policy: &Policy, state: &MonitorState, now: Now) -> Option<Mono> {
    if !state.health().is_down() || !policy.alarms {
        return None;
    }
    match state.last_notified {
        Some(last) if state.notified_count > 0 => {
            let last = state.mono.notified.unwrap_or_else(|| now.mono_of(last));
            Some(last.plus(reminder_wait(policy, state)))
        }
        // Down, but not announced: alarms were off when it began.
        _ => Some(now.mono),
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

/// Decides the notification of an open outage that is due now.
pub fn remind(context: &RuleContext, watch: &Watch, state: &mut MonitorState, now: Now) -> Effects {
    let mut effects = Effects {
        before: Condition::of(state),
        after: Condition::of(state),
        ..Effects::default()
    };
    if !state.health().is_down() {
        return effects;
    }
    let had_incident = state.own.incident.is_some();
    let Some(notification) = (NotificationBuilder { context, watch, now }).outage_notification(state) else {
        return effects;
    };
    if context.keeps_history {
        let rows = record::reminder(&notification, state.error_reason.as_deref(), now);
        effects.history = Some(Box::new(rows));
    }
    if !had_incident {
        effects.opened.extend(state.own.incident.clone());
    }
    effects.state = StateChange::Urgent;
    address(&mut effects, [notification], context, &watch.policy, state);
    effects
}

/// Decides what follows from the removal of a monitor from the site file: its incidents end,
/// and a notification is sent of the end of each that had been announced.
pub fn removed(context: &RuleContext, watch: &Watch, state: &mut MonitorState, now: Now) -> Effects {
    let builder = NotificationBuilder { context, watch, now };
    let before = state.clone();
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
    let unknown_end = builder.unknown_removed_notification(state);
    state.own.up_since = None;
    state.own.alarms_off_since = None;
    state.mono = MonoTimes::default();
    let notification = (down && number > 1).then(|| {
        builder.notification(
            NotificationKind::NoLongerWatched,
            builder.announced_incident(incident, &mut state.own),
            number,
            builder.sentence().no_longer_watched(lasted),
            (state.last_alarm_started, Some(lasted)),
        )
    });
    let mut effects = Effects {
        before: Condition::of(&before),
        after: Condition::of(state),
        unknown_changed: before.own.unknown_since.is_some(),
        state: StateChange::Urgent,
        ..Effects::default()
    };
    let before = StateBefore::of(&before);
    incidents(&mut effects, &before, state);
    let notifications = unknown_end.into_iter().chain(notification);
    address(&mut effects, notifications, context, &watch.policy, state);
    if context.keeps_history {
        let rows = record::removal(&effects, &watch.name, &before, now);
        effects.history = Some(Box::new(rows));
    }
    effects
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
