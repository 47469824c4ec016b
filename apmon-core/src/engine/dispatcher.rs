//! The life of a check, in order: it is started when due, the rules decide what follows, the
//! state and the notifications are committed, and only then are the notifications sent.
//!
//! The dispatcher is the only owner of state. Each of its parts has one duty, and none knows
//! the dispatcher.

mod acting;
mod decision;
mod ending;
mod heartbeat;
mod held;
mod owed;
mod part;
mod request;
mod status;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};

use self::{ending::PassEnd, held::Held};
use super::{
    EngineError, PassReport, Shared,
    alarm::{self, Alarm},
    delivery::Deliveries,
    event::{CheckRecord, Event},
    handle::Command,
    heartbeats::Heartbeats,
    monitors::Monitors,
    persistence::{CommitEnd, Persistence},
    plan::Plan,
    runtime::DueAction,
    self_monitor::SelfMonitor,
    task::{self, CompletedCheck, HeartbeatSource, TaskResult},
    update::Update,
};
use crate::{
    monitor::Observation,
    notification::Notification,
    outcome::{FailureClass, Outcome, Verdict},
    probe::Check,
    rule::{
        alert::RuleContext,
        effects::{Effects, StateChange},
        health::Transition,
    },
    store::{Snapshot, StateRecord, StoreError},
    time::{Mono, Now},
};

pub(super) struct Dispatcher {
    shared: Shared,
    context: RuleContext,
    /// The plan without its monitors, which `monitors` holds.
    plan: Plan,
    monitors: Monitors,
    delivery: Deliveries,
    persistence: Persistence,
    heartbeats: Heartbeats,
    self_monitor: SelfMonitor,
    tasks: JoinSet<TaskResult>,
    alarm: Alarm,
    /// How far the end of a pass is; `None` in a daemon.
    pass_end: Option<PassEnd>,
    started: Timestamp,
    report: PassReport,
    /// State that belongs to no monitor, as it is stored or about to be.
    records: BTreeMap<String, StateRecord>,
    /// Notifications that wait for the checks of other monitors.
    held: Vec<Held>,
    /// Set once another owner has taken over the state.
    taken_over: Option<StoreError>,
}

impl Dispatcher {
    pub(super) fn new(shared: Shared, mut plan: Plan, snapshot: Snapshot, is_pass: bool) -> Self {
        let now = shared.clock.now();
        let keeps_history = shared.store.keeps_history();
        let context = RuleContext {
            keeps_history,
            is_pass,
            ..RuleContext::new(&plan.site, shared.zone.clone(), plan.routes())
        };
        // The runtimes hold the monitors; the plan must not hold them as well.
        let longest_retries = plan.longest_retries();
        if is_pass {
            plan.sort_for_pass(&snapshot.monitors);
        }
        let monitors = std::mem::take(&mut plan.monitors);
        let mut dispatcher = Self {
            context,
            monitors: Monitors::new(snapshot.monitors, is_pass),
            delivery: Deliveries::new(
                &plan,
                shared.zone.clone(),
                keeps_history,
                shared.publisher.clone(),
            ),
            persistence: Persistence::new(
                Arc::clone(&shared.store),
                snapshot.shard,
                snapshot.epoch,
                shared.publisher.clone(),
            ),
            heartbeats: Heartbeats::new(&plan),
            self_monitor: SelfMonitor::default(),
            tasks: JoinSet::new(),
            alarm: Alarm::default(),
            pass_end: is_pass.then(|| PassEnd::new(now.mono, longest_retries)),
            started: now.wall,
            report: PassReport::default(),
            records: snapshot.records,
            held: Vec::new(),
            taken_over: None,
            plan,
            shared,
        };
        dispatcher.monitors.limit(dispatcher.plan.max_concurrent);
        dispatcher.monitors.reserve(monitors.len());
        for monitor in monitors {
            dispatcher.monitors.add(monitor, &dispatcher.plan.site, now, None);
        }
        dispatcher.monitors.revive_parts(now);
        let heartbeat = dispatcher.plan.heartbeat.clone();
        match is_pass {
            true => {
                dispatcher.log_start(now);
                dispatcher.self_monitor = SelfMonitor::for_pass(heartbeat);
            }
            false => dispatcher.self_monitor.configure(heartbeat, now.mono),
        }
        dispatcher.delivery.load(snapshot.outbox, now);
        dispatcher.delivery.note_running(&dispatcher.monitors);
        dispatcher
            .delivery
            .drop_stale_reminders(&dispatcher.monitors, now);
        dispatcher.reassign_orphans(now);
        dispatcher.retire_missing(now);
        if !is_pass {
            let store = Arc::clone(&dispatcher.shared.store);
            dispatcher.tasks.spawn(task::recent(store));
        }
        dispatcher
    }

    /// Runs until it is asked to end or, in a pass, until everything due is done.
    ///
    /// # Errors
    /// If another owner has taken over the state.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
    ) -> Result<PassReport, EngineError> {
        let began = self.shared.clock.now();
        loop {
            if let Some(error) = self.taken_over.take() {
                // Attempts in progress end with the task set.
                return Err(EngineError::TakenOver(error));
            }
            let now = self.shared.clock.now();
            self.run_due_work(now);
            if self.advance_pass_end(now) {
                break;
            }
            let wake = self.wake_at();
            let armed = self.shared.clock.now().mono;
            self.alarm
                .set(wake, armed, || self.monitors.upcoming(alarm::MOMENTS));
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Shutdown) | None => break,
                    Some(command) => self.execute(command),
                },
                Some(first) = self.tasks.join_next(), if !self.tasks.is_empty() => self.handle_finished_tasks(first),
                () = self.alarm.next() => {}
            }
        }
        self.shut_down(began).await
    }

    /// Starts everything that is due, in the order of a check's life.
    fn run_due_work(&mut self, now: Now) {
        self.run_due_actions(now);
        self.start_checks(now);
        self.delivery.expire(now);
        self.run_fallbacks(now);
        self.start_deliveries(now);
        self.start_commit(now);
    }

    /// Sends the reminders and heartbeats that are due, and queues the checks.
    fn run_due_actions(&mut self, now: Now) {
        while let Some(index) = self.monitors.pop_due(now.mono) {
            while let Some(action) = self.monitors.next_action(index, now.mono) {
                match action {
                    DueAction::Check(_) => {}
                    DueAction::Heartbeat => self.send_heartbeat(index, now),
                    DueAction::Reminder => self.remind(index, now),
                }
            }
            self.monitors.rearm(index);
        }
        if self.self_monitor.is_due(now.mono) {
            self.send_own_heartbeat(now);
        }
    }

    fn start_checks(&mut self, now: Now) {
        while let Some(check) = self.monitors.start_check(now) {
            // Boxed, as the task set moves what it holds several times.
            self.tasks
                .spawn(Box::pin(check.run(Arc::clone(&self.shared.clock))));
        }
    }

    fn run_fallbacks(&mut self, now: Now) {
        for monitor in self.delivery.run_fallbacks(&mut self.monitors, now) {
            self.persistence.mark(monitor, StateChange::Urgent, now.mono);
        }
    }

    fn start_deliveries(&mut self, now: Now) {
        if self.is_outbox_closed(now) {
            return;
        }
        for attempt in self.delivery.start(now) {
            self.tasks.spawn(attempt.run());
        }
    }

    fn start_commit(&mut self, now: Now) {
        if let Some(waited) = self.persistence.stall(&mut self.delivery, now) {
            self.report_notified(&waited);
            self.start_deliveries(now);
        }
        self.persistence.forget(self.monitors.forget_old(now));
        let commit = self
            .persistence
            .commit(&self.monitors, &mut self.delivery, now.mono);
        if let Some(commit) = commit {
            self.tasks.spawn(commit);
        }
    }

    /// When something is due again.
    fn wake_at(&mut self) -> Option<Mono> {
        let moments = [
            self.monitors.wake_at(),
            self.self_monitor.wake_at(),
            self.delivery_wake_at(),
            self.persistence.wake_at(&self.delivery),
            self.pass_end_wake_at(),
        ];
        moments.into_iter().flatten().min()
    }

    /// Handles everything that has finished by now.
    fn handle_finished_tasks(&mut self, first: Result<TaskResult, JoinError>) {
        let mut next = Some(first);
        while let Some(finished) = next {
            match finished {
                Ok(result) => self.handle_result(result),
                // Only a bug outside the panic barrier of the checks leads here.
                Err(error) => tracing::error!("a task of the engine failed (this is a bug): {error}"),
            }
            next = self.tasks.try_join_next();
        }
    }

    fn handle_result(&mut self, result: TaskResult) {
        match result {
            TaskResult::Check(check) => self.check_finished(&check),
            TaskResult::Recent(Ok(results)) => self.monitors.fill_recent(results),
            TaskResult::Recent(Err(error)) => {
                tracing::debug!("the last results cannot be read: {}", error.one_line());
            }
            TaskResult::Commit { batch, result } => {
                let now = self.shared.clock.now();
                let end = self
                    .persistence
                    .commit_finished(*batch, result, &mut self.delivery, now);
                match end {
                    CommitEnd::Notified(waited) => self.report_notified(&waited),
                    CommitEnd::InDoubt => {}
                    CommitEnd::Continues(next) => drop(self.tasks.spawn(next)),
                    CommitEnd::Superseded(error) => self.taken_over = Some(error),
                }
            }
            TaskResult::Delivery { channel, key, result } => {
                self.attempt_finished(&channel, &key, result);
            }
            TaskResult::Heartbeat { source, sent, result } => {
                let now = self.shared.clock.now().mono;
                match source {
                    HeartbeatSource::Engine(generation) => {
                        self.self_monitor.heartbeat_finished(generation, result, now);
                    }
                    HeartbeatSource::Monitor(monitor) => {
                        let Some(runtime) = self.monitors.current(monitor) else {
                            return;
                        };
                        if runtime.heartbeat_finished(sent, result, now) {
                            self.persistence
                                .mark(monitor.index, StateChange::Minor, sent.mono);
                        }
                        self.monitors.rearm(monitor.index);
                    }
                }
            }
        }
    }

    fn check_finished(&mut self, finished: &CompletedCheck) {
        self.monitors.check_ended();
        let reference = finished.monitor;
        let lateness = finished.check.lateness();
        if let Some(runtime) = self.monitors.current(reference) {
            runtime.end_check(finished.ended);
            self.report.lateness.record(lateness);
            // In a pass all checks are due at once: that they wait says nothing about health.
            let counted = match self.context.is_pass {
                true => Duration::ZERO,
                false => lateness,
            };
            self.self_monitor.record_check(counted, finished.ended.mono);
            let monitor = Arc::clone(&runtime.monitor);
            self.observed(finished);
            self.monitors.end_waiting(reference.index);
            self.release_held(&monitor.watch().name);
        }
        self.process_signals(reference.index);
    }

    /// The rules decide what follows from an observation; it is counted, reported and applied.
    fn observed(&mut self, finished: &CompletedCheck) {
        let CompletedCheck {
            monitor: reference,
            check,
            observation,
            failed_steps,
            ended: now,
            ..
        } = finished;
        let (reference, now) = (*reference, *now);
        let Some(observation) = observation else {
            return; // every check ends with an observation
        };
        let Some(runtime) = self.monitors.current(reference) else {
            return; // a check by an older version of the monitor
        };
        // Part of the same state, so that one commit holds it and the notifications.
        let invalid = runtime.keep_memory(observation);
        if failed_steps.is_some() {
            runtime.failed_steps.clone_from(failed_steps);
        }
        let monitor = Arc::clone(&runtime.monitor);
        let name = &monitor.watch().name;
        self.monitors.report_invalid(name, invalid);
        if let Some(failure) = observation.outcome.failure()
            && failure.class == FailureClass::Panic
        {
            self.monitors.report_panic(name, failure);
        }
        self.conclude(reference.index, check, observation, now);
        let verdict = observation.outcome.verdict();
        let state = self.monitors.at(reference.index).map(|runtime| &runtime.state);
        let is_down = state.is_some_and(|state| state.health().is_down());
        self.report.count(verdict, is_down);
        let lists_all = verdict == Verdict::Up && !finished.is_signal;
        self.parts_observed(reference.index, (check, observation), lists_all, now);
    }

    /// The rules decide what follows for the monitor or the part at `index`; it is reported and
    /// applied. Returns the transition.
    fn conclude(
        &mut self,
        index: usize,
        check: &Check,
        observation: &Observation,
        now: Now,
    ) -> Option<Transition> {
        let runtime = self.monitors.at_mut(index)?;
        let effects = runtime.decide(&self.context, check, observation, now);
        let transition = effects.transition;
        let (monitor, state) = (Arc::clone(&runtime.monitor), Arc::clone(&runtime.state));
        let watch = monitor.watch();
        let lateness = check.lateness();
        let record = CheckRecord {
            watch,
            observation,
            state: &state,
            transition,
            unknown_changed: effects.unknown_changed,
            started: check.started,
            lateness,
            took: now.mono.since(check.started.mono),
        };
        (self.shared.events)(&Event::Checked(record));
        if let Some(metrics) = &self.shared.metrics {
            metrics.record(&record);
        }
        self.shared.publisher.publish(|| Update::Checked {
            monitor: watch.name.clone(),
            at: check.started.wall,
            verdict: observation.outcome.verdict(),
            condition: effects.after,
            latency: observation.outcome.latency,
            lateness,
            reason: observation
                .outcome
                .failure()
                .map(|failure| failure.reason.clone()),
        });
        // The state is not shared with the store until it is committed.
        drop(state);
        self.log_decisions(index, &effects, &observation.outcome, now);
        self.apply(Some(index), &watch.name, effects, now);
        self.monitors.rearm(index);
        transition
    }

    /// Applies what a rule decided about a monitor: its state and the notifications go into
    /// the next commit. `index` is where the monitor runs, if it does.
    fn apply(&mut self, index: Option<usize>, monitor: &str, effects: Effects, now: Now) {
        if effects.before != effects.after {
            self.shared.publisher.publish(|| Update::ConditionChanged {
                monitor: monitor.to_owned(),
                at: now.wall,
                before: effects.before,
                after: effects.after,
            });
        }
        if let Some(index) = index {
            self.persistence.mark(index, effects.state, now.mono);
        }
        if let Some(rows) = effects.history {
            self.persistence.record(*rows);
        }
        for incident in &effects.ended {
            self.delivery.close_incident(monitor, incident, now);
        }
        let hold = self.check_before(&effects.before_notify, now);
        for addressed in effects.notifications {
            self.shared.publisher.publish(|| Update::Decided {
                notification: Box::new(addressed.notification.clone()),
                recipients: addressed.recipients.clone(),
            });
            let until = hold.as_ref().map(|hold| hold.until);
            self.delivery.send(&addressed, until, now);
            self.prolong_pass(now);
            if let Some(hold) = &hold {
                self.hold(&addressed.notification, hold, now);
            }
            if let Some(at_once) = self.persistence.add_notification(addressed.notification) {
                self.report_notified(&[at_once]);
            }
        }
    }

    fn remind(&mut self, index: usize, now: Now) {
        let Some(runtime) = self.monitors.at_mut(index) else {
            return;
        };
        let effects = runtime.remind(&self.context, now);
        let monitor = Arc::clone(&runtime.monitor);
        self.log_decisions(index, &effects, &Outcome::default(), now);
        self.apply(Some(index), &monitor.watch().name, effects, now);
    }

    fn report_notified(&self, notifications: &[Notification]) {
        for notification in notifications {
            (self.shared.events)(&Event::Notified(notification));
        }
    }
}
