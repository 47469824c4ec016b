//! The directory of a site's files, and reading them.

mod fetch;
mod metric_names;
mod resample;
mod series_reader;
mod stems;

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use self::fetch::{Query, percentile};
use self::stems::Stems;
pub(crate) use self::{
    metric_names::MetricNames,
    stems::{earlier, earlier_name},
};
use crate::{client::Librrd, template::FileKind};

/// The directory of a site's files. Cheap to clone; the clones are one.
///
/// ```no_run
/// use std::{process::Command, sync::Arc};
///
/// use apmon_core::SystemClock;
/// use apmon_rrd::{Archive, FileKind, Query, RrdWriter, Rows, WriterOptions};
///
/// // Its program calls `apmon_rrd::serve()`.
/// let command = Command::new("/usr/lib/rrd-worker");
/// let archive = Archive::worker("/var/lib/site.statefile.rrd", command);
/// let options = WriterOptions::daemon(Rows::Full);
/// let writer = RrdWriter::start(&archive, options, Arc::new(SystemClock::new()))?;
/// // An engine with `.metrics(Arc::new(writer))` records every check.
///
/// let day = 1_790_000_000..1_790_086_400;
/// let query = Query::new("web", FileKind::Availability, day, 400);
/// let response_times = archive.fetch(&query)?.column("response_time");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Archive {
    inner: Arc<Inner>,
}

struct Inner {
    directory: PathBuf,
    librrd: Librrd,
    stems: Mutex<Stems>,
    flush: Mutex<Option<Flush>>,
}

/// Writes what waits to be written.
type Flush = Arc<dyn Fn() + Send + Sync>;

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Archive").field(&self.inner.directory).finish()
    }
}

impl Archive {
    /// The archive in this directory, which need not exist. Nothing is read or started yet.
    #[must_use]
    pub fn open(directory: impl Into<PathBuf>, librrd: Librrd) -> Self {
        let directory = directory.into();
        Self {
            inner: Arc::new(Inner {
                stems: Mutex::new(Stems::read(&directory)),
                directory,
                librrd,
                flush: Mutex::default(),
            }),
        }
    }

    /// The archive in this directory. librrd runs in a child process: a program that calls
    /// [`serve`](crate::serve()), started with the first request.
    #[must_use]
    pub fn worker(directory: impl Into<PathBuf>, command: Command) -> Self {
        Self::open(directory, Librrd::worker(command))
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }

    /// Whether there is such a directory.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.inner.directory.is_dir()
    }

    /// Decides which monitor has which files: all monitors of the site, in the order of the site
    /// file. Without it they are decided about in the order in which they are asked for.
    pub fn assign<'a>(&self, monitors: impl IntoIterator<Item = &'a str>) {
        let monitors: Vec<&str> = monitors.into_iter().collect();
        let there = stems::stems_in(&self.inner.directory);
        self.stems().assign(&monitors, &|stem| there.contains(stem));
    }

    /// The path of a monitor's file.
    #[must_use]
    pub fn file_of(&self, monitor: &str, kind: FileKind) -> PathBuf {
        let mut stems = self.stems();
        if stems.of(monitor).is_none() {
            let is_there = |stem: &str| FileKind::ALL.iter().any(|kind| self.path(stem, *kind).exists());
            stems.assign(&[monitor], &is_there);
        }
        let stem = stems.of(monitor).unwrap_or_default();
        self.path(stem, kind)
    }

    /// What stands before `-availability.rrd` in the names of a monitor's files.
    #[must_use]
    pub fn stem_of(&self, monitor: &str) -> String {
        let path = self.file_of(monitor, FileKind::Availability);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let suffix = format!("{}.rrd", FileKind::Availability.suffix());
        name.strip_suffix(&suffix).unwrap_or(&name).to_owned()
    }

    pub(crate) fn librrd(&self) -> &Librrd {
        &self.inner.librrd
    }

    /// Writes which monitor has which files, where that is not plain from their names.
    pub(crate) fn save_names(&self) -> io::Result<()> {
        self.stems().save(&self.inner.directory)
    }

    /// Has `flush` called before something is read.
    pub(crate) fn flush_by(&self, flush: Option<Flush>) {
        *self.inner.flush.lock().unwrap_or_else(PoisonError::into_inner) = flush;
    }

    /// Writes what this process has not written yet.
    fn flush(&self) {
        let flush = self
            .inner
            .flush
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(flush) = flush {
            flush();
        }
    }

    fn stems(&self) -> MutexGuard<'_, Stems> {
        self.inner.stems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, stem: &str, kind: FileKind) -> PathBuf {
        self.inner.directory.join(format!("{stem}{}.rrd", kind.suffix()))
    }
}

/// Replaces a file, so that it is never half written. Anybody may read it, as the data beside it.
fn write_atomically(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = fs::File::create(&new)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(directory: &Path) -> Archive {
        Archive::worker(directory, Command::new("/nonexistent"))
    }

    #[test]
    fn the_files_are_named_as_apmonitor_names_them() {
        let directory = tempfile::tempdir().unwrap();
        let archive = archive(directory.path());
        let name = |monitor, kind| {
            let path = archive.file_of(monitor, kind);
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(
            name("Büro-Switch", FileKind::Availability),
            "Büro-Switch-availability.rrd"
        );
        assert_eq!(name("core/1", FileKind::Snmp), "core_1-snmp.rrd");
        assert_eq!(name("core:1", FileKind::Snmp), "core_1~2-snmp.rrd");
        assert_eq!(name("core/1", FileKind::Metrics), "core_1-metrics.rrd");
        assert_eq!(archive.stem_of("core:1"), "core_1~2");
        assert_eq!(name("", FileKind::Availability), "-availability.rrd");
    }

    #[test]
    fn the_order_of_the_site_file_decides() {
        let directory = tempfile::tempdir().unwrap();
        let archive = archive(directory.path());
        archive.assign(["web 1", "web_1"]);
        assert_eq!(archive.stem_of("web_1"), "web_1~2");
        assert_eq!(archive.stem_of("web 1"), "web_1");
        archive.save_names().unwrap();

        let again = self::archive(directory.path());
        again.assign(["web_1", "web 1"]);
        assert_eq!(again.stem_of("web_1"), "web_1~2");
    }

    #[test]
    fn a_file_that_is_there_stays_with_the_monitor_of_its_name() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("Web-availability.rrd"), "").unwrap();
        fs::write(directory.path().join("web-snmp.rrd"), "").unwrap();
        let archive = archive(directory.path());
        archive.assign(["WEB", "web", "Web"]);
        for (monitor, stem) in [("WEB", "WEB~2"), ("web", "web"), ("Web", "Web")] {
            assert_eq!(archive.stem_of(monitor), stem);
        }
    }
}
