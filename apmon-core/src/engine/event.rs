//! What an engine reports while it runs.

use std::time::Duration;

use crate::{
    monitor::{Observation, Watch},
    notification::Notification,
    rule::health::Transition,
    state::MonitorState,
};

/// Something happened. Whoever listens must not block.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A look ended.
    Checked {
        /// At what.
        watch: &'a Watch,
        /// What it found.
        observation: &'a Observation,
        /// What is believed now.
        state: &'a MonitorState,
        /// What that changed.
        transition: Option<Transition>,
        /// It could not be looked at and could before, or the other way round.
        unknown_changed: bool,
        /// How late it started.
        lateness: Duration,
        /// How long it took.
        took: Duration,
    },
    /// A message was decided, and committed (or could not be: then alerting
    /// goes on from memory).
    Notified(&'a Notification),
}

/// A listener.
pub type EventSink = dyn Fn(&Event<'_>) + Send + Sync;
