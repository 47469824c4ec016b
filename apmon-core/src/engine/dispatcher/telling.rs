//! Messages and heartbeats on their way.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;

use super::{Dispatcher, Done, GRACE};
use crate::{
    engine::{outbox::Fate, plan::Channel},
    history::DeliveryFate,
    monitor::Watch,
    notification::{DeliveryError, Notification},
    state::OutboxEntry,
    time::Now,
};

impl Dispatcher {
    pub(super) fn tell(&mut self, notification: Notification, watch: &Watch, now: Now) {
        let channels = self.plan.channels.iter().filter(|_| !self.plan.quiet);
        let addressed: Vec<String> = channels
            .filter(|channel| channel.takes(&notification.kind, &watch.policy))
            .map(|channel| channel.id.clone())
            .collect();
        let over = self.outbox.prepare(&notification);
        self.drop_reminders(over);
        let stalled = self.ledger.is_stalled();
        for channel in &addressed {
            let entry = OutboxEntry::new(channel, notification.clone(), addressed.clone());
            if let Some(replaced) = self.outbox.push(entry.clone(), stalled, now) {
                self.record_fate(&replaced, DeliveryFate::Replaced, now);
                self.ledger.settle(replaced.key());
            }
            self.ledger.new_entry(entry);
        }
        if let Some(notification) = self.ledger.tell(notification) {
            self.announce(&[notification]);
        }
    }

    /// These say of an outage that has ended that it goes on.
    pub(super) fn drop_reminders(&mut self, over: Vec<OutboxEntry>) {
        let now = self.shared.clock.now();
        for entry in over {
            self.record_fate(&entry, DeliveryFate::Dropped, now);
            tracing::info!(
                channel = entry.channel,
                "reminder dropped, its outage is over: {}",
                entry.notification.text
            );
            self.ledger.settle(entry.key());
        }
    }

    pub(super) fn send_heartbeat(&mut self, at: usize, now: Now) {
        let Some(slot) = self.slots[at].as_ref() else {
            return;
        };
        let (false, Some(heartbeat), Some(sender)) = (
            self.plan.quiet,
            &slot.monitor.watch().policy.heartbeat,
            &self.shared.heartbeats,
        ) else {
            return;
        };
        let (url, sender) = (heartbeat.url.clone(), Arc::clone(sender));
        let (generation, timeout) = (slot.generation, self.plan.delivery_timeout);
        self.tasks.spawn(async move {
            let attempt = AssertUnwindSafe(sender.send(&url, timeout)).catch_unwind();
            let result = settle(tokio::time::timeout(timeout + GRACE, attempt).await);
            Done::Heartbeat {
                slot: at,
                generation,
                sent: now,
                result,
            }
        });
    }

    pub(super) fn heartbeat_sent(
        &mut self,
        at: usize,
        generation: u64,
        sent: Now,
        result: Result<(), DeliveryError>,
    ) {
        let Some(slot) = self.slots[at]
            .as_mut()
            .filter(|slot| slot.generation == generation)
        else {
            return;
        };
        match result {
            Ok(()) => {
                tracing::debug!(monitor = slot.monitor.watch().name, "heartbeat sent");
                Arc::make_mut(&mut slot.state).last_successful_heartbeat = Some(sent.wall);
                self.ledger.touch(at, sent.mono, false);
            }
            Err(error) => tracing::warn!(monitor = slot.monitor.watch().name, "heartbeat not sent: {error}"),
        }
    }

    pub(super) fn deliver(&mut self, entry: OutboxEntry) {
        let Some(Channel {
            notifier, timeout, ..
        }) = self
            .plan
            .channels
            .iter()
            .find(|channel| channel.id == entry.channel)
        else {
            return; // unknown channels were dropped
        };
        let notifier = Arc::clone(notifier);
        let timeout = timeout.unwrap_or(self.plan.delivery_timeout);
        self.tasks.spawn(async move {
            let key = entry.key();
            let attempt = AssertUnwindSafe(notifier.deliver(&entry.notification, &key)).catch_unwind();
            let result = settle(tokio::time::timeout(timeout + GRACE, attempt).await);
            Done::Delivery {
                channel: entry.channel,
                key,
                result,
            }
        });
    }

    pub(super) fn delivered(&mut self, channel: &str, key: &str, result: Result<(), DeliveryError>) {
        let now = self.shared.clock.now();
        let before = self.outbox.entry(channel, key).cloned();
        let first = before.as_ref().is_some_and(|entry| entry.attempts == 0);
        self.tallies.tried(channel, &result, now.wall);
        match self.outbox.finish(channel, key, result, now) {
            None => {}
            Some(Fate::Delivered) => {
                tracing::debug!(channel, key, "message delivered");
                if let Some(entry) = before {
                    self.record_fate(&entry, DeliveryFate::Delivered, now);
                }
                self.ledger.settle(key.to_owned());
            }
            Some(Fate::Retried(entry)) => {
                let error = entry.last_error.clone().unwrap_or_default();
                if first {
                    tracing::warn!(channel, "message not delivered, it is tried again: {error}");
                } else {
                    tracing::debug!(
                        channel,
                        attempts = entry.attempts,
                        "message not delivered yet: {error}"
                    );
                }
                self.ledger.entry(entry);
            }
            Some(Fate::Refused(entry)) => {
                tracing::error!(
                    channel,
                    "message refused ({}), kept and tried again later: {}",
                    entry.last_error.as_deref().unwrap_or_default(),
                    entry.notification.text
                );
                self.record_fate(&entry, DeliveryFate::Refused, now);
                self.ledger.entry(entry);
            }
            Some(Fate::Dropped(entry)) => self.drop_reminders(vec![entry]),
        }
    }
}

/// The result of a send behind its panic barrier and deadline.
fn settle<P>(
    result: Result<Result<Result<(), DeliveryError>, P>, tokio::time::error::Elapsed>,
) -> Result<(), DeliveryError> {
    match result {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(DeliveryError::retryable("the channel panicked, a bug")),
        Err(_) => Err(DeliveryError::retryable("no answer in time")),
    }
}
