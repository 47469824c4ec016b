//! Channels that come and go: who gets what waits for a channel that is gone, and the ends of
//! incidents that a channel is owed.

use std::{collections::HashSet, sync::Arc};

use super::Dispatcher;
use crate::{
    engine::delivery::Reassigned,
    monitor::Watch,
    notification::{DeliveryError, OutboxEntry},
    rule::{alert, effects::StateChange},
    time::Now,
};

impl Dispatcher {
    /// Gives the notifications of channels that no longer exist to the others, after the channels
    /// that are new got the ends that they are owed: what is queued is newer.
    pub(super) fn reassign_orphans(&mut self, now: Now) {
        self.settle(now);
        let Reassigned {
            changed,
            ends,
            untried,
        } = self.delivery.reassign_orphans(&mut self.monitors, now);
        for monitor in changed {
            self.persistence.mark(monitor, StateChange::Urgent, now.mono);
        }
        for OutboxEntry {
            channel,
            notification,
            ..
        } in &untried
        {
            let (is_changed, index) = self.monitors.forget_announced(notification, channel);
            if is_changed {
                self.owed_changed(index, notification.monitor.clone(), now);
            }
        }
        let incident_of = |entry: &OutboxEntry| (entry.channel.clone(), entry.notification.incident.clone());
        let untried: HashSet<_> = untried.iter().map(incident_of).collect();
        // The channel may be added again.
        for end in ends {
            if !untried.contains(&incident_of(&end)) {
                let name = end.notification.monitor.clone();
                let index = self.monitors.owe(end);
                self.owed_changed(index, name, now);
            }
        }
        self.settle(now);
    }

    /// Processes the result of a delivery attempt.
    pub(super) fn attempt_finished(&mut self, channel: &str, key: &str, result: Result<(), DeliveryError>) {
        let now = self.shared.clock.now();
        let Some(entry) = self.delivery.attempt_finished(channel, key, result, now) else {
            return;
        };
        // It left the site file during the attempt, and has the end that it is owed since.
        let notification = entry.notification;
        if notification.kind.ends_incident() {
            let (is_owed, index) = self.monitors.cancel_owed(&notification, channel);
            if is_owed {
                self.owed_changed(index, notification.monitor, now);
            }
        }
    }

    /// Saves the state of the monitor at `index`, or of the removed one of this name: what its
    /// channels are owed has changed.
    fn owed_changed(&mut self, index: Option<usize>, name: String, now: Now) {
        match index {
            Some(index) => self.persistence.mark(index, StateChange::Urgent, now.mono),
            None => {
                if let Some(state) = self.monitors.retired_state(&name) {
                    self.persistence.retire(None, name, Arc::clone(state));
                }
            }
        }
    }

    /// Sends the ends of earlier incidents that the monitors' options and the present channels
    /// now let through.
    pub(super) fn settle(&mut self, now: Now) {
        for index in self.monitors.owing() {
            let Some(runtime) = self.monitors.at_mut(index) else {
                continue;
            };
            let name = runtime.monitor.watch().name.clone();
            let effects = runtime.settle(&self.context, now);
            self.apply(Some(index), &name, effects, now);
        }
        for name in self.monitors.retired_owing() {
            self.settle_retired(&name, now);
        }
    }

    /// The same for a removed monitor or part. Its switches have gone with it; those of the
    /// monitor of a part may still be there.
    pub(super) fn settle_retired(&mut self, name: &str, now: Now) {
        let Some(mut state) = self.monitors.retired_state(name).cloned() else {
            return;
        };
        let owner = state.own.split_part(name).map(|(monitor, _)| monitor);
        let owner = owner.and_then(|monitor| self.monitors.named(monitor));
        let policy = owner.map(|(_, runtime)| runtime.monitor.watch().policy.clone());
        let watch = Watch {
            policy: policy.unwrap_or_else(|| self.context.routes.policy_after_removal()),
            ..Watch::new(name, "", "")
        };
        let effects = alert::settle(&self.context, &watch, Arc::make_mut(&mut state), now);
        if effects.state != StateChange::None {
            self.persistence.retire(None, name.to_owned(), Arc::clone(&state));
            self.monitors.retire(name.to_owned(), state);
            self.apply(None, name, effects, now);
        }
    }
}
