//! State on its way to disk.

use std::sync::Arc;

use super::{Dispatcher, Done};
use crate::{
    engine::event::Event,
    notification::Notification,
    state::{Commit, StoreError},
};

impl Dispatcher {
    pub(super) fn commit(&mut self) {
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

    pub(super) fn committed(
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
}
