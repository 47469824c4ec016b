//! What is sent.

use super::*;

impl Reference {
    /// Finds the expected notification that one of the engine is. A reminder is
    /// decided by being seen.
    pub(super) fn identify(&mut self, seen: &Notification, channel: &str) -> Option<usize> {
        if !seen.id.starts_with(&format!("{}-{}", seen.incident, seen.number)) {
            self.complain(format!("{seen:?} has a strange id"));
        }
        if let Some(known) = self.known(seen, channel) {
            let notification = &self.notifications[known];
            if !notification.void {
                if !notification
                    .seen
                    .as_ref()
                    .is_some_and(|before| is_same(before, seen))
                {
                    self.complain(format!(
                        "{} has changed: {seen:?}, was {:?}",
                        seen.id, self.notifications[known].seen
                    ));
                }
                return Some(known);
            }
            // A channel that received one kind of end misses nothing without the other.
            let are_ends = [&notification.kind, &seen.kind]
                .iter()
                .all(|kind| matches!(kind, Recovery | NoLongerWatched));
            if notification.kind != seen.kind && !are_ends && notification.receipts.contains_key(channel) {
                let kind = notification.kind.clone();
                self.complain(format!(
                    "{} was {kind:?} and is {:?}: a receiver would drop it",
                    seen.id, seen.kind
                ));
            }
        }
        let notification = match seen.kind {
            Reminder => self.decide_reminder(seen),
            _ => self.find_unseen(seen, channel),
        };
        let Some(notification) = notification else {
            self.complain(format!("unexpected {:?}: {}", seen.kind, seen.text));
            return None;
        };
        let incident = &mut self.incidents[self.notifications[notification].incident].id;
        if incident.get_or_insert_with(|| seen.incident.clone()) != &seen.incident {
            self.complain(format!("two ids for one incident: {}", seen.text));
        }
        self.notifications[notification].seen = Some(seen.clone());
        self.by_id.entry(seen.id.clone()).or_default().push(notification);
        Some(notification)
    }

    /// The notification that the engine's is, if it is known: one that was owed to some channels
    /// has the id of the one that others received in time, and another moment.
    pub(super) fn known(&self, seen: &Notification, channel: &str) -> Option<usize> {
        let of_id = self.by_id.get(&seen.id)?.iter().copied().rev();
        let expected = |at: usize| &self.notifications[at];
        let same = of_id.clone().filter(|at| {
            let before = expected(*at).seen.as_ref();
            !expected(*at).void && before.is_some_and(|before| is_same(before, seen))
        });
        let waits = |at: &usize| expected(*at).due.get(channel) == Some(&Due::Waiting);
        same.clone().find(waits).or_else(|| {
            let last = of_id.clone().next()?;
            let of_monitor = &self.monitors[seen.monitor.as_str()].notifications;
            let first = same.clone().next();
            // One that is owed may be decided at the moment of the other.
            let may_be = |other: &Expected| first.is_none() || other.kind == seen.kind;
            let is_unseen = |at: &usize| {
                let other = expected(*at);
                let is_of_it = other.seen.is_none() && other.incident == expected(last).incident;
                is_of_it && may_be(other) && waits(at)
            };
            match of_monitor.iter().any(is_unseen) {
                true => None,
                false => first.or(Some(last)),
            }
        })
    }

    fn find_unseen(&self, seen: &Notification, channel: &str) -> Option<usize> {
        let notifications = &self.monitors.get(seen.monitor.as_str())?.notifications;
        let is_it = |notification: &Expected| notification.seen.is_none() && notification.kind == seen.kind;
        let unseen = notifications
            .iter()
            .copied()
            .filter(|notification| is_it(&self.notifications[*notification]));
        let waits = |at: &usize| self.notifications[*at].due.contains_key(channel);
        let is_for_it = |at: &usize| self.notifications[*at].addressed.contains(channel);
        let waiting = unseen.clone().find(waits);
        waiting
            .or_else(|| unseen.clone().find(is_for_it))
            .or_else(|| unseen.clone().next())
    }

    fn decide_reminder(&mut self, seen: &Notification) -> Option<usize> {
        let (name, at) = (seen.monitor.clone(), self.mono(seen.at));
        let mut setups = self.setups.iter().rev();
        let (_, setup_then) = setups.find(|(since, _)| *since <= at)?.clone();
        let policy = setup_then.policy(&name)?;
        let mut expected = self.expected(&name).clone();
        let incident = expected.outage.filter(|_| expected.announced && policy.alarms)?;
        let (last, count) = self.last_notification(&name, incident)?;
        // Not sooner than the curve says; some reminders before may not have been seen.
        let n = f64::from(policy.after_every_n.get());
        let left = (1.0 - f64::from(seen.number - 1) / n).max(0.0);
        let wait = policy.notify_every.mul_f64(1.0 - left * left);
        if u64::from(seen.number) <= count || at.since(last) + Duration::from_micros(1) < wait {
            self.complain(format!("a reminder too soon: {seen:?}"));
        }
        // It may have waited for the disk while the site file was edited.
        let setup_now = std::mem::replace(&mut self.setup, setup_then);
        let notification = self.decide(&name, &mut expected, Reminder, incident, &policy);
        let setup_then = std::mem::replace(&mut self.setup, setup_now);
        *self.expected(&name) = expected;
        self.readdress(&setup_then);
        self.notifications[notification].at = at;
        Some(notification)
    }

    /// When the last notification of an incident was decided, and its number.
    pub(super) fn last_notification(&self, name: &str, incident: usize) -> Option<(Mono, u64)> {
        let mut notifications = self.monitors[name]
            .notifications
            .iter()
            .map(|notification| &self.notifications[*notification]);
        let last = notifications.rfind(|notification| notification.incident == incident)?;
        Some((
            last.at,
            last.seen.as_ref().map_or(1, |seen| u64::from(seen.number)),
        ))
    }

    /// A notification is handed to a channel.
    pub fn attempted(
        &mut self,
        channel: &'static str,
        seen: &Notification,
        key: &str,
        permission: Permission,
    ) -> Option<usize> {
        if key != format!("{}-{channel}", seen.id) {
            self.complain(format!("{key} is not the key of {}", seen.id));
        }
        let notification = self.identify(seen, channel)?;
        match permission {
            Permission::OnDisk => {}
            Permission::FromMemory if self.log.has_save_error() => {}
            Permission::FromMemory => {
                self.complain(format!("{key} is sent from memory, and the log does not say why"));
            }
            Permission::Forbidden => self.complain(format!("{key} is sent before it is on disk")),
        }
        if !self.setup.has_channel(channel) {
            self.complain(format!("{channel} is not in the site file"));
        }
        let expected = &self.notifications[notification];
        if self.is_held_back(expected, channel) {
            let text = format!("{expected} is sent to {channel} again, which has a newer outage");
            self.complain(text);
        }
        self.notifications[notification].last_refused.remove(channel);
        self.notifications[notification].tried.insert(channel.to_owned());
        let due = self.notifications[notification].due.get(channel);
        if due != Some(&Due::Waiting) {
            self.complain(format!(
                "{} is not for {channel} ({due:?})",
                self.notifications[notification]
            ));
        }
        if self.notifications[notification].kind == Reminder {
            self.check_reminder(channel, notification);
        }
        Some(notification)
    }

    /// Checks that a reminder is not sent before its outage, after its end, or
    /// after a newer one was decided.
    fn check_reminder(&mut self, channel: &str, reminder: usize) {
        let notification = &self.notifications[reminder];
        let monitor = &self.monitors[notification.monitor.as_str()];
        let mut wrong = Vec::new();
        if monitor.now.outage != Some(notification.incident) {
            wrong.push(format!("{notification} is sent after the end of its outage"));
        }
        let others = monitor
            .notifications
            .iter()
            .map(|other| &self.notifications[*other]);
        for other in others.filter(|other| other.incident == notification.incident) {
            let waits = other.due.get(channel) == Some(&Due::Waiting);
            if other.kind == Outage && waits && !self.is_shutting_down {
                wrong.push(format!("{notification} is sent before its outage"));
            }
            let is_newer = other.kind == Reminder && other.position > notification.position;
            if is_newer && other.due.contains_key(channel) {
                wrong.push(format!("{notification} is sent although there is a newer one"));
            }
        }
        self.complain_all(wrong);
    }

    /// An attempt starts: only one is under way on a channel at a time.
    pub fn delivery_starts(&mut self, channel: &'static str) {
        if !self.under_way.insert(channel) {
            self.complain(format!("two notifications are under way to {channel}"));
        }
    }

    pub fn delivery_ends(&mut self, channel: &'static str) {
        self.under_way.remove(channel);
    }

    /// The receiver has the notification.
    pub fn received(&mut self, channel: &str, notification: usize) {
        self.receipts += 1;
        let (receipt, in_shutdown) = (self.receipts, self.is_shutting_down);
        let receipts = self.notifications[notification]
            .receipts
            .entry(channel.to_owned());
        let receipts = receipts.or_insert(Receipts {
            first: receipt,
            last: receipt,
            in_shutdown,
        });
        receipts.last = receipt;
        receipts.in_shutdown &= in_shutdown;
        let is_first = receipts.first == receipt;
        let notification = &self.notifications[notification];
        if self.is_unheard(channel, notification) {
            let text = format!("{channel} receives {notification}, and knows nothing of its beginning");
            return self.complain(text);
        }
        // Only a refusal may break the order, or a site file without the channel.
        if !is_first
            || notification.void
            || notification.refused.contains(channel)
            || notification.replaced.contains_key(channel)
        {
            return;
        }
        let later = &self.monitors[notification.monitor.as_str()].notifications[notification.position + 1..];
        let mut wrong = Vec::new();
        for later in later.iter().map(|later| &self.notifications[*later]) {
            let same = is_about_outage(&later.kind) == is_about_outage(&notification.kind);
            let received = later.receipts.get(channel);
            if same && received.is_some_and(|receipts| !receipts.in_shutdown) {
                wrong.push(format!("{channel} receives {notification} after {later}"));
            }
        }
        self.complain_all(wrong);
    }

    pub fn refused(&mut self, channel: &str, notification: usize) {
        let notification = &mut self.notifications[notification];
        notification.refused.insert(channel.to_owned());
        notification.last_refused.insert(channel.to_owned());
    }

    /// The engine knows that the receiver has the notification.
    pub fn confirmed(&mut self, channel: &str, notification: usize) {
        let now = self.now();
        if let Some(due) = self.notifications[notification].due.get_mut(channel) {
            *due = Due::Done(now);
            return;
        }
        // It left the site file during the attempt: nobody owes it this end any more.
        let Expected {
            incident,
            kind,
            monitor,
            ..
        } = &self.notifications[notification];
        if matches!(kind, Recovery | NoLongerWatched | Known) {
            let (incident, name) = (*incident, monitor.clone());
            for owed in &mut self.expected(&name).owed {
                if owed.incident == incident {
                    owed.channels.remove(channel);
                }
            }
            self.expected(&name).owed.retain(|owed| !owed.channels.is_empty());
            for other in &mut self.notifications {
                let is_end = matches!(other.kind, Recovery | NoLongerWatched | Known);
                if is_end && other.incident == incident {
                    other.due.remove(channel);
                }
            }
        }
    }
}
