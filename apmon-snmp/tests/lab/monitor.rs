//! A monitor of one of this crate's kinds, built from a site file. It is checked
//! repeatedly and keeps its memory between checks, as in the engine.

use std::{path::Path, sync::Arc, time::Duration};

use apmon_core::{
    Check, Clock as _, Memory, Metric, Monitor, Observation, Reading, Services, SystemClock, Trace, config,
};

/// The time limit of a check. Other processes may keep the machine busy, and
/// recorded devices answer slowly.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A monitor and its memory.
pub struct LabMonitor {
    monitor: Arc<dyn Monitor>,
    pub memory: Memory,
    timeout: Duration,
}

/// The result of a check.
pub struct LabCheck {
    pub observation: Observation,
    /// The lines that `--explain` shows, one per step.
    pub steps: Vec<String>,
}

impl LabMonitor {
    /// Builds a monitor from the inner part of a flow mapping: `type: host, address: ...`.
    #[track_caller]
    pub fn new(section: &str) -> Self {
        Self::with(section, &Services::default())
    }

    /// Builds a monitor with the services of a test.
    #[track_caller]
    pub fn with(section: &str, services: &Services) -> Self {
        let text = format!("site: {{name: lab}}\nmonitors:\n  - {{name: watched, {section}}}\n");
        let site = config::parse(
            Path::new("lab.yaml"),
            &text,
            apmon_snmp::KINDS,
            &[],
            &config::ProcessEnvironment,
        );
        let site = site.unwrap_or_else(|error| panic!("{error}"));
        Self {
            monitor: site.monitors[0].build(services),
            memory: Memory::default(),
            timeout: PATIENCE,
        }
    }

    /// Sets the time limit of a check.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Starts with the memory of another monitor, as after a restart.
    pub fn remember(mut self, memory: &Memory) -> Self {
        self.memory = memory.clone();
        self
    }

    /// Runs one check.
    pub async fn check(&mut self) -> LabCheck {
        let now = SystemClock::new().now();
        let trace = Trace::start();
        let check = Check::new(now.mono, now, self.timeout)
            .with_memory(self.memory.clone())
            .with_trace(Arc::clone(&trace));
        let observation = self.monitor.check(&check).await;
        if let Some(memory) = &observation.memory {
            self.memory = memory.clone();
        }
        let steps = trace.steps().into_iter();
        LabCheck {
            observation,
            steps: steps
                .map(|step| format!("{}: {}", step.name, step.text))
                .collect(),
        }
    }
}

impl LabCheck {
    /// The text `up`, or the reason of the failure.
    pub fn reason(&self) -> &str {
        let failure = self.observation.outcome.failure();
        failure.map_or("up", |failure| failure.reason.as_str())
    }

    pub fn metric(&self, name: &str) -> Option<&Metric> {
        let metrics = &self.observation.outcome.metrics;
        metrics.iter().find(|metric| metric.name == name)
    }

    /// The value of a figure, which must be present.
    #[track_caller]
    pub fn value(&self, name: &str) -> f64 {
        let metric = self.metric(name);
        metric
            .unwrap_or_else(|| panic!("no {name}: {}", self.reason()))
            .value()
    }

    /// Whether a counter, which must be present, continues from its last value.
    #[track_caller]
    pub fn continues(&self, name: &str) -> bool {
        match self.metric(name).map(|metric| metric.reading) {
            Some(Reading::Counter { continues, .. }) => continues,
            other => panic!("{name} is not a counter: {other:?}"),
        }
    }

    /// The number of answers that the check took, as `--explain` shows it.
    #[track_caller]
    pub fn round_trips(&self) -> u32 {
        let count = |step: &String| {
            step.strip_prefix("snmp: ")?
                .split_once(" answers")?
                .0
                .parse()
                .ok()
        };
        let found = self.steps.iter().find_map(count);
        found.unwrap_or_else(|| panic!("no step names the number of answers: {:?}", self.steps))
    }
}
