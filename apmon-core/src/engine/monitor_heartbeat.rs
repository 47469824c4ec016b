//! The heartbeat of one monitor while the engine runs: when a check for it is due, when it is
//! sent, and when one that was not accepted is sent again.

use crate::{
    monitor::Policy,
    notification::DeliveryError,
    rule::{
        heartbeat::{HeartbeatTimer, NoHeartbeat, SendDecision},
        resend::Resend,
    },
    state::MonitorState,
    time::{Mono, Now},
};

/// The heartbeat of a monitor that has one.
pub(super) struct MonitorHeartbeat {
    /// When the next heartbeat is due.
    timer: HeartbeatTimer,
    /// When a heartbeat is due to be sent.
    at: Option<Mono>,
    /// When a heartbeat that was not accepted is sent again.
    resend: Resend,
    /// Whether the last check found the target up.
    was_up: bool,
}

impl MonitorHeartbeat {
    /// The heartbeat of a monitor, which continues from the last one; `None` without one.
    pub(super) fn new(policy: &Policy, state: &MonitorState, now: Now) -> Option<Box<Self>> {
        let last = state.last_successful_heartbeat.map(|last| now.mono_of(last));
        Self::with_last(policy, last)
    }

    /// The heartbeat of a monitor, due after its next successful check.
    pub(super) fn after_next_success(policy: &Policy) -> Option<Box<Self>> {
        Self::with_last(policy, None)
    }

    fn with_last(policy: &Policy, last: Option<Mono>) -> Option<Box<Self>> {
        let heartbeat = policy.heartbeat.as_ref()?;
        Some(Box::new(Self {
            timer: HeartbeatTimer::new(heartbeat.every, last),
            at: None,
            resend: Resend::default(),
            was_up: false,
        }))
    }

    /// When a check for it is due.
    pub(super) fn check_at(&self) -> Option<Mono> {
        self.timer.check_at()
    }

    /// When it is due, if it has a period of its own.
    pub(super) fn due(&self) -> Option<Mono> {
        self.timer.due()
    }

    /// When it is due, if a check that starts at `now` is one for it.
    pub(super) fn due_at_check(&self, now: Mono) -> Option<Mono> {
        let is_for_it = self.check_at().is_some_and(|at| at <= now);
        self.due().filter(|_| is_for_it)
    }

    /// Whether it will be sent on the strength of a check that has been made.
    pub(super) fn is_scheduled(&self) -> bool {
        self.at.is_some()
    }

    /// When it is sent next.
    pub(super) fn send_at(&self) -> Option<Mono> {
        [self.at, self.resend.at()].into_iter().flatten().min()
    }

    /// Takes a heartbeat that is to be sent by `now`.
    pub(super) fn take_due(&mut self, now: Mono) -> bool {
        if self.at.is_some_and(|at| at <= now) {
            self.at = None;
            self.resend = Resend::default();
            return true;
        }
        let again = self.resend.at().is_some_and(|at| at <= now);
        if again {
            self.resend.clear();
        }
        again
    }

    /// Schedules what follows from a check that started at `started` and ended at `now`.
    pub(super) fn after_check(&mut self, up: bool, started: Mono, now: Mono) {
        self.was_up = up;
        if !up || self.due().is_none() {
            // The success that it reports no longer holds, or has a successor.
            self.resend.clear();
        }
        if let SendDecision::At(at) = self.timer.after_check(up, started, now) {
            self.at = Some(at);
        }
    }

    /// Why the last check led to no heartbeat; `None` if it did.
    pub(super) fn not_sent(&self, now: Mono) -> Option<NoHeartbeat> {
        match self.due() {
            _ if !self.was_up => Some(NoHeartbeat::NotUp),
            Some(due) if !self.is_scheduled() => Some(NoHeartbeat::NotDue(due.since(now))),
            _ => None,
        }
    }

    /// Processes the result of a heartbeat: after a failure there is another attempt by `ends`
    /// if the last check found the target up. Returns whether it was accepted.
    pub(super) fn finished(
        &mut self,
        monitor: &str,
        result: Result<(), DeliveryError>,
        ends: Option<Mono>,
        now: Mono,
    ) -> bool {
        let error = match result {
            Ok(()) => {
                tracing::debug!(monitor, "heartbeat sent");
                self.resend.accepted();
                return true;
            }
            Err(error) => error,
        };
        match self.resend.failures() {
            0 => tracing::warn!(monitor, "heartbeat not sent: {error}"),
            n => tracing::debug!(monitor, tries = n + 1, "heartbeat not sent: {error}"),
        }
        self.resend.failed(now, ends);
        if !self.was_up {
            self.resend.clear();
        }
        false
    }
}
