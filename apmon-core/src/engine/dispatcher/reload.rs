//! Changes of the plan: monitors and channels that are added, replaced and removed.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::Dispatcher;
use crate::{
    engine::{heartbeats::Heartbeats, plan::Plan},
    monitor::Watch,
    rule::{alert, effects::StateChange, schedule},
    state::MonitorState,
    time::Now,
};

/// Changed monitors are checked within about a millisecond for each of them.
const SPREAD_PER_MONITOR: Duration = Duration::from_millis(1);

impl Dispatcher {
    /// Applies a new plan: unchanged monitors keep their phase and state, changed ones are
    /// checked at once, removed ones are retired.
    pub(super) fn reload(&mut self, mut plan: Plan) {
        let now = self.shared.clock.now();
        // The runtimes hold the monitors; the plan must not hold them as well.
        let monitors = std::mem::take(&mut plan.monitors);
        let new: HashSet<&str> = monitors
            .iter()
            .map(|monitor| monitor.watch().name.as_str())
            .collect();
        let gone: Vec<String> = self
            .monitors
            .names()
            .filter(|name| !new.contains(name.as_str()))
            .cloned()
            .collect();
        self.context.site.clone_from(&plan.site);
        self.context.routes = plan.routes();
        self.monitors.limit(plan.max_concurrent);
        self.delivery.configure(&plan, now.mono);
        self.heartbeats = Heartbeats::new(&plan);
        self.self_monitor.configure(plan.heartbeat, now.mono);
        // The queued entries were decided before anything that is decided now.
        self.delivery.drop_stale_reminders(&self.monitors, now);
        self.delivery.retry_all();
        self.reassign_orphans(now);
        let watched = monitors.len();
        for name in gone {
            if let Some((index, watch, state)) = self.monitors.remove(&name) {
                self.retire(Some(index), watch, state, now);
            }
        }
        let fresh: Vec<_> = monitors
            .into_iter()
            .filter(|monitor| !self.monitors.has_same(monitor.watch()))
            .collect();
        let spread = SPREAD_PER_MONITOR.saturating_mul(u32::try_from(fresh.len()).unwrap_or(u32::MAX));
        let spread = spread.min(schedule::FIRST_ROUND);
        tracing::info!(changed = fresh.len(), watched, "site file reloaded");
        for monitor in fresh {
            self.monitors.add(monitor, &self.context.site, now, Some(spread));
        }
    }

    /// Gives the notifications of channels that no longer exist to the others.
    pub(super) fn reassign_orphans(&mut self, now: Now) {
        for monitor in self.delivery.reassign_orphans(&mut self.monitors, now) {
            self.persistence.mark(monitor, StateChange::Urgent, now.mono);
        }
    }

    /// Retires the states of monitors that are no longer in the site file: their outages are
    /// ended, and they are kept for a while and then deleted.
    pub(super) fn retire_missing(&mut self, now: Now) {
        self.persistence.forget(self.monitors.forget_old(now));
        for (name, state) in self.monitors.take_unretired() {
            let watch = Watch {
                policy: state.own.last_policy(),
                ..Watch::new(name, "", "")
            };
            self.retire(None, watch, state, now);
        }
    }

    /// Ends what is open of a removed monitor, and keeps its state. `index` is where it ran.
    fn retire(&mut self, index: Option<usize>, watch: Watch, mut shared: Arc<MonitorState>, now: Now) {
        let state = Arc::make_mut(&mut shared);
        state.anchor(now);
        let effects = alert::removed(&self.context, &watch, state, now);
        self.persistence
            .retire(index, watch.name.clone(), Arc::clone(&shared));
        self.monitors.retire(watch.name, shared);
        self.apply(None, effects, now);
    }
}
