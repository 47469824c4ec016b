//! The sole owner of state: starts checks, applies the rules to their results, commits, and
//! only then sends notifications.

mod check;
mod commit;
mod delivery;
mod ending;
mod fallback;
mod heartbeat;
mod history;
mod monitors;
mod status;

pub use check::run_check;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::mpsc, task::JoinSet};

use self::heartbeat::HeartbeatSource;
use super::{
    Command, PassReport, Shared,
    agenda::Agenda,
    outbox::Outbox,
    pending::PendingWrites,
    plan::Plan,
    runtime::{DueAction, MonitorRuntime},
    self_monitor::SelfMonitor,
    stats::DeliveryStats,
};
use crate::{
    history::DeliveryFate,
    monitor::Observation,
    notification::DeliveryError,
    probe::Check,
    rule::{alert::MessageContext, wording},
    state::MonitorState,
    store::{Commit, Snapshot, StoreError},
    time::{Mono, Now},
};

/// A check that ignores its own deadline is cut off after this extra time.
const GRACE: Duration = Duration::from_millis(250);

/// The result of a task that the dispatcher started.
enum TaskResult {
    Check {
        runtime: usize,
        generation: u64,
        check: Check,
        observation: Observation,
        ended: Now,
    },
    Delivery {
        channel: String,
        key: String,
        result: Result<(), DeliveryError>,
    },
    Heartbeat {
        source: HeartbeatSource,
        sent: Now,
        result: Result<(), DeliveryError>,
    },
    Commit {
        result: Result<(), StoreError>,
        commit: Commit,
        runtimes: Vec<usize>,
        /// The number of leading states that belong to no running monitor.
        extra_states: usize,
    },
}

pub(super) struct Dispatcher {
    shared: Shared,
    context: MessageContext,
    epoch: u64,
    plan: Plan,
    runtimes: Vec<Option<MonitorRuntime>>,
    by_name: HashMap<String, usize>,
    free: Vec<usize>,
    /// States of monitors that are not running.
    retired: BTreeMap<String, Arc<MonitorState>>,
    agenda: Agenda,
    waiting: VecDeque<usize>,
    running: usize,
    outbox: Outbox,
    stats: DeliveryStats,
    pending: PendingWrites,
    self_monitor: SelfMonitor,
    tasks: JoinSet<TaskResult>,
    is_pass: bool,
    /// Whether the pass has been asked to save everything before its heartbeat.
    pass_flushed: bool,
    /// Whether the pass has had its chance to send a heartbeat.
    pass_heartbeat_done: bool,
    /// Whether the store keeps a history.
    keeps_history: bool,
    started: Timestamp,
    report: PassReport,
    panicked: HashSet<String>,
    /// Monitors and keys whose invalid data has been logged.
    reported_invalid: HashSet<(String, String)>,
    generation: u64,
}

impl Dispatcher {
    pub(super) fn new(shared: Shared, plan: Plan, snapshot: Snapshot, is_pass: bool) -> Self {
        let context = MessageContext {
            site: plan.site.clone(),
            zone: shared.zone.clone(),
        };
        let now = shared.clock.now();
        let mut dispatcher = Self {
            context,
            epoch: snapshot.epoch,
            runtimes: Vec::with_capacity(plan.monitors.len()),
            by_name: HashMap::with_capacity(plan.monitors.len()),
            free: Vec::new(),
            retired: snapshot.monitors,
            agenda: Agenda::default(),
            waiting: VecDeque::new(),
            running: 0,
            outbox: Outbox::new(&plan),
            stats: DeliveryStats::default(),
            pending: PendingWrites::default(),
            self_monitor: SelfMonitor::default(),
            tasks: JoinSet::new(),
            is_pass,
            pass_flushed: false,
            pass_heartbeat_done: false,
            keeps_history: shared.store.keeps_history(),
            started: now.wall,
            report: PassReport::default(),
            panicked: HashSet::new(),
            reported_invalid: HashSet::new(),
            generation: 0,
            plan,
            shared,
        };
        // The runtimes hold the monitors; the plan must not hold them as well.
        for monitor in std::mem::take(&mut dispatcher.plan.monitors) {
            dispatcher.add(monitor, now, None);
        }
        if !is_pass {
            dispatcher
                .self_monitor
                .configure(dispatcher.plan.heartbeat.as_ref(), now.mono);
        }
        // The stored entries were decided before anything that is decided now.
        for entry in snapshot.outbox {
            // A reminder that was being delivered when the next one was decided.
            if let Some(replaced) = dispatcher.outbox.push(entry, true, now) {
                dispatcher.settle_replaced(&replaced, now);
            }
        }
        dispatcher.drop_stale_reminders();
        dispatcher.reassign_orphans();
        dispatcher.retire_missing(now);
        dispatcher
    }

    /// Runs until it is asked to end or, in a pass, until everything due is done.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) -> PassReport {
        let began = self.shared.clock.now();
        let mut outbox_ends: Option<Mono> = None;
        loop {
            let now = self.shared.clock.now();
            self.run_due_work(now);
            if self.is_pass && self.is_pass_finished(now, &mut outbox_ends) {
                break;
            }
            let wake = self.wake_at(outbox_ends);
            let sleep = wake.map(|wake| wake.since(self.shared.clock.now().mono));
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Reload(plan, reply)) => {
                        self.reload(plan);
                        let _ = reply.send(());
                    }
                    Some(Command::Ping(reply)) => {
                        let _ = reply.send(());
                    }
                    Some(Command::Status(reply)) => drop(reply.send(self.snapshot())),
                    Some(Command::Retry(channel, reply)) => {
                        let _ = reply.send(self.retry(channel.as_deref()));
                    }
                    Some(Command::Shutdown) | None => break,
                },
                Some(first) = self.tasks.join_next(), if !self.tasks.is_empty() => self.handle_finished_tasks(first),
                () = tokio::time::sleep(sleep.unwrap_or_default()), if sleep.is_some() => {}
            }
        }
        self.shut_down(began).await
    }

    /// Handles everything that has finished by now.
    fn handle_finished_tasks(&mut self, first: Result<TaskResult, tokio::task::JoinError>) {
        let mut next = Some(first);
        while let Some(finished) = next {
            match finished {
                Ok(result) => self.handle_result(result),
                // Only a bug outside the panic barrier of the checks leads here.
                Err(error) => tracing::error!("a task of the engine failed: {error}"),
            }
            next = self.tasks.try_join_next();
        }
    }

    fn handle_result(&mut self, result: TaskResult) {
        match result {
            TaskResult::Check {
                runtime,
                generation,
                check,
                observation,
                ended,
            } => {
                self.running -= 1;
                self.check_finished(runtime, generation, &check, &observation, ended);
            }
            TaskResult::Delivery { channel, key, result } => self.delivered(&channel, &key, result),
            TaskResult::Heartbeat { source, sent, result } => self.heartbeat_finished(source, sent, result),
            TaskResult::Commit {
                result,
                commit,
                runtimes,
                extra_states,
            } => {
                self.committed(result, commit, runtimes, extra_states);
            }
        }
    }

    fn run_due_work(&mut self, now: Now) {
        while let Some(index) = self.agenda.pop_due(now.mono) {
            while let Some(action) = self.runtimes[index]
                .as_mut()
                .and_then(|runtime| runtime.next_due_action(now.mono))
            {
                match action {
                    DueAction::Check(_) => self.waiting.push_back(index),
                    DueAction::Heartbeat => self.send_heartbeat(index, now),
                    DueAction::Reminder => self.remind(index, now),
                }
            }
            self.rearm(index);
        }
        if self.self_monitor.is_due(now.mono) {
            self.send_own_heartbeat(now);
        }
        self.start_checks(now);
        if self.pending.stalls_at().is_some_and(|at| at <= now.mono) {
            self.continue_without_store();
        }
        for entry in self.outbox.expire(now.mono) {
            tracing::error!(
                channel = entry.channel,
                "message given up after {} ({}): {}",
                wording::duration(self.plan.expire_after),
                entry.last_error.as_deref().unwrap_or("no attempt was made"),
                entry.notification.text
            );
            self.stats.record_expiry(&entry.channel);
            self.record_delivery(&entry, DeliveryFate::Expired, now);
            self.pending.settle(entry.key());
        }
        if !self.plan.no_notify {
            self.run_fallbacks(now);
            for entry in self.outbox.start(now.mono) {
                self.deliver(entry);
            }
        }
        if self.pending.commit_at().is_some_and(|at| at <= now.mono) {
            self.commit(now);
        }
    }

    fn wake_at(&mut self, outbox_ends: Option<Mono>) -> Option<Mono> {
        let agenda = self.agenda.next();
        let commit = self.pending.commit_at();
        let outbox = self.outbox.wake_at().filter(|_| !self.plan.no_notify);
        let moments = [
            agenda,
            outbox,
            commit,
            self.self_monitor.wake_at(),
            self.pending.stalls_at(),
            outbox_ends,
        ];
        moments.into_iter().flatten().min()
    }

    fn rearm(&mut self, index: usize) {
        let due = self.runtimes[index].as_ref().and_then(MonitorRuntime::wake_at);
        self.agenda.arm(index, due);
    }
}
