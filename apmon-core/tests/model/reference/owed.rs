//! Channels that are switched off, removed and added again: who receives what in place of whom,
//! and the ends that a channel is owed.

use super::*;
use crate::setup::{CHANNELS, EndDue};

/// An end of an incident.
struct WaitingEnd {
    /// The channels for which it waits.
    waiting: BTreeSet<String>,
    /// Whether one of them is not in the site file any more, so that others get it.
    waits_in_vain: bool,
    addressed: BTreeSet<String>,
}

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
        if is_about_outage(&kind) {
            let now = self.now();
            self.monitors.get_mut(name).unwrap().outage_ended = now;
        }
        let announced = expected.announced_to.remove(&incident).unwrap_or_default();
        let renamed = self.in_place_of_missing(&announced, &kind);
        let (mut now, later) = self.divide(announced, &kind, policy);
        now.extend(renamed);
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
                sent_to: now.clone(),
            });
        }
        if policy.alarms || !now.is_empty() {
            self.decide_for(name, expected, kind, incident, now);
        }
    }

    /// The services that may be a channel that is not in the site file, under another id.
    fn in_place_of_missing(&self, channels: &BTreeSet<String>, kind: &NotificationKind) -> BTreeSet<String> {
        if channels.iter().all(|id| self.setup.has_channel(id)) {
            return BTreeSet::new();
        }
        let keyed = self.setup.channels().filter(|channel| channel.is_keyed);
        let takes_it = keyed.filter(|channel| channel.wants(kind, &Policy::default()));
        takes_it.map(|channel| channel.id.to_owned()).collect()
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

    /// Decides the owed ends that the present site file lets through. The switches of a monitor
    /// that was removed do not count any more.
    fn settle(&mut self, before: &Setup) {
        for name in MONITORS {
            let mut policy = self.setup.policy(name);
            if !self.monitors[name].now.removed {
                policy = policy.or_else(|| before.policy(name));
            }
            self.settle_one(name, &policy.unwrap_or_default());
        }
    }

    pub(super) fn settle_one(&mut self, name: &str, policy: &Policy) {
        let mut expected = self.expected(name).clone();
        for mut owed in std::mem::take(&mut expected.owed) {
            let renamed = self.in_place_of_missing(&owed.channels, &owed.kind);
            let (mut now, later) = self.divide(owed.channels, &owed.kind, policy);
            now.extend(renamed.difference(&owed.sent_to).cloned());
            owed.sent_to.extend(now.iter().cloned());
            let sent_to = owed.sent_to.clone();
            let (kind, incident) = (owed.kind.clone(), owed.incident);
            if !later.is_empty() {
                expected.owed.push(Owed {
                    channels: later,
                    ..owed
                });
            }
            if !now.is_empty() {
                let end = self.decide_for(name, &mut expected, kind, incident, now);
                self.notifications[end].is_owed = true;
                self.note_sent(incident, &sent_to);
            }
        }
        *self.expected(name) = expected;
    }

    /// The end of an incident is sent to these channels: none of them gets it again in place of one
    /// that is removed.
    fn note_sent(&mut self, incident: usize, channels: &BTreeSet<String>) {
        for other in &mut self.notifications {
            let is_end = matches!(other.kind, Recovery | NoLongerWatched | Known);
            if is_end && other.incident == incident && !other.void {
                other.addressed.extend(channels.iter().cloned());
            }
        }
    }

    /// Whether the receiver of a channel gets an end that is owed to it without having got
    /// anything before. A service may have got it under another id.
    pub(super) fn is_unheard(&self, channel: &str, end: &Expected) -> bool {
        let is_known = |other: &Expected| {
            let is_of_it = other.incident == end.incident && other.addressed.contains(channel);
            let may_have_it = other.is_loaded || other.kind == Reminder || other.tried.contains(channel);
            is_of_it && matches!(other.kind, Outage | Reminder | Unknown) && may_have_it
        };
        let is_keyed = CHANNELS.iter().any(|it| it.id == channel && it.is_keyed);
        end.is_owed && !is_keyed && !self.notifications.iter().any(is_known)
    }

    /// Readdresses notifications that wait for a removed channel to the channels that
    /// were not to receive them yet. The removed channel is owed the ends among them.
    pub(super) fn readdress(&mut self, before: &Setup) {
        self.settle(before);
        let (mut ends, mut unsent) = (Vec::new(), BTreeSet::new());
        for at in 0..self.notifications.len() {
            if self.notifications[at].void {
                continue;
            }
            let waits = |(id, due): (&String, &Due)| (*due == Due::Waiting).then(|| id.clone());
            let waiting: Vec<String> = self.notifications[at].due.iter().filter_map(waits).collect();
            let is_gone = |id: &String| !self.setup.has_channel(id);
            let gone: Vec<String> = waiting.into_iter().filter(is_gone).collect();
            for removed in gone {
                let notification = &self.notifications[at];
                let begins = matches!(notification.kind, Outage | Unknown);
                let may_know = notification.is_loaded || notification.tried.contains(&removed);
                if begins && !may_know {
                    unsent.insert((removed.clone(), notification.incident));
                }
                let end = self.readdress_one(at, removed, before);
                ends.extend(end);
            }
        }
        for (channel, incident) in &unsent {
            self.forget_announced(channel, *incident);
        }
        for (name, end) in ends {
            if end
                .channels
                .iter()
                .any(|id| unsent.contains(&(id.clone(), end.incident)))
            {
                continue;
            }
            let owed = &mut self.expected(&name).owed;
            match owed.iter_mut().find(|owed| owed.incident == end.incident) {
                Some(owed) => {
                    owed.channels.extend(end.channels);
                    owed.sent_to.extend(end.sent_to);
                }
                None => owed.push(end),
            }
        }
        self.settle(before);
    }

    /// The channel was sent nothing about the incident, and gets no end.
    fn forget_announced(&mut self, channel: &str, incident: usize) {
        for monitor in self.monitors.values_mut() {
            if let Some(announced_to) = monitor.now.announced_to.get_mut(&incident) {
                announced_to.remove(channel);
            }
            for owed in &mut monitor.now.owed {
                if owed.incident == incident {
                    owed.channels.remove(channel);
                }
            }
            monitor.now.owed.retain(|owed| !owed.channels.is_empty());
        }
    }

    /// The ends of an incident, as far as they wait for a channel.
    fn waiting_ends(&self, incident: usize) -> Vec<WaitingEnd> {
        let is_end = |other: &&Expected| {
            let is_of_it = other.incident == incident && !other.void;
            is_of_it && matches!(other.kind, Recovery | NoLongerWatched | Known)
        };
        let ends = self.notifications.iter().filter(is_end);
        let ends = ends.map(|end| {
            let waiting = end.due.iter().filter(|(_, due)| **due == Due::Waiting);
            let waiting: BTreeSet<String> = waiting.map(|(id, _)| id.clone()).collect();
            WaitingEnd {
                waits_in_vain: waiting.iter().any(|id| !self.setup.has_channel(id)),
                waiting,
                addressed: end.addressed.clone(),
            }
        });
        ends.collect()
    }

    fn readdress_one(&mut self, at: usize, removed: String, before: &Setup) -> Option<(String, Owed)> {
        let ends = self.waiting_ends(self.notifications[at].incident);
        let name = self.notifications[at].monitor.clone();
        let policy = self.policy_in(&name, before);
        let setup = self.setup.clone();
        let expected = &mut self.monitors.get_mut(name.as_str()).unwrap().now;
        let notification = &mut self.notifications[at];
        let (incident, kind) = (notification.incident, notification.kind.clone());
        notification.due.remove(&removed);
        let is_end = matches!(kind, Recovery | NoLongerWatched | Known);
        let is_open = expected.outage == Some(incident) || expected.unknown == Some(incident);
        let is_over = !is_end && !is_open;
        let is_owed = !expected.removed && expected.owed.iter().any(|owed| owed.incident == incident);
        // The last notification of a channel must be about the outage that is running.
        let newer = expected.outage.filter(|_| !is_open);
        let newer = newer.and_then(|running| expected.announced_to.get(&running).cloned());
        let newer = newer.unwrap_or_default();
        for channel in setup
            .channels()
            .filter(|channel| policy.alarms || !is_end || channel.is_keyed)
            .filter(|channel| channel.is_keyed || !newer.contains(channel.id))
        {
            let id = channel.id.to_owned();
            let mut owed = expected.owed.iter().filter(|owed| owed.incident == incident);
            if !channel.wants(&kind, &policy) || (is_end && owed.any(|owed| owed.channels.contains(&id))) {
                continue;
            }
            // What is over must not begin on a channel that does not get its end.
            let may_end = policy.alarms || channel.is_keyed;
            let ends_too = ends.iter().any(|end| {
                let is_sent_along = end.waits_in_vain && may_end && !end.addressed.contains(&id);
                is_sent_along || end.waiting.contains(&id)
            });
            if is_over && !is_owed && !ends_too {
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
            sent_to: self.notifications[at].addressed.clone(),
        };
        is_end.then_some((name, owed))
    }
}
