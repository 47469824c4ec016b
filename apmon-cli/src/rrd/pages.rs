//! MRTG's files of a site: the configuration, the pages, and their pictures.

use std::{collections::HashMap, time::Duration};

use apmon_core::{Handle, MonitorStatus, Received, SiteStatus, Update, local_zone};
use apmon_rrd::{
    Archive, FileKind,
    mrtg::{self, Destination, MonitorView, SiteView},
};
use tokio::time::Instant;

use super::{
    history::{Current, DISK_SPACE, Figures, History},
    picture,
    settings::{MrtgFiles, RecordedMonitor, Settings},
};
use crate::thread;

/// The suffix of pictures that apmon draws: text that any browser scales.
const SUFFIX: &str = "svg";

/// The shortest time between two versions of the pages.
const NOT_BEFORE: Duration = Duration::from_secs(10);
/// The longest.
const AT_LATEST: Duration = Duration::from_secs(60);

impl History {
    /// Writes MRTG's files of the site, if that is asked for.
    pub(crate) async fn write_pages(&self, status: SiteStatus) {
        let Some(current) = self.current().clone() else {
            return;
        };
        let Some(mrtg) = current.settings.mrtg.clone() else {
            return;
        };
        let (history, figures) = (self.clone(), self.figures().clone());
        let written = thread::run("pages", move || {
            history.write(&current, &mrtg, &status, &figures);
            Ok(())
        });
        if let Err(error) = written.await {
            tracing::error!("the pages cannot be written: {error:#}");
        }
    }

    /// Writes MRTG's files of a running site: when the condition of a monitor changes, and from
    /// time to time. Ends with the engine.
    pub(crate) async fn keep_pages(self, engine: Handle) {
        let mut updates = engine.subscribe();
        while let Ok(status) = engine.status().await {
            self.write_pages(status).await;
            let written = Instant::now();
            let mut due = written + AT_LATEST;
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(due) => break,
                    received = updates.next() => match received {
                        Some(received) if is_change(&received) => due = due.min(written + NOT_BEFORE),
                        Some(_) => {}
                        None => return,
                    }
                }
            }
        }
    }

    fn write(&self, current: &Current, mrtg: &MrtgFiles, status: &SiteStatus, figures: &Figures) {
        let Current {
            settings, archive, ..
        } = current;
        let view = view(settings, archive, status, figures);
        let destination = Destination {
            cfg: mrtg.cfg.clone(),
            pages: mrtg.pages.clone(),
            suffix: SUFFIX,
        };
        let written = match mrtg::write(&view, &destination) {
            Ok(written) => written,
            Err(error) => return self.say(&settings.site, with_source(&error)),
        };
        for problem in &written.problems {
            self.say(&settings.site, with_source(problem));
        }
        if !written.has_cgi {
            for problem in picture::draw_stale(&view, archive, &written, SUFFIX) {
                self.say(&settings.site, problem);
            }
        }
    }
}

/// Whether the pages show it.
fn is_change(received: &Received) -> bool {
    match received {
        Received::Missed(_) => true,
        Received::Update(update) => {
            matches!(
                &**update,
                Update::ConditionChanged { .. } | Update::Reloaded { .. }
            )
        }
    }
}

/// An error and what caused it.
fn with_source(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

/// The site as the pages show it.
fn view<'a>(
    settings: &'a Settings,
    archive: &Archive,
    status: &'a SiteStatus,
    figures: &'a Figures,
) -> SiteView<'a> {
    let by_name: HashMap<&str, &MonitorStatus> = status
        .monitors
        .iter()
        .map(|monitor| (monitor.name.as_str(), monitor))
        .collect();
    let monitors = settings.monitors.iter().map(|monitor| {
        let status = by_name.get(monitor.name.as_str()).copied();
        monitor_view(monitor, status, archive, figures)
    });
    SiteView {
        name: &settings.site,
        monitors: monitors.collect(),
        generated: status.at,
        zone: local_zone(),
    }
}

fn monitor_view<'a>(
    monitor: &'a RecordedMonitor,
    status: Option<&'a MonitorStatus>,
    archive: &Archive,
    figures: &'a Figures,
) -> MonitorView<'a> {
    let device = status.and_then(|status| status.device.as_deref());
    let device = device.or_else(|| figures.devices.get(&monitor.name).map(|device| &**device));
    let known = figures.disk_space.get(&monitor.name).copied();
    // The last one that was recorded, where this run has not polled it yet.
    let disk_space = || match monitor.kind {
        "host" => last_disk_space(archive, &monitor.name),
        _ => None,
    };
    MonitorView {
        name: &monitor.name,
        kind: monitor.kind,
        address: &monitor.address,
        display: monitor.display,
        condition: status.map(|status| status.state).unwrap_or_default(),
        since: status.and_then(|status| status.since),
        reason: status.and_then(|status| status.reason.as_deref()),
        last_checked: status.and_then(|status| status.last_checked),
        response_time_ms: status.and_then(|status| status.last_response_time_ms),
        disk_space_pct: known.or_else(disk_space),
        percentile: monitor.percentile,
        file: archive.file_of(&monitor.name, FileKind::main_of(monitor.kind)),
        device,
    }
}

fn last_disk_space(archive: &Archive, monitor: &str) -> Option<f64> {
    let last = archive.last_values(monitor, FileKind::Snmp).ok()?;
    let found = last.values.into_iter().find(|(name, _)| name == DISK_SPACE);
    found.and_then(|(_, value)| value)
}
