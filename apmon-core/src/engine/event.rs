//! Events that an engine reports while it runs, in order and none left out.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    monitor::{Observation, Watch},
    notification::Notification,
    rule::health::Transition,
    state::MonitorState,
    time::Now,
};

/// An event. Its receiver must not block.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A check ended.
    Checked(CheckRecord<'a>),
    /// A notification was decided and committed (if it could not be committed, alerting
    /// continues from memory).
    Notified(&'a Notification),
}

/// One finished check, and what the rules made of it. The records of the monitor's
/// [parts](Observation::parts) follow that of the monitor, each with a watch of its own.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CheckRecord<'a> {
    /// The monitor's name, address and policy.
    pub watch: &'a Watch,
    /// The result of the check.
    pub observation: &'a Observation,
    /// The state after it.
    pub state: &'a MonitorState,
    /// The transition that it caused.
    pub transition: Option<Transition>,
    /// Whether the monitor became unknown, or stopped being unknown.
    pub unknown_changed: bool,
    /// When the check started.
    pub started: Now,
    /// How late it started.
    pub lateness: Duration,
    /// How long it took.
    pub took: Duration,
}

/// A function that receives events.
pub type EventSink = dyn Fn(&Event<'_>) + Send + Sync;

/// Receives every observation that the rules decided about, in order and none left out: for
/// time series. Checks of a monitor that has been replaced meanwhile are not among them.
#[async_trait]
pub trait MetricSink: Send + Sync {
    /// Takes a check over. It must not wait: a sink that is slower than the checks has a queue
    /// of its own, decides what to drop, and counts it.
    fn record(&self, check: &CheckRecord<'_>);

    /// Ends the run: writes what is queued, until `deadline` at the latest.
    async fn finish(&self, deadline: tokio::time::Instant) {
        let _ = deadline; // a sink without a queue
    }
}
