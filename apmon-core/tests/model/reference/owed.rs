//! Channels that are switched off, removed and added again: who receives what in place of whom,
//! and the ends that a channel is owed.

use super::*;
use crate::setup::{CHANNELS, EndDue};

impl Reference {
    /// Decides the end of an announced incident: those that want it receive it, and those that
    /// received the beginning, at the latest once they can.
    pub(super) fn end(
        &mut self,
        name: &str,
        expected: &mut ExpectedState,
        kind: NotificationKind,
        incident: usize,
        policy: &Policy,
    ) {
        let announced = expected.announced_to.remove(&incident).unwrap_or_default();
        let is_gone = announced.iter().any(|id| !self.setup.has_channel(id));
        let (mut now, later) = self.divide(announced, &kind, policy);
        if is_gone {
            // It may be back under another id.
            let keyed = self.setup.channels().filter(|channel| channel.is_keyed);
            let takes_it = keyed.filter(|channel| channel.wants(&kind, &Policy::default()));
            now.extend(takes_it.map(|channel| channel.id.to_owned()));
        }
        if policy.alarms {
            let wanted_by = self
                .setup
                .channels()
                .filter(|channel| channel.wants(&kind, policy));
            now.extend(wanted_by.map(|channel| channel.id.to_owned()));
        }
        if !later.is_empty() {
            expected.owed.push(Owed {
                incident,
                kind: kind.clone(),
                channels: later,
            });
        }
        if policy.alarms || !now.is_empty() {
            self.decide_for(name, expected, kind, incident, now);
        }
    }

    /// Divides channels into those that receive an end now, and those that receive it later.
    fn divide(
        &self,
        announced: BTreeSet<String>,
        kind: &NotificationKind,
        policy: &Policy,
    ) -> (BTreeSet<String>, BTreeSet<String>) {
        let due = |id: &String| {
            let channel = CHANNELS.iter().find(|channel| channel.id == id).unwrap();
            match self.setup.has_channel(id) {
                true => channel.end_due(kind, policy),
                false => EndDue::Later,
            }
        };
        let of = |wanted: EndDue| announced.iter().filter(|id| due(id) == wanted).cloned().collect();
        (of(EndDue::Now), of(EndDue::Later))
    }

    /// The policy of a monitor in the present site file, in the one before, or as last known.
    fn policy_in(&self, name: &str, before: &Setup) -> Policy {
        let last = || self.monitors[name].now.last_policy();
        let policy = self
            .setup
            .policy(name)
            .or_else(|| match self.monitors[name].now.removed {
                true => None,
                false => before.policy(name),
            });
        policy.unwrap_or_else(last)
    }

    /// Decides the owed ends that the present site file lets through.
    fn settle(&mut self, before: &Setup) {
        for name in MONITORS {
            let policy = self.policy_in(name, before);
            let mut expected = self.expected(name).clone();
            for owed in std::mem::take(&mut expected.owed) {
                let (now, later) = self.divide(owed.channels, &owed.kind, &policy);
                if !later.is_empty() {
                    expected.owed.push(Owed {
                        channels: later,
                        kind: owed.kind.clone(),
                        ..owed
                    });
                }
                if !now.is_empty() {
                    self.decide_for(name, &mut expected, owed.kind, owed.incident, now);
                }
            }
            *self.expected(name) = expected;
        }
    }

    /// Readdresses notifications that wait for a removed channel to the channels that
    /// were not to receive them yet. The removed channel is owed the ends among them.
    pub(super) fn readdress(&mut self, before: &Setup) {
        self.settle(before);
        let mut ends = Vec::new();
        for at in 0..self.notifications.len() {
            if self.notifications[at].void {
                continue;
            }
            let waits = |(id, due): (&String, &Due)| (*due == Due::Waiting).then(|| id.clone());
            let waiting: Vec<String> = self.notifications[at].due.iter().filter_map(waits).collect();
            let is_gone = |id: &String| !self.setup.has_channel(id);
            let gone: Vec<String> = waiting.into_iter().filter(is_gone).collect();
            for removed in gone {
                let end = self.readdress_one(at, removed, before);
                ends.extend(end);
            }
        }
        for (name, owed) in ends {
            self.expected(&name).owed.push(owed);
        }
        self.settle(before);
    }

    fn readdress_one(&mut self, at: usize, removed: String, before: &Setup) -> Option<(String, Owed)> {
        let name = self.notifications[at].monitor.clone();
        let policy = self.policy_in(&name, before);
        let setup = self.setup.clone();
        let expected = &mut self.monitors.get_mut(name.as_str()).unwrap().now;
        let notification = &mut self.notifications[at];
        let (incident, kind) = (notification.incident, notification.kind.clone());
        notification.due.remove(&removed);
        let is_end = matches!(kind, Recovery | NoLongerWatched | Known);
        let is_open = expected.outage == Some(incident) || expected.unknown == Some(incident);
        for channel in setup
            .channels()
            .filter(|channel| policy.alarms || !is_end || channel.is_keyed)
        {
            let id = channel.id.to_owned();
            let mut owed = expected.owed.iter().filter(|owed| owed.incident == incident);
            if !channel.wants(&kind, &policy) || (is_end && owed.any(|owed| owed.channels.contains(&id))) {
                continue;
            }
            if notification.addressed.insert(id.clone()) {
                notification.due.insert(id.clone(), Due::Waiting);
                notification.replaced.insert(id.clone(), removed.clone());
                if is_end || expected.removed {
                    continue;
                }
                if is_open {
                    expected.announced_to.entry(incident).or_default().insert(id);
                } else if let Some(owed) = expected.owed.iter_mut().find(|owed| owed.incident == incident) {
                    owed.channels.insert(id);
                }
            }
        }
        let owed = Owed {
            incident,
            kind,
            channels: BTreeSet::from([removed]),
        };
        is_end.then_some((name, owed))
    }
}
