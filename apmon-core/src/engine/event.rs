//! Events that an engine reports while it runs.

use std::time::Duration;

use crate::{
    monitor::{Observation, Watch},
    notification::Notification,
    rule::health::Transition,
    state::MonitorState,
};

/// An event. Its receivers must not block.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A check ended.
    Checked {
        /// The monitor's name, address and policy.
        watch: &'a Watch,
        /// The result of the check.
        observation: &'a Observation,
        /// The state after it.
        state: &'a MonitorState,
        /// The transition that it caused.
        transition: Option<Transition>,
        /// Whether the monitor became unknown, or stopped being unknown.
        unknown_changed: bool,
        /// How late the check started.
        lateness: Duration,
        /// How long the check took.
        took: Duration,
    },
    /// A notification was decided and committed (if it could not be committed, alerting
    /// continues from memory).
    Notified(&'a Notification),
}

/// A function that receives events.
pub type EventSink = dyn Fn(&Event<'_>) + Send + Sync;
