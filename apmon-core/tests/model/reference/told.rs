//! What is told.

use super::*;

impl Reference {
    /// Which message of the model this is. A reminder is one by being seen.
    pub(super) fn see(&mut self, shown: &Notification, channel: &str) -> Option<usize> {
        if !shown
            .id
            .starts_with(&format!("{}-{}", shown.incident, shown.number))
        {
            self.complain(format!("{shown:?} has a strange id"));
        }
        if let Some(&known) = self.by_id.get(&shown.id) {
            let message = &self.messages[known];
            if !message.void {
                if !message.seen.as_ref().is_some_and(|seen| is_same(seen, shown)) {
                    self.complain(format!(
                        "{} has changed: {shown:?}, was {:?}",
                        shown.id, self.messages[known].seen
                    ));
                }
                return Some(known);
            }
            // Whoever heard of the one end misses nothing by not hearing of the other.
            let are_ends = [&message.kind, &shown.kind]
                .iter()
                .all(|kind| matches!(kind, Recovery | NoLongerWatched));
            if message.kind != shown.kind && !are_ends && message.heard.contains_key(channel) {
                let kind = message.kind.clone();
                self.complain(format!(
                    "{} was {kind:?} and is {:?}: a receiver would drop it",
                    shown.id, shown.kind
                ));
            }
        }
        let found = match shown.kind {
            Reminder => self.reminder(shown),
            _ => self.unseen(shown),
        };
        let Some(found) = found else {
            self.complain(format!("nothing explains {:?}: {}", shown.kind, shown.text));
            return None;
        };
        let incident = &mut self.incidents[self.messages[found].incident].id;
        if incident.get_or_insert_with(|| shown.incident.clone()) != &shown.incident {
            self.complain(format!("two ids for one incident: {}", shown.text));
        }
        self.messages[found].seen = Some(shown.clone());
        self.by_id.insert(shown.id.clone(), found);
        Some(found)
    }

    pub(super) fn unseen(&self, shown: &Notification) -> Option<usize> {
        let messages = &self.watched.get(shown.monitor.as_str())?.messages;
        let unseen = |message: &Message| message.seen.is_none() && message.kind == shown.kind;
        messages
            .iter()
            .copied()
            .find(|message| unseen(&self.messages[*message]))
    }

    pub(super) fn reminder(&mut self, shown: &Notification) -> Option<usize> {
        let (name, at) = (shown.monitor.clone(), self.mono(shown.at));
        let mut setups = self.setups.iter().rev();
        let (_, then) = setups.find(|(since, _)| *since <= at)?.clone();
        let policy = then.policy(&name)?;
        let mut belief = self.believed(&name).clone();
        let incident = belief.outage.filter(|_| belief.told && policy.alarms)?;
        let (before, count) = self.before(&name, incident)?;
        // Not sooner than the curve says; how many there were nobody may have seen.
        let n = f64::from(policy.after_every_n.get());
        let left = (1.0 - f64::from(shown.number - 1) / n).max(0.0);
        let wait = policy.notify_every.mul_f64(1.0 - left * left);
        if u64::from(shown.number) <= count || at.since(before) + Duration::from_micros(1) < wait {
            self.complain(format!("a reminder too soon: {shown:?}"));
        }
        // It may have waited for the disk while the site file was edited.
        let present = std::mem::replace(&mut self.setup, then);
        let found = self.decide(&name, &mut belief, Reminder, incident, &policy);
        self.setup = present;
        self.readdress();
        self.messages[found].at = at;
        *self.believed(&name) = belief;
        Some(found)
    }

    /// When the last message of an incident was decided, and its number.
    pub(super) fn before(&self, name: &str, incident: usize) -> Option<(Mono, u64)> {
        let mut messages = self.watched[name]
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
    pub fn tried(
        &mut self,
        channel: &'static str,
        shown: &Notification,
        key: &str,
        permission: Permission,
    ) -> Option<usize> {
        if key != format!("{}-{channel}", shown.id) {
            self.complain(format!("{key} is not the key of {}", shown.id));
        }
        let found = self.see(shown, channel)?;
        match permission {
            Permission::OnDisk => {}
            Permission::FromMemory if self.ears.heard() => {}
            Permission::FromMemory => {
                self.complain(format!("{key} is told from memory, and nobody said why"))
            }
            Permission::Forbidden => self.complain(format!("{key} is told before it is on disk")),
        }
        if !self.setup.has_channel(channel) {
            self.complain(format!("{channel} is not in the site file"));
        }
        let message = &self.messages[found];
        if message.due.get(channel) != Some(&Due::Waiting) {
            let due = message.due.get(channel);
            self.complain(format!("{message} is not for {channel} ({due:?})"));
        }
        if self.messages[found].kind == Reminder {
            self.is_in_time(channel, found);
        }
        Some(found)
    }

    /// No reminder before its outage, after its end, or where there is a newer one.
    pub(super) fn is_in_time(&mut self, channel: &str, reminder: usize) {
        let message = &self.messages[reminder];
        let watched = &self.watched[message.monitor.as_str()];
        let mut wrong = Vec::new();
        if watched.now.outage != Some(message.incident) {
            wrong.push(format!("{message} comes after the end of its outage"));
        }
        let others = watched.messages.iter().map(|other| &self.messages[*other]);
        for other in others.filter(|other| other.incident == message.incident) {
            let waits = other.due.get(channel) == Some(&Due::Waiting);
            if other.kind == Outage && waits && !self.is_ending {
                wrong.push(format!("{message} comes before its outage"));
            }
            if other.kind == Reminder && other.place > message.place && other.due.contains_key(channel) {
                wrong.push(format!("{message} is told, and there is a newer one"));
            }
        }
        wrong.into_iter().for_each(|wrong| self.complain(wrong));
    }

    /// One message is under way on a channel at a time.
    pub fn starts(&mut self, channel: &'static str) {
        if !self.under_way.insert(channel) {
            self.complain(format!("two messages are under way to {channel}"));
        }
    }

    pub fn ends(&mut self, channel: &'static str) {
        self.under_way.remove(channel);
    }

    /// The receiver has it.
    pub fn heard(&mut self, channel: &str, found: usize) {
        self.hearings += 1;
        let (hearing, last_chance) = (self.hearings, self.is_ending);
        let message = &mut self.messages[found];
        let heard = message.heard.entry(channel.to_owned());
        let heard = heard.or_insert(Heard {
            first: hearing,
            last: hearing,
            last_chance,
        });
        heard.last = hearing;
        heard.last_chance &= last_chance;
        let is_first = heard.first == hearing;
        let message = &self.messages[found];
        // Only a refusal breaks the order, or a site file that named no such channel.
        if !is_first
            || message.void
            || message.refused.contains(channel)
            || message.heirs.contains_key(channel)
        {
            return;
        }
        let later = &self.watched[message.monitor.as_str()].messages[message.place + 1..];
        let mut wrong = Vec::new();
        for later in later.iter().map(|later| &self.messages[*later]) {
            let same = of_outage(&later.kind) == of_outage(&message.kind);
            if same && later.heard.get(channel).is_some_and(|heard| !heard.last_chance) {
                wrong.push(format!("{channel} hears {message} after {later}"));
            }
        }
        wrong.into_iter().for_each(|wrong| self.complain(wrong));
    }

    pub fn refused(&mut self, channel: &str, found: usize) {
        self.messages[found].refused.insert(channel.to_owned());
    }

    /// The engine knows that the receiver has it.
    pub fn answered(&mut self, channel: &str, found: usize) {
        let now = self.now();
        if let Some(due) = self.messages[found].due.get_mut(channel) {
            *due = Due::Done(now);
        }
    }
}
