//! The end of a pass and of a run.

use std::time::Duration;

use super::Dispatcher;
use crate::{
    engine::{
        EngineError, PassReport,
        task::{GRACE, TaskResult},
    },
    outcome::Verdict,
    time::{Mono, Now},
};

/// How long deliveries in progress may take at the end of a run.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// How far the end of a pass is.
#[derive(Debug, Default)]
pub(super) struct PassEnd {
    /// When the pass no longer waits for deliveries, set once nothing is left to check.
    outbox_ends: Option<Mono>,
    /// Whether everything was asked to be saved before the heartbeat.
    flushed: bool,
    /// Whether the heartbeat had its chance.
    heartbeat_done: bool,
}

impl Dispatcher {
    /// When a pass that only waits for deliveries ends at the latest.
    pub(super) fn pass_end_wake_at(&mut self) -> Option<Mono> {
        let ends = self.pass_end.as_ref()?.outbox_ends?;
        self.monitors.is_idle().then_some(ends)
    }

    /// Takes the next step towards the end of a pass: everything due is checked, the outbox has
    /// its chance, the state is saved, the heartbeat is sent. Returns whether it has ended.
    pub(super) fn advance_pass_end(&mut self, now: Now) -> bool {
        let Some(end) = &mut self.pass_end else {
            return false;
        };
        if !self.monitors.is_idle() {
            return false;
        }
        let latest = now.mono.plus(self.delivery.longest_attempt());
        let ends = *end.outbox_ends.get_or_insert(latest);
        if end.heartbeat_done {
            return !self.self_monitor.is_sending() || now.mono >= ends;
        }
        // Changes that are not urgent are committed together with the end of the pass.
        let busy = !self.tasks.is_empty() || self.persistence.is_urgent(&self.delivery);
        let is_over = !(self.delivery.has_pending_attempts() || busy) || now.mono >= ends;
        if !is_over || !self.self_monitor.has_heartbeat() {
            return is_over;
        }
        // The heartbeat confirms what is on disk.
        if !end.flushed && !self.persistence.is_saved(&self.delivery) {
            end.flushed = true;
            self.persistence.flush();
            return false;
        }
        if self.persistence.is_committing() && !self.persistence.is_stalled() {
            return false;
        }
        // The heartbeat has its own timeout, however long the outbox took.
        end.heartbeat_done = true;
        end.outbox_ends = Some(now.mono.plus(self.heartbeats.timeout() + GRACE));
        self.send_own_heartbeat(now);
        !self.self_monitor.is_sending()
    }

    /// Ends the run: starts no new checks, lets deliveries in progress finish, and commits all
    /// state.
    pub(super) async fn shut_down(mut self, began: Now) -> Result<PassReport, EngineError> {
        let deadline = tokio::time::Instant::now() + SHUTDOWN_GRACE;
        let now = self.shared.clock.now();
        if self.context.is_pass {
            self.persistence.record_pass(now, now.mono.since(began.mono));
        }
        // Checks in progress are dropped with the task set; the next start checks again.
        let mut attempts = 0;
        loop {
            let now = self.shared.clock.now();
            self.persistence.flush();
            // A failing store gets one more attempt; that it fails has been logged.
            if attempts == 0 || !self.persistence.is_failing() {
                let commit = self
                    .persistence
                    .commit(&self.monitors, &mut self.delivery, now.mono);
                if let Some(commit) = commit {
                    attempts += 1;
                    self.tasks.spawn(commit);
                }
            }
            let released = self.persistence.take_released();
            self.report_notified(&released);
            // Notifications that cannot be saved get their only chance now.
            if self.persistence.is_failing() || self.persistence.has_oversized() {
                for attempt in self.delivery.start_final(now) {
                    self.tasks.spawn(attempt.run());
                }
            }
            if !self.persistence.is_committing() && !self.delivery.is_sending() {
                break;
            }
            match tokio::time::timeout_at(deadline, self.tasks.join_next()).await {
                Ok(Some(Ok(TaskResult::Check(_)))) => self.monitors.check_ended(),
                Ok(Some(Ok(result))) => self.handle_result(result),
                Ok(Some(Err(_))) => {}
                Ok(None) | Err(_) => break,
            }
            if let Some(error) = self.taken_over.take() {
                return Err(EngineError::TakenOver(error));
            }
        }
        self.report.missed += self.monitors.iter().map(|runtime| runtime.missed).sum::<u64>();
        (self.report.undelivered, self.report.lost) = self.delivery.stored_and_lost();
        self.report.saved = self.persistence.is_saved(&self.delivery);
        self.report.took = self.shared.clock.now().mono.since(began.mono);
        self.report.watched = self.monitors.count();
        Ok(self.report)
    }
}

impl PassReport {
    /// Counts a finished check.
    pub(super) fn count(&mut self, verdict: Verdict, is_down: bool) {
        self.checks += 1;
        match verdict {
            Verdict::Up => self.up += 1,
            Verdict::Unknown => self.unknown += 1,
            Verdict::Down if is_down => self.down += 1,
            Verdict::Down => {}
        }
    }
}
