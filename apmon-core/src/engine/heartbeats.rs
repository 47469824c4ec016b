//! Heartbeats: requests their URLs, within their periods.

use std::{sync::Arc, time::Duration};

use super::{
    plan::Plan,
    task::{HeartbeatSource, HeartbeatTask},
};
use crate::{
    notification::{Heartbeat, HeartbeatSender},
    time::{Mono, Now},
};

/// The shortest timeout of an attempt.
const SHORTEST_TRY: Duration = Duration::from_millis(500);

/// Sends the heartbeats of monitors and of the engine.
pub(super) struct Heartbeats {
    /// `None` if none are sent.
    sender: Option<Arc<dyn HeartbeatSender>>,
    timeout: Duration,
}

impl Heartbeats {
    /// Creates the heartbeats of a plan.
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            sender: plan.heartbeats.clone().filter(|_| !plan.no_notify),
            timeout: plan.delivery_timeout,
        }
    }

    /// Starts an attempt that ends within the heartbeat's period.
    pub(super) fn send(
        &self,
        source: HeartbeatSource,
        heartbeat: &Heartbeat,
        ends: Option<Mono>,
        now: Now,
    ) -> Option<HeartbeatTask> {
        let left = ends.map_or(Duration::MAX, |ends| ends.since(now.mono));
        Some(HeartbeatTask {
            source,
            heartbeat: heartbeat.clone(),
            sender: Arc::clone(self.sender.as_ref()?),
            timeout: self.timeout.min(left.max(SHORTEST_TRY)),
            now,
        })
    }

    /// How long an attempt may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }
}
