//! What is on disk.

use super::*;

impl Reference {
    /// A commit begins. Returns what it will have made durable.
    pub fn committing(&mut self, commit: &Commit) -> Beliefs {
        for entry in &commit.outbox {
            self.see(&entry.notification, &entry.channel);
        }
        let mut beliefs = Vec::new();
        // Of two states of one monitor the later one holds.
        let states: BTreeMap<_, _> = commit.states.iter().map(|(name, state)| (name, state)).collect();
        for (name, state) in states {
            let believed = self.believed(name).clone();
            if (state.is_up, state.down_count) != (believed.is_up, believed.failed) {
                let (is_up, failed) = (state.is_up, state.down_count);
                self.complain(format!(
                    "{name} is written as {is_up:?} after {failed} failed looks, not {believed:?}"
                ));
            }
            beliefs.push((name.clone(), believed));
        }
        beliefs
    }

    /// A commit is on disk, and with it these entries.
    pub fn written(&mut self, beliefs: Beliefs, kept: &[OutboxEntry]) {
        for (name, belief) in beliefs {
            self.watched.get_mut(name.as_str()).unwrap().on_disk = belief;
        }
        self.nothing_is_lost(kept);
    }

    /// State and messages come to the disk in one step: what would the next
    /// process not find?
    pub(super) fn nothing_is_lost(&mut self, kept: &[OutboxEntry]) {
        let kept: BTreeSet<(&str, &str)> = kept
            .iter()
            .map(|entry| (entry.notification.id.as_str(), entry.channel.as_str()))
            .collect();
        let mut lost = Vec::new();
        for watched in self.watched.values() {
            for message in &watched.messages[..watched.on_disk.decided] {
                let message = &self.messages[*message];
                let waiting = message.due.iter().filter(|(_, due)| **due == Due::Waiting);
                for (channel, _) in waiting.filter(|_| message.kind != Reminder) {
                    let id = message.seen.as_ref().map_or("", |seen| seen.id.as_str());
                    let mut holder = Some(channel);
                    while let Some(channel) = holder.filter(|holder| !kept.contains(&(id, holder.as_str()))) {
                        holder = message.heirs.get(channel);
                    }
                    if holder.is_none() {
                        lost.push(format!(
                            "{message} for {channel} is not on disk, and what it tells is"
                        ));
                    }
                }
            }
        }
        lost.into_iter().for_each(|lost| self.complain(lost));
    }

    /// A process starts, with what is on disk.
    pub fn begin(&mut self, setup: Setup, kept: &[OutboxEntry]) {
        self.nothing_is_lost(kept);
        self.ears.clear();
        self.is_ending = false;
        for watched in self.watched.values_mut() {
            watched.now = watched.on_disk.clone();
            for gone in watched.messages.split_off(watched.now.decided) {
                self.messages[gone].void = true;
            }
        }
        // Only what stands there is still to be told.
        for message in self.messages.iter_mut().filter(|message| !message.void) {
            message.due.retain(|_, due| *due != Due::Waiting);
        }
        for entry in kept {
            let known = self
                .by_id
                .get(&entry.notification.id)
                .map(|known| &mut self.messages[*known]);
            match known.filter(|message| !message.void) {
                Some(message) => {
                    message.due.insert(entry.channel.clone(), Due::Waiting);
                    message.addressed = entry.addressed.iter().cloned().collect();
                }
                None => self.complain(format!("{} is on disk without its state", entry.key())),
            }
        }
        self.takes_hold(setup);
        for name in MONITORS {
            match self.setup.policy(name) {
                Some(_) => self.believed(name).removed = false,
                None => {
                    let policy = self.believed(name).last_policy();
                    self.removed(name, &policy);
                }
            }
        }
        self.readdress();
    }

    /// The process has ended. What was decided or told a while ago is on disk,
    /// if that worked.
    pub fn ended(&mut self, kept: &[OutboxEntry]) {
        let now = self.now();
        if self.sound_since.is_none_or(|since| now.since(since) < PROMPT) || self.is_ending {
            return;
        }
        let mut late = Vec::new();
        for watched in self.watched.values() {
            for message in &watched.messages[watched.on_disk.decided..] {
                let message = &self.messages[*message];
                if now.since(message.at) >= PROMPT {
                    late.push(format!("{message} was decided long ago and is not on disk"));
                }
            }
        }
        for entry in kept {
            let message = self
                .by_id
                .get(&entry.notification.id)
                .map(|known| &self.messages[*known]);
            if let Some(Due::Done(at)) = message.and_then(|message| message.due.get(&entry.channel))
                && now.since(*at) >= PROMPT
            {
                late.push(format!("{} was told long ago and waits on disk", entry.key()));
            }
        }
        late.into_iter().for_each(|late| self.complain(late));
    }
}
