//! One watched thing, as the engine sees it.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    device::{Device, PortChange},
    memory::Memory,
    notification::ChannelClass,
    outcome::Outcome,
    probe::{Check, Probe},
    secret::Secret,
};

/// One watched thing.
///
/// Most are a [`Probe`] plus its policy ([`ProbeMonitor`]). Some are not: a
/// switch compares its ports with what it saw last and reports many changes in
/// one observation. That is why this is a trait and not a struct.
#[async_trait]
pub trait Monitor: Send + Sync {
    /// What is watched, and how.
    fn watch(&self) -> &Watch;

    /// Looks once.
    async fn check(&self, check: &Check) -> Observation;
}

/// What one check of a monitor found.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Observation {
    /// The verdict and its figures.
    pub outcome: Outcome,
    /// Things to tell that are neither outage nor recovery (a port changed).
    /// Each becomes a message of its own.
    pub notices: Vec<Notice>,
    /// What is otherwise than at the last look, told or not: for the history.
    pub changes: Vec<PortChange>,
    /// What the target says of itself: for a dashboard.
    pub device: Option<Arc<Device>>,
    /// What the monitor wants to know again at its next look; kept in one step
    /// with the notices. `None` leaves what there was.
    pub memory: Option<Memory>,
}

/// Something to tell once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// The label of its console line (`PORT CHANGE`).
    pub label: String,
    /// What follows `<monitor> in <site>: `.
    pub text: String,
}

impl From<Outcome> for Observation {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            ..Self::default()
        }
    }
}

/// What is watched, and how: name, address, policy.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Unique within the site.
    pub name: String,
    /// The kind's name (`tcp`).
    pub kind: String,
    /// Where, as it is shown: without passwords.
    pub address: String,
    /// SHA-256 over the effective options, 64 hex digits. Another checksum
    /// means another monitor: it is looked at at once. An empty one counts as
    /// another every time.
    pub checksum: Arc<str>,
    /// When to look and whom to tell.
    pub policy: Policy,
    /// What people need to know of it. Shared: most monitors of a site have the same.
    pub labels: Arc<Labels>,
}

/// What people need to know of a monitor, beside its name and address. The
/// engine does not read it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Labels {
    /// Whether it appears on pages and charts. Default yes.
    pub display: bool,
    /// The group it is shown in.
    pub group: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// What it is.
    pub description: Option<String>,
    /// Where it is written what to do when it is down.
    pub runbook: Option<String>,
    /// How much it matters.
    pub severity: Option<String>,
}

impl Default for Labels {
    fn default() -> Self {
        Self {
            display: true,
            group: None,
            tags: Vec::new(),
            description: None,
            runbook: None,
            severity: None,
        }
    }
}

impl Watch {
    /// A watch with default policy: for embedders and tests.
    pub fn new(name: impl Into<String>, kind: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            address: address.into(),
            checksum: Arc::from(""),
            policy: Policy::default(),
            labels: Arc::default(),
        }
    }
}

/// When to look and whom to tell. The defaults are those of the site file.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Time between two looks. Default 60 s.
    pub check_every: Duration,
    /// So many looks in a row must fail before it is an outage. Default 3.
    pub max_retries: NonZeroU32,
    /// Deadline of one look. Default 20 s.
    pub max_try: Duration,
    /// Time from a failed look to its retry; `max_try` where not set.
    pub retry_every: Option<Duration>,
    /// Longest time between two reminders. Default 600 s.
    pub notify_every: Duration,
    /// The reminder from which that time holds. Default 1.
    pub after_every_n: NonZeroU32,
    /// After so long without being able to look, it is told. Default 300 s.
    pub unknown_after: Duration,
    /// Whether anybody is told anything. Default yes.
    pub alarms: bool,
    /// The classes of channels that are not among them. Default none.
    pub classes_off: Vec<ChannelClass>,
    /// Outgoing sign of life.
    pub heartbeat: Option<Heartbeat>,
}

impl Policy {
    /// Time from a failed look to its retry.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.retry_every.unwrap_or(self.max_try)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            check_every: Duration::from_secs(60),
            max_retries: NonZeroU32::new(3).expect("3 is not zero"),
            max_try: Duration::from_secs(20),
            retry_every: None,
            notify_every: Duration::from_secs(600),
            after_every_n: NonZeroU32::MIN,
            unknown_after: Duration::from_secs(300),
            alarms: true,
            classes_off: Vec::new(),
            heartbeat: None,
        }
    }
}

/// Where and how often a sign of life is sent while the monitor is up.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// Requested with GET. Whoever knows it can vouch for us, so it is secret.
    pub url: Secret,
    /// The grid; without it there is one after each good look.
    pub every: Option<Duration>,
}

/// Any probe with a policy is a monitor.
pub struct ProbeMonitor<P: ?Sized = dyn Probe> {
    watch: Watch,
    probe: Arc<P>,
}

impl<P: Probe + ?Sized> ProbeMonitor<P> {
    /// Watches by `probe`.
    #[must_use]
    pub fn new(watch: Watch, probe: Arc<P>) -> Self {
        Self { watch, probe }
    }
}

#[async_trait]
impl<P: Probe + ?Sized> Monitor for ProbeMonitor<P> {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    async fn check(&self, check: &Check) -> Observation {
        self.probe.probe(check).await.into()
    }
}
