//! Which monitors are watched: taken up, replaced, shelved.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::Dispatcher;
use crate::{
    engine::{plan::Plan, slot::Slot},
    history::DeliveryFate,
    monitor::{Monitor, Watch},
    rule::{
        alert,
        schedule::{self, Grid},
    },
    state::{KEPT_AFTER_REMOVAL, MonitorState, OutboxEntry},
    time::{Mono, Now},
};

/// Changed monitors are looked at within about a millisecond each.
const SPREAD_PER_MONITOR: Duration = Duration::from_millis(1);

impl Dispatcher {
    /// Watches a monitor that was not watched before. In a daemon its first
    /// look falls within `spread`, or the usual first round.
    pub(super) fn take_up(&mut self, monitor: Arc<dyn Monitor>, now: Now, spread: Option<Duration>) {
        let name = monitor.watch().name.clone();
        let state = self.shelf.remove(&name).unwrap_or_default();
        let mut slot = if self.is_pass {
            Slot::passing(monitor, state, now)
        } else {
            let (grid, first) = self.grid(monitor.watch(), now, spread);
            Slot::resident(monitor, state, now, grid, first)
        };
        self.generation += 1;
        slot.generation = self.generation;
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.by_name.insert(name, at);
        self.slots[at] = Some(slot);
        self.rearm(at);
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
    pub(super) fn shelve_the_rest(&mut self, now: Now) {
        let names: Vec<String> = self.shelf.keys().cloned().collect();
        for name in names {
            let Some(state) = self.shelf.get(&name) else {
                continue;
            };
            match state.own.removed_at {
                Some(at) if now.mono.since(now.mono_of(at)) >= KEPT_AFTER_REMOVAL => {
                    self.shelf.remove(&name);
                    self.ledger.extra.forget.push(name);
                }
                Some(_) => {}
                None => {
                    let state = self.shelf.remove(&name).unwrap_or_default();
                    let watch = Watch {
                        policy: state.own.last_policy(),
                        ..Watch::new(name, "", "")
                    };
                    self.shelve(watch, state, now);
                }
            }
        }
    }

    pub(super) fn shelve(&mut self, watch: Watch, mut shared: Arc<MonitorState>, now: Now) {
        let state = Arc::make_mut(&mut shared);
        state.anchor(now);
        let before = self.keeps_history.then(|| state.clone());
        let open = [state.own.incident.clone(), state.own.unknown_told.clone()];
        let told = alert::removed(&self.context, &watch, state, now);
        for incident in open.into_iter().flatten() {
            self.close(&incident, now);
        }
        if let Some(before) = before {
            self.record_removal(&watch.name, &before, told.is_some(), now);
        }
        if let Some(notification) = told {
            let heard = Arc::make_mut(&mut shared).own.take_heard(&notification);
            self.tell(notification, &watch, heard, now);
        }
        self.ledger
            .extra
            .states
            .push((watch.name.clone(), Arc::clone(&shared)));
        self.shelf.insert(watch.name, shared);
    }

    /// Reminders of outages that have ended, but that nobody dropped: the end was
    /// told to nobody, or the state file was written by an older apmon.
    pub(super) fn drop_stale_reminders(&mut self) {
        let (slots, by_name) = (&self.slots, &self.by_name);
        let over = self.outbox.drop_reminders(|message| {
            let slot = by_name.get(&message.monitor).and_then(|at| slots[*at].as_ref());
            slot.and_then(|slot| slot.state.own.incident.as_ref()) != Some(&message.incident)
        });
        self.drop_reminders(over);
    }

    pub(super) fn readdress_orphans(&mut self) {
        if self.plan.quiet {
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
            self.readdress(entry, decided);
        }
    }

    /// A message whose channel is gone goes to the channels that were not to
    /// have it: a mistyped host was mended. The others have it, or wait for it
    /// themselves, and are not told twice.
    fn readdress(&mut self, entry: OutboxEntry, decided: Mono) {
        let now = self.shared.clock.now();
        let notification = &entry.notification;
        let policy = self.policy_of(&notification.monitor);
        let takers: Vec<&str> = self.plan.takers(&notification.kind, &policy).collect();
        let heirs: Vec<String> = takers
            .iter()
            .filter(|id| !entry.addressed.iter().any(|had| had == *id))
            .filter(|id| !self.outbox.has(id, notification))
            .map(|id| (*id).to_owned())
            .collect();
        if takers.is_empty() {
            tracing::error!(
                channel = entry.channel,
                "message not delivered, its channel is no longer in the site file and there is no other: {}",
                notification.text
            );
        } else if heirs.is_empty() {
            tracing::info!(
                channel = entry.channel,
                "channel is no longer in the site file, its message went to the others: {}",
                notification.text
            );
        }
        let addressed: Vec<String> = entry.addressed.iter().chain(&heirs).cloned().collect();
        // Should their channel go as well, the heirs have it already.
        for changed in self.outbox.address(notification, &addressed) {
            self.ledger.entry(changed);
        }
        for heir in heirs {
            tracing::warn!(
                channel = entry.channel,
                "channel is no longer in the site file, its message goes to {heir}: {}",
                notification.text
            );
            self.remember(notification, std::slice::from_ref(&heir));
            let entry = OutboxEntry::new(heir, notification.clone(), addressed.clone());
            self.push(entry, Some(decided), now);
        }
        self.record_fate(&entry, DeliveryFate::ChannelGone, now);
        self.ledger.settle(entry.key());
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
            .map(|(_, at)| *at)
            .collect();
        self.context.site.clone_from(&plan.site);
        self.plan = plan;
        self.outbox.follow(&self.plan, now.mono);
        self.vigil.follow(self.plan.heartbeat.as_ref(), now.mono);
        // What waits was decided before anything that is decided now.
        self.drop_stale_reminders();
        self.outbox.retry_all();
        self.readdress_orphans();
        let watched = monitors.len();
        for at in gone {
            if let Some(slot) = self.slots[at].take() {
                let watch = slot.monitor.watch().clone();
                self.by_name.remove(&watch.name);
                self.ledger.drop_slot(at);
                self.agenda.arm(at, None);
                self.free.push(at);
                self.shelve(watch, slot.state, now);
            }
        }
        let fresh: Vec<_> = monitors
            .into_iter()
            .filter(|monitor| !self.has(monitor.as_ref()))
            .collect();
        let spread = SPREAD_PER_MONITOR.saturating_mul(u32::try_from(fresh.len()).unwrap_or(u32::MAX));
        let spread = spread.min(schedule::FIRST_ROUND);
        tracing::info!(changed = fresh.len(), watched, "site file reloaded");
        for monitor in fresh {
            match self.by_name.get(&monitor.watch().name) {
                None => self.take_up(monitor, now, Some(spread)),
                Some(&at) => {
                    let (grid, first) = self.grid(monitor.watch(), now, Some(spread));
                    self.generation += 1;
                    if let Some(slot) = self.slots[at].as_mut() {
                        slot.replace(monitor, self.generation, now, grid, first);
                    }
                    self.rearm(at);
                }
            }
        }
    }

    pub(super) fn has(&self, monitor: &dyn Monitor) -> bool {
        let watch = monitor.watch();
        self.by_name
            .get(&watch.name)
            .and_then(|at| self.slots[*at].as_ref())
            .is_some_and(|slot| slot.monitor.watch().checksum == watch.checksum && !watch.checksum.is_empty())
    }
}
