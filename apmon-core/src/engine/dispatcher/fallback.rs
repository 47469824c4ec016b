//! Stand-ins: told what the channel before them could not deliver.

use std::sync::Arc;

use super::Dispatcher;
use crate::{
    engine::outbox::Fallen,
    monitor::Policy,
    notification::{Notification, NotificationKind},
    state::{OutboxEntry, OwnState},
    time::Now,
};

impl Dispatcher {
    pub(super) fn hand_over_what_falls(&mut self, now: Now) {
        for fallen in self.outbox.fall(now.mono) {
            self.hand_over(fallen, now);
        }
    }

    /// The stand-in is to have the message as well.
    fn hand_over(&mut self, fallen: Fallen, now: Now) {
        let Fallen { entry, decided, to } = fallen;
        let message = &entry.notification;
        let policy = self.policy_of(&message.monitor);
        let channel = self.plan.channel(&to);
        if !channel.is_some_and(|channel| channel.takes(&message.kind, &policy)) {
            tracing::warn!(
                channel = entry.channel,
                "message not delivered, and {to} is not to have it: {}",
                message.text
            );
            return;
        }
        let quiet = message.kind.begins() && !policy.alarms;
        let end = self.outbox.end_of(&entry.channel, message);
        // Unless the stand-in has had that from elsewhere.
        let ends_too =
            end.is_some_and(|end| !end.addressed.contains(&to) || self.outbox.has(&to, &end.notification));
        if quiet || entry.addressed.contains(&to) || self.would_mislead(&to, message, ends_too) {
            return;
        }
        tracing::warn!(
            channel = entry.channel,
            "message not delivered, it goes to {to} as well: {}",
            message.text
        );
        let mut addressed = entry.addressed.clone();
        addressed.push(to.clone());
        for changed in self.outbox.address(message, &addressed) {
            self.ledger.entry(changed);
        }
        self.remember(message, std::slice::from_ref(&to));
        let heir = OutboxEntry::new(to, message.clone(), addressed);
        self.push(heir, Some(decided), now);
    }

    /// A message that waited for another channel would be a wrong last word on
    /// channel `to`: what it tells the beginning of is over, and its end went
    /// another way (unless that comes too); or something newer was told there.
    fn would_mislead(&self, to: &str, message: &Notification, ends_too: bool) -> bool {
        let own = self.own_state(&message.monitor);
        let goes_on = own.is_some_and(|own| own.goes_on(&message.incident));
        if goes_on || matches!(message.kind, NotificationKind::Notice(_)) {
            return false;
        }
        let is_over = message.kind.begins() && !ends_too;
        let is_old = own.and_then(|own| own.heard.get(own.incident.as_ref()?));
        is_over || is_old.is_some_and(|heard| heard.iter().any(|other| other == to))
    }

    /// These channels are told that an incident began, and are to hear its end.
    pub(super) fn remember(&mut self, message: &Notification, channels: &[String]) {
        if !message.kind.begins() || channels.is_empty() {
            return;
        }
        let at = self.by_name.get(&message.monitor).copied();
        let slot = at.and_then(|at| Some((at, self.slots[at].as_mut()?)));
        if let Some((at, slot)) = slot
            && slot.state.own.goes_on(&message.incident)
            && !slot.state.own.has_heard(&message.incident, channels)
        {
            Arc::make_mut(&mut slot.state)
                .own
                .hears(&message.incident, channels);
            let now = self.shared.clock.now();
            self.ledger.touch(at, now.mono, true);
        }
    }

    /// Who besides is to have a message about the monitor in slot `at`.
    pub(super) fn heard_at(&mut self, at: usize, message: &Notification) -> Vec<String> {
        match &mut self.slots[at] {
            Some(slot) if message.kind.is_end() => Arc::make_mut(&mut slot.state).own.take_heard(message),
            _ => Vec::new(),
        }
    }

    /// How a monitor is told of; one that is gone as it was.
    pub(super) fn policy_of(&self, monitor: &str) -> Policy {
        let slot = self.by_name.get(monitor).and_then(|at| self.slots[*at].as_ref());
        let policy = slot.map(|slot| slot.monitor.watch().policy.clone());
        let shelved = || Some(self.shelf.get(monitor)?.own.last_policy());
        policy.or_else(shelved).unwrap_or_default()
    }

    fn own_state(&self, monitor: &str) -> Option<&OwnState> {
        let slot = self.by_name.get(monitor).and_then(|at| self.slots[*at].as_ref());
        let watched = slot.map(|slot| &slot.state);
        watched
            .or_else(|| self.shelf.get(monitor))
            .map(|state| &state.own)
    }
}
