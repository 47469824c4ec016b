//! The input and the output of the rules: a finished check, and what was decided.

use std::time::Duration;

use super::{condition::Condition, health::Transition, route::Addressed};
use crate::{
    device::PortChange,
    history::Records,
    monitor::Notice,
    outcome::{Failure, Verdict},
    time::Now,
};

/// A finished check, as the rules need it.
#[derive(Clone, Copy, Debug)]
pub struct FinishedCheck<'a> {
    /// When it started.
    pub started: Now,
    /// Its verdict.
    pub verdict: Verdict,
    /// The reason why it was not up.
    pub failure: Option<&'a Failure>,
    /// How long the answer took.
    pub latency: Option<Duration>,
    /// Other events to report.
    pub notices: &'a [Notice],
    /// Changes at ports, for the history.
    pub changes: &'a [PortChange],
}

/// What a rule decided about one monitor. The state must be stored in one step with the
/// notifications; nothing else has to be derived from the state.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Effects {
    /// The condition of the monitor before.
    pub before: Condition,
    /// The condition of the monitor now.
    pub after: Condition,
    /// The transition of the monitor's health.
    pub transition: Option<Transition>,
    /// Whether the monitor became unknown, or stopped being unknown.
    pub unknown_changed: bool,
    /// Notifications to send, in this order.
    pub notifications: Vec<Addressed>,
    /// Monitors to check before the notifications are sent. The state and the notifications are
    /// stored at once; only the sending waits.
    pub before_notify: Vec<String>,
    /// The ids of incidents that began.
    pub opened: Vec<String>,
    /// The ids of incidents that ended, whether or not a notification reports it.
    pub ended: Vec<String>,
    /// Rows for the history; `None` if none is kept.
    pub history: Option<Box<Records>>,
    /// Whether and when the state must be stored.
    pub state: StateChange,
}

/// Whether and when a changed state must be stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum StateChange {
    /// The state is unchanged.
    #[default]
    None,
    /// The state changed, and may be stored some seconds later.
    Minor,
    /// The state must be stored at once.
    Urgent,
}
