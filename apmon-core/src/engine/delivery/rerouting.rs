//! Notifications that take another channel: the fallback of one that fails, or the others where
//! the channel is gone.

use std::collections::HashSet;

use super::Deliveries;
use crate::{
    engine::{
        monitors::Monitors,
        outbox::{FallbackDue, Orphan},
    },
    history::DeliveryFate,
    notification::OutboxEntry,
    rule::route::FallbackDecision,
    time::{Mono, Now},
};

/// What followed from the entries of channels that are gone.
#[derive(Default)]
pub(in crate::engine) struct Reassigned {
    /// The monitors whose states have changed.
    pub(in crate::engine) changed: Vec<usize>,
    /// The ends of incidents among the entries.
    pub(in crate::engine) ends: Vec<OutboxEntry>,
    /// The beginnings among them that no attempt was made to deliver.
    pub(in crate::engine) untried: Vec<OutboxEntry>,
}

impl Deliveries {
    /// Sends what other channels could not deliver to their fallbacks. Returns the monitors
    /// whose states have changed.
    pub(in crate::engine) fn run_fallbacks(&mut self, monitors: &mut Monitors, now: Now) -> Vec<usize> {
        if self.routes.is_off() {
            return Vec::new();
        }
        let due = self.outbox.take_fallbacks(now.mono).into_iter();
        due.filter_map(|due| self.use_fallback(due, monitors, now))
            .collect()
    }

    fn use_fallback(&mut self, due: FallbackDue, monitors: &mut Monitors, now: Now) -> Option<usize> {
        let FallbackDue { entry, decided, to } = due;
        let notification = &entry.notification;
        let end = self.outbox.end_of(&entry.channel, notification);
        // Unless the fallback already has the end from elsewhere.
        let ends_too = end
            .is_some_and(|end| !end.addressed.contains(&to) || self.outbox.contains(&to, &end.notification));
        let policy = monitors.policy_of(&notification.monitor);
        let own = monitors.own_state(&notification.monitor);
        match self.routes.decide_fallback(&entry, &to, &policy, own, ends_too) {
            FallbackDecision::Send => {}
            FallbackDecision::Skip => return None,
            FallbackDecision::NotTaken => {
                tracing::warn!(
                    channel = entry.channel,
                    "notification not delivered, and {to} does not accept notifications of this kind: {}",
                    notification.text
                );
                return None;
            }
        }
        tracing::warn!(
            channel = entry.channel,
            "notification not delivered; it is also sent to {to}: {}",
            notification.text
        );
        let mut addressed = entry.addressed.clone();
        addressed.push(to.clone());
        self.outbox.add_addressed(notification, &addressed);
        let changed = monitors.announce(notification, std::slice::from_ref(&to));
        let copy = OutboxEntry::new(to, notification.clone(), addressed);
        let replaced = self.outbox.push_decided(copy, decided, now);
        self.record_replaced(replaced, now);
        changed
    }

    /// Gives notifications whose channel is gone to the channels that did not get them.
    pub(in crate::engine) fn reassign_orphans(&mut self, monitors: &mut Monitors, now: Now) -> Reassigned {
        let mut reassigned = Reassigned::default();
        if self.routes.is_off() {
            return reassigned; // a later run may send them
        }
        let known: HashSet<&str> = self.routes.ids().collect();
        let orphans = self.outbox.retain_channels(&known);
        let entries = orphans.iter().map(|orphan| &orphan.entry);
        let ends: Vec<OutboxEntry> = entries
            .filter(|entry| entry.notification.kind.ends_incident())
            .cloned()
            .collect();
        for orphan in orphans {
            let Orphan {
                mut entry,
                decided,
                is_over,
                is_untried,
            } = orphan;
            if is_over {
                self.record(&entry, DeliveryFate::Dropped, now);
                continue;
            }
            let (addressed, changed) = self.reassign(&entry, decided, &ends, monitors, now);
            entry.addressed = addressed;
            reassigned.changed.extend(changed);
            let kind = &entry.notification.kind;
            if kind.ends_incident() {
                reassigned.ends.push(entry);
            } else if kind.begins_incident() && is_untried {
                reassigned.untried.push(entry);
            }
        }
        reassigned
    }

    /// Gives a notification whose channel is gone to the channels that did not get it: a
    /// mistyped host was corrected. The other channels have it, or wait for it themselves, and
    /// do not get it twice; to one that got something newer it would be misleading, and so would a
    /// beginning without its end, which may be among the `ends` that are reassigned as well. Returns all
    /// channels that have it or get it, and the monitors whose states have changed.
    fn reassign(
        &mut self,
        entry: &OutboxEntry,
        decided: Mono,
        ends: &[OutboxEntry],
        monitors: &mut Monitors,
        now: Now,
    ) -> (Vec<String>, Vec<usize>) {
        let notification = &entry.notification;
        let policy = monitors.policy_of(&notification.monitor);
        let own = monitors.own_state(&notification.monitor);
        let recipients: Vec<&str> = self.routes.recipients(&notification.kind, &policy).collect();
        // While alarms are off, an end goes to nobody who is not waiting for it; a service under a
        // new id may be the one that keeps the incident open.
        let is_silent = notification.kind.ends_incident() && !policy.alarms;
        let ends_of_it: Vec<&OutboxEntry> = ends
            .iter()
            .filter(|end| end.notification.incident == notification.incident)
            .collect();
        // A channel that gets the beginning now is owed the end too.
        let is_owed = monitors.named(&notification.monitor).is_some()
            && own.is_some_and(|own| own.owes_end(&notification.incident));
        let ends_too = |id: &str| {
            let is_sent_along = |end: &&&OutboxEntry| !end.addressed.iter().any(|had| had == id);
            let may_end = policy.alarms || self.routes.is_keyed(id);
            let waits_there = self.outbox.end_of(id, notification).is_some();
            is_owed || waits_there || (may_end && ends_of_it.iter().any(|end| is_sent_along(&end)))
        };
        let (outdated_for, new_channels): (Vec<String>, Vec<String>) = recipients
            .iter()
            .filter(|id| !is_silent || self.routes.is_keyed(id))
            .filter(|id| !entry.addressed.iter().any(|had| had == *id))
            .filter(|id| !own.is_some_and(|own| own.owes_to(&notification.incident, id)))
            .filter(|id| !self.outbox.contains(id, notification))
            .map(|id| (*id).to_owned())
            .partition(|id| self.routes.is_outdated_for(id, notification, own, ends_too(id)));
        if recipients.is_empty() {
            tracing::error!(
                channel = entry.channel,
                "notification not delivered because its channel is no longer in the site file and there is no other: {}",
                notification.text
            );
        } else if !outdated_for.is_empty() {
            tracing::warn!(
                channel = entry.channel,
                "channel is no longer in the site file; its notification is not sent to {}: it is about something that is over, or older than what was sent there: {}",
                outdated_for.join(", "),
                notification.text
            );
        } else if new_channels.is_empty() {
            tracing::info!(
                channel = entry.channel,
                "channel is no longer in the site file; its notification went to the other channels: {}",
                notification.text
            );
        }
        let addressed: Vec<String> = entry.addressed.iter().chain(&new_channels).cloned().collect();
        // If these channels are removed too, the others already have it.
        self.outbox.add_addressed(notification, &addressed);
        let mut changed = Vec::new();
        for new_channel in new_channels {
            tracing::warn!(
                channel = entry.channel,
                "channel is no longer in the site file; its notification is sent to {new_channel}: {}",
                notification.text
            );
            changed.extend(monitors.announce(notification, std::slice::from_ref(&new_channel)));
            let entry = OutboxEntry::new(new_channel, notification.clone(), addressed.clone());
            let replaced = self.outbox.push_decided(entry, decided, now);
            self.record_replaced(replaced, now);
        }
        self.record(entry, DeliveryFate::ChannelGone, now);
        (addressed, changed)
    }
}
