//! Signs of life: of monitors that are up, and of the engine itself.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;

use super::{Dispatcher, Done, GRACE, telling::settle};
use crate::{
    engine::slot::CheckPhase,
    monitor::Heartbeat,
    notification::DeliveryError,
    time::{Mono, Now},
};

/// One that fails is not worth less time than this.
const SHORTEST_TRY: Duration = Duration::from_millis(500);

/// Whose sign of life it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whose {
    /// That of the monitor in this slot, of this generation.
    Monitor(usize, u64),
    /// The engine's own, of this generation of plan.
    Engine(u64),
}

impl Dispatcher {
    /// That of a monitor, due at `now` or again after it failed.
    pub(super) fn send_heartbeat(&mut self, at: usize, now: Now) {
        let Some(slot) = self.slots[at].as_ref() else {
            return;
        };
        let Some(heartbeat) = slot.monitor.watch().policy.heartbeat.clone() else {
            return;
        };
        let whose = Whose::Monitor(at, slot.generation);
        let ends = slot.heartbeat_ends();
        self.request(whose, &heartbeat, ends, now);
    }

    /// Requests a heartbeat's URL; whoever waits for it hears nothing after the
    /// end of its period.
    pub(super) fn request(&mut self, whose: Whose, heartbeat: &Heartbeat, ends: Option<Mono>, now: Now) {
        let (false, Some(sender)) = (self.plan.quiet, &self.shared.heartbeats) else {
            return;
        };
        if matches!(whose, Whose::Engine(_)) {
            self.vigil.vouches();
        }
        let (url, sender) = (heartbeat.url.clone(), Arc::clone(sender));
        let left = ends.map_or(Duration::MAX, |ends| ends.since(now.mono));
        let timeout = self.plan.delivery_timeout.min(left.max(SHORTEST_TRY));
        self.tasks.spawn(async move {
            let attempt = AssertUnwindSafe(sender.send(&url, timeout)).catch_unwind();
            let result = settle(tokio::time::timeout(timeout + GRACE, attempt).await);
            Done::Heartbeat {
                whose,
                sent: now,
                result,
            }
        });
    }

    pub(super) fn heartbeat_sent(&mut self, whose: Whose, sent: Now, result: Result<(), DeliveryError>) {
        let now = self.shared.clock.now().mono;
        let (at, generation) = match whose {
            Whose::Monitor(at, generation) => (at, generation),
            Whose::Engine(generation) => return self.vouched(generation, result, now),
        };
        let Some(slot) = self.slots[at]
            .as_mut()
            .filter(|slot| slot.generation == generation)
        else {
            return;
        };
        let monitor = &slot.monitor.watch().name;
        match result {
            Ok(()) => {
                tracing::debug!(monitor, "heartbeat sent");
                slot.heartbeat_taken();
                Arc::make_mut(&mut slot.state).last_successful_heartbeat = Some(sent.wall);
                self.ledger.touch(at, sent.mono, false);
            }
            Err(error) => {
                match slot.heartbeat_failures() {
                    0 => tracing::warn!(monitor, "heartbeat not sent: {error}"),
                    n => tracing::debug!(monitor, tries = n + 1, "heartbeat not sent: {error}"),
                }
                slot.heartbeat_failed(now);
                self.rearm(at);
            }
        }
    }

    /// The engine's own: sent at its due moment, if all is well.
    pub(super) fn vouch(&mut self, now: Now) {
        let Some(heartbeat) = self.plan.heartbeat.clone() else {
            return;
        };
        // What waits for a permit is no less late for that it has not started. A
        // pass has all its looks due at once, and vouches when they are over.
        let oldest = self
            .waiting
            .iter()
            .find_map(|at| match self.slots[*at].as_ref()?.check_phase {
                CheckPhase::Waiting(due) => Some(due),
                _ => None,
            });
        if let Some(due) = oldest {
            self.vigil.waits(now.mono.since(due));
        }
        if let Some(trouble) = self.vigil.trouble(&self.ledger, &self.outbox, now) {
            if self.vigil.withhold() {
                tracing::warn!("apmon's own heartbeat is withheld: {trouble}");
            }
            return;
        }
        if self.vigil.resume() {
            tracing::info!("apmon's own heartbeat is sent again");
        }
        let ends = self.vigil.ends();
        let whose = Whose::Engine(self.vigil.generation());
        self.request(whose, &heartbeat, ends, now);
    }

    fn vouched(&mut self, generation: u64, result: Result<(), DeliveryError>, now: Mono) {
        if generation != self.vigil.generation() {
            return;
        }
        self.vigil.vouched();
        match result {
            Ok(()) => {
                tracing::debug!("apmon's own heartbeat sent");
                self.vigil.taken();
            }
            Err(error) => {
                if self.vigil.failed(now) {
                    tracing::warn!("apmon's own heartbeat not sent: {error}");
                }
            }
        }
    }
}
