//! Recording every check: a queue, and one thread that writes.

mod aside;
mod file;
mod files;
mod library;
mod opening;
mod queue;
mod rows;
mod sample;
#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use apmon_core::{CheckRecord, Clock, MetricSink};
use async_trait::async_trait;
use tokio::sync::watch;

pub(crate) use self::aside::{Reason, is_before_13, is_temporary, set_aside};
use self::{
    files::{Extent, Files},
    library::Library,
    queue::Queue,
    sample::Sample,
};
use crate::{archive::Archive, rows::Rows};

/// The most figures in the queue, 40 bytes each.
const MOST_FIGURES: usize = 250_000;

/// How long a reader waits until what was recorded is written.
const READER_WAITS: Duration = Duration::from_secs(5);

/// How a writer writes.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct WriterOptions {
    /// How much is kept in new files.
    pub rows: Rows,
    /// How long the values of a file are collected before they are written. `None` is five of its
    /// steps, and at least a minute. It is never less than a second, of whose checks the last
    /// counts. A process that is killed loses as much.
    pub flush_every: Option<Duration>,
    /// Whether values are not collected at all: the process checks each monitor once.
    pub at_once: bool,
    /// The most files that are created. With `None`, 20 are created a second.
    pub most_created: Option<u32>,
}

impl WriterOptions {
    /// For a daemon.
    #[must_use]
    pub fn daemon(rows: Rows) -> Self {
        Self {
            rows,
            flush_every: None,
            at_once: false,
            most_created: None,
        }
    }

    /// For a pass, which checks every monitor once: everything is written at once, and at most 200
    /// files are created. The next pass creates others.
    #[must_use]
    pub fn pass(rows: Rows) -> Self {
        Self {
            at_once: true,
            most_created: Some(200),
            ..Self::daemon(rows)
        }
    }

    /// How long the values of a file with this step are collected.
    fn wait(&self, step: u64) -> Duration {
        if self.at_once {
            return Duration::ZERO;
        }
        let wait = self
            .flush_every
            .unwrap_or_else(|| Duration::from_secs(step.saturating_mul(5).max(60)));
        wait.max(Duration::from_secs(1))
    }
}

/// What a writer has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct WriterReport {
    /// Value sets that are in the files.
    pub stored: u64,
    /// Checks of which another one in the same second counts.
    pub replaced: u64,
    /// Value sets that librrd refused: the clock was set back.
    pub refused: u64,
    /// Value sets that could not be written.
    pub lost: u64,
    /// Checks that were dropped because the writer was slower than they are.
    pub dropped: u64,
    /// Files that were created.
    pub created: u64,
    /// Files that got more data sources.
    pub grown: u64,
    /// Files that are not created yet, because the number that is created at once is limited.
    pub not_created: u64,
}

/// Records every check in the files of an [`Archive`].
///
/// A check costs the engine an entry in a queue. If the writer is slower than the checks, the
/// oldest entries are dropped and counted. The archive can be read while it is written, and
/// afterwards; the child ends with the last archive.
pub struct RrdWriter {
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
    archive: Archive,
}

/// What the writer and its thread share.
struct Shared {
    queue: Queue,
    report: Mutex<WriterReport>,
    is_useless: AtomicBool,
}

impl Shared {
    fn report(&self) -> MutexGuard<'_, WriterReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RrdWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RrdWriter");
        debug.field("archive", &self.archive).finish_non_exhaustive()
    }
}

impl RrdWriter {
    /// Starts the thread, and the child that runs librrd.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn start(archive: &Archive, options: WriterOptions, clock: Arc<dyn Clock>) -> io::Result<Self> {
        archive.librrd().start();
        let library = Arc::new(archive.librrd().clone());
        Self::start_with(archive, library, options, clock)
    }

    fn start_with(
        archive: &Archive,
        library: Arc<dyn Library>,
        options: WriterOptions,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Queue::default(),
            report: Mutex::default(),
            is_useless: AtomicBool::new(false),
        });
        let (end, ended) = watch::channel(false);
        let thread = Thread {
            files: Files::new(archive.clone(), library, options),
            shared: Arc::clone(&shared),
            archive: archive.clone(),
            clock,
        };
        thread::Builder::new().name("history".to_owned()).spawn(move || {
            // Dropped at the end, even by a panic.
            let _end = end;
            thread.run();
        })?;
        let for_readers = Arc::downgrade(&shared);
        archive.flush_by(Some(Arc::new(move || {
            if let Some(shared) = for_readers.upgrade()
                && !shared.queue.flush(READER_WAITS)
            {
                tracing::warn!("the history that is read lacks the last checks: they are not written yet");
            }
        })));
        Ok(Self {
            shared,
            ended,
            archive: archive.clone(),
        })
    }

    /// Writes everything that waits to be written. Returns whether it was written before `timeout`.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> bool {
        self.shared.queue.flush(timeout)
    }

    /// What it has done so far.
    #[must_use]
    pub fn report(&self) -> WriterReport {
        let report = *self.shared.report();
        WriterReport {
            dropped: self.shared.queue.dropped(),
            ..report
        }
    }
}

#[async_trait]
impl MetricSink for RrdWriter {
    fn record(&self, check: &CheckRecord<'_>) {
        if !self.shared.is_useless.load(Ordering::Relaxed) {
            self.shared.queue.push(Sample::of(check), MOST_FIGURES);
        }
    }

    async fn finish(&self, deadline: tokio::time::Instant) {
        self.shared.queue.close();
        let mut ended = self.ended.clone();
        // The sender is dropped when the thread ends.
        let end = async { while ended.changed().await.is_ok() {} };
        if tokio::time::timeout_at(deadline, end).await.is_err() {
            tracing::warn!(
                "the last checks may be missing in the history: they could not be written in time"
            );
        }
    }
}

impl Drop for RrdWriter {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

/// The thread that writes.
struct Thread {
    files: Files,
    shared: Arc<Shared>,
    archive: Archive,
    clock: Arc<dyn Clock>,
}

impl Thread {
    fn run(mut self) {
        let swept = aside::sweep(self.archive.directory(), SystemTime::from(self.clock.now().wall));
        if swept > 0 {
            tracing::info!(
                "{swept} temporary files of a killed process are deleted in {}",
                self.archive.directory().display()
            );
        }
        while self.turn() {}
        self.say_what_is_missing();
    }

    /// Does what there is to do. Returns whether there will be more.
    fn turn(&mut self) -> bool {
        let now = self.clock.now();
        // What is on its way is waited for when there is nothing else to do.
        let timeout = match self.files.is_waiting() {
            true => Some(Duration::ZERO),
            false => self.files.next_due().map(|due| due.since(now.mono)),
        };
        let work = self.shared.queue.take(timeout);
        let now = self.clock.now();
        for monitor in &work.broken {
            self.files.mark_broken(monitor);
        }
        for sample in &work.samples {
            self.files.take(sample, now);
        }
        self.files.write_due(now);
        match (work.is_closed, work.flush) {
            (true, _) => self.files.write_all(Extent::Last, now),
            (false, Some(_)) => self.files.write_all(Extent::All, now),
            (false, None) if work.samples.is_empty() => self.files.settle(now),
            (false, None) => {}
        }
        if self.files.is_useless {
            self.shared.is_useless.store(true, Ordering::Relaxed);
            self.files.give_up();
        }
        *self.shared.report() = self.files.report;
        if let Some(flush) = work.flush {
            self.shared.queue.flushed(flush);
        }
        !work.is_closed
    }

    fn say_what_is_missing(&self) {
        let report = &self.files.report;
        if report.not_created > 0 {
            tracing::info!(
                "{} files of the history are not created yet; {} were created this time",
                report.not_created,
                report.created
            );
        }
        let dropped = self.shared.queue.dropped();
        if report.lost + dropped > 0 && !self.files.is_useless {
            tracing::warn!("{} values are missing in the history", report.lost + dropped);
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // Nobody waits for ever, even after a panic.
        self.shared.queue.ended();
    }
}
