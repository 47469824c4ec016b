//! The end of a pass and of a run.

use std::time::Duration;

use super::{Dispatcher, GRACE, TaskResult};
use crate::{
    engine::PassReport,
    time::{Mono, Now},
};

/// How long deliveries in progress may take at the end of a run.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Whether everything due has been checked and the outbox has had its chance.
    pub(super) fn is_pass_finished(&mut self, now: Now, outbox_ends: &mut Option<Mono>) -> bool {
        if self.agenda.next().is_some() || !self.waiting.is_empty() || self.running > 0 {
            return false;
        }
        let ends = *outbox_ends.get_or_insert_with(|| now.mono.plus(self.plan.longest_delivery()));
        if self.pass_heartbeat_done {
            return !self.self_monitor.is_sending() || now.mono >= ends;
        }
        let sendable = !self.plan.no_notify && self.outbox.has_pending_attempts();
        // Changes that are not urgent are committed together with the end of the pass.
        let busy = !self.tasks.is_empty() || (self.pending.is_urgent() && !self.pending.failing);
        let is_over = !(sendable || busy) || now.mono >= ends;
        if !is_over || self.plan.heartbeat.is_none() {
            return is_over;
        }
        // The heartbeat confirms what is on disk.
        if !self.pending.is_saved() && !std::mem::replace(&mut self.pass_flushed, true) {
            self.pending.flush();
            return false;
        }
        // The heartbeat has its own timeout, however long the outbox took.
        if !std::mem::replace(&mut self.pass_heartbeat_done, true) {
            *outbox_ends = Some(now.mono.plus(self.plan.delivery_timeout + GRACE));
            self.send_own_heartbeat(now);
        }
        !self.self_monitor.is_sending()
    }

    /// Ends the run: starts no new checks, lets deliveries in progress finish, and commits all
    /// state.
    pub(super) async fn shut_down(mut self, began: Now) -> PassReport {
        let deadline = tokio::time::Instant::now() + SHUTDOWN_GRACE;
        let now = self.shared.clock.now();
        if self.is_pass {
            self.pending.extra.pass = Some((now.wall, now.mono.since(began.mono)));
        }
        // Checks in progress are dropped with the task set; the next start checks again.
        let mut attempts = 0;
        loop {
            self.pending.flush();
            // A failing store gets one more attempt; that it fails has been logged.
            if self.pending.commit_at().is_some() && (attempts == 0 || !self.pending.failing) {
                attempts += 1;
                self.commit(self.shared.clock.now());
            }
            // Notifications that cannot be saved get their only chance now.
            if self.pending.failing && !self.plan.no_notify {
                for entry in self.outbox.start_final(self.shared.clock.now().mono) {
                    self.deliver(entry);
                }
            }
            if !self.pending.is_committing() && !self.outbox.is_sending() {
                break;
            }
            match tokio::time::timeout_at(deadline, self.tasks.join_next()).await {
                Ok(Some(Ok(TaskResult::Check { .. }))) => self.running -= 1,
                Ok(Some(Ok(result))) => self.handle_result(result),
                Ok(Some(Err(_))) => {}
                Ok(None) | Err(_) => break,
            }
        }
        self.report.missed += self
            .runtimes
            .iter()
            .flatten()
            .map(|runtime| runtime.missed)
            .sum::<u64>();
        let keys = self.outbox.keys();
        let lost = |key: &String| self.pending.is_unwritten(key);
        (self.report.lost, self.report.undelivered) = {
            let (lost, kept): (Vec<_>, Vec<_>) = keys.partition(lost);
            (lost.len(), kept.len())
        };
        self.report.saved = self.pending.is_saved();
        self.report.took = self.shared.clock.now().mono.since(began.mono);
        self.report.watched = self.by_name.len();
        self.report
    }
}
