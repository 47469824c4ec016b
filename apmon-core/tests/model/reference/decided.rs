//! What is decided.

use super::*;

impl Reference {
    /// A look of the process ended.
    pub fn checked(&mut self, name: &str, verdict: Verdict) {
        let now = self.now();
        let Some(policy) = self.setup.policy(name) else {
            return self.complain(format!("{name} was looked at, and is not in the site file"));
        };
        let mut belief = self.believed(name).clone();
        belief.switches = Some((policy.alarms, policy.classes_off.is_empty()));
        match verdict {
            Verdict::Unknown => {
                let since = *belief.unknown_since.get_or_insert(now);
                if belief.unknown.is_none() && policy.alarms && now.since(since) >= policy.unknown_after {
                    let incident = self.begins();
                    belief.unknown = Some(incident);
                    self.decide(name, &mut belief, Unknown, incident, &policy);
                }
            }
            Verdict::Up | Verdict::Down => {
                belief.unknown_since = None;
                if let Some(incident) = belief.unknown.take().filter(|_| policy.alarms) {
                    self.decide(name, &mut belief, Known, incident, &policy);
                }
            }
        }
        match verdict {
            Verdict::Unknown => {}
            Verdict::Up => {
                belief.is_up = Some(true);
                belief.failed = 0;
                if let Some(incident) = belief.outage.take()
                    && std::mem::take(&mut belief.told)
                    && policy.alarms
                {
                    self.decide(name, &mut belief, Recovery, incident, &policy);
                }
                belief.told = false;
            }
            Verdict::Down => {
                belief.failed += 1;
                if belief.is_up != Some(false) && belief.failed >= policy.max_retries.get() {
                    belief.is_up = Some(false);
                    belief.outage = Some(self.begins());
                }
            }
        }
        // Also one that began while alarms were off.
        if let Some(incident) = belief.outage.filter(|_| !belief.told && policy.alarms) {
            belief.told = true;
            self.decide(name, &mut belief, Outage, incident, &policy);
        }
        *self.believed(name) = belief;
    }

    /// Another site file holds from now on.
    pub fn reload(&mut self, setup: Setup) {
        let before = self.setup.clone();
        self.takes_hold(setup);
        for name in MONITORS {
            match (before.policy(name), self.setup.policy(name)) {
                (Some(policy), None) => self.removed(name, &policy),
                (None, Some(_)) => self.believed(name).removed = false,
                _ => {}
            }
        }
        self.readdress();
    }

    pub(super) fn takes_hold(&mut self, setup: Setup) {
        self.setups.push((self.now(), setup.clone()));
        self.setup = setup;
    }

    pub(super) fn removed(&mut self, name: &str, policy: &Policy) {
        let mut belief = self.believed(name).clone();
        if belief.removed {
            return;
        }
        if belief.is_up == Some(false) {
            belief.is_up = None;
            if let Some(incident) = belief.outage.filter(|_| belief.told && policy.alarms) {
                self.decide(name, &mut belief, NoLongerWatched, incident, policy);
            }
        }
        *self.believed(name) = Belief {
            is_up: belief.is_up,
            decided: belief.decided,
            removed: true,
            switches: belief.switches,
            ..Belief::default()
        };
    }

    pub(super) fn believed(&mut self, name: &str) -> &mut Belief {
        &mut self.watched.get_mut(name).unwrap().now
    }

    pub(super) fn begins(&mut self) -> usize {
        self.incidents.push(Incident { id: None });
        self.incidents.len() - 1
    }

    pub(super) fn decide(
        &mut self,
        name: &str,
        belief: &mut Belief,
        kind: NotificationKind,
        incident: usize,
        policy: &Policy,
    ) -> usize {
        let takers = self
            .setup
            .receivers()
            .filter(|receiver| receiver.takes(&kind, policy));
        let takers: BTreeSet<String> = takers.map(|receiver| receiver.id.to_owned()).collect();
        let watched = self.watched.get_mut(name).unwrap();
        watched.messages.push(self.messages.len());
        belief.decided += 1;
        assert_eq!(belief.decided, watched.messages.len());
        self.messages.push(Message {
            monitor: name.to_owned(),
            incident,
            kind,
            place: belief.decided - 1,
            at: self.clock.now().mono,
            seen: None,
            due: takers.iter().map(|id| (id.clone(), Due::Waiting)).collect(),
            addressed: takers,
            heirs: BTreeMap::new(),
            heard: BTreeMap::new(),
            refused: BTreeSet::new(),
            void: false,
        });
        self.messages.len() - 1
    }

    /// What waits for a channel that is gone goes to those that were not to have it.
    pub(super) fn readdress(&mut self) {
        for message in self.messages.iter_mut().filter(|message| !message.void) {
            let waits = |(id, due): (&String, &Due)| (*due == Due::Waiting).then(|| id.clone());
            let waiting: Vec<String> = message.due.iter().filter_map(waits).collect();
            for gone in waiting.into_iter().filter(|id| !self.setup.has_channel(id)) {
                message.due.remove(&gone);
                let last = || self.watched[message.monitor.as_str()].now.last_policy();
                let policy = self.setup.policy(&message.monitor).unwrap_or_else(last);
                for heir in self.setup.receivers() {
                    if heir.takes(&message.kind, &policy) && message.addressed.insert(heir.id.to_owned()) {
                        message.due.insert(heir.id.to_owned(), Due::Waiting);
                        message.heirs.insert(heir.id.to_owned(), gone.clone());
                    }
                }
            }
        }
    }
}
