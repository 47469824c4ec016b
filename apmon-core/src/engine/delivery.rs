//! Delivery: sends notifications through their channels, one attempt at a time for each, and
//! keeps what is not delivered.

mod rerouting;

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use jiff::tz::TimeZone;

pub(super) use self::rerouting::Reassigned;
use super::{
    monitors::Monitors,
    outbox::{AttemptResult, Outbox, Unsaved},
    plan::Plan,
    stats::DeliveryStats,
    status::{ChannelStatus, OutboxStatus},
    task::DeliveryTask,
    update::{Publisher, Update},
};
use crate::{
    history::{Delivery as DeliveryRow, DeliveryFate},
    notification::{DeliveryError, Notification, NotificationKind, Notifier, OutboxEntry},
    rule::{
        route::{Addressed, Routes},
        wording,
    },
    time::{Mono, Now},
};

/// A notification that is delivered this long after it was decided says so.
const LATE: Duration = Duration::from_secs(60);
/// The most rows that wait for a commit.
const MAX_ROWS: usize = 10_000;

/// The outbox, and the channels that empty it.
pub(super) struct Deliveries {
    outbox: Outbox,
    stats: DeliveryStats,
    routes: Routes,
    channels: HashMap<String, ChannelNotifier>,
    /// The timeout of channels without their own.
    timeout: Duration,
    expire_after: Duration,
    zone: TimeZone,
    keeps_history: bool,
    /// Rows for the history.
    rows: VecDeque<DeliveryRow>,
    publisher: Publisher,
}

struct ChannelNotifier {
    notifier: Arc<dyn Notifier>,
    timeout: Option<Duration>,
}

impl Deliveries {
    /// Creates the delivery of a plan without notifications.
    pub(super) fn new(plan: &Plan, zone: TimeZone, keeps_history: bool, publisher: Publisher) -> Self {
        let routes = plan.routes();
        let mut outbox = Outbox::new(plan.expire_after, routes.fallbacks());
        outbox.set_keyed(routes.keyed());
        Self {
            outbox,
            stats: DeliveryStats::default(),
            channels: channels(plan),
            timeout: plan.delivery_timeout,
            expire_after: plan.expire_after,
            zone,
            keeps_history,
            rows: VecDeque::new(),
            publisher,
            routes,
        }
    }

    /// Loads the notifications that a previous run left, which were decided before anything
    /// that is decided now.
    pub(super) fn load(&mut self, entries: Vec<OutboxEntry>, now: Now) {
        for entry in entries {
            if let Some(replaced) = self.outbox.load(entry, now) {
                self.record(&replaced, DeliveryFate::Replaced, now);
            }
        }
    }

    /// Applies another plan.
    pub(super) fn configure(&mut self, plan: &Plan, now: Mono) {
        self.routes = plan.routes();
        self.channels = channels(plan);
        self.timeout = plan.delivery_timeout;
        self.expire_after = plan.expire_after;
        self.outbox
            .configure(plan.expire_after, self.routes.fallbacks(), now);
        self.outbox.set_keyed(self.routes.keyed());
    }

    /// Queues a notification for its recipients; it is not sent before `hold`, unless it is
    /// released.
    pub(super) fn send(&mut self, addressed: &Addressed, hold: Option<Mono>, now: Now) {
        let Addressed {
            notification,
            recipients,
            sent_to,
        } = addressed;
        self.outbox.release_incident(notification);
        let mut all = sent_to.clone();
        all.extend(recipients.iter().filter(|id| !sent_to.contains(id)).cloned());
        // Where it waits for a channel that is removed now, those that get it here do not get it again
        // in place of that channel.
        self.outbox.add_addressed(notification, &all);
        for channel in recipients {
            let entry = OutboxEntry::new(channel, notification.clone(), all.clone());
            let replaced = self.outbox.push(entry, now);
            self.record_replaced(replaced, now);
        }
        if let Some(until) = hold {
            self.outbox.hold(notification, until);
        }
    }

    /// Lets a notification be sent that was held.
    pub(super) fn release(&mut self, notification: &Notification) {
        self.outbox.release_incident(notification);
    }

    fn record_replaced(&mut self, replaced: Option<OutboxEntry>, now: Now) {
        if let Some(replaced) = replaced {
            self.record(&replaced, DeliveryFate::Replaced, now);
        }
    }

    /// Closes an incident, whether or not its end is reported.
    pub(super) fn close_incident(&mut self, monitor: &str, incident: &str, now: Now) {
        self.outbox.outage_over(monitor, incident);
        let reminders = self.outbox.close_incident(incident, now.wall);
        self.report_dropped(reminders, now);
    }

    /// Notes which outages a previous run announced that still run.
    pub(super) fn note_running(&mut self, monitors: &Monitors) {
        for (monitor, own) in monitors.own_states() {
            let Some(incident) = &own.incident else {
                continue;
            };
            for channel in own.announced_to.get(incident).into_iter().flatten() {
                self.outbox.outage_runs(channel, monitor, incident);
            }
        }
    }

    /// Drops reminders of outages that have ended, but are still queued: their end was not
    /// reported, or the state file was written by an older apmon.
    pub(super) fn drop_stale_reminders(&mut self, monitors: &Monitors, now: Now) {
        let dropped = self
            .outbox
            .drop_reminders(|notification| !monitors.has_outage(notification));
        self.report_dropped(dropped, now);
    }

    fn report_dropped(&mut self, reminders: Vec<OutboxEntry>, now: Now) {
        for entry in reminders {
            self.record(&entry, DeliveryFate::Dropped, now);
            tracing::info!(
                channel = entry.channel,
                "reminder dropped because its outage is over: {}",
                entry.notification.text
            );
        }
    }

    /// Gives up what has waited too long.
    pub(super) fn expire(&mut self, now: Now) {
        for entry in self.outbox.expire(now.mono) {
            tracing::error!(
                channel = entry.channel,
                "notification given up after {} ({}): {}",
                wording::duration(self.expire_after),
                entry.last_error.as_deref().unwrap_or("no attempt was made"),
                entry.notification.text
            );
            self.stats.record_expiry(&entry.channel);
            self.record(&entry, DeliveryFate::Expired, now);
        }
    }

    /// Starts the attempts that are due, one for each channel that is idle.
    pub(super) fn start(&mut self, now: Now) -> Vec<DeliveryTask> {
        if self.routes.is_off() {
            return Vec::new();
        }
        let due = self.outbox.start(now.mono);
        due.into_iter()
            .filter_map(|entry| self.attempt(entry, now))
            .collect()
    }

    /// Starts attempts at the end of a run: one for each notification that had none, without
    /// pauses.
    pub(super) fn start_final(&mut self, now: Now) -> Vec<DeliveryTask> {
        if self.routes.is_off() {
            return Vec::new();
        }
        let due = self.outbox.start_final(now.mono);
        due.into_iter()
            .filter_map(|entry| self.attempt(entry, now))
            .collect()
    }

    fn attempt(&self, entry: OutboxEntry, now: Now) -> Option<DeliveryTask> {
        // Entries of unknown channels were reassigned.
        let channel = self.channels.get(&entry.channel)?;
        Some(DeliveryTask {
            key: entry.key(),
            notifier: Arc::clone(&channel.notifier),
            notification: self.with_lateness_note(&entry, now),
            timeout: channel.timeout.unwrap_or(self.timeout),
            channel: entry.channel,
        })
    }

    /// The notification as it is sent now: if it is late, it says so.
    fn with_lateness_note(&self, entry: &OutboxEntry, now: Now) -> Notification {
        let mut notification = entry.notification.clone();
        let decided = self.outbox.in_flight_decided(&entry.channel);
        let mut late = now.mono.since(decided.unwrap_or(now.mono));
        let is_end = notification.kind.ends_incident();
        // An end that could not be sent at its time.
        let owed_since = notification.ended.filter(|_| is_end);
        if let Some(ended) = owed_since {
            late += Duration::try_from(notification.at.duration_since(ended)).unwrap_or_default();
        }
        if late < LATE {
            return notification;
        }
        let what = match notification.kind {
            NotificationKind::Unknown | NotificationKind::Known => "unknown",
            _ => "down",
        };
        let ended = match is_end {
            true => owed_since.or(Some(notification.at)),
            false => notification.ended,
        };
        let was = notification
            .since
            .zip(ended)
            .map(|(began, ended)| (what, began, ended));
        let note = wording::lateness_note(was, late, now.wall, &self.zone);
        notification.text = format!("{} ({note})", notification.text);
        notification
    }

    /// Processes the result of an attempt. Returns the notification if it was delivered although
    /// its channel had left the site file meanwhile.
    pub(super) fn attempt_finished(
        &mut self,
        channel: &str,
        key: &str,
        result: Result<(), DeliveryError>,
        now: Now,
    ) -> Option<OutboxEntry> {
        if let Some(since) = self.stats.record_attempt(channel, &result, now.wall) {
            let lasted = now.wall.duration_since(since).unsigned_abs();
            tracing::info!(
                channel,
                "notifications are delivered again; the channel had been failing for {}",
                wording::duration(lasted)
            );
        }
        match self.outbox.finish(channel, key, result, now) {
            None => {}
            Some(AttemptResult::Delivered(entry)) => {
                tracing::debug!(channel, key, "notification delivered");
                self.record(&entry, DeliveryFate::Delivered, now);
            }
            Some(AttemptResult::OrphanDelivered(entry)) => {
                tracing::debug!(channel, key, "notification delivered");
                self.record(&entry, DeliveryFate::Delivered, now);
                return Some(entry);
            }
            Some(AttemptResult::Retried(entry)) => {
                self.publish(&entry, None, now);
                let error = entry.last_error.clone().unwrap_or_default();
                if entry.attempts == 1 {
                    tracing::warn!(
                        channel,
                        "notification not delivered ({error}), trying again: {}",
                        entry.notification.text
                    );
                } else {
                    tracing::debug!(
                        channel,
                        attempts = entry.attempts,
                        "notification not delivered yet ({error}): {}",
                        entry.notification.text
                    );
                }
            }
            Some(AttemptResult::Refused(entry)) => {
                tracing::error!(
                    channel,
                    "notification refused ({}), kept for a later retry: {}",
                    entry.last_error.as_deref().unwrap_or_default(),
                    entry.notification.text
                );
                self.record(&entry, DeliveryFate::Refused, now);
            }
            Some(AttemptResult::Dropped(entry)) => self.report_dropped(vec![entry], now),
            Some(AttemptResult::Replaced(entry)) => self.record(&entry, DeliveryFate::Replaced, now),
        }
        None
    }

    fn publish(&self, entry: &OutboxEntry, fate: Option<DeliveryFate>, now: Now) {
        self.publisher.publish(|| Update::Delivery {
            at: now.wall,
            channel: entry.channel.clone(),
            notification: entry.notification.id.clone(),
            monitor: entry.notification.monitor.clone(),
            fate,
            error: entry.last_error.clone(),
        });
    }

    fn record(&mut self, entry: &OutboxEntry, fate: DeliveryFate, now: Now) {
        self.publish(entry, Some(fate), now);
        if self.keeps_history {
            if self.rows.len() == MAX_ROWS {
                self.rows.pop_front();
            }
            self.rows.push_back(DeliveryRow::of(entry, fate, now.wall));
        }
    }

    /// Retries the notifications of one channel, or of all, at once.
    pub(super) fn retry(&mut self, channel: Option<&str>) {
        self.outbox.retry(channel);
    }

    /// All undelivered notifications, in the order of the decisions.
    pub(super) fn entries(&self) -> Vec<OutboxEntry> {
        self.outbox.entries()
    }

    /// Replaces an entry by a changed one, unless it is being sent or finished.
    pub(super) fn change(&mut self, entry: OutboxEntry) {
        self.outbox.change(entry);
    }

    /// Whether this run sends nothing.
    pub(super) fn is_off(&self) -> bool {
        self.routes.is_off()
    }

    /// Whether there is something for the next commit.
    pub(super) fn has_unsaved(&self) -> bool {
        self.outbox.has_unsaved()
    }

    /// Takes what the next commit must hold.
    pub(super) fn take_unsaved(&mut self) -> (Unsaved, VecDeque<DeliveryRow>) {
        (self.outbox.take_unsaved(), mem::take(&mut self.rows))
    }

    /// Ends the commit that held `unsaved`.
    pub(super) fn commit_ended(&mut self, unsaved: Unsaved, succeeded: bool) {
        self.outbox.commit_ended(unsaved, succeeded);
    }

    /// Takes back what no commit held.
    pub(super) fn take_back(&mut self, unsaved: Unsaved) {
        self.outbox.take_back(unsaved);
    }

    /// Sends from memory, because the store does not answer.
    pub(super) fn send_from_memory(&mut self) {
        self.outbox.send_from_memory();
    }

    /// Sends nothing new any more before the store has answered.
    pub(super) fn wait_for_store(&mut self) {
        self.outbox.wait_for_store();
    }

    /// When the next attempt, expiry or fallback is due.
    pub(super) fn wake_at(&mut self) -> Option<Mono> {
        match self.routes.is_off() {
            true => None,
            false => self.outbox.wake_at(),
        }
    }

    /// Whether a pass waits for attempts.
    pub(super) fn has_pending_attempts(&self) -> bool {
        !self.routes.is_off() && self.outbox.has_pending_attempts()
    }

    /// Whether any attempt is in progress.
    pub(super) fn is_sending(&self) -> bool {
        self.outbox.is_sending()
    }

    /// The longest time that an attempt may take.
    pub(super) fn longest_attempt(&self) -> Duration {
        let own = self.channels.values().filter_map(|channel| channel.timeout);
        own.fold(self.timeout, Duration::max)
    }

    /// The earliest decision of a notification that neither its channel nor a fallback has
    /// received, except reminders.
    pub(super) fn stuck_since(&self) -> Option<Mono> {
        self.outbox.stuck_since()
    }

    /// How many notifications the next run finds, and how many it does not.
    pub(super) fn stored_and_lost(&self) -> (usize, usize) {
        self.outbox.stored_and_lost()
    }

    /// The status of the channels, and of what the outbox has about `monitor`, or of all of it.
    pub(super) fn status(&mut self, monitor: Option<&str>, now: Now) -> (Vec<ChannelStatus>, OutboxStatus) {
        let (mut channels, outbox) = self.outbox.status(self.routes.ids(), monitor, now);
        for channel in &mut channels {
            self.stats.fill(channel);
            if self.routes.is_off() {
                channel.next_try = None;
            }
        }
        (channels, outbox)
    }
}

fn channels(plan: &Plan) -> HashMap<String, ChannelNotifier> {
    let channels = plan.channels.iter().map(|channel| {
        let delivers = ChannelNotifier {
            notifier: Arc::clone(&channel.notifier),
            timeout: channel.timeout,
        };
        (channel.id.clone(), delivers)
    });
    channels.collect()
}
