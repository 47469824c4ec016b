//! Checks: started when a permit is free, processed when they end.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;

use super::{Dispatcher, GRACE, TaskResult, history::StateBefore};
use crate::{
    engine::{
        PassReport,
        event::Event,
        runtime::{CheckPhase, MonitorRuntime},
    },
    memory::InvalidValue,
    monitor::{Monitor, Observation},
    outcome::{Failure, FailureClass, Outcome, Verdict},
    probe::Check,
    rule::{
        alert::{self, FinishedCheck},
        health::Transition,
    },
    time::Now,
};

impl Dispatcher {
    pub(super) fn start_checks(&mut self, now: Now) {
        let cap = self
            .plan
            .max_concurrent
            .map_or(usize::MAX, std::num::NonZero::get);
        while self.running < cap {
            let Some(index) = self.waiting.pop_front() else {
                return;
            };
            let Some(runtime) = self.runtimes[index].as_mut() else {
                continue;
            };
            let CheckPhase::Waiting(due) = runtime.check_phase else {
                continue;
            };
            runtime.start_check(now.mono);
            self.running += 1;
            let monitor = Arc::clone(&runtime.monitor);
            let generation = runtime.generation;
            let memory = runtime.state.memory.clone();
            let clock = Arc::clone(&self.shared.clock);
            self.tasks.spawn(async move {
                let timeout = monitor.watch().policy.max_try;
                let check = Check::new(due, clock.now(), timeout).with_memory(memory);
                let observation = run_check(monitor.as_ref(), &check).await;
                let ended = clock.now();
                TaskResult::Check {
                    runtime: index,
                    generation,
                    check,
                    observation,
                    ended,
                }
            });
        }
    }

    pub(super) fn check_finished(
        &mut self,
        index: usize,
        generation: u64,
        check: &Check,
        observation: &Observation,
        now: Now,
    ) {
        let Some(runtime) = self.runtimes[index]
            .as_mut()
            .filter(|runtime| runtime.generation == generation)
        else {
            return; // a check by an older version of the monitor
        };
        let outcome = &observation.outcome;
        let verdict = outcome.verdict();
        let monitor = Arc::clone(&runtime.monitor);
        let watch = monitor.watch();
        let checked = FinishedCheck {
            started: check.started,
            verdict,
            failure: outcome.failure(),
            latency: outcome.latency,
            notices: &observation.notices,
        };
        let own = &runtime.state.own;
        let open = [own.incident.clone(), own.unknown_incident.clone()];
        let was_unknown = runtime.state.own.unknown_since.is_some();
        let before = self.keeps_history.then(|| StateBefore::of(&runtime.state));
        let state = Arc::make_mut(&mut runtime.state);
        let (transition, notifications) = alert::after_check(&self.context, watch, state, checked, now);
        // Changed here, so that one commit holds it and the notifications.
        let invalid = observation.memory.as_ref().map_or(Vec::new(), |memory| {
            let (memory, invalid) = memory.clone().keep_valid(&state.memory);
            state.memory = memory;
            invalid
        });
        for InvalidValue { key, reason } in invalid {
            if self.reported_invalid.insert((watch.name.clone(), key.clone())) {
                tracing::error!(
                    monitor = watch.name,
                    key,
                    "the check returned data that cannot be stored, a bug: {reason}"
                );
            }
        }
        if let Some(device) = &observation.device {
            runtime.device = Some(Arc::clone(device));
        }
        let is_urgent = matches!(transition, Some(Transition::Outage | Transition::Recovery));
        runtime.finish_check(verdict, transition, check.started, now);
        self.report.lateness.record(check.lateness());
        let lateness = if self.is_pass {
            Duration::ZERO
        } else {
            check.lateness()
        };
        self.self_monitor.record_check(lateness);
        self.report.count(verdict, runtime.state.health().is_down());
        if let Some(failure) = outcome
            .failure()
            .filter(|failure| failure.class == FailureClass::Panic)
            && self.panicked.insert(watch.name.clone())
        {
            tracing::error!(monitor = watch.name, "a bug in the check: {failure}");
        }
        (self.shared.events)(&Event::Checked {
            watch,
            observation,
            state: &runtime.state,
            transition,
            unknown_changed: runtime.state.own.unknown_since.is_some() != was_unknown,
            lateness: check.lateness(),
            took: now.mono.since(check.started.mono),
        });
        if let Some(before) = before {
            let state = Arc::clone(&runtime.state);
            self.record_check(watch, check, outcome, &state, now);
            self.record_incidents(before, &state, watch, transition, &notifications, now);
            self.record_port_changes(watch, &observation.changes, now);
        }
        self.pending
            .mark_dirty(index, now.mono, is_urgent || !notifications.is_empty());
        // Also if no notification of the end is sent.
        for incident in open.into_iter().flatten() {
            let has_open = |runtime: &MonitorRuntime| runtime.state.own.has_open_incident(&incident);
            if !self.runtimes[index].as_ref().is_some_and(has_open) {
                self.close_incident(&incident, now);
            }
        }
        for notification in notifications {
            let announced_to = self.take_announced(index, &notification);
            self.enqueue(notification, watch, announced_to, now);
        }
        self.rearm(index);
    }

    pub(super) fn remind(&mut self, index: usize, now: Now) {
        let Some(runtime) = self.runtimes[index].as_mut() else {
            return;
        };
        let monitor = Arc::clone(&runtime.monitor);
        let reminder = alert::remind(
            &self.context,
            monitor.watch(),
            Arc::make_mut(&mut runtime.state),
            now,
        );
        runtime.schedule_reminder(now);
        if let Some(notification) = reminder {
            let state = Arc::clone(&runtime.state);
            self.pending.mark_dirty(index, now.mono, true);
            self.record_message(&notification, state.error_reason.as_deref(), now);
            self.enqueue(notification, monitor.watch(), Vec::new(), now);
        }
    }
}

/// Runs one check behind a panic barrier and with a deadline that it cannot ignore. A panic
/// becomes `Unknown`, with the panic's message as the reason.
pub async fn run_check(monitor: &dyn Monitor, check: &Check) -> Observation {
    let running = AssertUnwindSafe(monitor.check(check)).catch_unwind();
    match tokio::time::timeout_at(check.deadline() + GRACE, running).await {
        Ok(Ok(observation)) => observation,
        Ok(Err(panic)) => Outcome::failed(Failure::new(
            FailureClass::Panic,
            format!("the check panicked: {}", panic_text(&*panic)),
        ))
        .into(),
        Err(_) => Outcome::failed(check.timed_out("check")).into(),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

impl PassReport {
    fn count(&mut self, verdict: Verdict, is_down: bool) {
        self.checks += 1;
        match verdict {
            Verdict::Up => self.up += 1,
            Verdict::Unknown => self.unknown += 1,
            Verdict::Down if is_down => self.down += 1,
            Verdict::Down => {}
        }
    }
}
