//! Stand-ins: told what the channel before them could not deliver.

use std::sync::Arc;

use super::Dispatcher;
use crate::{
    monitor::Policy,
    notification::{Notification, NotificationKind},
    state::{OutboxEntry, OwnState},
    time::Now,
};

impl Dispatcher {
    pub(super) fn hand_over_what_falls(&mut self, now: Now) {
        for (entry, to) in self.outbox.fall(now.mono) {
            self.hand_over(&entry, to, now);
        }
    }

    /// `to` is to have the message of `entry` as well.
    fn hand_over(&mut self, entry: &OutboxEntry, to: String, now: Now) {
        let message = &entry.notification;
        let policy = self.policy_of(&message.monitor);
        let takes = self
            .plan
            .channel(&to)
            .is_some_and(|channel| channel.takes(&message.kind, &policy));
        // What began and has ended meanwhile, and whose end went its way
        // already, would stand there as if it went on.
        let begins = matches!(
            message.kind,
            NotificationKind::Outage | NotificationKind::Reminder | NotificationKind::Unknown
        );
        let goes_on = self
            .own_state(&message.monitor)
            .is_some_and(|own| own.goes_on(&message.incident));
        let is_over = begins && !goes_on && self.outbox.end_of(&entry.channel, message).is_none();
        if !takes || is_over || entry.addressed.contains(&to) {
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
        let at = self.by_name.get(&message.monitor).copied();
        let slot = at.and_then(|at| Some((at, self.slots[at].as_mut()?)));
        if let Some((at, slot)) = slot.filter(|_| begins && goes_on) {
            Arc::make_mut(&mut slot.state)
                .own
                .stands_in(&message.incident, &to);
            self.ledger.touch(at, now.mono, true);
        }
        let heir = OutboxEntry::new(to, message.clone(), addressed);
        self.push(heir, now);
    }

    /// Who besides is to have a message about the monitor in slot `at`.
    pub(super) fn stand_ins_at(&mut self, at: usize, message: &Notification) -> Vec<String> {
        match &mut self.slots[at] {
            Some(slot) if !slot.state.own.stand_ins.is_empty() => {
                Arc::make_mut(&mut slot.state).own.take_stand_ins(message)
            }
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
        slot.map(|slot| &slot.state.own)
    }
}
