//! A device and a monitor that checks it repeatedly.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use apmon_core::{
    Check, Memory, Metric, Monitor, Mono, Now, Observation, Reading, Services, Verdict,
    config::{MonitorEntry, ProcessEnvironment, parse},
};
use apmon_snmp_client::Value;
use jiff::Timestamp;

use crate::lab::{
    Behaviour, Device, LabAgent,
    agent::device::{IF_ENTRY, IF_X_ENTRY, Mac},
};

/// The time at which every story begins.
pub const START: &str = "2026-02-11T14:14:30Z";

/// The station of the seed's messages.
pub const STATION: Mac = [0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
/// The station that the seed pins.
pub const PINNED: Mac = [0x18, 0xe8, 0x29, 0x45, 0xf8, 0xf7];

/// Seconds a check may take if the agent answers.
const PATIENCE_SECS: u64 = 20;

/// A switch with `ports` ports and no stations. The ports are named as in the
/// seed's messages.
pub fn switch(ports: u32) -> Device {
    let mut device = Device::switch(ports, 0);
    for port in 1..=ports {
        name(&mut device, port);
    }
    device.clocks = Some((100_000, 100_000));
    device
}

/// Names a port as in the seed's messages.
pub fn name(device: &mut Device, port: u32) {
    let index = device.index(port);
    let text = |text: String| Value::Octets(text.into());
    device.set(&IF_ENTRY, &[2, index], text(format!("GigabitEthernet0/{port}")));
    device.set(&IF_X_ENTRY, &[1, index], text(format!("Gi0/{port}")));
}

/// The only monitor of a site, named as in the seed's messages.
pub fn entry(file: impl Into<PathBuf>, agent: &LabAgent, options: &str) -> MonitorEntry {
    let text = format!(
        "site: {{name: HomeLab}}\nmonitors:\n  - {{name: office-switch, address: 'snmp://{}', community: {}, \
         max_retries: 1, {options}}}\n",
        agent.address(),
        LabAgent::COMMUNITY
    );
    let site = parse(&file.into(), &text, apmon_snmp::KINDS, &[], &ProcessEnvironment);
    site.unwrap_or_else(|error| panic!("{error}")).monitors.remove(0)
}

/// A device and its monitor.
pub struct Story {
    pub agent: Arc<LabAgent>,
    entry: MonitorEntry,
    monitor: Arc<dyn Monitor>,
    pub memory: Memory,
    /// Seconds since the start.
    at: u64,
    pub patience: Duration,
}

impl Story {
    /// A story in which the device has not been checked yet.
    pub fn of(device: Device, options: &str) -> Self {
        Self::from_file("site.yaml", device, options)
    }

    pub fn from_file(file: impl Into<PathBuf>, device: Device, options: &str) -> Self {
        let agent = Arc::new(LabAgent::start(device));
        let entry = entry(file, &agent, options);
        Self {
            monitor: entry.build(&Services::default()),
            agent,
            entry,
            memory: Memory::default(),
            at: 0,
            patience: Duration::from_secs(PATIENCE_SECS),
        }
    }

    /// A story in which the device was checked once and nothing was reported.
    pub async fn begun(device: Device, options: &str) -> Self {
        let mut story = Self::of(device, options);
        assert_eq!(story.notices_after(0).await, [""; 0]);
        story
    }

    pub fn change(&self, change: impl FnOnce(&mut Device)) {
        self.agent.change(change);
    }

    pub fn set(&self, behaviour: Behaviour) {
        self.agent.set(behaviour);
    }

    /// Restarts apmon: only what is in the state file is left.
    pub fn restart_apmon(&mut self) {
        self.monitor = self.entry.build(&Services::default());
    }

    /// Runs the next check, `secs` seconds later.
    pub async fn after(&mut self, secs: u64) -> Observation {
        self.at += secs;
        let since = Duration::from_secs(self.at);
        let start: Timestamp = START.parse().unwrap();
        let now = Now {
            mono: Mono::ORIGIN.plus(since),
            wall: start.checked_add(since).unwrap(),
        };
        let check = Check::new(now.mono, now, self.patience).with_memory(self.memory.clone());
        let observation = self.monitor.check(&check).await;
        if let Some(memory) = &observation.memory {
            self.memory = memory.clone();
        }
        observation
    }

    /// The notices of the next check, which must succeed.
    pub async fn notices_after(&mut self, secs: u64) -> Vec<String> {
        let observation = self.after(secs).await;
        let failure = observation.outcome.failure();
        assert_eq!(failure, None, "after {} s", self.at);
        notices(&observation)
    }

    /// The reason of the next check, which must fail. The memory is kept.
    pub async fn failure_after(&mut self, secs: u64) -> String {
        let observation = self.after(secs).await;
        assert_eq!(observation.outcome.verdict(), Verdict::Down);
        assert_eq!(observation.memory, None, "a failed check keeps the memory");
        assert_eq!(notices(&observation), [""; 0]);
        assert_eq!(observation.changes, []);
        observation.outcome.failure().unwrap().reason.clone()
    }

    /// The value of a key of the state file.
    pub fn kept(&self, key: &str) -> serde_json::Value {
        let text = self.memory.kept.get(key);
        let text = text.unwrap_or_else(|| panic!("no {key} in {:?}", self.memory));
        serde_json::from_str(text).unwrap()
    }
}

/// Label and text of all notices of an observation.
pub fn notices(observation: &Observation) -> Vec<String> {
    let notices = observation.notices.iter();
    notices
        .map(|notice| format!("{}: {}", notice.label, notice.text))
        .collect()
}

/// The changes of an observation, and whether each was reported.
pub fn changes(observation: &Observation) -> Vec<String> {
    let changes = observation.changes.iter();
    changes
        .map(|change| {
            let sides = [change.event.before(), change.event.after()];
            let [before, after] = sides.map(|side| side.unwrap_or_else(|| "-".to_owned()));
            let suffix = if change.notified { "" } else { " (not reported)" };
            let (port, word) = (&change.port, change.event.as_str());
            format!("{port} {word}: {before} -> {after}{suffix}")
        })
        .collect()
}

/// The figures of a check.
pub struct Figures(BTreeMap<String, Reading>);

impl Figures {
    pub fn of(observation: &Observation) -> Self {
        assert_eq!(observation.outcome.failure(), None);
        let metrics = observation.outcome.metrics.iter();
        let metrics = metrics.map(|Metric { name, reading }| (name.to_string(), *reading));
        Self(metrics.collect())
    }

    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    #[track_caller]
    pub fn gauge(&self, name: &str) -> f64 {
        match self.0.get(name) {
            Some(Reading::Gauge(value)) => *value,
            other => panic!("{name} is {other:?}"),
        }
    }

    #[track_caller]
    pub fn count(&self, name: &str) -> (u64, bool) {
        match self.0.get(name) {
            Some(Reading::Counter { value, continues }) => (*value, *continues),
            other => panic!("{name} is {other:?}"),
        }
    }

    /// The growth of a counter; `None` if it does not continue.
    #[track_caller]
    pub fn grown(&self, before: &Self, name: &str) -> Option<u64> {
        let (value, continues) = self.count(name);
        continues.then(|| value.wrapping_sub(before.count(name).0))
    }

    /// The counters that do not continue.
    pub fn broken(&self) -> Vec<&str> {
        let all = self.0.iter();
        all.filter(|(_, reading)| matches!(reading, Reading::Counter { continues: false, .. }))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// The number of counters.
    pub fn counts(&self) -> usize {
        let all = self.0.values();
        all.filter(|reading| matches!(reading, Reading::Counter { .. }))
            .count()
    }
}
