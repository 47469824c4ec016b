//! Persistence: what is not on disk yet, gathered so that many checks share one commit, and the
//! commit in progress.

mod oversized;

use std::{
    collections::{BTreeSet, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};

use self::oversized::Oversized;
use super::{
    batch::{Batch, Split},
    delivery::Deliveries,
    monitors::Monitors,
    outbox::Unsaved,
    task::{self, TaskResult},
    update::{Publisher, Update},
};
use crate::{
    history::Records,
    notification::Notification,
    rule::effects::StateChange,
    state::MonitorState,
    store::{Commit, StateRecord, StateStore, StoreError, StoreLimits},
    time::{Mono, Now},
};

/// How long states without urgent changes may wait for a commit.
const STATE_DELAY: Duration = Duration::from_secs(5);
/// Pause after a failed commit.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// A commit that takes longer than this is not waited for.
const STALL_AFTER: Duration = Duration::from_secs(5);
/// The earliest moment: at once.
const AT_ONCE: Mono = Mono::from_nanos(i64::MIN);

/// Everything that is not on disk yet, except undelivered notifications.
pub(super) struct Persistence {
    store: Arc<dyn StateStore>,
    publisher: Publisher,
    shard: u32,
    epoch: u64,
    /// The number of the last commit.
    number: u64,
    limits: StoreLimits,
    /// Whether no other owner can take over as long as this one runs.
    is_exclusive: bool,
    keeps_history: bool,
    /// Indexes of monitors whose state changed.
    dirty: BTreeSet<usize>,
    /// Changes that belong to no running monitor.
    extra: Commit,
    /// Notifications to report once they are on disk.
    notifications: Vec<Notification>,
    /// Rows for the history; they wait for the next commit and never cause one.
    history: Records,
    since: Option<Mono>,
    urgent: bool,
    not_before: Option<Mono>,
    in_flight: Option<CommitInFlight>,
    /// The rest of a commit that was too large for the store: commits of their own, in order.
    parts: VecDeque<Batch>,
    /// What no commit can hold.
    oversized: Oversized,
    /// Whether the store fails; this has been logged.
    failing: bool,
}

/// The commit that is in progress.
struct CommitInFlight {
    started: Mono,
    notifications: Vec<Notification>,
    /// Whether an attempt was left in doubt: the same commit is tried again, and nothing is
    /// built on it.
    in_doubt: bool,
    /// The commit in doubt, between two attempts, and the moment of the next one.
    again: Option<(Batch, Mono)>,
    /// Whether it takes too long, so that its notifications were released from memory.
    stalled: bool,
}

/// What follows from the result of a commit.
pub(super) enum CommitEnd {
    /// These notifications waited for it; after a failure they are sent anyway, and the content
    /// of the commit goes into the next one.
    Notified(Vec<Notification>),
    /// It is not known whether it was stored: it is tried again later.
    InDoubt,
    /// The next part is to be written.
    Continues(BoxFuture<'static, TaskResult>),
    /// Another owner has taken over: nothing may be sent any more.
    Superseded(StoreError),
}

impl Persistence {
    /// Creates the persistence of an engine that owns the data of `shard` under `epoch`.
    pub(super) fn new(store: Arc<dyn StateStore>, shard: u32, epoch: u64, publisher: Publisher) -> Self {
        Self {
            keeps_history: store.keeps_history(),
            is_exclusive: store.is_exclusive(),
            limits: store.limits(),
            store,
            publisher,
            shard,
            epoch,
            number: 0,
            parts: VecDeque::new(),
            oversized: Oversized::default(),
            dirty: BTreeSet::new(),
            extra: Commit::default(),
            notifications: Vec::new(),
            history: Records::default(),
            since: None,
            urgent: false,
            not_before: None,
            in_flight: None,
            failing: false,
        }
    }

    /// Marks the state of a monitor as changed.
    pub(super) fn mark(&mut self, monitor: usize, change: StateChange, now: Mono) {
        if change != StateChange::None {
            self.dirty.insert(monitor);
            self.since.get_or_insert(now);
            self.urgent |= change == StateChange::Urgent;
        }
    }

    /// Adds the last state of a monitor that was removed. `index` is where it ran.
    pub(super) fn retire(&mut self, index: Option<usize>, name: String, state: Arc<MonitorState>) {
        if let Some(index) = index {
            self.dirty.remove(&index);
        }
        // It may have been forgotten, added and removed again since the last commit.
        self.extra.forget.retain(|forgotten| *forgotten != name);
        self.extra.states.push((name, state));
    }

    /// Changes a record, or deletes it.
    pub(super) fn set_record(&mut self, key: String, record: Option<StateRecord>) {
        self.extra.records.retain(|(known, _)| *known != key);
        self.extra.records.push((key, record));
        self.urgent = true;
    }

    /// Deletes the states of these monitors.
    pub(super) fn forget(&mut self, names: Vec<String>) {
        self.extra.forget.extend(names);
    }

    /// Records when a pass ended, and how long it took.
    pub(super) fn record_pass(&mut self, now: Now, took: Duration) {
        self.extra.pass = Some((now.wall, took));
    }

    /// Adds a notification that was decided. It is returned if it must not wait for the store.
    #[must_use]
    pub(super) fn add_notification(&mut self, notification: Notification) -> Option<Notification> {
        self.urgent = true;
        if self.is_stalled() {
            return Some(notification);
        }
        self.notifications.push(notification);
        None
    }

    /// Adds rows for the history.
    pub(super) fn record(&mut self, rows: Records) {
        if self.keeps_history && !rows.is_empty() {
            self.history.extend(rows);
        }
    }

    /// Whether everything is on disk.
    pub(super) fn is_saved(&self, delivery: &Deliveries) -> bool {
        self.is_clean(delivery) && self.in_flight.is_none()
    }

    fn is_clean(&self, delivery: &Deliveries) -> bool {
        self.dirty.is_empty()
            && self.extra.is_empty()
            && self.notifications.is_empty()
            && !delivery.has_unsaved()
    }

    /// Whether something waits that must be committed at once, and can be.
    pub(super) fn is_urgent(&self, delivery: &Deliveries) -> bool {
        (self.urgent || delivery.has_unsaved()) && !self.failing
    }

    /// Whether the store fails.
    pub(super) fn is_failing(&self) -> bool {
        self.failing
    }

    /// Whether the state of a monitor is too large for the store.
    pub(super) fn has_oversized(&self) -> bool {
        self.oversized.is_any()
    }

    /// Takes the notifications to report that are sent although the store cannot hold them.
    pub(super) fn take_released(&mut self) -> Vec<Notification> {
        self.oversized.take_released()
    }

    /// Whether a commit is in progress.
    pub(super) fn is_committing(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether the commit in progress takes too long.
    pub(super) fn is_stalled(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|in_flight| in_flight.stalled)
    }

    /// When the next commit is due, or the one in progress will have taken too long.
    pub(super) fn wake_at(&self, delivery: &Deliveries) -> Option<Mono> {
        match &self.in_flight {
            Some(in_flight) => {
                let again = in_flight.again.as_ref().map(|(_, again)| *again);
                let stalls = (!in_flight.stalled && !self.waits_in_doubt(in_flight))
                    .then(|| in_flight.started.plus(STALL_AFTER));
                again.into_iter().chain(stalls).min()
            }
            None => self.commit_at(delivery),
        }
    }

    /// Whether nothing may be sent before the store has answered: another owner may have taken
    /// over.
    fn waits_in_doubt(&self, in_flight: &CommitInFlight) -> bool {
        in_flight.in_doubt && !self.is_exclusive
    }

    fn commit_at(&self, delivery: &Deliveries) -> Option<Mono> {
        if self.in_flight.is_some() || self.is_clean(delivery) {
            return None;
        }
        let urgent = self.urgent || delivery.has_unsaved();
        let at = match self.since {
            Some(since) if !urgent => since.plus(STATE_DELAY),
            _ => AT_ONCE,
        };
        // A new notification does not wait for a failing store: it is sent from memory.
        let pauses = [self.not_before, self.oversized.again()].into_iter().flatten();
        let pause = pauses.max().filter(|_| self.notifications.is_empty());
        Some(at.max(pause.unwrap_or(at)))
    }

    /// Makes everything due now.
    pub(super) fn flush(&mut self) {
        self.urgent = true;
        self.not_before = None;
        self.oversized.flush();
        if let Some((_, again)) = self.in_flight.as_mut().and_then(|it| it.again.as_mut()) {
            *again = AT_ONCE;
        }
    }

    /// Continues without a store that does not answer: whatever waits for it is sent from
    /// memory, and so is everything that follows until it answers. Returns the notifications
    /// that waited, if the commit in progress has just become too slow, or those that the store
    /// cannot hold.
    pub(super) fn stall(&mut self, delivery: &mut Deliveries, now: Now) -> Option<Vec<Notification>> {
        let released = self.take_released();
        if !released.is_empty() {
            return Some(released);
        }
        let waits = self.waits_in_doubt(self.in_flight.as_ref()?);
        let in_flight = self.in_flight.as_mut()?;
        if waits || in_flight.stalled || in_flight.started.plus(STALL_AFTER) > now.mono {
            return None;
        }
        in_flight.stalled = true;
        let mut notifications = mem::take(&mut in_flight.notifications);
        notifications.append(&mut self.notifications);
        delivery.send_from_memory();
        self.report_failure("the store does not answer", now);
        Some(notifications)
    }

    /// Starts the next commit if it is due.
    pub(super) fn commit(
        &mut self,
        monitors: &Monitors,
        delivery: &mut Deliveries,
        now: Mono,
    ) -> Option<impl Future<Output = TaskResult> + Send + 'static> {
        let batch = match &mut self.in_flight {
            Some(in_flight) => in_flight.again.take_if(|(_, again)| *again <= now)?.0,
            None => {
                self.commit_at(delivery).filter(|at| *at <= now)?;
                let batch = self.gather(monitors, delivery);
                let split = batch.split(self.limits);
                let notifications = self.set_aside(split, delivery, now);
                let Some(first) = self.next_part() else {
                    self.oversized.release(notifications);
                    return None;
                };
                self.in_flight = Some(CommitInFlight {
                    started: now,
                    notifications,
                    in_doubt: false,
                    again: None,
                    stalled: false,
                });
                first
            }
        };
        Some(task::commit(Arc::clone(&self.store), batch))
    }

    /// Takes everything that is not on disk.
    fn gather(&mut self, monitors: &Monitors, delivery: &mut Deliveries) -> Batch {
        self.urgent = false;
        self.since = None;
        let (unsaved, deliveries) = delivery.take_unsaved();
        let mut commit = mem::take(&mut self.extra);
        // A monitor of that name may have been added again.
        commit.forget.retain(|name| monitors.named(name).is_none());
        commit.outbox = unsaved.entries;
        commit.settled = unsaved.settled;
        self.history.extend(Records {
            deliveries,
            ..Records::default()
        });
        commit.history = mem::take(&mut self.history).into();
        let monitors: Vec<usize> = mem::take(&mut self.dirty)
            .into_iter()
            .filter_map(|index| {
                let runtime = monitors.at(index)?;
                let name = runtime.monitor.watch().name.clone();
                commit.states.push((name, Arc::clone(&runtime.state)));
                Some(index)
            })
            .collect();
        Batch { commit, monitors }
    }

    /// Takes the parts of a commit, and sets aside what none of them can hold: the next commit
    /// tries it again. Returns the notifications that wait for these parts.
    fn set_aside(&mut self, split: Split, delivery: &mut Deliveries, now: Mono) -> Vec<Notification> {
        let Split {
            parts,
            mut rest,
            too_large,
        } = split;
        self.parts = parts.into();
        let mut notifications = mem::take(&mut self.notifications);
        self.oversized.set_names(&too_large, self.limits);
        self.oversized.hold(&mut notifications, now);
        let unsaved = rest.take_unsaved();
        let (due, waiting) = self.oversized.divide(unsaved.entries, now);
        if !due.is_empty() {
            delivery.commit_ended(Unsaved::entries(due), false);
        }
        delivery.take_back(Unsaved {
            entries: waiting,
            settled: unsaved.settled,
        });
        self.take_back(rest);
        notifications
    }

    /// The next part of the commit in progress, under an id of its own.
    fn next_part(&mut self) -> Option<Batch> {
        let mut batch = self.parts.pop_front()?;
        self.number += 1;
        batch.commit.shard = self.shard;
        batch.commit.epoch = self.epoch;
        batch.commit.number = self.number;
        Some(batch)
    }

    /// Processes the result of a commit.
    pub(super) fn commit_finished(
        &mut self,
        mut batch: Batch,
        result: Result<(), StoreError>,
        delivery: &mut Deliveries,
        now: Now,
    ) -> CommitEnd {
        let error = match result {
            Ok(()) => {
                delivery.commit_ended(batch.take_unsaved(), true);
                if let Some(next) = self.next_part() {
                    // Each part has its own time, and its own doubts.
                    if let Some(in_flight) = &mut self.in_flight {
                        in_flight.started = now.mono;
                        in_flight.stalled = false;
                        in_flight.in_doubt = false;
                    }
                    return CommitEnd::Continues(task::commit(Arc::clone(&self.store), next).boxed());
                }
                if mem::take(&mut self.failing) {
                    tracing::warn!("state can be saved again");
                    self.publisher.publish(|| Update::StoreWorks { at: now.wall });
                }
                self.not_before = None;
                return CommitEnd::Notified(self.take_notifications());
            }
            Err(error) => error,
        };
        if matches!(error, StoreError::Superseded { .. }) {
            return CommitEnd::Superseded(error);
        }
        // Once in doubt, any other error says only that this attempt was not stored.
        let is_unknown = matches!(error, StoreError::Unknown { .. });
        if let Some(in_flight) = &mut self.in_flight
            && (is_unknown || in_flight.in_doubt)
        {
            in_flight.in_doubt = true;
            in_flight.again = Some((batch, now.mono.plus(RETRY_PAUSE)));
            if !self.is_exclusive {
                in_flight.stalled = false;
                delivery.wait_for_store();
            }
            self.report_failure(&error.one_line(), now);
            return CommitEnd::InDoubt;
        }
        self.report_failure(&error.one_line(), now);
        let rest: Vec<Batch> = mem::take(&mut self.parts).into();
        for mut batch in [batch].into_iter().chain(rest).rev() {
            delivery.commit_ended(batch.take_unsaved(), false);
            self.take_back(batch);
        }
        self.not_before = Some(now.mono.plus(RETRY_PAUSE));
        self.urgent = true;
        CommitEnd::Notified(self.take_notifications())
    }

    fn take_notifications(&mut self) -> Vec<Notification> {
        let in_flight = self.in_flight.take();
        in_flight.map_or(Vec::new(), |in_flight| in_flight.notifications)
    }

    /// Puts the content of a failed commit before what has come since.
    fn take_back(&mut self, batch: Batch) {
        let Batch { mut commit, monitors } = batch;
        // States of running monitors are read again; those of removed monitors are not.
        commit.states.truncate(commit.states.len() - monitors.len());
        self.dirty.extend(monitors);
        let mut history = Arc::unwrap_or_clone(mem::take(&mut commit.history));
        history.extend(mem::take(&mut self.history));
        self.history = history;
        let newer = mem::replace(&mut self.extra, commit);
        // What has come since replaces what was to be written before.
        let older = &mut self.extra;
        older
            .forget
            .retain(|name| newer.states.iter().all(|(other, _)| other != name));
        older
            .records
            .retain(|(key, _)| newer.records.iter().all(|(other, _)| other != key));
        self.extra.states.extend(newer.states);
        self.extra.forget.extend(newer.forget);
        self.extra.records.extend(newer.records);
        self.extra.pass = newer.pass.or(self.extra.pass);
    }

    fn report_failure(&mut self, reason: &str, now: Now) {
        if !mem::replace(&mut self.failing, true) {
            let in_flight = self.in_flight.as_ref();
            match in_flight.is_some_and(|in_flight| self.waits_in_doubt(in_flight)) {
                true => tracing::error!("{reason}; nothing is sent until the store answers"),
                false => tracing::error!(
                    "state cannot be saved ({reason}); monitoring and alerting continue from memory"
                ),
            }
            self.publisher.publish(|| Update::StoreFailing {
                at: now.wall,
                reason: reason.to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests;
