//! Commits: writes pending changes to the store.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;

use super::{Dispatcher, TaskResult};
use crate::{
    engine::event::Event,
    notification::Notification,
    store::{Commit, StoreError},
    time::Now,
};

impl Dispatcher {
    pub(super) fn commit(&mut self, now: Now) {
        let mut batch = self.pending.take(now.mono);
        let extra_states = batch.commit.states.len();
        for index in &batch.runtimes {
            if let Some(runtime) = &self.runtimes[*index] {
                let name = runtime.monitor.watch().name.clone();
                batch.commit.states.push((name, Arc::clone(&runtime.state)));
            }
        }
        batch.commit.epoch = self.epoch;
        let store = Arc::clone(&self.shared.store);
        self.tasks.spawn(async move {
            let commit = AssertUnwindSafe(store.commit(&batch.commit)).catch_unwind();
            let result = commit.await.unwrap_or(Err(StoreError::Stopped));
            TaskResult::Commit {
                result,
                commit: batch.commit,
                runtimes: batch.runtimes,
                extra_states,
            }
        });
    }

    pub(super) fn committed(
        &mut self,
        result: Result<(), StoreError>,
        mut commit: Commit,
        runtimes: Vec<usize>,
        extra_states: usize,
    ) {
        // Whether the entries are on disk or cannot be written: they are sent now.
        self.outbox.confirm(&commit.outbox);
        let notifications = match result {
            Ok(()) => {
                if std::mem::take(&mut self.pending.failing) {
                    tracing::warn!("state is saved again");
                }
                self.pending.committed()
            }
            Err(error) => {
                self.report_unsaved(&error.one_line());
                commit.states.truncate(extra_states);
                let now = self.shared.clock.now();
                self.pending.failed(runtimes, commit, now.mono)
            }
        };
        self.emit_notified(&notifications);
    }

    /// Continues without a store that does not answer: whatever waits for it is sent from
    /// memory, and so is everything that follows until it answers.
    pub(super) fn continue_without_store(&mut self) {
        self.report_unsaved("the store does not answer");
        let notifications = self.pending.stall();
        self.outbox.confirm_all();
        self.emit_notified(&notifications);
    }

    fn report_unsaved(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.pending.failing, true) {
            tracing::error!("state cannot be saved ({reason}); monitoring and alerting continue from memory");
        }
    }

    pub(super) fn emit_notified(&self, notifications: &[Notification]) {
        for notification in notifications {
            (self.shared.events)(&Event::Notified(notification));
        }
    }
}
