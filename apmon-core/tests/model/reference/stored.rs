//! What is on disk.

use super::*;

impl Reference {
    /// A commit begins. Returns the expectations that it will make durable.
    pub fn committing(&mut self, commit: &Commit) -> Expectations {
        for entry in &commit.outbox {
            self.identify(&entry.notification, &entry.channel);
        }
        let mut expectations = Vec::new();
        // Of two states of one monitor the later one counts.
        let states: BTreeMap<_, _> = commit.states.iter().map(|(name, state)| (name, state)).collect();
        for (name, state) in states {
            let expected = self.expected(name).clone();
            if (state.is_up, state.down_count) != (expected.is_up, expected.failed) {
                let (is_up, failed) = (state.is_up, state.down_count);
                self.complain(format!(
                    "{name} is written as {is_up:?} after {failed} failed checks, expected {expected:?}"
                ));
            }
            expectations.push((name.clone(), expected));
        }
        expectations
    }

    /// A commit is on disk, which now holds these entries.
    pub fn written(&mut self, expectations: Expectations, outbox: &[OutboxEntry]) {
        for (name, expected) in expectations {
            self.monitors.get_mut(name.as_str()).unwrap().on_disk = expected;
        }
        self.check_nothing_is_lost(outbox);
    }

    /// Checks that state and notifications reach the disk in one step, so that the next
    /// process would find every notification.
    pub(super) fn check_nothing_is_lost(&mut self, outbox: &[OutboxEntry]) {
        let stored: BTreeSet<(&str, &str)> = outbox
            .iter()
            .map(|entry| (entry.notification.id.as_str(), entry.channel.as_str()))
            .collect();
        let mut lost = Vec::new();
        for monitor in self.monitors.values() {
            for notification in &monitor.notifications[..monitor.on_disk.decided] {
                let notification = &self.notifications[*notification];
                let waiting = notification.due.iter().filter(|(_, due)| **due == Due::Waiting);
                for (channel, _) in waiting.filter(|_| notification.kind != Reminder) {
                    let id = notification.seen.as_ref().map_or("", |seen| seen.id.as_str());
                    let mut holder = Some(channel);
                    while let Some(channel) = holder.filter(|holder| !stored.contains(&(id, holder.as_str())))
                    {
                        holder = notification.replaced.get(channel);
                    }
                    if holder.is_none() {
                        lost.push(format!(
                            "{notification} for {channel} is not on disk, but its state is"
                        ));
                    }
                }
            }
        }
        self.complain_all(lost);
    }

    /// A process starts with what is on disk.
    pub fn process_starts(&mut self, setup: Setup, outbox: &[OutboxEntry]) {
        self.check_nothing_is_lost(outbox);
        self.log.clear();
        self.is_shutting_down = false;
        for monitor in self.monitors.values_mut() {
            monitor.now = monitor.on_disk.clone();
            for forgotten in monitor.notifications.split_off(monitor.now.decided) {
                self.notifications[forgotten].void = true;
            }
        }
        // Only what is on disk is still to be sent.
        for notification in self
            .notifications
            .iter_mut()
            .filter(|notification| !notification.void)
        {
            notification.due.retain(|_, due| *due != Due::Waiting);
            notification.is_loaded = true;
        }
        for entry in outbox {
            let known = self.known(&entry.notification, &entry.channel);
            let known = known.map(|known| &mut self.notifications[known]);
            match known.filter(|notification| !notification.void) {
                Some(notification) => {
                    notification.due.insert(entry.channel.clone(), Due::Waiting);
                    match entry.refused {
                        true => notification.last_refused.insert(entry.channel.clone()),
                        false => notification.last_refused.remove(&entry.channel),
                    };
                    notification.addressed = entry.addressed.iter().cloned().collect();
                }
                None => self.complain(format!("{} is on disk without its state", entry.key())),
            }
        }
        self.use_setup(setup);
        for name in MONITORS {
            if self.setup.policy(name).is_some() {
                self.expected(name).removed = false;
            }
        }
        // What a monitor that is gone had before is known from its state only.
        let nothing = Setup::without_monitors();
        self.readdress(&nothing);
        for name in MONITORS {
            if self.setup.policy(name).is_none() {
                let policy = self.expected(name).last_policy();
                self.remove(name, &policy);
            }
        }
    }

    /// The process has ended. What was decided or delivered a while ago is on
    /// disk, if the disk worked.
    pub fn process_ended(&mut self, outbox: &[OutboxEntry]) {
        let now = self.now();
        let recently = |since: Mono| now.since(since) < STORE_LIMIT;
        if self.disk_works_since.is_none_or(recently) || self.is_shutting_down {
            return;
        }
        let mut late = Vec::new();
        for monitor in self.monitors.values() {
            for notification in &monitor.notifications[monitor.on_disk.decided..] {
                let notification = &self.notifications[*notification];
                if now.since(notification.at) >= STORE_LIMIT {
                    late.push(format!("{notification} was decided long ago and is not on disk"));
                }
            }
        }
        for entry in outbox {
            let known = self.known(&entry.notification, &entry.channel);
            let notification = known.map(|known| &self.notifications[known]);
            if let Some(Due::Done(at)) =
                notification.and_then(|notification| notification.due.get(&entry.channel))
                && now.since(*at) >= STORE_LIMIT
            {
                late.push(format!(
                    "{} was delivered long ago and is still on disk",
                    entry.key()
                ));
            }
        }
        self.complain_all(late);
    }
}
