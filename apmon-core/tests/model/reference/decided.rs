//! Which notifications are decided.

use super::*;

impl Reference {
    /// A check of the process ended.
    pub fn checked(&mut self, name: &str, verdict: Verdict) {
        let now = self.now();
        let Some(policy) = self.setup.policy(name) else {
            return self.complain(format!("{name} was checked, but is not in the site file"));
        };
        let mut expected = self.expected(name).clone();
        expected.switches = Some((policy.alarms, policy.classes_off.is_empty()));
        match verdict {
            Verdict::Unknown => {
                let since = *expected.unknown_since.get_or_insert(now);
                if expected.unknown.is_none() && policy.alarms && now.since(since) >= policy.unknown_after {
                    let incident = self.new_incident();
                    expected.unknown = Some(incident);
                    self.decide(name, &mut expected, Unknown, incident, &policy);
                }
            }
            Verdict::Up | Verdict::Down => {
                expected.unknown_since = None;
                if let Some(incident) = expected.unknown.take() {
                    self.end(name, &mut expected, Known, incident, &policy);
                }
            }
        }
        match verdict {
            Verdict::Unknown => {}
            Verdict::Up => {
                expected.is_up = Some(true);
                expected.failed = 0;
                if let Some(incident) = expected.outage.take()
                    && std::mem::take(&mut expected.announced)
                {
                    self.end(name, &mut expected, Recovery, incident, &policy);
                }
                expected.announced = false;
            }
            Verdict::Down => {
                expected.failed += 1;
                if expected.is_up != Some(false) && expected.failed >= policy.max_retries.get() {
                    expected.is_up = Some(false);
                    expected.outage = Some(self.new_incident());
                }
            }
        }
        // Also an outage that began while alarms were off.
        if let Some(incident) = expected.outage.filter(|_| !expected.announced && policy.alarms) {
            expected.announced = true;
            self.decide(name, &mut expected, Outage, incident, &policy);
        }
        *self.expected(name) = expected;
    }

    /// Another site file is in use from now on.
    pub fn reload(&mut self, setup: Setup) {
        let before = self.setup.clone();
        self.use_setup(setup);
        for name in MONITORS {
            if self.setup.policy(name).is_some() {
                self.expected(name).removed = false;
            }
        }
        self.readdress(&before);
        for name in MONITORS {
            if let (Some(policy), None) = (before.policy(name), self.setup.policy(name)) {
                self.remove(name, &policy);
            }
        }
    }

    pub(super) fn use_setup(&mut self, setup: Setup) {
        self.setups.push((self.now(), setup.clone()));
        self.setup = setup;
    }

    pub(super) fn remove(&mut self, name: &str, policy: &Policy) {
        let mut expected = self.expected(name).clone();
        if expected.removed {
            return;
        }
        if let Some(incident) = expected.unknown.take() {
            self.end(name, &mut expected, Known, incident, policy);
        }
        if expected.is_up == Some(false) {
            expected.is_up = None;
            if let Some(incident) = expected.outage.filter(|_| expected.announced) {
                self.end(name, &mut expected, NoLongerWatched, incident, policy);
            }
        }
        *self.expected(name) = ExpectedState {
            is_up: expected.is_up,
            decided: expected.decided,
            removed: true,
            switches: expected.switches,
            owed: expected.owed,
            ..ExpectedState::default()
        };
        // Nothing silences it any more.
        self.settle_one(name, &Policy::default());
    }

    pub(super) fn expected(&mut self, name: &str) -> &mut ExpectedState {
        &mut self.monitors.get_mut(name).unwrap().now
    }

    pub(super) fn new_incident(&mut self) -> usize {
        self.incidents.push(Incident { id: None });
        self.incidents.len() - 1
    }

    pub(super) fn decide(
        &mut self,
        name: &str,
        expected: &mut ExpectedState,
        kind: NotificationKind,
        incident: usize,
        policy: &Policy,
    ) -> usize {
        let wanted_by = self
            .setup
            .channels()
            .filter(|channel| channel.wants(&kind, policy));
        let wanted_by: BTreeSet<String> = wanted_by.map(|channel| channel.id.to_owned()).collect();
        if matches!(kind, Outage | Reminder | Unknown) && !wanted_by.is_empty() {
            let announced_to = expected.announced_to.entry(incident).or_default();
            announced_to.extend(wanted_by.iter().cloned());
        }
        self.decide_for(name, expected, kind, incident, wanted_by)
    }

    /// Decides a notification for these channels.
    pub(super) fn decide_for(
        &mut self,
        name: &str,
        expected: &mut ExpectedState,
        kind: NotificationKind,
        incident: usize,
        wanted_by: BTreeSet<String>,
    ) -> usize {
        let monitor = self.monitors.get_mut(name).unwrap();
        monitor.notifications.push(self.notifications.len());
        expected.decided += 1;
        assert_eq!(expected.decided, monitor.notifications.len());
        self.notifications.push(Expected {
            monitor: name.to_owned(),
            incident,
            kind,
            position: expected.decided - 1,
            at: self.clock.now().mono,
            seen: None,
            due: wanted_by.iter().map(|id| (id.clone(), Due::Waiting)).collect(),
            addressed: wanted_by,
            replaced: BTreeMap::new(),
            receipts: BTreeMap::new(),
            refused: BTreeSet::new(),
            last_refused: BTreeSet::new(),
            tried: BTreeSet::new(),
            is_owed: false,
            is_loaded: false,
            void: false,
        });
        self.notifications.len() - 1
    }
}
