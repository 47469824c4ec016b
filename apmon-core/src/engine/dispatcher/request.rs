//! Requests: changes of the plan, and whatever else a handle asks for.

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use super::Dispatcher;
use crate::{
    engine::{
        EngineError, handle::Command, heartbeats::Heartbeats, plan::Plan, recent::RecentSnapshot,
        runtime::CheckPhase, self_monitor::SelfMonitor, task::CompletedCheck, update::Update,
    },
    monitor::{Monitor, Signal, Watch},
    probe::Check,
    rule::{alert, schedule},
    state::MonitorState,
    time::Now,
};

/// The most signals about one monitor that wait for the end of its check; the oldest are dropped.
const MAX_SIGNALS: usize = 100;

/// Changed monitors are checked within about a millisecond for each of them.
const SPREAD_PER_MONITOR: Duration = Duration::from_millis(1);

impl Dispatcher {
    /// Does what a handle asks for. Nobody may wait for the reply any more.
    pub(super) fn execute(&mut self, command: Command) {
        match command {
            Command::Reload(plan, reply) => {
                self.reload(plan);
                let _ = reply.send(());
            }
            Command::Plan(reply) => drop(reply.send(self.plan())),
            Command::AddMonitor(monitor, reply) => {
                let now = self.shared.clock.now();
                self.add_monitors(vec![monitor], now);
                let _ = reply.send(());
            }
            Command::RemoveMonitor(name, reply) => drop(reply.send(self.remove_monitor(name))),
            Command::AddChannel(channel, reply) => {
                self.plan.channels.retain(|other| other.id != channel.id);
                self.plan.channels.push(channel);
                self.channels_changed();
                let _ = reply.send(());
            }
            Command::RemoveChannel(id, reply) => drop(reply.send(self.remove_channel(&id))),
            Command::CheckNow(name, reply) => {
                let now = self.shared.clock.now().mono;
                let result = match self.monitors.check_now(&name, now) {
                    true => Ok(()),
                    false => Err(EngineError::UnknownMonitor(name)),
                };
                let _ = reply.send(result);
            }
            Command::Report(name, signal, reply) => drop(reply.send(self.report_signal(name, signal))),
            Command::Ping(reply) => drop(reply.send(())),
            Command::Status(monitor, reply) => drop(reply.send(self.snapshot(monitor.as_deref()))),
            Command::Recent(reply) => drop(reply.send(self.recent())),
            Command::Act(action, actor, reply) => drop(reply.send(self.act(&action, &actor))),
            Command::Shutdown => {}
        }
    }

    fn recent(&self) -> Vec<RecentSnapshot> {
        let monitors = self.monitors.iter();
        let snapshots = monitors.map(|runtime| RecentSnapshot {
            monitor: Arc::clone(&runtime.monitor),
            recent: runtime.recent.clone(),
            failed_steps: runtime.failed_steps.clone(),
        });
        snapshots.collect()
    }

    /// The plan with the monitors that run.
    fn plan(&self) -> Plan {
        Plan {
            monitors: self.monitors.all(),
            ..self.plan.clone()
        }
    }

    fn remove_monitor(&mut self, name: String) -> Result<(), EngineError> {
        let now = self.shared.clock.now();
        if !self.stop_monitor(&name, now) {
            return Err(EngineError::UnknownMonitor(name));
        }
        self.publish_reload(0, now);
        Ok(())
    }

    fn remove_channel(&mut self, id: &str) -> Result<(), EngineError> {
        let channels = &mut self.plan.channels;
        let Some(at) = channels.iter().position(|channel| channel.id == id) else {
            return Err(EngineError::UnknownChannel {
                channel: id.to_owned(),
                known: channels.iter().map(|channel| channel.id.clone()).collect(),
            });
        };
        channels.remove(at);
        self.channels_changed();
        Ok(())
    }

    /// Applies the channels of the plan.
    fn channels_changed(&mut self) {
        let now = self.shared.clock.now();
        self.context.routes = self.plan.routes();
        self.delivery.configure(&self.plan, now.mono);
        self.delivery.retry(None);
        self.reassign_orphans(now);
        self.publish_reload(0, now);
    }

    /// Has a monitor turn a signal into an observation, and processes it as that of a check; a
    /// running check is waited for.
    fn report_signal(&mut self, name: String, signal: Signal) -> Result<(), EngineError> {
        let Some(index) = self.monitors.index_of(&name) else {
            return Err(EngineError::UnknownMonitor(name));
        };
        match self.monitors.at_mut(index) {
            Some(runtime) if runtime.check_phase == CheckPhase::Running => {
                if runtime.signals.len() >= MAX_SIGNALS {
                    runtime.signals.pop_front();
                }
                runtime.signals.push_back(signal);
                Ok(())
            }
            _ => self.process_signal(index, &signal),
        }
    }

    /// Processes the signals that waited for the end of a check.
    pub(super) fn process_signals(&mut self, index: usize) {
        while let Some(runtime) = self.monitors.at_mut(index)
            && let Some(signal) = runtime.signals.pop_front()
        {
            if let Err(error) = self.process_signal(index, &signal) {
                tracing::warn!("a signal was not processed: {error}");
            }
        }
    }

    fn process_signal(&mut self, index: usize, signal: &Signal) -> Result<(), EngineError> {
        let now = self.shared.clock.now();
        let Some((reference, runtime)) = self.monitors.reference(index).zip(self.monitors.at(index)) else {
            return Ok(()); // it was removed
        };
        let name = &runtime.monitor.watch().name;
        let timeout = runtime.monitor.watch().policy.max_try;
        let mask = runtime.monitor.watch().mask.clone();
        let check = Check::new(now.mono, now, timeout).with_memory(runtime.state.memory.clone());
        let receive = AssertUnwindSafe(|| runtime.monitor.receive(signal, &check));
        let Ok(observation) = catch_unwind(receive) else {
            tracing::error!(monitor = name, "the monitor panicked on a signal (this is a bug)");
            return Err(EngineError::NoSignals(name.clone()));
        };
        let Some(mut observation) = observation else {
            return Err(EngineError::NoSignals(name.clone()));
        };
        observation.hide(&mask);
        self.observed(&CompletedCheck {
            monitor: reference,
            check,
            observation: Some(observation),
            failed_steps: None,
            ended: now,
            is_signal: true,
        });
        Ok(())
    }

    fn publish_reload(&self, changed: usize, now: Now) {
        self.shared.publisher.publish(|| Update::Reloaded {
            at: now.wall,
            monitors: self.monitors.count(),
            changed,
        });
    }

    /// Adds monitors, or replaces those of the same names: they are checked at once.
    fn add_monitors(&mut self, monitors: Vec<Arc<dyn Monitor>>, now: Now) {
        let changed = monitors.len();
        let spread = SPREAD_PER_MONITOR.saturating_mul(u32::try_from(changed).unwrap_or(u32::MAX));
        let spread = spread.min(schedule::FIRST_ROUND);
        for monitor in monitors {
            self.monitors.add(monitor, &self.context.site, now, Some(spread));
        }
        self.settle(now);
        self.publish_reload(changed, now);
    }

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
            .monitors()
            .map(|(_, runtime)| &runtime.monitor.watch().name)
            .filter(|name| !new.contains(name.as_str()))
            .cloned()
            .collect();
        self.context.site.clone_from(&plan.site);
        self.context.routes = plan.routes();
        self.monitors.limit(plan.max_concurrent);
        self.delivery.configure(&plan, now.mono);
        self.heartbeats = Heartbeats::new(&plan);
        match self.context.is_pass {
            true => self.self_monitor = SelfMonitor::for_pass(plan.heartbeat.clone()),
            false => self.self_monitor.configure(plan.heartbeat.clone(), now.mono),
        }
        self.plan = plan;
        self.delivery.drop_stale_reminders(&self.monitors, now);
        self.delivery.retry(None);
        let watched = monitors.len();
        let fresh: Vec<_> = monitors
            .into_iter()
            .filter_map(|monitor| self.monitors.renew(monitor, &self.context.site, now))
            .collect();
        tracing::info!(changed = fresh.len(), watched, "site file reloaded");
        self.add_monitors(fresh, now);
        // The queued entries were decided before anything that is decided now.
        self.reassign_orphans(now);
        for name in gone {
            self.stop_monitor(&name, now);
        }
    }

    /// Retires the states of monitors that are no longer in the site file: their outages are
    /// ended, and they are kept for a while.
    pub(super) fn retire_missing(&mut self, now: Now) {
        for (name, state) in self.monitors.take_unretired() {
            let watch = Watch {
                policy: state.own.last_policy(),
                ..Watch::new(name, "", "")
            };
            self.retire(None, watch, state, now);
        }
    }

    /// Ends what is open of a removed monitor or part, and keeps its state. `index` is where it
    /// ran.
    pub(super) fn retire(
        &mut self,
        index: Option<usize>,
        watch: Watch,
        mut shared: Arc<MonitorState>,
        now: Now,
    ) {
        let state = Arc::make_mut(&mut shared);
        state.anchor(now);
        let effects = alert::removed(&self.context, &watch, state, now);
        self.persistence
            .retire(index, watch.name.clone(), Arc::clone(&shared));
        self.monitors.retire(watch.name.clone(), shared);
        self.apply(None, &watch.name, effects, now);
        self.settle_retired(&watch.name, now);
    }
}
