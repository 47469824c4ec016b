//! The history of a running site: the writer, and what pages show besides.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use apmon_core::{CheckRecord, Device, MetricSink, SystemClock, text::printable};
use apmon_rrd::{Archive, RrdWriter, WriterOptions};
use async_trait::async_trait;
use tokio::time::Instant;

use super::{settings::Settings, size, worker::librrd};
use crate::{site::RunMode, thread};

/// How long a pass waits at its end until its values are written: it may have created 200 files
/// on a slow disk.
pub(crate) const PASS_WRITES: Duration = Duration::from_secs(30);
/// How long a pass takes longer with history, pages and their pictures included.
pub(crate) const PASS_END: Duration = Duration::from_secs(120);
/// How long a change of the settings waits for what was recorded under the former ones.
const CHANGE_WRITES: Duration = Duration::from_secs(5);

/// The history of a site; nothing is loaded or started while it keeps none. The clones are one.
#[derive(Clone)]
pub(crate) struct History {
    mode: RunMode,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    current: Mutex<Option<Current>>,
    figures: Mutex<Figures>,
    said: Mutex<Said>,
}

/// A history that is kept.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) settings: Arc<Settings>,
    pub(super) archive: Archive,
    writer: Arc<RrdWriter>,
}

/// What pages show and no status has.
#[derive(Clone, Default)]
pub(super) struct Figures {
    /// What each device last said of itself.
    pub(super) devices: HashMap<String, Arc<Device>>,
    /// How much of its root file system is in use, in percent.
    pub(super) disk_space: HashMap<String, f64>,
}

/// What is wrong with the files and was said already.
#[derive(Default)]
pub(super) struct Said(HashSet<String>);

/// The metric of the root file system.
pub(super) const DISK_SPACE: &str = "disk_space_pct";

impl History {
    pub(crate) fn new(mode: RunMode) -> Self {
        Self {
            mode,
            inner: Arc::default(),
        }
    }

    /// Whether MRTG's files are written.
    pub(crate) fn has_pages(&self) -> bool {
        let current = self.current();
        current
            .as_ref()
            .is_some_and(|current| current.settings.mrtg.is_some())
    }

    /// Keeps the history as these settings say, or no more. Reports an error of its own and goes
    /// on without history: monitoring does not depend on it.
    pub(crate) async fn configure(&self, settings: Option<Settings>) {
        let former = self.current().clone();
        let next = match (settings, former.clone()) {
            (None, None) => return,
            (None, Some(_)) => None,
            (Some(settings), Some(former)) if former.settings.is_written_as(&settings) => {
                former.assign(&settings);
                *self.current() = Some(Current {
                    settings: Arc::new(settings),
                    ..former
                });
                return;
            }
            (Some(settings), _) => Some(settings),
        };
        *self.current() = None;
        let is_ended = next.is_none();
        if let Some(former) = former {
            // Two writers would keep each other from the files.
            former.writer.finish(Instant::now() + CHANGE_WRITES).await;
            if is_ended {
                tracing::info!(
                    "{}: history is no longer recorded",
                    printable(&former.settings.site)
                );
            }
        }
        let Some(settings) = next else { return };
        let mode = self.mode;
        let site = settings.site.clone();
        match thread::run("history", move || Current::start(settings, mode)).await {
            Ok(current) => *self.current() = Some(current),
            Err(error) => {
                tracing::error!("{}: history is not recorded: {error:#}", printable(&site));
            }
        }
    }

    /// Writes what was recorded, within `limit`. Returns whether all of it is written.
    pub(crate) async fn flush(&self, limit: Duration) -> bool {
        let Some(current) = self.current().clone() else {
            return true;
        };
        let flushed = thread::run("flush", move || Ok(current.writer.flush(limit))).await;
        flushed.unwrap_or(false)
    }

    /// Ends a pass: what is not written by now is lost.
    pub(crate) async fn end(&self) {
        let current = self.current().take();
        if let Some(current) = current {
            current.writer.finish(Instant::now() + CHANGE_WRITES).await;
        }
    }

    pub(super) fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.inner.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what is wrong with a site's files, once.
    pub(super) fn say(&self, site: &str, problem: String) {
        let mut said = self.inner.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.0.contains(&problem) {
            tracing::warn!("{}: {}", printable(site), printable(&problem));
            said.0.insert(problem);
        }
    }

    pub(super) fn figures(&self) -> MutexGuard<'_, Figures> {
        self.inner.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl MetricSink for History {
    fn record(&self, check: &CheckRecord<'_>) {
        let current = self.current();
        let Some(current) = &*current else { return };
        current.writer.record(check);
        if current.settings.mrtg.is_some() {
            self.figures().note(check);
        }
    }

    async fn finish(&self, deadline: Instant) {
        // A pass still draws from it, and takes its time.
        if self.mode == RunMode::Daemon {
            let current = self.current().take();
            if let Some(current) = current {
                current.writer.finish(deadline).await;
            }
        }
    }
}

impl Current {
    fn start(settings: Settings, mode: RunMode) -> anyhow::Result<Self> {
        let archive = Archive::open(&settings.directory, librrd());
        let mut options = match mode {
            RunMode::Daemon => WriterOptions::daemon(settings.rows.clone()),
            RunMode::Pass => WriterOptions::pass(settings.rows.clone()),
        };
        if mode == RunMode::Daemon && settings.flush.is_some() {
            options.flush_every = settings.flush;
        }
        let writer = RrdWriter::start(&archive, options, Arc::new(SystemClock::new()))?;
        let current = Self {
            archive,
            writer: Arc::new(writer),
            settings: Arc::new(settings),
        };
        current.assign(&current.settings);
        size::log(&current.settings, &current.archive);
        Ok(current)
    }

    /// Decides which monitor has which files, by the order of the site file.
    fn assign(&self, settings: &Settings) {
        let names = settings.monitors.iter().map(|monitor| monitor.name.as_str());
        self.archive.assign(names);
    }
}

impl Figures {
    fn note(&mut self, check: &CheckRecord<'_>) {
        let name = &check.watch.name;
        if let Some(device) = &check.observation.device {
            self.devices.insert(name.clone(), Arc::clone(device));
        }
        let metrics = &check.observation.outcome.metrics;
        if let Some(metric) = metrics.iter().find(|metric| metric.name == DISK_SPACE) {
            self.disk_space.insert(name.clone(), metric.value());
        }
    }
}
