//! Heartbeats of monitors that are up, and of the engine itself.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;

use super::{Dispatcher, GRACE, TaskResult, delivery::attempt_result};
use crate::{
    engine::runtime::CheckPhase,
    monitor::Heartbeat,
    notification::DeliveryError,
    time::{Mono, Now},
};

/// The shortest timeout of an attempt.
const SHORTEST_TRY: Duration = Duration::from_millis(500);

/// The source of a heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HeartbeatSource {
    /// The monitor at this index and of this generation.
    Monitor(usize, u64),
    /// The engine itself, with the heartbeat of this generation.
    Engine(u64),
}

impl Dispatcher {
    /// Sends a monitor's heartbeat, due at `now` or again after a failure.
    pub(super) fn send_heartbeat(&mut self, index: usize, now: Now) {
        let Some(runtime) = self.runtimes[index].as_ref() else {
            return;
        };
        let Some(heartbeat) = runtime.monitor.watch().policy.heartbeat.clone() else {
            return;
        };
        let source = HeartbeatSource::Monitor(index, runtime.generation);
        let ends = runtime.heartbeat_period_end();
        self.request_heartbeat(source, &heartbeat, ends, now);
    }

    /// Requests a heartbeat's URL, within the heartbeat's period.
    pub(super) fn request_heartbeat(
        &mut self,
        source: HeartbeatSource,
        heartbeat: &Heartbeat,
        ends: Option<Mono>,
        now: Now,
    ) {
        let (false, Some(sender)) = (self.plan.no_notify, &self.plan.heartbeats) else {
            return;
        };
        if matches!(source, HeartbeatSource::Engine(_)) {
            self.self_monitor.start_sending();
        }
        let (url, sender) = (heartbeat.url.clone(), Arc::clone(sender));
        let left = ends.map_or(Duration::MAX, |ends| ends.since(now.mono));
        let timeout = self.plan.delivery_timeout.min(left.max(SHORTEST_TRY));
        self.tasks.spawn(async move {
            let attempt = AssertUnwindSafe(sender.send(&url, timeout)).catch_unwind();
            let result = attempt_result(tokio::time::timeout(timeout + GRACE, attempt).await);
            TaskResult::Heartbeat {
                source,
                sent: now,
                result,
            }
        });
    }

    pub(super) fn heartbeat_finished(
        &mut self,
        source: HeartbeatSource,
        sent: Now,
        result: Result<(), DeliveryError>,
    ) {
        let now = self.shared.clock.now().mono;
        let (index, generation) = match source {
            HeartbeatSource::Monitor(index, generation) => (index, generation),
            HeartbeatSource::Engine(generation) => {
                return self.own_heartbeat_finished(generation, result, now);
            }
        };
        let Some(runtime) = self.runtimes[index]
            .as_mut()
            .filter(|runtime| runtime.generation == generation)
        else {
            return;
        };
        let monitor = &runtime.monitor.watch().name;
        match result {
            Ok(()) => {
                tracing::debug!(monitor, "heartbeat sent");
                runtime.heartbeat_accepted();
                Arc::make_mut(&mut runtime.state).last_successful_heartbeat = Some(sent.wall);
                self.pending.mark_dirty(index, sent.mono, false);
            }
            Err(error) => {
                match runtime.heartbeat_failures() {
                    0 => tracing::warn!(monitor, "heartbeat not sent: {error}"),
                    n => tracing::debug!(monitor, tries = n + 1, "heartbeat not sent: {error}"),
                }
                runtime.heartbeat_failed(now);
                self.rearm(index);
            }
        }
    }

    /// Sends the engine's own heartbeat at its due moment, provided that the engine is healthy.
    pub(super) fn send_own_heartbeat(&mut self, now: Now) {
        let Some(heartbeat) = self.plan.heartbeat.clone() else {
            return;
        };
        // Checks that wait for a permit are late although they have not started. In a pass all
        // checks are due at once, and the heartbeat follows them.
        let oldest =
            self.waiting
                .iter()
                .find_map(|index| match self.runtimes[*index].as_ref()?.check_phase {
                    CheckPhase::Waiting(due) => Some(due),
                    _ => None,
                });
        if let Some(due) = oldest {
            self.self_monitor.record_wait(now.mono.since(due));
        }
        if let Some(problem) = self.self_monitor.health_problem(&self.pending, &self.outbox, now) {
            if self.self_monitor.withhold() {
                tracing::warn!("apmon's own heartbeat is withheld: {problem}");
            }
            return;
        }
        if self.self_monitor.resume() {
            tracing::info!("apmon's own heartbeat is sent again");
        }
        let ends = self.self_monitor.period_end();
        let source = HeartbeatSource::Engine(self.self_monitor.generation());
        self.request_heartbeat(source, &heartbeat, ends, now);
    }

    fn own_heartbeat_finished(&mut self, generation: u64, result: Result<(), DeliveryError>, now: Mono) {
        if generation != self.self_monitor.generation() {
            return;
        }
        self.self_monitor.finish_sending();
        match result {
            Ok(()) => {
                tracing::debug!("apmon's own heartbeat sent");
                self.self_monitor.accepted();
            }
            Err(error) => {
                if self.self_monitor.failed(now) {
                    tracing::warn!("apmon's own heartbeat not sent: {error}");
                }
            }
        }
    }
}
