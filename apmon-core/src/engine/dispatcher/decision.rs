//! What the log says of each decision: who is notified and who is not, what comes next, and why.

use tracing::Level;

use super::Dispatcher;
use crate::{
    outcome::Outcome,
    rule::{
        announcement::{self, Announcement},
        effects::Effects,
        health::Transition,
        standing::{self, Warnings},
    },
    text::printable,
    time::Now,
};

impl Dispatcher {
    /// Logs what a pass begins with.
    pub(super) fn log_start(&mut self, now: Now) {
        self.log_warnings();
        self.log_unchecked(now);
    }

    /// Logs the warnings of the plan: those that the last pass did not have.
    fn log_warnings(&mut self) {
        let warnings = Warnings::of(&self.plan.warnings, self.records.get(standing::RECORD));
        for warning in warnings.new {
            tracing::warn!("{warning}");
        }
        for warning in warnings.standing {
            tracing::info!("{warning} (as before)");
        }
        if let Some(record) = warnings.record {
            match record.clone() {
                Some(record) => drop(self.records.insert(standing::RECORD.to_owned(), record)),
                None => drop(self.records.remove(standing::RECORD)),
            }
            self.persistence.set_record(standing::RECORD.to_owned(), record);
        }
    }

    /// Logs what comes next for the monitors that are down and that a pass does not check.
    fn log_unchecked(&self, now: Now) {
        if !tracing::enabled!(Level::INFO) {
            return;
        }
        for (_, runtime) in self.monitors.monitors() {
            let is_checked = runtime.check_at().is_some_and(|at| at <= now.mono);
            if !is_checked && runtime.state.health().is_down() {
                let watch = runtime.monitor.watch();
                let said = Announcement::of(&self.context.routes, &watch.policy, &runtime.state, now);
                tracing::info!("{}: {said}", printable(&watch.name));
            }
        }
    }

    /// Logs what was decided after a check of the monitor or the part at `index`. A pass says all
    /// of it; a daemon, which checks again and again, only news.
    pub(super) fn log_decisions(&self, index: usize, effects: &Effects, outcome: &Outcome, now: Now) {
        let is_news =
            effects.transition.is_some() || effects.unknown_changed || !effects.notifications.is_empty();
        let as_info = self.context.is_pass || is_news;
        let is_wanted = match as_info {
            true => tracing::enabled!(Level::INFO),
            false => tracing::enabled!(Level::DEBUG),
        };
        let Some(runtime) = self.monitors.at(index).filter(|_| is_wanted) else {
            return;
        };
        let watch = runtime.monitor.watch();
        let (routes, policy) = (&self.context.routes, &watch.policy);
        let mut said = Vec::new();
        let announcement = Announcement::of(routes, policy, &runtime.state, now);
        match effects.transition {
            Some(Transition::Recovery) => {
                said.extend(announcement::unsent_recovery(routes, policy, effects));
            }
            Some(Transition::SoftCleared) => said.push(format!(
                "nobody was notified: it is up again after fewer failed checks than {} (max_retries)",
                policy.max_retries
            )),
            _ if announcement.is_nothing() && outcome.is_degraded() => {
                said.push("nobody is notified: a warning is only shown".to_owned());
            }
            _ if announcement.is_nothing() => {}
            _ => said.push(announcement.to_string()),
        }
        if !effects.notifications.is_empty() {
            let left_out = routes.exclusions(policy);
            said.extend(left_out.map(|(id, why)| format!("{} {why}", printable(id))));
        }
        said.extend(runtime.no_heartbeat(now.mono).map(|why| why.to_string()));
        for text in said {
            match as_info {
                true => tracing::info!("{}: {text}", printable(&watch.name)),
                false => tracing::debug!("{}: {text}", printable(&watch.name)),
            }
        }
    }
}
