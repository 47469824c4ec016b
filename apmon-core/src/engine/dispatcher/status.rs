//! Answers to who asks how things are, and what a person sets going.

use super::Dispatcher;
use crate::engine::{
    EngineError,
    slot::CheckPhase,
    status::{ChecksStatus, SiteStatus, Still, StillMonitor, millis},
};

impl Dispatcher {
    /// How things are. Ten thousand monitors cost a millisecond: what is known
    /// of them is shared, and read elsewhere.
    pub(super) fn still(&mut self) -> Still {
        let now = self.shared.clock.now();
        let known = self.plan.channels.iter().map(|channel| channel.id.as_str());
        let (mut channels, outbox) = self.outbox.survey(known, now);
        for channel in &mut channels {
            self.tallies.fill(channel);
            if self.plan.quiet {
                channel.next_try = None;
            }
        }
        let slots = self.slots.iter().flatten();
        let missed = slots.clone().map(|slot| slot.missed).sum::<u64>();
        let lateness = &self.report.lateness;
        let monitors = slots.map(|slot| StillMonitor {
            monitor: slot.monitor.clone(),
            state: slot.state.clone(),
            device: slot.device.clone(),
            checking: slot.check_phase != CheckPhase::Idle,
            next_check: slot.check_at(),
            next_reminder: slot.reminder,
        });
        Still {
            now,
            monitors: monitors.collect(),
            site: SiteStatus {
                site: self.plan.site.clone(),
                at: now.wall,
                started: Some(self.started),
                quiet: self.plan.quiet,
                unsaved: self.ledger.failing,
                checks: Some(ChecksStatus {
                    ended: lateness.count(),
                    missed: self.report.missed + missed,
                    late_p50_ms: millis(lateness.quantile(0.5)),
                    late_p99_ms: millis(lateness.quantile(0.99)),
                    late_max_ms: millis(lateness.max()),
                }),
                monitors: Vec::new(),
                channels,
                outbox,
            },
        }
    }

    /// A person wants the messages of a channel, or of all, tried again now.
    pub(super) fn retry(&mut self, channel: Option<&str>) -> Result<usize, EngineError> {
        if self.plan.quiet {
            return Err(EngineError::Quiet);
        }
        let known: Vec<_> = self.plan.channels.iter().map(|channel| &channel.id).collect();
        if let Some(channel) = channel.filter(|wanted| !known.iter().any(|id| id == wanted)) {
            return Err(EngineError::UnknownChannel {
                channel: channel.to_owned(),
                known: known.into_iter().cloned().collect(),
            });
        }
        let messages = self.outbox.retry(channel);
        let channel = channel.unwrap_or("all");
        tracing::info!(channel, messages, "messages are tried again, as was asked");
        Ok(messages)
    }
}
