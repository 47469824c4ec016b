//! Which monitors are watched: taken up, replaced, shelved.

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

/// Changed monitors are looked at within about a millisecond each.
const SPREAD_PER_MONITOR: Duration = Duration::from_millis(1);

impl Dispatcher {
    /// Watches a monitor that was not watched before. In a daemon its first
    /// look falls within `spread`, or the usual first round.
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

    /// States of monitors that the site file no longer has: told if they were
    /// down, kept for a while, then forgotten.
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
        let notifications = alert::removed(&self.context, &watch, state, now);
        for incident in open.into_iter().flatten() {
            self.close_incident(&incident, now);
        }
        if let Some(before) = before {
            self.record_retirement(&watch.name, &before, notifications.is_some(), now);
        }
        if let Some(notification) = notifications {
            let announced_to = Arc::make_mut(&mut shared).own.take_announced(&notification);
            self.enqueue(notification, &watch, announced_to, now);
        }
        self.pending
            .extra
            .states
            .push((watch.name.clone(), Arc::clone(&shared)));
        self.retired.insert(watch.name, shared);
    }

    /// Reminders of outages that have ended, but that nobody dropped: the end was
    /// told to nobody, or the state file was written by an older apmon.
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
            return; // a later run may tell
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

    /// A message whose channel is gone goes to the channels that were not to
    /// have it: a mistyped host was mended. The others have it, or wait for it
    /// themselves, and are not told twice.
    fn reassign(&mut self, entry: OutboxEntry, decided: Mono) {
        let now = self.shared.clock.now();
        let notification = &entry.notification;
        let policy = self.policy_of(&notification.monitor);
        let recipients: Vec<&str> = self.plan.recipients(&notification.kind, &policy).collect();
        let successors: Vec<String> = recipients
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
        } else if successors.is_empty() {
            tracing::info!(
                channel = entry.channel,
                "channel is no longer in the site file, its message went to the others: {}",
                notification.text
            );
        }
        let addressed: Vec<String> = entry.addressed.iter().chain(&successors).cloned().collect();
        // Should their channel go as well, the heirs have it already.
        for changed in self.outbox.set_addressed(notification, &addressed) {
            self.pending.update_entry(changed);
        }
        for successor in successors {
            tracing::warn!(
                channel = entry.channel,
                "channel is no longer in the site file, its message goes to {successor}: {}",
                notification.text
            );
            self.record_announced(notification, std::slice::from_ref(&successor));
            let entry = OutboxEntry::new(successor, notification.clone(), addressed.clone());
            self.push_entry(entry, Some(decided), now);
        }
        self.record_delivery(&entry, DeliveryFate::ChannelGone, now);
        self.pending.settle(entry.key());
    }

    /// Unchanged monitors keep their phase and state, changed ones are looked
    /// at at once, removed ones are shelved.
    pub(super) fn reload(&mut self, mut plan: Plan) {
        let now = self.shared.clock.now();
        // The slots hold the monitors; the plan must not hold them a second time.
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
        // What waits was decided before anything that is decided now.
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
