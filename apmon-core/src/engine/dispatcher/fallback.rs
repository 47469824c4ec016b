//! Fallbacks: channels that get what another could not deliver.

use std::sync::Arc;

use super::Dispatcher;
use crate::{
    engine::outbox::FallbackDue,
    monitor::Policy,
    notification::{Notification, NotificationKind, OutboxEntry},
    state::OwnState,
    time::Now,
};

impl Dispatcher {
    pub(super) fn run_fallbacks(&mut self, now: Now) {
        for due in self.outbox.take_fallbacks(now.mono) {
            self.use_fallback(due, now);
        }
    }

    /// Sends the notification to the fallback as well.
    fn use_fallback(&mut self, due: FallbackDue, now: Now) {
        let FallbackDue { entry, decided, to } = due;
        let message = &entry.notification;
        let policy = self.policy_of(&message.monitor);
        let channel = self.plan.channel(&to);
        if !channel.is_some_and(|channel| channel.takes(&message.kind, &policy)) {
            tracing::warn!(
                channel = entry.channel,
                "message not delivered, and {to} does not take messages of this kind: {}",
                message.text
            );
            return;
        }
        let no_notify = message.kind.is_ongoing() && !policy.alarms;
        let end = self.outbox.end_of(&entry.channel, message);
        // Unless the fallback already has the end from elsewhere.
        let ends_too = end
            .is_some_and(|end| !end.addressed.contains(&to) || self.outbox.contains(&to, &end.notification));
        if no_notify || entry.addressed.contains(&to) || self.is_outdated_for(&to, message, ends_too) {
            return;
        }
        tracing::warn!(
            channel = entry.channel,
            "message not delivered, it goes to {to} as well: {}",
            message.text
        );
        let mut addressed = entry.addressed.clone();
        addressed.push(to.clone());
        for changed in self.outbox.set_addressed(message, &addressed) {
            self.pending.update_entry(changed);
        }
        self.record_announced(message, std::slice::from_ref(&to));
        let copy = OutboxEntry::new(to, message.clone(), addressed);
        self.push_entry(copy, Some(decided), now);
    }

    /// Whether a notification that waited for another channel would leave a wrong impression on
    /// channel `to`: the incident that it reports has ended, and the end went elsewhere (unless
    /// `ends_too`: it is sent along); or something newer was announced there.
    fn is_outdated_for(&self, to: &str, message: &Notification, ends_too: bool) -> bool {
        let own = self.own_state(&message.monitor);
        let has_open = own.is_some_and(|own| own.has_open_incident(&message.incident));
        if has_open || matches!(message.kind, NotificationKind::Notice(_)) {
            return false;
        }
        let is_over = message.kind.is_ongoing() && !ends_too;
        let is_old = own.and_then(|own| own.announced_to.get(own.incident.as_ref()?));
        is_over || is_old.is_some_and(|announced_to| announced_to.iter().any(|other| other == to))
    }

    /// Notes that the incident has been announced to these channels, which therefore get its
    /// end as well.
    pub(super) fn record_announced(&mut self, message: &Notification, channels: &[String]) {
        if !message.kind.is_ongoing() || channels.is_empty() {
            return;
        }
        let index = self.by_name.get(&message.monitor).copied();
        let runtime = index.and_then(|index| Some((index, self.runtimes[index].as_mut()?)));
        if let Some((index, runtime)) = runtime
            && runtime.state.own.has_open_incident(&message.incident)
            && !runtime.state.own.is_announced_to(&message.incident, channels)
        {
            Arc::make_mut(&mut runtime.state)
                .own
                .add_announced(&message.incident, channels);
            let now = self.shared.clock.now();
            self.pending.mark_dirty(index, now.mono, true);
        }
    }

    /// The channels that also get this notification about the monitor at `index`, because its
    /// incident was announced to them.
    pub(super) fn take_announced(&mut self, index: usize, message: &Notification) -> Vec<String> {
        match &mut self.runtimes[index] {
            Some(runtime) if message.kind.ends_incident() => {
                Arc::make_mut(&mut runtime.state).own.take_announced(message)
            }
            _ => Vec::new(),
        }
    }

    /// The policy of a monitor; the last known one if it has been removed.
    pub(super) fn policy_of(&self, monitor: &str) -> Policy {
        let runtime = self
            .by_name
            .get(monitor)
            .and_then(|index| self.runtimes[*index].as_ref());
        let policy = runtime.map(|runtime| runtime.monitor.watch().policy.clone());
        let retired = || Some(self.retired.get(monitor)?.own.last_policy());
        policy.or_else(retired).unwrap_or_default()
    }

    fn own_state(&self, monitor: &str) -> Option<&OwnState> {
        let runtime = self
            .by_name
            .get(monitor)
            .and_then(|index| self.runtimes[*index].as_ref());
        let watched = runtime.map(|runtime| &runtime.state);
        watched
            .or_else(|| self.retired.get(monitor))
            .map(|state| &state.own)
    }
}
