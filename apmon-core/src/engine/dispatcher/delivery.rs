//! Delivery of notifications.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;

use super::{Dispatcher, GRACE, TaskResult};
use crate::{
    engine::{outbox::AttemptResult, plan::Channel},
    history::DeliveryFate,
    monitor::Watch,
    notification::{DeliveryError, Notification, NotificationKind, OutboxEntry},
    rule::wording,
    time::{Mono, Now},
};

/// A notification that is delivered this long after it was decided says so.
const LATE: Duration = Duration::from_secs(60);

impl Dispatcher {
    /// Queues a notification for all channels that take it; if it ends an incident, also for
    /// those to which the incident was announced, even if they are fallbacks by now.
    pub(super) fn enqueue(
        &mut self,
        notification: Notification,
        watch: &Watch,
        announced_to: Vec<String>,
        now: Now,
    ) {
        let mut addressed: Vec<String> = Vec::new();
        if !self.plan.no_notify {
            let kind = &notification.kind;
            let recipients = self.plan.recipients(kind, &watch.policy);
            addressed.extend(recipients.map(str::to_owned));
            let takes_end = |id: &String| {
                let channel = self.plan.channel(id);
                channel.is_some_and(|channel| channel.takes(kind, &watch.policy))
            };
            let others = announced_to.into_iter().filter(takes_end);
            let others: Vec<_> = others.filter(|id| !addressed.contains(id)).collect();
            addressed.extend(others);
        }
        self.record_announced(&notification, &addressed);
        self.outbox.release_incident(&notification);
        for channel in &addressed {
            let entry = OutboxEntry::new(channel, notification.clone(), addressed.clone());
            self.push_entry(entry, None, now);
        }
        if let Some(notification) = self.pending.add_notification(notification) {
            self.emit_notified(&[notification]);
        }
    }

    /// Closes an incident, whether or not its end is reported.
    pub(super) fn close_incident(&mut self, incident: &str, now: Now) {
        let (reminders, changed) = self.outbox.close_incident(incident, now.wall);
        self.drop_reminders(reminders);
        for entry in changed {
            self.pending.update_entry(entry);
        }
    }

    /// Adds a new entry to the outbox and to the next commit. `decided` is set for a
    /// notification that was decided earlier.
    pub(super) fn push_entry(&mut self, entry: OutboxEntry, decided: Option<Mono>, now: Now) {
        let stalled = self.pending.is_stalled();
        let replaced = match decided {
            Some(decided) => self.outbox.push_decided(entry.clone(), decided, stalled, now),
            None => self.outbox.push(entry.clone(), stalled, now),
        };
        if let Some(replaced) = replaced {
            self.settle_replaced(&replaced, now);
        }
        self.pending.add_entry(entry);
    }

    /// Settles a reminder that the next one replaces.
    pub(super) fn settle_replaced(&mut self, entry: &OutboxEntry, now: Now) {
        self.record_delivery(entry, DeliveryFate::Replaced, now);
        self.pending.settle(entry.key());
    }

    /// Drops reminders of an outage that has ended.
    pub(super) fn drop_reminders(&mut self, over: Vec<OutboxEntry>) {
        let now = self.shared.clock.now();
        for entry in over {
            self.record_delivery(&entry, DeliveryFate::Dropped, now);
            tracing::info!(
                channel = entry.channel,
                "reminder dropped, its outage is over: {}",
                entry.notification.text
            );
            self.pending.settle(entry.key());
        }
    }

    pub(super) fn deliver(&mut self, entry: OutboxEntry) {
        let Some(Channel {
            notifier, timeout, ..
        }) = self.plan.channel(&entry.channel)
        else {
            return; // entries of unknown channels were reassigned
        };
        let notifier = Arc::clone(notifier);
        let timeout = timeout.unwrap_or(self.plan.delivery_timeout);
        let message = self.with_lateness_note(&entry);
        self.tasks.spawn(async move {
            let key = entry.key();
            let attempt = AssertUnwindSafe(notifier.deliver(&message, &key)).catch_unwind();
            let result = attempt_result(tokio::time::timeout(timeout + GRACE, attempt).await);
            TaskResult::Delivery {
                channel: entry.channel,
                key,
                result,
            }
        });
    }

    /// The notification as it is sent now: if it is late, it says so.
    fn with_lateness_note(&self, entry: &OutboxEntry) -> Notification {
        let mut message = entry.notification.clone();
        let now = self.shared.clock.now();
        let decided = self.outbox.in_flight_decided(&entry.channel);
        let late = now.mono.since(decided.unwrap_or(now.mono));
        if late < LATE {
            return message;
        }
        let what = match message.kind {
            NotificationKind::Unknown | NotificationKind::Known => "unknown",
            _ => "down",
        };
        let ended = match message.kind.ends_incident() {
            true => Some(message.at),
            false => message.ended,
        };
        let was = message
            .since
            .zip(ended)
            .map(|(began, ended)| (what, began, ended));
        let note = wording::lateness_note(was, late, now.wall, &self.context.zone);
        message.text = format!("{} ({note})", message.text);
        message
    }

    pub(super) fn delivered(&mut self, channel: &str, key: &str, result: Result<(), DeliveryError>) {
        let now = self.shared.clock.now();
        let before = self.outbox.in_flight(channel).cloned();
        let first = before.as_ref().is_some_and(|entry| entry.attempts == 0);
        self.stats.record_attempt(channel, &result, now.wall);
        match self.outbox.finish(channel, key, result, now) {
            None => {}
            Some(AttemptResult::Delivered) => {
                tracing::debug!(channel, key, "message delivered");
                if let Some(entry) = before {
                    self.record_delivery(&entry, DeliveryFate::Delivered, now);
                }
                self.pending.settle(key.to_owned());
            }
            Some(AttemptResult::Retried(entry)) => {
                let error = entry.last_error.clone().unwrap_or_default();
                if first {
                    tracing::warn!(channel, "message not delivered, trying again: {error}");
                } else {
                    tracing::debug!(
                        channel,
                        attempts = entry.attempts,
                        "message not delivered yet: {error}"
                    );
                }
                self.pending.update_entry(entry);
            }
            Some(AttemptResult::Refused(entry)) => {
                tracing::error!(
                    channel,
                    "message refused ({}), kept for a later retry: {}",
                    entry.last_error.as_deref().unwrap_or_default(),
                    entry.notification.text
                );
                self.record_delivery(&entry, DeliveryFate::Refused, now);
                self.pending.update_entry(entry);
            }
            Some(AttemptResult::Dropped(entry)) => self.drop_reminders(vec![entry]),
            Some(AttemptResult::Replaced(entry)) => self.settle_replaced(&entry, now),
        }
    }
}

/// The result of an attempt behind its panic barrier and timeout.
pub(super) fn attempt_result<P>(
    result: Result<Result<Result<(), DeliveryError>, P>, tokio::time::error::Elapsed>,
) -> Result<(), DeliveryError> {
    match result {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(DeliveryError::retryable("the channel panicked, which is a bug")),
        Err(_) => Err(DeliveryError::retryable("no answer in time")),
    }
}
