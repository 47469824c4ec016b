//! Actions on a running site: decided on its current state, then applied to it and committed.

use super::Dispatcher;
use crate::{
    action::{Action, Actor, Decision},
    engine::EngineError,
    rule::effects::StateChange,
    store::Snapshot,
    time::Now,
};

impl Dispatcher {
    /// Carries out an action. Returns how many things it concerned.
    pub(super) fn act(&mut self, action: &Action, actor: &Actor) -> Result<usize, EngineError> {
        let now = self.shared.clock.now();
        let channels: Vec<String> = self
            .plan
            .channels
            .iter()
            .map(|channel| channel.id.clone())
            .collect();
        let decision = action.decide(&self.state_snapshot(), &channels, actor, now.wall)?;
        if decision.sends && self.delivery.is_off() {
            return Err(EngineError::NotifyOff);
        }
        let affected = decision.affected;
        self.apply_decision(decision, now);
        match action {
            // The pauses of this run are in memory only.
            Action::Retry { channel } => self.delivery.retry(channel.as_deref()),
        }
        tracing::info!(
            affected,
            "{} requested \"{}\" ({}): done",
            actor.name,
            action.name(),
            actor.means
        );
        Ok(affected)
    }

    /// The state as the next commit leaves it.
    fn state_snapshot(&self) -> Snapshot {
        let runtimes = self.monitors.iter();
        Snapshot {
            monitors: runtimes
                .map(|runtime| (runtime.monitor.watch().name.clone(), runtime.state.clone()))
                .collect(),
            outbox: self.delivery.entries(),
            records: self.records.clone(),
            ..Snapshot::default()
        }
    }

    /// Everything that was decided goes into the next commit.
    fn apply_decision(&mut self, decision: Decision, now: Now) {
        for (name, state) in decision.states {
            if let Some(index) = self.monitors.set_state(&name, state) {
                self.persistence.mark(index, StateChange::Urgent, now.mono);
            }
        }
        for entry in decision.outbox {
            self.delivery.change(entry);
        }
        for (key, record) in decision.records {
            match record.clone() {
                Some(record) => drop(self.records.insert(key.clone(), record)),
                None => drop(self.records.remove(&key)),
            }
            self.persistence.set_record(key, record);
        }
    }
}
