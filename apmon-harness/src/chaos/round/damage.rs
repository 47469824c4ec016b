//! Damage to the state's files while apmon runs, and its repair.

use std::time::Duration;

use super::{
    super::{
        check::{self, Violation},
        damage::Damage,
    },
    Round, SAVED,
};
use crate::fault::Fault;

/// A process has loaded its state, and committed once, after this time at the latest.
const LOADED: Duration = Duration::from_secs(2);

impl Round {
    /// Whether apmon has something to repair, before which nothing else happens.
    pub(super) fn is_waiting(&self) -> bool {
        self.freed.is_some() || self.damaged.is_some()
    }

    /// Whether the state's files may be damaged: what is destroyed before a process has loaded
    /// it is lost. A process that is stopped goes on.
    pub(super) fn may_damage(&mut self, now: Duration) -> bool {
        self.wake();
        let is_loaded = self.awake_since.is_some_and(|since| since + LOADED <= now);
        let has_committed = self.disk.trace() != self.trace_at_start;
        let is_killed = self.pending_kill.is_some() || !self.kills.is_empty();
        self.daemon.is_running() && !is_killed && is_loaded && has_committed && self.handle.saves()
    }

    pub(super) fn damage(&mut self, damage: Damage) -> Result<(), Fault> {
        self.handle.log(&format!("-- {}", damage.word()));
        self.handle.expect_repair(true);
        let is_database = self.state.extension().is_some_and(|suffix| suffix == "db");
        let name = self
            .state
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if self.disk.damage(&name, damage)? {
            self.count(damage.word());
            self.lost_history |= is_database && damage.may_cost_history();
            self.damaged = Some(self.clock.elapsed());
        } else {
            self.handle.expect_repair(false);
        }
        Ok(())
    }

    /// Notes that apmon has repaired the damage, or that it has not.
    pub(super) fn repaired(&mut self, now: Duration) {
        let Some(since) = self.damaged else {
            return;
        };
        if !self.handle.is_damaged() && self.handle.saves() {
            // The line is logged before the commit ends.
            self.damaged = (since + LOADED > now).then_some(since);
        } else if since + SAVED <= now {
            self.damaged = None;
            let what = format!("not within {} s", SAVED.as_secs());
            self.ended.push(Violation::new(check::DAMAGE, what));
        }
    }
}
