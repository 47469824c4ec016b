//! The channels to which incidents were announced, and those that are owed an end.

use std::sync::Arc;

use super::Monitors;
use crate::{
    notification::{Notification, OutboxEntry},
    rule::route,
    state::{MonitorState, OwnState},
};

impl Monitors {
    /// Notes that an incident has been announced to these channels as well: they get its end, also
    /// if it is still owed to others. Returns the index of the monitor if its state has changed.
    pub(in crate::engine) fn announce(
        &mut self,
        notification: &Notification,
        channels: &[String],
    ) -> Option<usize> {
        let index = *self.by_name.get(&notification.monitor)?;
        let runtime = self.at_mut(index)?;
        let own = &runtime.state.own;
        // Not copied for nothing: a store may share it.
        if !own.has_open_incident(&notification.incident) {
            let has_new = own.owes_to_others(notification, channels);
            return has_new.then(|| {
                let own = &mut Arc::make_mut(&mut runtime.state).own;
                own.owe_to(notification, channels);
                index
            });
        }
        if own.is_announced_to(&notification.incident, channels) {
            return None;
        }
        route::announce(&mut Arc::make_mut(&mut runtime.state).own, notification, channels).then_some(index)
    }

    /// Notes that the channel of an entry, which ends an incident, is still to get it. Returns the
    /// index of the monitor if it runs.
    pub(in crate::engine) fn owe(&mut self, end: OutboxEntry) -> Option<usize> {
        let OutboxEntry {
            channel,
            notification,
            addressed,
            ..
        } = end;
        let index = self.by_name.get(&notification.monitor).copied();
        let state = self.state_mut(&notification.monitor)?;
        let own = &mut Arc::make_mut(state).own;
        own.owe(&notification, vec![channel], &addressed);
        index
    }

    /// Notes that a channel was sent nothing about the incident that `notification` begins. Returns
    /// whether the state has changed, and the index of the monitor if it runs.
    pub(in crate::engine) fn forget_announced(
        &mut self,
        notification: &Notification,
        channel: &str,
    ) -> (bool, Option<usize>) {
        let index = self.by_name.get(&notification.monitor).copied();
        let incident = &notification.incident;
        let knows = |own: &OwnState| {
            let announced_to = own.announced_to.get(incident);
            let is_announced = announced_to.is_some_and(|all| all.iter().any(|id| id == channel));
            is_announced || own.owes_to(incident, channel)
        };
        let state = self.state_mut(&notification.monitor);
        let Some(state) = state.filter(|state| knows(&state.own)) else {
            return (false, index);
        };
        Arc::make_mut(state).own.forget_announced(incident, channel);
        (true, index)
    }

    /// The running monitors some of whose channels are owed an end.
    pub(in crate::engine) fn owing(&self) -> Vec<usize> {
        let runtimes = self.runtimes.iter().enumerate();
        let owing = runtimes.filter_map(|(index, runtime)| {
            let own = &runtime.as_ref()?.state.own;
            (!own.owed_ends.is_empty()).then_some(index)
        });
        owing.collect()
    }

    /// The removed monitors some of whose channels are owed an end.
    pub(in crate::engine) fn retired_owing(&self) -> Vec<String> {
        self.retired.owing()
    }

    /// Notes that a channel is not to get the end of an incident any more. Returns whether it was,
    /// and the index of the monitor if it runs.
    pub(in crate::engine) fn cancel_owed(
        &mut self,
        notification: &Notification,
        channel: &str,
    ) -> (bool, Option<usize>) {
        let index = self.by_name.get(&notification.monitor).copied();
        let state = self.state_mut(&notification.monitor);
        let owing = state.filter(|state| state.own.owes_to(&notification.incident, channel));
        let is_owed = owing.is_some();
        if let Some(state) = owing {
            let own = &mut Arc::make_mut(state).own;
            own.cancel_owed(&notification.incident, channel);
        }
        (is_owed, index)
    }

    fn state_mut(&mut self, monitor: &str) -> Option<&mut Arc<MonitorState>> {
        match self.by_name.get(monitor).copied() {
            Some(index) => Some(&mut self.at_mut(index)?.state),
            None => self.retired.get_mut(monitor),
        }
    }
}
