//! The monitors: added, replaced, retired.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::Dispatcher;
use crate::{
    engine::{plan::Plan, runtime::MonitorRuntime},
    history::DeliveryFate,
    monitor::{Monitor, Watch},
    notification::OutboxEntry,
    rule::{
        alert,
        schedule::{self, Grid},
    },
    state::{MonitorState, RETENTION_AFTER_REMOVAL},
    time::{Mono, Now},
};

/// Changed monitors are checked within about a millisecond for each of them.
const SPREAD_PER_MONITOR: Duration = Duration::from_millis(1);

impl Dispatcher {
    /// Adds a monitor. In a daemon its first check falls within `spread`, or within the usual
    /// first round.
    pub(super) fn add(&mut self, monitor: Arc<dyn Monitor>, now: Now, spread: Option<Duration>) {
        let name = monitor.watch().name.clone();
        let state = self.retired.remove(&name).unwrap_or_default();
        let mut runtime = if self.is_pass {
            MonitorRuntime::for_pass(monitor, state, now)
        } else {
            let (grid, first) = self.grid(monitor.watch(), now, spread);
            MonitorRuntime::for_daemon(monitor, state, now, grid, first)
        };
        self.generation += 1;
        runtime.generation = self.generation;
        let index = self.free.pop().unwrap_or_else(|| {
            self.runtimes.push(None);
            self.runtimes.len() - 1
        });
        self.by_name.insert(name, index);
        self.runtimes[index] = Some(runtime);
        self.rearm(index);
    }

    pub(super) fn grid(&self, watch: &Watch, now: Now, spread: Option<Duration>) -> (Grid, Mono) {
        let phase = schedule::phase(&self.context.site, &watch.name);
        let every = watch.policy.check_every;
        let first = match spread {
            Some(spread) => now.mono.plus(spread.min(every).mul_f64(phase)),
            None => Grid::first(now.mono, every, phase),
        };
        (Grid::new(now.mono, every, phase), first)
    }

    /// Retires the states of monitors that are no longer in the site file: their outages are
    /// ended, and they are kept for a while and then deleted.
    pub(super) fn retire_missing(&mut self, now: Now) {
        let names: Vec<String> = self.retired.keys().cloned().collect();
        for name in names {
            let Some(state) = self.retired.get(&name) else {
                continue;
            };
            match state.own.removed_at {
                Some(at) if now.mono.since(now.mono_of(at)) >= RETENTION_AFTER_REMOVAL => {
                    self.retired.remove(&name);
                    self.pending.extra.forget.push(name);
                }
                Some(_) => {}
                None => {
                    let state = self.retired.remove(&name).unwrap_or_default();
                    let watch = Watch {
                        policy: state.own.last_policy(),
                        ..Watch::new(name, "", "")
                    };
                    self.retire(watch, state, now);
                }
            }
        }
    }

    pub(super) fn retire(&mut self, watch: Watch, mut shared: Arc<MonitorState>, now: Now) {
        let state = Arc::make_mut(&mut shared);
        state.anchor(now);
        let before = self.keeps_history.then(|| state.clone());
        let open = [state.own.incident.clone(), state.own.unknown_incident.clone()];
        let notification = alert::removed(&self.context, &watch, state, now);
        for incident in open.into_iter().flatten() {
            self.close_incident(&incident, now);
        }
        if let Some(before) = before {
            self.record_retirement(&watch.name, &before, notification.is_some(), now);
        }
        if let Some(notification) = notification {
            let announced_to = Arc::make_mut(&mut shared).own.take_announced(&notification);
            self.enqueue(notification, &watch, announced_to, now);
        }
        self.pending
            .extra
            .states
            .push((watch.name.clone(), Arc::clone(&shared)));
        self.retired.insert(watch.name, shared);
    }

    /// Drops reminders of outages that have ended, but are still queued: their end was not
    /// reported, or the state file was written by an older apmon.
    pub(super) fn drop_stale_reminders(&mut self) {
        let (runtimes, by_name) = (&self.runtimes, &self.by_name);
        let over = self.outbox.drop_reminders(|message| {
            let runtime = by_name
                .get(&message.monitor)
                .and_then(|index| runtimes[*index].as_ref());
            runtime.and_then(|runtime| runtime.state.own.incident.as_ref()) != Some(&message.incident)
        });
        self.drop_reminders(over);
    }

    pub(super) fn reassign_orphans(&mut self) {
        if self.plan.no_notify {
            return; // a later run may send them
        }
        let known: HashSet<&str> = self
            .plan
            .channels
            .iter()
            .map(|channel| channel.id.as_str())
            .collect();
        let orphans = self.outbox.retain_channels(&known);
        for (entry, decided) in orphans {
            self.reassign(entry, decided);
        }
    }

    /// Gives a notification whose channel is gone to the channels that did not get it: a
    /// mistyped host was corrected. The other channels have it, or wait for it themselves, and
    /// do not get it twice.
    fn reassign(&mut self, entry: OutboxEntry, decided: Mono) {
        let now = self.shared.clock.now();
        let notification = &entry.notification;
        let policy = self.policy_of(&notification.monitor);
        let recipients: Vec<&str> = self.plan.recipients(&notification.kind, &policy).collect();
        let new_channels: Vec<String> = recipients
            .iter()
            .filter(|id| !entry.addressed.iter().any(|had| had == *id))
            .filter(|id| !self.outbox.contains(id, notification))
            .map(|id| (*id).to_owned())
            .collect();
        if recipients.is_empty() {
            tracing::error!(
                channel = entry.channel,
                "message not delivered, its channel is no longer in the site file and there is no other: {}",
                notification.text
            );
        } else if new_channels.is_empty() {
            tracing::info!(
                channel = entry.channel,
                "channel is no longer in the site file, its message went to the others: {}",
                notification.text
            );
        }
        let addressed: Vec<String> = entry.addressed.iter().chain(&new_channels).cloned().collect();
        // If these channels are removed too, the others already have it.
        for changed in self.outbox.set_addressed(notification, &addressed) {
            self.pending.update_entry(changed);
        }
        for new_channel in new_channels {
            tracing::warn!(
                channel = entry.channel,
                "channel is no longer in the site file, its message goes to {new_channel}: {}",
                notification.text
            );
            self.record_announced(notification, std::slice::from_ref(&new_channel));
            let entry = OutboxEntry::new(new_channel, notification.clone(), addressed.clone());
            self.push_entry(entry, Some(decided), now);
        }
        self.record_delivery(&entry, DeliveryFate::ChannelGone, now);
        self.pending.settle(entry.key());
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
        let gone: Vec<usize> = self
            .by_name
            .iter()
            .filter(|(name, _)| !new.contains(name.as_str()))
            .map(|(_, index)| *index)
            .collect();
        self.context.site.clone_from(&plan.site);
        self.plan = plan;
        self.outbox.apply_plan(&self.plan, now.mono);
        self.self_monitor
            .configure(self.plan.heartbeat.as_ref(), now.mono);
        // The queued entries were decided before anything that is decided now.
        self.drop_stale_reminders();
        self.outbox.retry_all();
        self.reassign_orphans();
        let watched = monitors.len();
        for index in gone {
            if let Some(runtime) = self.runtimes[index].take() {
                let watch = runtime.monitor.watch().clone();
                self.by_name.remove(&watch.name);
                self.pending.drop_runtime(index);
                self.agenda.arm(index, None);
                self.free.push(index);
                self.retire(watch, runtime.state, now);
            }
        }
        let fresh: Vec<_> = monitors
            .into_iter()
            .filter(|monitor| !self.is_unchanged(monitor.as_ref()))
            .collect();
        let spread = SPREAD_PER_MONITOR.saturating_mul(u32::try_from(fresh.len()).unwrap_or(u32::MAX));
        let spread = spread.min(schedule::FIRST_ROUND);
        tracing::info!(changed = fresh.len(), watched, "site file reloaded");
        for monitor in fresh {
            match self.by_name.get(&monitor.watch().name) {
                None => self.add(monitor, now, Some(spread)),
                Some(&index) => {
                    let (grid, first) = self.grid(monitor.watch(), now, Some(spread));
                    self.generation += 1;
                    if let Some(runtime) = self.runtimes[index].as_mut() {
                        runtime.replace(monitor, self.generation, now, grid, first);
                    }
                    self.rearm(index);
                }
            }
        }
    }

    pub(super) fn is_unchanged(&self, monitor: &dyn Monitor) -> bool {
        let watch = monitor.watch();
        self.by_name
            .get(&watch.name)
            .and_then(|index| self.runtimes[*index].as_ref())
            .is_some_and(|runtime| {
                runtime.monitor.watch().checksum == watch.checksum && !watch.checksum.is_empty()
            })
    }
}
