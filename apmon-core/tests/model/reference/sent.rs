//! What is sent.

use super::*;

impl Reference {
    /// Finds the message that a notification of the engine is. A reminder is
    /// decided by being seen.
    pub(super) fn identify(&mut self, seen: &Notification, channel: &str) -> Option<usize> {
        if !seen.id.starts_with(&format!("{}-{}", seen.incident, seen.number)) {
            self.complain(format!("{seen:?} has a strange id"));
        }
        if let Some(&known) = self.by_id.get(&seen.id) {
            let message = &self.messages[known];
            if !message.void {
                if !message.seen.as_ref().is_some_and(|before| is_same(before, seen)) {
                    self.complain(format!(
                        "{} has changed: {seen:?}, was {:?}",
                        seen.id, self.messages[known].seen
                    ));
                }
                return Some(known);
            }
            // A channel that received one kind of end misses nothing without the other.
            let are_ends = [&message.kind, &seen.kind]
                .iter()
                .all(|kind| matches!(kind, Recovery | NoLongerWatched));
            if message.kind != seen.kind && !are_ends && message.receipts.contains_key(channel) {
                let kind = message.kind.clone();
                self.complain(format!(
                    "{} was {kind:?} and is {:?}: a receiver would drop it",
                    seen.id, seen.kind
                ));
            }
        }
        let message = match seen.kind {
            Reminder => self.decide_reminder(seen),
            _ => self.find_unseen(seen),
        };
        let Some(message) = message else {
            self.complain(format!("unexpected {:?}: {}", seen.kind, seen.text));
            return None;
        };
        let incident = &mut self.incidents[self.messages[message].incident].id;
        if incident.get_or_insert_with(|| seen.incident.clone()) != &seen.incident {
            self.complain(format!("two ids for one incident: {}", seen.text));
        }
        self.messages[message].seen = Some(seen.clone());
        self.by_id.insert(seen.id.clone(), message);
        Some(message)
    }

    fn find_unseen(&self, seen: &Notification) -> Option<usize> {
        let messages = &self.monitors.get(seen.monitor.as_str())?.messages;
        let is_it = |message: &Message| message.seen.is_none() && message.kind == seen.kind;
        messages
            .iter()
            .copied()
            .find(|message| is_it(&self.messages[*message]))
    }

    fn decide_reminder(&mut self, seen: &Notification) -> Option<usize> {
        let (name, at) = (seen.monitor.clone(), self.mono(seen.at));
        let mut setups = self.setups.iter().rev();
        let (_, setup_then) = setups.find(|(since, _)| *since <= at)?.clone();
        let policy = setup_then.policy(&name)?;
        let mut expected = self.expected(&name).clone();
        let incident = expected.outage.filter(|_| expected.announced && policy.alarms)?;
        let (last, count) = self.last_message(&name, incident)?;
        // Not sooner than the curve says; some reminders before may not have been seen.
        let n = f64::from(policy.after_every_n.get());
        let left = (1.0 - f64::from(seen.number - 1) / n).max(0.0);
        let wait = policy.notify_every.mul_f64(1.0 - left * left);
        if u64::from(seen.number) <= count || at.since(last) + Duration::from_micros(1) < wait {
            self.complain(format!("a reminder too soon: {seen:?}"));
        }
        // It may have waited for the disk while the site file was edited.
        let setup_now = std::mem::replace(&mut self.setup, setup_then);
        let message = self.decide(&name, &mut expected, Reminder, incident, &policy);
        self.setup = setup_now;
        self.readdress();
        self.messages[message].at = at;
        *self.expected(&name) = expected;
        Some(message)
    }

    /// When the last message of an incident was decided, and its number.
    pub(super) fn last_message(&self, name: &str, incident: usize) -> Option<(Mono, u64)> {
        let mut messages = self.monitors[name]
            .messages
            .iter()
            .map(|message| &self.messages[*message]);
        let last = messages.rfind(|message| message.incident == incident)?;
        Some((
            last.at,
            last.seen.as_ref().map_or(1, |seen| u64::from(seen.number)),
        ))
    }

    /// A message is handed to a channel.
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
        let message = self.identify(seen, channel)?;
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
        let due = self.messages[message].due.get(channel);
        if due != Some(&Due::Waiting) {
            self.complain(format!(
                "{} is not for {channel} ({due:?})",
                self.messages[message]
            ));
        }
        if self.messages[message].kind == Reminder {
            self.check_reminder(channel, message);
        }
        Some(message)
    }

    /// Checks that a reminder is not sent before its outage, after its end, or
    /// after a newer one was decided.
    fn check_reminder(&mut self, channel: &str, reminder: usize) {
        let message = &self.messages[reminder];
        let monitor = &self.monitors[message.monitor.as_str()];
        let mut wrong = Vec::new();
        if monitor.now.outage != Some(message.incident) {
            wrong.push(format!("{message} is sent after the end of its outage"));
        }
        let others = monitor.messages.iter().map(|other| &self.messages[*other]);
        for other in others.filter(|other| other.incident == message.incident) {
            let waits = other.due.get(channel) == Some(&Due::Waiting);
            if other.kind == Outage && waits && !self.is_shutting_down {
                wrong.push(format!("{message} is sent before its outage"));
            }
            let is_newer = other.kind == Reminder && other.position > message.position;
            if is_newer && other.due.contains_key(channel) {
                wrong.push(format!("{message} is sent although there is a newer one"));
            }
        }
        self.complain_all(wrong);
    }

    /// An attempt starts: only one is under way on a channel at a time.
    pub fn delivery_starts(&mut self, channel: &'static str) {
        if !self.under_way.insert(channel) {
            self.complain(format!("two messages are under way to {channel}"));
        }
    }

    pub fn delivery_ends(&mut self, channel: &'static str) {
        self.under_way.remove(channel);
    }

    /// The receiver has the message.
    pub fn received(&mut self, channel: &str, message: usize) {
        self.receipts += 1;
        let (receipt, in_shutdown) = (self.receipts, self.is_shutting_down);
        let receipts = self.messages[message].receipts.entry(channel.to_owned());
        let receipts = receipts.or_insert(Receipts {
            first: receipt,
            last: receipt,
            in_shutdown,
        });
        receipts.last = receipt;
        receipts.in_shutdown &= in_shutdown;
        let is_first = receipts.first == receipt;
        let message = &self.messages[message];
        // Only a refusal may break the order, or a site file without the channel.
        if !is_first
            || message.void
            || message.refused.contains(channel)
            || message.replaced.contains_key(channel)
        {
            return;
        }
        let later = &self.monitors[message.monitor.as_str()].messages[message.position + 1..];
        let mut wrong = Vec::new();
        for later in later.iter().map(|later| &self.messages[*later]) {
            let same = is_about_outage(&later.kind) == is_about_outage(&message.kind);
            let received = later.receipts.get(channel);
            if same && received.is_some_and(|receipts| !receipts.in_shutdown) {
                wrong.push(format!("{channel} receives {message} after {later}"));
            }
        }
        self.complain_all(wrong);
    }

    pub fn refused(&mut self, channel: &str, message: usize) {
        self.messages[message].refused.insert(channel.to_owned());
    }

    /// The engine knows that the receiver has the message.
    pub fn confirmed(&mut self, channel: &str, message: usize) {
        let now = self.now();
        if let Some(due) = self.messages[message].due.get_mut(channel) {
            *due = Due::Done(now);
        }
    }
}
