//! Heartbeats, of monitors and of the engine itself.

use super::Dispatcher;
use crate::{engine::task::HeartbeatSource, time::Now};

impl Dispatcher {
    /// Sends a monitor's heartbeat, due at `now` or again after a failure.
    pub(super) fn send_heartbeat(&mut self, index: usize, now: Now) {
        let Some((runtime, reference)) = self.monitors.at(index).zip(self.monitors.reference(index)) else {
            return;
        };
        let Some(heartbeat) = &runtime.monitor.watch().policy.heartbeat else {
            return;
        };
        let (source, ends) = (
            HeartbeatSource::Monitor(reference),
            runtime.heartbeat_period_end(),
        );
        if let Some(attempt) = self.heartbeats.send(source, heartbeat, ends, now) {
            self.tasks.spawn(attempt.run());
        }
    }

    /// Sends the engine's own heartbeat, provided that the engine is healthy.
    pub(super) fn send_own_heartbeat(&mut self, now: Now) {
        let next = self
            .self_monitor
            .next_heartbeat(&self.monitors, &self.persistence, &self.delivery, now);
        let Some((source, heartbeat, ends)) = next else {
            return;
        };
        if let Some(attempt) = self.heartbeats.send(source, &heartbeat, ends, now) {
            self.self_monitor.start_sending();
            self.tasks.spawn(attempt.run());
        }
    }
}
