//! What holds at the end, when all has worked for long.

use super::*;

impl Reference {
    /// A receiver has taken everything `since` then. Whatever the disk does, it
    /// has been told.
    pub fn takes(&mut self, channel: &str, since: Mono) {
        // What a channel has in the place of another it has since an edit.
        let edited = self.setups.last().map_or(Mono::ORIGIN, |(edited, _)| *edited);
        let (now, since) = (self.now(), since.max(edited));
        let is_late = |message: &&Message| {
            let waits = message.due.get(channel) == Some(&Due::Waiting) && message.kind != Reminder;
            waits && !message.void && now.since(since.max(message.at)) >= PATIENT
        };
        let late = self.messages.iter().filter(is_late);
        let late: Vec<_> = late
            .map(|message| format!("{channel} waits for {message}"))
            .collect();
        late.into_iter().for_each(|late| self.complain(late));
    }

    /// No message was decided just now.
    pub fn is_quiet(&self) -> bool {
        let now = self.now();
        let newest = self.messages.iter().map(|message| message.at).max();
        newest.is_none_or(|newest| now.since(newest) >= Duration::from_secs(1))
    }

    /// `is_up` is what each target is; `None` where nobody can look.
    pub fn finish(&mut self, is_up: &[Option<bool>], kept: &[String]) {
        let mut wrong = Vec::new();
        for (name, is_up) in MONITORS.into_iter().zip(is_up) {
            let watched = &self.watched[name];
            let believed = watched.now.is_up;
            if self.setup.policy(name).is_some() && is_up.is_some() && believed != *is_up {
                wrong.push(format!("{name} is believed {believed:?}, and is {is_up:?}"));
            }
            for message in watched.messages.iter().map(|message| &self.messages[*message]) {
                for (channel, due) in message.due.iter().filter(|_| message.kind != Reminder) {
                    let heard = message.heard.contains_key(channel);
                    if *due == Due::Waiting || !heard {
                        wrong.push(format!("{channel} was not told {message}"));
                    }
                }
            }
            for receiver in self.setup.receivers() {
                wrong.extend(self.last_word(watched, receiver.id));
                wrong.extend(self.is_reminded(name, receiver.id));
            }
        }
        wrong.extend(kept.iter().map(|key| format!("{key} is left on disk")));
        wrong.into_iter().for_each(|wrong| self.complain(wrong));
    }

    /// The last that a receiver heard of a monitor's state is the last there
    /// was to tell it.
    pub(super) fn last_word(&self, watched: &Watched, channel: &str) -> Option<String> {
        // Where nobody is told of the end, a reminder may still have become pointless.
        let is_pointless = |message: &&Message| {
            let is_over = watched.now.outage != Some(message.incident);
            message.kind == Reminder && is_over && !message.heard.contains_key(channel)
        };
        let messages = || {
            let messages = watched.messages.iter().map(|message| &self.messages[*message]);
            messages.filter(|message| of_outage(&message.kind) && !is_pointless(message))
        };
        let is_for_it =
            |message: &&Message| message.due.contains_key(channel) || message.heard.contains_key(channel);
        let newest = messages().rfind(is_for_it)?;
        let in_order = messages().filter(|message| {
            std::ptr::eq(*message, newest)
                || !(message.refused.contains(channel) || message.heirs.contains_key(channel))
        });
        let heard = in_order.filter_map(|message| Some((message.heard.get(channel)?.last, message)));
        let last = heard.max_by_key(|(last, _)| *last).map(|(_, message)| message);
        match last {
            Some(last) if std::ptr::eq(last, newest) => None,
            Some(last) => Some(format!("the last word to {channel} is {last}, not {newest}")),
            None => Some(format!("{channel} heard nothing, not {newest}")),
        }
    }

    /// Of an outage that goes on one is reminded.
    pub(super) fn is_reminded(&self, name: &str, channel: &str) -> Option<String> {
        let policy = self.setup.policy(name)?;
        let watched = &self.watched[name];
        let incident = watched.now.outage.filter(|_| watched.now.told && policy.alarms)?;
        let takes = self
            .setup
            .receivers()
            .any(|it| it.id == channel && it.takes(&Reminder, &policy));
        let (last, _) = self.before(name, incident)?;
        let late = self.now().since(last) > policy.notify_every + PROMPT;
        (takes && late).then(|| format!("{channel} was not reminded of {name} since {last:?}"))
    }
}
