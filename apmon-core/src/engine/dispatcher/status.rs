//! Status requests, and retries on request.

use super::Dispatcher;
use crate::engine::{
    EngineError,
    runtime::CheckPhase,
    status::{ChecksStatus, MonitorSnapshot, SiteStatus, StatusSnapshot, millis},
};

impl Dispatcher {
    /// The data for a status. Ten thousand monitors cost a millisecond: their data is shared,
    /// and converted elsewhere.
    pub(super) fn snapshot(&mut self) -> StatusSnapshot {
        let now = self.shared.clock.now();
        let known = self.plan.channels.iter().map(|channel| channel.id.as_str());
        let (mut channels, outbox) = self.outbox.status(known, now);
        for channel in &mut channels {
            self.stats.fill(channel);
            if self.plan.no_notify {
                channel.next_try = None;
            }
        }
        let runtimes = self.runtimes.iter().flatten();
        let missed = runtimes.clone().map(|runtime| runtime.missed).sum::<u64>();
        let lateness = &self.report.lateness;
        let monitors = runtimes.map(|runtime| MonitorSnapshot {
            monitor: runtime.monitor.clone(),
            state: runtime.state.clone(),
            device: runtime.device.clone(),
            checking: runtime.check_phase != CheckPhase::Idle,
            next_check: runtime.check_at(),
            next_reminder: runtime.reminder,
        });
        StatusSnapshot {
            now,
            monitors: monitors.collect(),
            site: SiteStatus {
                site: self.plan.site.clone(),
                at: now.wall,
                started: Some(self.started),
                no_notify: self.plan.no_notify,
                unsaved: self.pending.failing,
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

    /// Retries the notifications of one channel, or of all, on request.
    pub(super) fn retry(&mut self, channel: Option<&str>) -> Result<usize, EngineError> {
        if self.plan.no_notify {
            return Err(EngineError::NotifyOff);
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
        tracing::info!(channel, messages, "retrying messages on request");
        Ok(messages)
    }
}
