//! The sole owner of state: starts looks, applies the rules to what they
//! found, commits, and only then tells.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Command, PassReport, Shared,
    agenda::Agenda,
    event::Event,
    ledger::Ledger,
    outbox::{Fate, Outbox},
    plan::{Channel, Plan},
    slot::{Flight, Slot, Want},
};
use crate::{
    monitor::{Monitor, Observation, Watch},
    notification::{DeliveryError, Notification},
    outcome::{Failure, FailureClass, Outcome, Verdict},
    probe::Look,
    rule::{
        alert::{self, Looked, Voice},
        schedule::{self, Grid},
    },
    state::{Commit, KEPT_AFTER_REMOVAL, MonitorState, OutboxEntry, Snapshot, StoreError},
    time::{Mono, Now},
};

/// A check that ignores its own deadline is cut off so long after it.
const GRACE: Duration = Duration::from_millis(250);
/// Changed monitors are looked at within about a millisecond each.
const SPREAD_PER_MONITOR: Duration = Duration::from_millis(1);
/// At the end of a run, deliveries under way may take so long.
const FAREWELL: Duration = Duration::from_secs(1);

/// Something the dispatcher waited for.
enum Done {
    Look {
        slot: usize,
        generation: u64,
        look: Look,
        observation: Observation,
        ended: Now,
    },
    Delivery {
        channel: String,
        key: String,
        result: Result<(), DeliveryError>,
    },
    Heartbeat {
        slot: usize,
        generation: u64,
        sent: Now,
        result: Result<(), DeliveryError>,
    },
    Commit {
        result: Result<(), StoreError>,
        commit: Commit,
        slots: Vec<usize>,
        told: Vec<Notification>,
        /// The first so many states are of no slot.
        extra_states: usize,
    },
}

pub(super) struct Dispatcher {
    shared: Shared,
    voice: Voice,
    epoch: u64,
    plan: Plan,
    slots: Vec<Option<Slot>>,
    by_name: HashMap<String, usize>,
    free: Vec<usize>,
    /// States of monitors that are not watched now.
    shelf: BTreeMap<String, Arc<MonitorState>>,
    agenda: Agenda,
    waiting: VecDeque<usize>,
    flying: usize,
    outbox: Outbox,
    ledger: Ledger,
    tasks: JoinSet<Done>,
    is_pass: bool,
    report: PassReport,
    panicked: HashSet<String>,
    generation: u64,
}

impl Dispatcher {
    pub(super) fn new(shared: Shared, plan: Plan, snapshot: Snapshot, is_pass: bool) -> Self {
        let voice = Voice {
            site: plan.site.clone(),
            zone: shared.zone.clone(),
        };
        let now = shared.clock.now();
        let mut dispatcher = Self {
            voice,
            epoch: snapshot.epoch,
            slots: Vec::with_capacity(plan.monitors.len()),
            by_name: HashMap::with_capacity(plan.monitors.len()),
            free: Vec::new(),
            shelf: snapshot.monitors,
            agenda: Agenda::default(),
            waiting: VecDeque::new(),
            flying: 0,
            outbox: Outbox::default(),
            ledger: Ledger::default(),
            tasks: JoinSet::new(),
            is_pass,
            report: PassReport::default(),
            panicked: HashSet::new(),
            generation: 0,
            plan,
            shared,
        };
        for monitor in dispatcher.plan.monitors.clone() {
            dispatcher.take_up(monitor, now, None);
        }
        dispatcher.shelve_the_rest(now);
        for entry in snapshot.outbox {
            dispatcher.outbox.push(entry, true, now);
        }
        dispatcher.drop_unknown_channels();
        dispatcher
    }

    /// Watches a monitor that was not watched before. In a daemon its first
    /// look falls within `spread`, or the usual first round.
    fn take_up(&mut self, monitor: Arc<dyn Monitor>, now: Now, spread: Option<Duration>) {
        let name = monitor.watch().name.clone();
        let state = self.shelf.remove(&name).unwrap_or_default();
        let mut slot = if self.is_pass {
            Slot::passing(monitor, state, now)
        } else {
            let (grid, first) = self.grid(monitor.watch(), now, spread);
            Slot::resident(monitor, state, now, grid, first)
        };
        self.generation += 1;
        slot.generation = self.generation;
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.by_name.insert(name, at);
        self.slots[at] = Some(slot);
        self.rearm(at);
    }

    fn grid(&self, watch: &Watch, now: Now, spread: Option<Duration>) -> (Grid, Mono) {
        let phase = schedule::phase(&self.voice.site, &watch.name);
        let every = watch.policy.check_every;
        let first = match spread {
            Some(spread) => now.mono.plus(spread.min(every).mul_f64(phase)),
            None => Grid::first(now.mono, every, phase),
        };
        (Grid::new(now.mono, every, phase), first)
    }

    /// States of monitors that the site file no longer has: told if they were
    /// down, kept for a while, then forgotten.
    fn shelve_the_rest(&mut self, now: Now) {
        let names: Vec<String> = self.shelf.keys().cloned().collect();
        for name in names {
            let Some(state) = self.shelf.get(&name) else {
                continue;
            };
            match state.own.removed_at {
                Some(at) if now.mono.since(now.mono_of(at)) >= KEPT_AFTER_REMOVAL => {
                    self.shelf.remove(&name);
                    self.ledger.extra.forget.push(name);
                }
                Some(_) => {}
                None => {
                    let state = self.shelf.remove(&name).unwrap_or_default();
                    self.shelve(Watch::new(name, "", ""), state, now);
                }
            }
        }
    }

    fn shelve(&mut self, watch: Watch, mut shared: Arc<MonitorState>, now: Now) {
        let state = Arc::make_mut(&mut shared);
        state.anchor(now);
        if let Some(notification) = alert::removed(&self.voice, &watch, state, now) {
            self.tell(notification, &watch, now);
        }
        self.ledger
            .extra
            .states
            .push((watch.name.clone(), Arc::clone(&shared)));
        self.shelf.insert(watch.name, shared);
    }

    fn drop_unknown_channels(&mut self) {
        if self.plan.quiet {
            return; // a later run may tell
        }
        let known: HashSet<&str> = self
            .plan
            .channels
            .iter()
            .map(|channel| channel.id.as_str())
            .collect();
        for entry in self.outbox.retain_channels(&known) {
            tracing::error!(
                channel = entry.channel,
                "message not delivered, its channel is no longer in the site file: {}",
                entry.notification.text
            );
            self.ledger.settle(entry.key());
        }
    }

    /// Runs until told to end. In a pass: until everything due is done.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) -> PassReport {
        let began = self.shared.clock.now();
        let mut outbox_ends: Option<Mono> = None;
        loop {
            let now = self.shared.clock.now();
            self.do_what_is_due(now);
            if self.is_pass && self.pass_is_over(now, &mut outbox_ends) {
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
                    Some(Command::Shutdown) | None => break,
                },
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => self.drain(done),
                () = tokio::time::sleep(sleep.unwrap_or_default()), if sleep.is_some() => {}
            }
        }
        self.farewell(began).await
    }

    /// Everything that has finished by now.
    fn drain(&mut self, first: Result<Done, tokio::task::JoinError>) {
        let mut next = Some(first);
        while let Some(done) = next {
            match done {
                Ok(done) => self.done(done),
                // Only a bug outside the checks' own panic barrier gets here.
                Err(error) => tracing::error!("a task of the engine failed: {error}"),
            }
            next = self.tasks.try_join_next();
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Look {
                slot,
                generation,
                look,
                observation,
                ended,
            } => {
                self.flying -= 1;
                self.landed(slot, generation, &look, &observation, ended);
            }
            Done::Delivery { channel, key, result } => self.delivered(&channel, &key, result),
            Done::Heartbeat {
                slot,
                generation,
                sent,
                result,
            } => self.heartbeat_sent(slot, generation, sent, result),
            Done::Commit {
                result,
                commit,
                slots,
                told,
                extra_states,
            } => {
                self.committed(result, commit, slots, &told, extra_states);
            }
        }
    }

    fn do_what_is_due(&mut self, now: Now) {
        while let Some(at) = self.agenda.pop_due(now.mono) {
            while let Some(want) = self.slots[at].as_mut().and_then(|slot| slot.want(now.mono)) {
                match want {
                    Want::Look(_) => self.waiting.push_back(at),
                    Want::Heartbeat => self.send_heartbeat(at, now),
                    Want::Reminder => self.remind(at, now),
                }
            }
            self.rearm(at);
        }
        self.start_looks(now);
        for entry in self.outbox.expire(now.mono) {
            tracing::error!(
                channel = entry.channel,
                "message given up after a day of tries ({}): {}",
                entry.last_error.as_deref().unwrap_or("never tried"),
                entry.notification.text
            );
            self.ledger.settle(entry.key());
        }
        if !self.plan.quiet {
            for entry in self.outbox.start(now.mono) {
                self.deliver(entry);
            }
        }
        if self.ledger.commit_at().is_some_and(|at| at <= now.mono) {
            self.commit();
        }
    }

    fn wake_at(&mut self, outbox_ends: Option<Mono>) -> Option<Mono> {
        let agenda = self.agenda.next();
        let commit = self.ledger.commit_at();
        let outbox = self.outbox.wake_at().filter(|_| !self.plan.quiet);
        [agenda, outbox, commit, outbox_ends].into_iter().flatten().min()
    }

    fn rearm(&mut self, at: usize) {
        let due = self.slots[at].as_ref().and_then(Slot::wake_at);
        self.agenda.arm(at, due);
    }

    fn start_looks(&mut self, now: Now) {
        let cap = self
            .plan
            .max_concurrent
            .map_or(usize::MAX, std::num::NonZero::get);
        while self.flying < cap {
            let Some(at) = self.waiting.pop_front() else {
                return;
            };
            let Some(slot) = self.slots[at].as_mut() else {
                continue;
            };
            let Flight::Waiting(due) = slot.flight else {
                continue;
            };
            slot.take_off(now.mono);
            self.flying += 1;
            let monitor = Arc::clone(&slot.monitor);
            let generation = slot.generation;
            let clock = Arc::clone(&self.shared.clock);
            self.tasks.spawn(async move {
                let look = Look::new(due, clock.now(), monitor.watch().policy.max_try);
                let observation = guarded(monitor.as_ref(), &look).await;
                let ended = clock.now();
                Done::Look {
                    slot: at,
                    generation,
                    look,
                    observation,
                    ended,
                }
            });
        }
    }

    fn landed(&mut self, at: usize, generation: u64, look: &Look, observation: &Observation, now: Now) {
        let Some(slot) = self.slots[at]
            .as_mut()
            .filter(|slot| slot.generation == generation)
        else {
            return; // an older version of the monitor
        };
        let outcome = &observation.outcome;
        let verdict = outcome.verdict();
        let monitor = Arc::clone(&slot.monitor);
        let watch = monitor.watch();
        let looked = Looked {
            started: look.started,
            verdict,
            failure: outcome.failure(),
            latency: outcome.latency,
            notices: &observation.notices,
        };
        let (transition, told) =
            alert::after_look(&self.voice, watch, Arc::make_mut(&mut slot.state), looked, now);
        slot.land(verdict, transition, look.started, now);
        self.report.lateness.record(look.lateness());
        self.report.count(verdict, slot.state.health().is_down());
        if let Some(failure) = outcome
            .failure()
            .filter(|failure| failure.class == FailureClass::Panic)
            && self.panicked.insert(watch.name.clone())
        {
            tracing::error!(monitor = watch.name, "the check panicked, a bug: {failure}");
        }
        (self.shared.listener)(&Event::Looked {
            watch,
            observation,
            state: &slot.state,
            transition,
            lateness: look.lateness(),
            took: now.mono.since(look.started.mono),
        });
        self.ledger
            .touch(at, now.mono, transition.is_some() || !told.is_empty());
        for notification in told {
            self.tell(notification, watch, now);
        }
        self.rearm(at);
    }

    fn remind(&mut self, at: usize, now: Now) {
        let Some(slot) = self.slots[at].as_mut() else {
            return;
        };
        let monitor = Arc::clone(&slot.monitor);
        let told = alert::remind(&self.voice, monitor.watch(), Arc::make_mut(&mut slot.state), now);
        slot.schedule_reminder(now);
        if let Some(notification) = told {
            self.ledger.touch(at, now.mono, true);
            self.tell(notification, monitor.watch(), now);
        }
    }

    fn tell(&mut self, notification: Notification, watch: &Watch, now: Now) {
        let channels = self.plan.channels.iter();
        let entries: Vec<_> = channels
            .filter(|channel| channel.takes(&notification.kind, &watch.policy))
            .map(|channel| OutboxEntry {
                channel: channel.id.clone(),
                notification: notification.clone(),
                attempts: 0,
                last_error: None,
                refused: false,
            })
            .collect();
        for entry in entries {
            if let Some(replaced) = self.outbox.push(entry.clone(), false, now) {
                self.ledger.settle(replaced);
            }
            self.ledger.entry(entry);
        }
        self.ledger.tell(notification);
    }

    fn send_heartbeat(&mut self, at: usize, now: Now) {
        let Some(slot) = self.slots[at].as_ref() else {
            return;
        };
        let (false, Some(heartbeat), Some(sender)) = (
            self.plan.quiet,
            &slot.monitor.watch().policy.heartbeat,
            &self.shared.heartbeats,
        ) else {
            return;
        };
        let (url, sender) = (heartbeat.url.clone(), Arc::clone(sender));
        let (generation, timeout) = (slot.generation, self.plan.delivery_timeout);
        self.tasks.spawn(async move {
            let attempt = AssertUnwindSafe(sender.send(&url, timeout)).catch_unwind();
            let result = settle(tokio::time::timeout(timeout + GRACE, attempt).await);
            Done::Heartbeat {
                slot: at,
                generation,
                sent: now,
                result,
            }
        });
    }

    fn heartbeat_sent(&mut self, at: usize, generation: u64, sent: Now, result: Result<(), DeliveryError>) {
        let Some(slot) = self.slots[at]
            .as_mut()
            .filter(|slot| slot.generation == generation)
        else {
            return;
        };
        match result {
            Ok(()) => {
                tracing::debug!(monitor = slot.monitor.watch().name, "heartbeat sent");
                Arc::make_mut(&mut slot.state).last_successful_heartbeat = Some(sent.wall);
                self.ledger.touch(at, sent.mono, false);
            }
            Err(error) => tracing::warn!(monitor = slot.monitor.watch().name, "heartbeat not sent: {error}"),
        }
    }

    fn deliver(&mut self, entry: OutboxEntry) {
        let Some(Channel { notifier, .. }) = self
            .plan
            .channels
            .iter()
            .find(|channel| channel.id == entry.channel)
        else {
            return; // unknown channels were dropped
        };
        let notifier = Arc::clone(notifier);
        let timeout = self.plan.delivery_timeout;
        self.tasks.spawn(async move {
            let key = entry.key();
            let attempt = AssertUnwindSafe(notifier.deliver(&entry.notification, &key)).catch_unwind();
            let result = settle(tokio::time::timeout(timeout + GRACE, attempt).await);
            Done::Delivery {
                channel: entry.channel,
                key,
                result,
            }
        });
    }

    fn delivered(&mut self, channel: &str, key: &str, result: Result<(), DeliveryError>) {
        let now = self.shared.clock.now();
        let first = self
            .outbox
            .entry(channel, key)
            .is_some_and(|entry| entry.attempts == 0);
        match self.outbox.finish(channel, key, result, now.mono) {
            None => {}
            Some(Fate::Delivered) => {
                tracing::debug!(channel, key, "message delivered");
                self.ledger.settle(key.to_owned());
            }
            Some(Fate::Retried(entry)) => {
                let error = entry.last_error.clone().unwrap_or_default();
                if first {
                    tracing::warn!(channel, "message not delivered, it is tried again: {error}");
                } else {
                    tracing::debug!(
                        channel,
                        attempts = entry.attempts,
                        "message not delivered yet: {error}"
                    );
                }
                self.ledger.entry(entry);
            }
            Some(Fate::Refused(entry)) => {
                tracing::error!(
                    channel,
                    "message refused ({}), kept and tried again later: {}",
                    entry.last_error.as_deref().unwrap_or_default(),
                    entry.notification.text
                );
                self.ledger.entry(entry);
            }
        }
    }

    fn commit(&mut self) {
        let mut batch = self.ledger.take();
        let extra_states = batch.commit.states.len();
        for at in &batch.slots {
            if let Some(slot) = &self.slots[*at] {
                batch
                    .commit
                    .states
                    .push((slot.monitor.watch().name.clone(), slot.state.clone()));
            }
        }
        batch.commit.epoch = self.epoch;
        let store = Arc::clone(&self.shared.store);
        self.tasks.spawn(async move {
            let result = store.commit(&batch.commit).await;
            Done::Commit {
                result,
                commit: batch.commit,
                slots: batch.slots,
                told: batch.told,
                extra_states,
            }
        });
    }

    fn committed(
        &mut self,
        result: Result<(), StoreError>,
        mut commit: Commit,
        slots: Vec<usize>,
        told: &[Notification],
        extra_states: usize,
    ) {
        // On disk or not to be had there: either way it is told now.
        self.outbox.confirm(&commit.outbox);
        match result {
            Ok(()) => {
                if std::mem::take(&mut self.ledger.failing) {
                    tracing::warn!("state is saved again");
                }
                self.ledger.committed();
            }
            Err(error) => {
                if !std::mem::replace(&mut self.ledger.failing, true) {
                    tracing::error!(
                        "state cannot be saved ({}); monitoring and alerting go on from memory",
                        error.one_line()
                    );
                }
                commit.states.truncate(extra_states);
                let now = self.shared.clock.now();
                self.ledger.failed(slots, commit, now.mono);
            }
        }
        for notification in told {
            (self.shared.listener)(&Event::Told(notification));
        }
    }

    /// Unchanged monitors keep their phase and state, changed ones are looked
    /// at at once, removed ones are shelved.
    fn reload(&mut self, plan: Plan) {
        let now = self.shared.clock.now();
        let new: HashSet<&str> = plan
            .monitors
            .iter()
            .map(|monitor| monitor.watch().name.as_str())
            .collect();
        let gone: Vec<usize> = self
            .by_name
            .iter()
            .filter(|(name, _)| !new.contains(name.as_str()))
            .map(|(_, at)| *at)
            .collect();
        self.voice.site.clone_from(&plan.site);
        let monitors = plan.monitors.clone();
        self.plan = plan;
        for at in gone {
            if let Some(slot) = self.slots[at].take() {
                let watch = slot.monitor.watch().clone();
                self.by_name.remove(&watch.name);
                self.ledger.drop_slot(at);
                self.agenda.arm(at, None);
                self.free.push(at);
                self.shelve(watch, slot.state, now);
            }
        }
        let fresh: Vec<_> = monitors
            .into_iter()
            .filter(|monitor| !self.has(monitor.as_ref()))
            .collect();
        let spread = SPREAD_PER_MONITOR.saturating_mul(u32::try_from(fresh.len()).unwrap_or(u32::MAX));
        let spread = spread.min(schedule::FIRST_ROUND);
        tracing::info!(
            changed = fresh.len(),
            watched = self.plan.monitors.len(),
            "site file reloaded"
        );
        for monitor in fresh {
            match self.by_name.get(&monitor.watch().name) {
                None => self.take_up(monitor, now, Some(spread)),
                Some(&at) => {
                    let (grid, first) = self.grid(monitor.watch(), now, Some(spread));
                    self.generation += 1;
                    if let Some(slot) = self.slots[at].as_mut() {
                        slot.replace(monitor, self.generation, now, grid, first);
                    }
                    self.rearm(at);
                }
            }
        }
        self.outbox.retry_refused();
        self.drop_unknown_channels();
    }

    fn has(&self, monitor: &dyn Monitor) -> bool {
        let watch = monitor.watch();
        self.by_name
            .get(&watch.name)
            .and_then(|at| self.slots[*at].as_ref())
            .is_some_and(|slot| slot.monitor.watch().checksum == watch.checksum && !watch.checksum.is_empty())
    }

    /// Everything due was looked at, and the outbox had its chance.
    fn pass_is_over(&mut self, now: Now, outbox_ends: &mut Option<Mono>) -> bool {
        if self.agenda.next().is_some() || !self.waiting.is_empty() || self.flying > 0 {
            return false;
        }
        let ends = *outbox_ends.get_or_insert_with(|| now.mono.plus(self.plan.delivery_timeout));
        let sendable = !self.plan.quiet && self.outbox.unsent() > 0;
        let busy = !self.tasks.is_empty() || !self.ledger.is_settled() && !self.ledger.failing;
        !(sendable || busy) || now.mono >= ends
    }

    /// Ends: no new looks, deliveries under way may finish, all state on disk.
    async fn farewell(mut self, began: Now) -> PassReport {
        let deadline = tokio::time::Instant::now() + FAREWELL;
        let now = self.shared.clock.now();
        if self.is_pass {
            self.ledger.extra.pass = Some((now.wall, now.mono.since(began.mono)));
        }
        // Looks under way are dropped with the task set; what they would have
        // found the next start finds.
        let mut attempts = 0;
        loop {
            self.ledger.hurry();
            // A store that fails is asked once more; that it fails was said.
            if self.ledger.commit_at().is_some() && (attempts == 0 || !self.ledger.failing) {
                attempts += 1;
                self.commit();
            }
            if !self.ledger.is_committing() && !self.outbox.is_sending() {
                break;
            }
            match tokio::time::timeout_at(deadline, self.tasks.join_next()).await {
                Ok(Some(Ok(Done::Look { .. }))) => self.flying -= 1,
                Ok(Some(Ok(done))) => self.done(done),
                Ok(Some(Err(_))) => {}
                Ok(None) | Err(_) => break,
            }
        }
        self.report.missed += self.slots.iter().flatten().map(|slot| slot.missed).sum::<u64>();
        self.report.undelivered = self.outbox.len();
        self.report.took = self.shared.clock.now().mono.since(began.mono);
        self.report.watched = self.by_name.len();
        self.report
    }
}

/// A check behind its panic barrier and a deadline it cannot ignore.
async fn guarded(monitor: &dyn Monitor, look: &Look) -> Observation {
    let check = AssertUnwindSafe(monitor.check(look)).catch_unwind();
    match tokio::time::timeout_at(look.deadline() + GRACE, check).await {
        Ok(Ok(observation)) => observation,
        Ok(Err(panic)) => Outcome::failed(Failure::new(
            FailureClass::Panic,
            format!("the check panicked: {}", panic_text(&*panic)),
        ))
        .into(),
        Err(_) => Outcome::failed(look.timed_out("check")).into(),
    }
}

/// The result of a send behind its panic barrier and deadline.
fn settle<P>(
    result: Result<Result<Result<(), DeliveryError>, P>, tokio::time::error::Elapsed>,
) -> Result<(), DeliveryError> {
    match result {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(DeliveryError::retryable("the channel panicked, a bug")),
        Err(_) => Err(DeliveryError::retryable("no answer in time")),
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
        self.looks += 1;
        match verdict {
            Verdict::Up => self.up += 1,
            Verdict::Unknown => self.unknown += 1,
            Verdict::Down if is_down => self.down += 1,
            Verdict::Down => {}
        }
    }
}
