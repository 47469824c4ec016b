//! The data for a status.

use super::Dispatcher;
use crate::engine::{
    runtime::{CheckPhase, MonitorRuntime},
    status::{ChecksStatus, MonitorSnapshot, SiteStatus, StatusSnapshot, millis},
};

impl Dispatcher {
    /// The data for a status. Ten thousand monitors cost a millisecond: their data is shared,
    /// and converted elsewhere. Notifications are those about `monitor`, or all.
    pub(super) fn snapshot(&mut self, monitor: Option<&str>) -> StatusSnapshot {
        let now = self.shared.clock.now();
        let (channels, outbox) = self.delivery.status(monitor, now);
        let runtimes = self.monitors.monitors();
        let missed = runtimes.clone().map(|(_, runtime)| runtime.missed).sum::<u64>();
        let lateness = &self.report.lateness;
        let monitors = runtimes.map(|(index, runtime)| {
            let monitor = of_runtime(runtime);
            let parts = self.monitors.parts_of(index).into_iter();
            let parts = parts.filter_map(|part| {
                Some(MonitorSnapshot {
                    // They are checked together.
                    checking: monitor.checking,
                    next_check: monitor.next_check,
                    ..of_runtime(self.monitors.at(part)?)
                })
            });
            MonitorSnapshot {
                parts: parts.collect(),
                ..monitor
            }
        });
        StatusSnapshot {
            now,
            monitors: monitors.collect(),
            routes: self.context.routes.clone(),
            site: SiteStatus {
                site: self.context.site.clone(),
                at: now.wall,
                started: Some(self.started),
                no_notify: self.context.routes.is_off(),
                unsaved: self.persistence.is_failing() || self.persistence.has_oversized(),
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
}

fn of_runtime(runtime: &MonitorRuntime) -> MonitorSnapshot {
    MonitorSnapshot {
        monitor: runtime.monitor.clone(),
        state: runtime.state.clone(),
        device: runtime.device.clone(),
        checking: runtime.check_phase != CheckPhase::Idle,
        next_check: runtime.check_at(),
        next_reminder: runtime.reminder,
        next_heartbeat: runtime.next_heartbeat(),
        warning: runtime.warning.clone(),
        parts: Vec::new(),
    }
}
