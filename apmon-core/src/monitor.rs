//! One monitor, as the engine sees it.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    attempt::{self, Reach},
    device::{Device, PortChange},
    mask::Mask,
    memory::Memory,
    notification::{ChannelClass, Heartbeat},
    outcome::Outcome,
    probe::{Check, Probe},
};

/// A monitored thing.
///
/// Most monitors are a [`Probe`] with a policy ([`ProbeMonitor`]). Some are not: a switch
/// compares its ports with those of the last check and reports many changes in one observation.
/// That is why this is a trait and not a struct.
#[async_trait]
pub trait Monitor: Send + Sync {
    /// The monitor's name, address and policy.
    fn watch(&self) -> &Watch;

    /// Runs one check.
    async fn check(&self, check: &Check) -> Observation;

    /// Turns a signal from outside into an observation: for monitors that receive pushes or
    /// traps. `check` has the monitor's memory. It is called on the
    /// engine's own thread and must not take long. `None` means that it accepts none.
    fn receive(&self, signal: &Signal, check: &Check) -> Option<Observation> {
        let _ = (signal, check);
        None
    }
}

/// A signal from outside about a monitor.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Signal {
    /// Where it came from: an address, a path.
    pub source: String,
    /// Its content, by name.
    pub fields: BTreeMap<String, String>,
}

impl Signal {
    /// Creates a signal without content.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            fields: BTreeMap::new(),
        }
    }

    /// Adds a part of the content.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }
}

/// The result of one check of a monitor.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Observation {
    /// The verdict and its figures.
    pub outcome: Outcome,
    /// Events to report that are neither outage nor recovery (a port changed). Each becomes a
    /// notification of its own.
    pub notices: Vec<Notice>,
    /// Changes since the last check, reported or not: for the history.
    pub changes: Vec<PortChange>,
    /// The target's own description of itself: for a dashboard.
    pub device: Option<Arc<Device>>,
    /// The results of its parts: an interface, an address, a device of a list. Empty for a
    /// monitor of one thing. Each part has a health, an outage and notifications of its own,
    /// under the name `monitor/part` and by the policy of the monitor.
    ///
    /// The observation of a check with the verdict up lists all parts: one that is not among
    /// them is no longer watched, which ends its outage. With any other verdict, and in the
    /// observation of a [`Signal`], a part that is not listed was not checked and keeps its
    /// state. The first 1,000 parts are watched, so their order should not vary.
    pub parts: Vec<Part>,
    /// The certificates that the target presented.
    pub certificates: Vec<Certificate>,
    /// Data for the next check, stored in one step with the notices. `None` keeps the previous
    /// data.
    pub memory: Option<Memory>,
}

/// The result of a part of a monitor.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Part {
    /// Its name, unique within the monitor and the same at every check; 1 to 255 bytes, which
    /// may include slashes. A part whose [full name](Self::full_name) is also that of a monitor,
    /// or of another monitor's part, is not watched; a warning says so.
    pub name: String,
    /// Its outcome.
    pub outcome: Outcome,
}

impl Part {
    /// Creates the result of a part.
    pub fn new(name: impl Into<String>, outcome: Outcome) -> Self {
        Self {
            name: name.into(),
            outcome,
        }
    }

    /// The name of the part within the site: `monitor/part`.
    #[must_use]
    pub fn full_name(&self, monitor: &str) -> String {
        format!("{monitor}/{}", self.name)
    }
}

/// A certificate that a target presented.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Certificate {
    /// The host that presented it.
    pub host: String,
    /// The common name or the first alternative name of its subject.
    pub subject: String,
    /// The common name of its issuer.
    pub issuer: String,
    /// SHA-256 over the certificate, 64 hex digits.
    pub fingerprint: String,
    /// The beginning of its validity.
    pub not_before: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
}

/// A one-time event to report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// The label of its console line (`PORT CHANGE`).
    pub label: String,
    /// The text after `<monitor> in <site>: `.
    pub text: String,
}

impl Observation {
    /// Masks secrets in its texts.
    pub(crate) fn hide(&mut self, mask: &Mask) {
        if mask.is_empty() {
            return;
        }
        mask.hide_outcome(&mut self.outcome);
        for part in &mut self.parts {
            mask.hide_outcome(&mut part.outcome);
        }
        for notice in &mut self.notices {
            mask.hide_in(&mut notice.text);
        }
    }
}

impl From<Outcome> for Observation {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            ..Self::default()
        }
    }
}

/// The name, address and policy of a monitor.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Unique within the site.
    pub name: String,
    /// The kind's name (`tcp`).
    pub kind: String,
    /// The address as it is displayed: without passwords.
    pub address: String,
    /// SHA-256 over the effective options, 64 hex digits. A different checksum means a
    /// different monitor, which is checked at once. An empty one always counts as different.
    pub checksum: Arc<str>,
    /// When to check and whom to notify.
    pub policy: Policy,
    /// How its target is reached. Shared, because most monitors of a site have the same.
    pub reach: Arc<Reach>,
    /// Information for people. Shared, because most monitors of a site have the same labels.
    pub labels: Arc<Labels>,
    /// The secrets that a check may bring back: the target repeats what it was sent. They are
    /// masked in what a check returns. Default: none.
    pub mask: Mask,
}

/// Information for people about a monitor, in addition to its name and address.
/// The engine does not use it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Labels {
    /// Whether it appears on pages and charts. Default yes.
    pub display: bool,
    /// The group that it is shown in.
    pub group: Option<String>,
    /// Tags to search for.
    pub tags: Vec<String>,
    /// A description in a sentence or two.
    pub description: Option<String>,
    /// The URL or path of instructions for an outage.
    pub runbook: Option<String>,
    /// How severe an outage of it is.
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
    /// A watch with the default policy: for embedders and tests.
    pub fn new(name: impl Into<String>, kind: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            address: address.into(),
            checksum: Arc::from(""),
            policy: Policy::default(),
            reach: Reach::default().shared(),
            labels: Arc::default(),
            mask: Mask::default(),
        }
    }
}

/// When to check and whom to notify. The defaults are those of the site file.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Time between two checks. Default 60 s.
    pub check_every: Duration,
    /// Consecutive failed checks before an outage is declared. Default 3.
    pub max_retries: NonZeroU32,
    /// Deadline of one check. Default 20 s.
    pub max_try: Duration,
    /// Time from a failed check to its retry; `max_try` if not set.
    pub retry_every: Option<Duration>,
    /// Longest time between two reminders. Default 600 s.
    pub notify_every: Duration,
    /// The number of the first reminder to which `notify_every` applies in full. Default 1.
    pub after_every_n: NonZeroU32,
    /// How long it may be impossible to check before a notification is sent. Default 300 s.
    pub unknown_after: Duration,
    /// Whether notifications are sent at all. Default yes.
    pub alarms: bool,
    /// The classes of channels that receive nothing about the monitor. Default none.
    pub classes_off: Vec<ChannelClass>,
    /// The heartbeat that is sent while the monitor is up. Default none.
    pub heartbeat: Option<Heartbeat>,
    /// Monitors that are checked before an outage of this one is announced: it waits for their
    /// results, but no longer than their `max_try`. Default none.
    pub check_before_notify: Vec<String>,
}

impl Policy {
    /// Time from a failed check to its retry.
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
            check_before_notify: Vec::new(),
        }
    }
}

/// A probe with a policy. If the target is a name, it hands the probe one address after the other.
pub struct ProbeMonitor<P: ?Sized = dyn Probe> {
    watch: Watch,
    probe: Arc<P>,
}

impl<P: Probe + ?Sized> ProbeMonitor<P> {
    /// Creates a monitor that checks with `probe`.
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
        match self.probe.target() {
            // Boxed: most targets are an address, and need no room for this.
            Some(target) if attempt::chooses(target, &self.watch.reach) => {
                Box::pin(attempt::check(&*self.probe, target, *self.watch.reach, check))
                    .await
                    .into()
            }
            _ => self.probe.probe(check).await.into(),
        }
    }
}
