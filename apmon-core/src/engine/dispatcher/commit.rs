//! State on its way to disk.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;

use super::{Dispatcher, Done};
use crate::{
    engine::event::Event,
    notification::Notification,
    state::{Commit, StoreError},
    time::Now,
};

impl Dispatcher {
    pub(super) fn commit(&mut self, now: Now) {
        let mut batch = self.ledger.take(now.mono);
        let extra_states = batch.commit.states.len();
        for at in &batch.slots {
            if let Some(slot) = &self.slots[*at] {
                let name = slot.monitor.watch().name.clone();
                batch.commit.states.push((name, Arc::clone(&slot.state)));
            }
        }
        batch.commit.epoch = self.epoch;
        let store = Arc::clone(&self.shared.store);
        self.tasks.spawn(async move {
            let commit = AssertUnwindSafe(store.commit(&batch.commit)).catch_unwind();
            let result = commit.await.unwrap_or(Err(StoreError::Stopped));
            Done::Commit {
                result,
                commit: batch.commit,
                slots: batch.slots,
                extra_states,
            }
        });
    }

    pub(super) fn committed(
        &mut self,
        result: Result<(), StoreError>,
        mut commit: Commit,
        slots: Vec<usize>,
        extra_states: usize,
    ) {
        // On disk or not to be had there: either way it is told now.
        self.outbox.confirm(&commit.outbox);
        let told = match result {
            Ok(()) => {
                if std::mem::take(&mut self.ledger.failing) {
                    tracing::warn!("state is saved again");
                }
                self.ledger.committed()
            }
            Err(error) => {
                self.say_unsaved(&error.one_line());
                commit.states.truncate(extra_states);
                let now = self.shared.clock.now();
                self.ledger.failed(slots, commit, now.mono)
            }
        };
        self.announce(&told);
    }

    /// The store has not answered for long: what waits for it is told from
    /// memory, and so is all that comes until it answers.
    pub(super) fn do_without_the_store(&mut self) {
        self.say_unsaved("the store does not answer");
        let told = self.ledger.stall();
        self.outbox.confirm_all();
        self.announce(&told);
    }

    fn say_unsaved(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.ledger.failing, true) {
            tracing::error!("state cannot be saved ({reason}); monitoring and alerting go on from memory");
        }
    }

    pub(super) fn announce(&self, told: &[Notification]) {
        for notification in told {
            (self.shared.events)(&Event::Notified(notification));
        }
    }
}
