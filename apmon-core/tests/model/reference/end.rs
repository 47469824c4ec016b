//! What must hold once everything has worked for a while.

use super::*;
use crate::setup::CHANNELS;

impl Reference {
    /// Checks that a receiver that has accepted everything `since` then has
    /// received what waited for it, whatever the disk does.
    pub fn check_delivered(&mut self, channel: &str, since: Mono) {
        // A channel receives notifications of a removed one only since the edit.
        let edited = self.setups.last().map_or(Mono::ORIGIN, |(edited, _)| *edited);
        let (now, since) = (self.now(), since.max(edited));
        let is_late = |notification: &&Expected| {
            let waits = notification.due.get(channel) == Some(&Due::Waiting) && notification.kind != Reminder;
            // One that was refused waits for the end of a newer outage.
            let held = match notification.refused.contains(channel) {
                true => self.monitors[notification.monitor.as_str()].outage_ended,
                false => Mono::ORIGIN,
            };
            let from = since.max(notification.at).max(held);
            let is_late = now.since(from) >= DELIVERY_LIMIT && !self.is_held_back(notification, channel);
            waits && !notification.void && is_late
        };
        let late = self.notifications.iter().filter(is_late);
        let late = late.map(|notification| format!("{channel} still waits for {notification}"));
        let late = late.collect();
        self.complain_all(late);
    }

    /// Whether a channel that refused this end has heard of a newer outage of the monitor, which
    /// runs.
    pub(super) fn is_held_back(&self, end: &Expected, channel: &str) -> bool {
        let state = &self.monitors[end.monitor.as_str()].now;
        let newer = state.outage.filter(|outage| *outage != end.incident);
        let announced_to = newer.and_then(|newer| state.announced_to.get(&newer));
        matches!(end.kind, Recovery | NoLongerWatched)
            && end.last_refused.contains(channel)
            && announced_to.is_some_and(|announced_to| announced_to.contains(channel))
            && !CHANNELS.iter().any(|it| it.id == channel && it.is_keyed)
    }

    /// Whether a refused end about this monitor waits: should the monitor fail again, it waits for
    /// that outage to end.
    pub fn has_refused_end(&self, name: &str) -> bool {
        let notifications = self.monitors[name].notifications.iter();
        let mut notifications = notifications.map(|at| &self.notifications[*at]);
        notifications.any(|it| {
            let mut waiting = it.due.iter().filter(|(_, due)| **due == Due::Waiting);
            let is_refused = waiting.any(|(channel, _)| it.refused.contains(channel));
            is_refused && matches!(it.kind, Recovery | NoLongerWatched)
        })
    }

    /// Whether no notification was decided just now.
    pub fn is_idle(&self) -> bool {
        let now = self.now();
        let newest = self
            .notifications
            .iter()
            .map(|notification| notification.at)
            .max();
        newest.is_none_or(|newest| now.since(newest) >= Duration::from_secs(1))
    }

    /// Checks the end of a run. `is_up` is the truth about each target, `None`
    /// where it cannot be checked; `keys` are the entries left on disk.
    pub fn check_end(&mut self, is_up: &[Option<bool>], keys: &[String]) {
        let mut wrong = Vec::new();
        for (name, is_up) in MONITORS.into_iter().zip(is_up) {
            let monitor = &self.monitors[name];
            let believed = monitor.now.is_up;
            if self.setup.policy(name).is_some() && is_up.is_some() && believed != *is_up {
                wrong.push(format!("{name} is believed {believed:?}, and is {is_up:?}"));
            }
            for notification in monitor
                .notifications
                .iter()
                .map(|notification| &self.notifications[*notification])
            {
                for (channel, due) in notification.due.iter().filter(|_| notification.kind != Reminder) {
                    let received = notification.receipts.contains_key(channel);
                    if *due == Due::Waiting || !received {
                        wrong.push(format!("{channel} did not receive {notification}"));
                    }
                }
            }
            for channel in self.setup.channels() {
                wrong.extend(self.wrong_last_notification(monitor, channel.id));
                wrong.extend(self.missing_reminder(name, channel.id));
            }
        }
        wrong.extend(keys.iter().map(|key| format!("{key} is left on disk")));
        self.complain_all(wrong);
    }

    /// The last notification that a channel received about a monitor's outages must be
    /// the newest there was for it.
    fn wrong_last_notification(&self, monitor: &Monitor, channel: &str) -> Option<String> {
        // Without an announced end, too, a reminder may have become obsolete.
        let is_obsolete = |notification: &&Expected| {
            let is_over = monitor.now.outage != Some(notification.incident);
            notification.kind == Reminder && is_over && !notification.receipts.contains_key(channel)
        };
        let notifications = || {
            let notifications = monitor
                .notifications
                .iter()
                .map(|notification| &self.notifications[*notification]);
            notifications
                .filter(|notification| is_about_outage(&notification.kind) && !is_obsolete(notification))
        };
        let is_for_it = |notification: &&Expected| {
            notification.due.contains_key(channel) || notification.receipts.contains_key(channel)
        };
        let newest = notifications().rfind(is_for_it)?;
        let in_order = notifications().filter(|notification| {
            std::ptr::eq(*notification, newest)
                || !(notification.refused.contains(channel) || notification.replaced.contains_key(channel))
        });
        let received = in_order
            .filter_map(|notification| Some((notification.receipts.get(channel)?.last, notification)));
        let last = received
            .max_by_key(|(last, _)| *last)
            .map(|(_, notification)| notification);
        match last {
            Some(last) if std::ptr::eq(last, newest) => None,
            // Both say that it is down. What a process received no answer to, or left out of its
            // last commit, the next one sends again; but a reminder only while the outage lasts.
            Some(last)
                if (&last.kind, &newest.kind) == (&Outage, &Reminder)
                    && last.incident == newest.incident
                    && monitor.now.outage != Some(newest.incident) =>
            {
                None
            }
            Some(last) => Some(format!(
                "the last notification to {channel} is {last}, not {newest}"
            )),
            None => Some(format!("{channel} received nothing, not even {newest}")),
        }
    }

    /// A running outage must have its reminders.
    fn missing_reminder(&self, name: &str, channel: &str) -> Option<String> {
        let policy = self.setup.policy(name)?;
        let monitor = &self.monitors[name];
        let incident = monitor
            .now
            .outage
            .filter(|_| monitor.now.announced && policy.alarms)?;
        let wants = self
            .setup
            .channels()
            .any(|it| it.id == channel && it.wants(&Reminder, &policy));
        let (last, _) = self.last_notification(name, incident)?;
        let late = self.now().since(last) > policy.notify_every + STORE_LIMIT;
        (wants && late).then(|| format!("{channel} received no reminder of {name} since {last:?}"))
    }
}
