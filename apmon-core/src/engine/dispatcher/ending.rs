//! The end of a pass and of a run.

use std::time::Duration;

use super::Dispatcher;
use crate::{
    engine::{
        EngineError, PassReport,
        task::{GRACE, TaskResult},
    },
    outcome::Verdict,
    rule::schedule::LONGEST_SLACK,
    time::{Mono, Now},
};

/// How long deliveries in progress may take at the end of a run.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// The interval at which cron can start passes.
const CRON: Duration = Duration::from_secs(60);
/// How far from full minutes after the start of this pass cron may start another one.
const CRON_JITTER: Duration = Duration::from_secs(4);

/// How far the end of a pass is.
#[derive(Debug)]
pub(super) struct PassEnd {
    started: Mono,
    /// When the pass no longer waits for retries.
    retries_end: Mono,
    /// What it waits for at its end, and until when; set once it waits for no retries.
    waits: Option<PassWaits>,
    /// When the next step may be possible, whatever happens until then.
    wake_at: Option<Mono>,
    /// Whether everything was asked to be saved before the heartbeat.
    flushed: bool,
    /// When the pass no longer waits for its heartbeat, once that has been attempted.
    heartbeat_ends: Option<Mono>,
}

/// How long a pass waits at its end.
#[derive(Clone, Copy, Debug)]
struct PassWaits {
    /// For deliveries: none starts later, and those in progress then end within their timeouts. A
    /// notification that is decided meanwhile prolongs it.
    outbox: Mono,
    /// For checks and heartbeats that fell due meanwhile.
    checks: Mono,
}

impl PassEnd {
    /// The end of a pass that starts now.
    pub(super) fn new(started: Mono, longest_retries: Duration) -> Self {
        Self {
            started,
            retries_end: started.plus(longest_retries),
            waits: None,
            wake_at: None,
            flushed: false,
            heartbeat_ends: None,
        }
    }
}

/// Whether another pass may have found this one, of this age, at work just now or is about to: then
/// nobody else does what falls due just after its end.
fn may_have_stopped_another(age: Duration) -> bool {
    let since_minute = Duration::from_nanos((age.as_nanos() % CRON.as_nanos()) as u64);
    let is_near = since_minute <= CRON_JITTER || since_minute >= CRON - CRON_JITTER;
    age >= CRON - CRON_JITTER && is_near
}

impl Dispatcher {
    /// Whether the pass is about to end, so that a delivery that began now could be cut off, and
    /// would be repeated by the next pass.
    pub(super) fn is_outbox_closed(&self, now: Now) -> bool {
        let end = self.pass_end.as_ref();
        end.is_some_and(|end| {
            let is_over = end.waits.is_some_and(|waits| now.mono >= waits.outbox);
            is_over || end.heartbeat_ends.is_some()
        })
    }

    /// Gives a notification that is decided at the end of a pass, by a check that was in progress,
    /// the time for its delivery.
    pub(super) fn prolong_pass(&mut self, now: Now) {
        let attempt = self.delivery.longest_attempt();
        let end = self.pass_end.as_mut();
        if let Some(waits) = end.and_then(|end| end.waits.as_mut())
            && now.mono < waits.checks
        {
            waits.outbox = waits.outbox.max(now.mono.plus(attempt));
        }
    }

    /// When the next delivery, expiry or fallback is due.
    pub(super) fn delivery_wake_at(&mut self) -> Option<Mono> {
        match self.is_outbox_closed(self.shared.clock.now()) {
            true => None,
            false => self.delivery.wake_at(),
        }
    }

    /// When the next step towards the end of a pass may be possible.
    pub(super) fn pass_end_wake_at(&self) -> Option<Mono> {
        self.pass_end.as_ref()?.wake_at
    }

    /// Takes the next step towards the end of a pass: what was due at its start is up or
    /// in a hard state, notifications are attempted, the state is saved, the heartbeat is sent. Returns whether it
    /// has ended. What falls due meanwhile is done as in a daemon.
    pub(super) fn advance_pass_end(&mut self, now: Now) -> bool {
        let Some(end) = &mut self.pass_end else {
            return false;
        };
        if self.monitors.awaited() > 0 && now.mono < end.retries_end {
            end.wake_at = Some(end.retries_end);
            return false;
        }
        let waits = *end.waits.get_or_insert_with(|| {
            let attempt = self.delivery.longest_attempt();
            let check = self.monitors.longest_check().saturating_add(LONGEST_SLACK);
            PassWaits {
                outbox: now.mono.plus(attempt),
                checks: now.mono.plus(attempt.max(check)),
            }
        });
        if let Some(ends) = end.heartbeat_ends {
            end.wake_at = Some(ends);
            return !self.self_monitor.is_sending() || now.mono >= ends;
        }
        // Changes that are not urgent are committed together with the end of the pass.
        let is_sending = self.delivery.has_pending_attempts()
            || self.tasks.len() > self.monitors.running()
            || self.persistence.is_urgent(&self.delivery);
        let delivered_by = waits.outbox.plus(self.delivery.longest_attempt() + GRACE);
        let or_soon = may_have_stopped_another(now.mono.since(end.started));
        end.wake_at = if now.mono < waits.outbox && is_sending {
            Some(waits.outbox)
        } else if now.mono < delivered_by && self.delivery.is_sending() {
            Some(delivered_by)
        } else if now.mono < waits.checks && self.monitors.has_work_in_pass(or_soon, now) {
            Some(waits.checks)
        } else {
            None
        };
        if end.wake_at.is_some() {
            return false;
        }
        if !self.self_monitor.has_last_heartbeat(now.mono) {
            return true;
        }
        // The heartbeat confirms what is on disk.
        if !end.flushed && !self.persistence.is_saved(&self.delivery) {
            end.flushed = true;
            self.persistence.flush();
            return false;
        }
        let is_saving = self.persistence.is_committing() && !self.persistence.is_stalled();
        // One that is under way has its own timeout.
        if is_saving || self.self_monitor.is_sending() {
            return false;
        }
        // The heartbeat has its own timeout, however long the outbox took.
        let ends = now.mono.plus(self.heartbeats.timeout() + GRACE);
        end.heartbeat_ends = Some(ends);
        end.wake_at = Some(ends);
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
        self.report.unsettled = self.monitors.awaited();
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
