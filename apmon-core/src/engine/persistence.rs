//! Persistence: what is not on disk yet, gathered so that many checks share one commit, and the
//! commit in progress.

use std::{collections::BTreeSet, mem, sync::Arc, time::Duration};

use super::{
    delivery::Deliveries,
    monitors::Monitors,
    outbox::Unsaved,
    task::{self, Batch, TaskResult},
};
use crate::{
    history::Records,
    notification::Notification,
    rule::effects::StateChange,
    state::MonitorState,
    store::{Commit, StateStore, StoreError},
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
    epoch: u64,
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
    /// Whether the store fails; this has been logged.
    failing: bool,
}

/// The commit that is in progress.
struct CommitInFlight {
    started: Mono,
    notifications: Vec<Notification>,
    /// Whether it takes too long, so that its notifications were released from memory.
    stalled: bool,
}

impl Persistence {
    /// Creates the persistence of an engine that owns the store's data under `epoch`.
    pub(super) fn new(store: Arc<dyn StateStore>, epoch: u64) -> Self {
        Self {
            keeps_history: store.keeps_history(),
            store,
            epoch,
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
        self.extra.states.push((name, state));
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
            Some(in_flight) if in_flight.stalled => None,
            Some(in_flight) => Some(in_flight.started.plus(STALL_AFTER)),
            None => self.commit_at(delivery),
        }
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
        let pause = self.not_before.filter(|_| self.notifications.is_empty());
        Some(at.max(pause.unwrap_or(at)))
    }

    /// Makes everything due now.
    pub(super) fn flush(&mut self) {
        self.urgent = true;
        self.not_before = None;
    }

    /// Continues without a store that does not answer: whatever waits for it is sent from
    /// memory, and so is everything that follows until it answers. Returns the notifications
    /// that waited, if the commit in progress has just become too slow.
    pub(super) fn stall(&mut self, delivery: &mut Deliveries, now: Mono) -> Option<Vec<Notification>> {
        let in_flight = self.in_flight.as_mut()?;
        if in_flight.stalled || in_flight.started.plus(STALL_AFTER) > now {
            return None;
        }
        in_flight.stalled = true;
        let mut notifications = mem::take(&mut in_flight.notifications);
        notifications.append(&mut self.notifications);
        delivery.send_from_memory();
        self.report_failure("the store does not answer");
        Some(notifications)
    }

    /// Starts the next commit if it is due.
    pub(super) fn commit(
        &mut self,
        monitors: &Monitors,
        delivery: &mut Deliveries,
        now: Mono,
    ) -> Option<impl Future<Output = TaskResult> + Send + 'static> {
        self.commit_at(delivery).filter(|at| *at <= now)?;
        self.in_flight = Some(CommitInFlight {
            started: now,
            notifications: mem::take(&mut self.notifications),
            stalled: false,
        });
        self.urgent = false;
        self.since = None;
        let (unsaved, deliveries) = delivery.take_unsaved();
        let mut commit = mem::take(&mut self.extra);
        commit.epoch = self.epoch;
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
        let store = Arc::clone(&self.store);
        Some(task::commit(store, Batch { commit, monitors }))
    }

    /// Ends a commit. Returns the notifications that waited for it; after a failure they are
    /// sent anyway, and its content goes into the next commit.
    pub(super) fn commit_finished(
        &mut self,
        batch: Batch,
        result: Result<(), StoreError>,
        delivery: &mut Deliveries,
        now: Mono,
    ) -> Vec<Notification> {
        let Batch { mut commit, monitors } = batch;
        let unsaved = Unsaved {
            entries: mem::take(&mut commit.outbox),
            settled: mem::take(&mut commit.settled),
        };
        delivery.commit_ended(unsaved, result.is_ok());
        match result {
            Ok(()) => {
                if mem::take(&mut self.failing) {
                    tracing::warn!("state is saved again");
                }
                self.not_before = None;
            }
            Err(error) => {
                self.report_failure(&error.one_line());
                self.take_back(commit, monitors, now);
            }
        }
        let in_flight = self.in_flight.take();
        in_flight.map_or(Vec::new(), |in_flight| in_flight.notifications)
    }

    /// Puts the content of a failed commit before what has come since.
    fn take_back(&mut self, mut commit: Commit, monitors: Vec<usize>, now: Mono) {
        self.not_before = Some(now.plus(RETRY_PAUSE));
        self.urgent = true;
        // States of running monitors are read again; those of removed monitors are not.
        commit.states.truncate(commit.states.len() - monitors.len());
        self.dirty.extend(monitors);
        let mut history = Arc::unwrap_or_clone(mem::take(&mut commit.history));
        history.extend(mem::take(&mut self.history));
        self.history = history;
        let newer = mem::replace(&mut self.extra, commit);
        self.extra.states.extend(newer.states);
        self.extra.forget.extend(newer.forget);
        self.extra.pass = newer.pass.or(self.extra.pass);
    }

    fn report_failure(&mut self, reason: &str) {
        if !mem::replace(&mut self.failing, true) {
            tracing::error!("state cannot be saved ({reason}); monitoring and alerting continue from memory");
        }
    }
}

#[cfg(test)]
mod tests;
