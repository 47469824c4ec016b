//! A SQLite database as a store: the daemon's.

mod backend;
mod history;
mod intact;
mod memory;
mod open;
mod record;
mod rescue;
mod schema;
mod table;
mod value;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use apmon_core::{CheckResult, Commit, Snapshot, StateStore, StoreError};
use async_trait::async_trait;
use jiff::tz::TimeZone;
use tokio::sync::oneshot;

use self::backend::SqliteBackend;
pub use self::history::{History, Span};
use crate::{
    file::display,
    lock::{Lock, LockError},
    model::Loaded,
    store_thread::StoreThread,
    trust::Trust,
};

/// Days for which incidents and deliveries are kept by default.
pub const HISTORY_DAYS: u32 = 400;

/// The state and history of one site in one SQLite database.
///
/// All reading and writing happens on a thread of its own, one step after the
/// other. Each commit is one transaction and is on disk when it is acknowledged.
/// Dropping the store waits for nothing. [`History`] reads the database at the
/// same time.
///
/// Where there is no database yet, the first commit imports the JSON state file
/// of the same name, which is then renamed to `.json.imported`.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    thread: StoreThread,
    history_days: Arc<AtomicU32>,
}

impl SqliteStore {
    /// Opens a store on `path` without touching the file yet. The times of an
    /// imported JSON file are read in `zone`. The `lock` (see
    /// [`SqliteStore::lock`]) is held for as long as anything can still be
    /// written; without one, other processes are not kept away. Files of another user,
    /// except root, are not read.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn open(path: impl AsRef<Path>, zone: TimeZone, lock: Option<Lock>) -> Result<Self, StoreError> {
        Self::open_as(path, zone, lock, Trust::Own)
    }

    /// As [`open`](Self::open), for the files of those who are trusted.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_as(
        path: impl AsRef<Path>,
        zone: TimeZone,
        lock: Option<Lock>,
        trust: Trust,
    ) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let history_days = Arc::new(AtomicU32::new(HISTORY_DAYS));
        let backend = SqliteBackend::new(path, zone, lock.is_some(), trust, Arc::clone(&history_days));
        let thread = StoreThread::start(path, backend, lock)?;
        Ok(Self {
            path: path.to_owned(),
            thread,
            history_days,
        })
    }

    /// Keeps other processes away from the database at `path`, and from the JSON
    /// state file it imports, while the lock is held. Creates the directory (mode
    /// 755) where it is missing.
    ///
    /// # Errors
    /// When another process holds the lock, or the lock file cannot be created or belongs to
    /// another user.
    pub fn lock(path: impl AsRef<Path>) -> Result<Lock, LockError> {
        Self::lock_as(path, "", Trust::Own)
    }

    /// As [`lock`](Self::lock), with one line in which the holder describes itself to a process
    /// that finds the lock held, and for the lock files of those who are trusted.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn lock_as(path: impl AsRef<Path>, note: &str, trust: Trust) -> Result<Lock, LockError> {
        let path = path.as_ref();
        let lock = Lock::of(path, note, trust)?;
        // A pass that started before there was a database uses the JSON file.
        let json = json_path(path);
        match Lock::of(&json, note, trust) {
            Ok(other) => Ok(lock.with(other)),
            Err(held @ LockError::Held { .. }) => Err(held),
            Err(LockError::Io { .. } | LockError::Foreign { .. }) => Ok(lock),
        }
    }

    /// Closes the database once everything asked for before is done, and leaves nothing of it but
    /// the one file. It is opened again when it is used again.
    ///
    /// # Errors
    /// When the store's thread has ended.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.thread.close().await
    }

    /// Sets for how many days incidents and deliveries are kept, from the next
    /// commit on; [`HISTORY_DAYS`] by default.
    pub fn keep_history(&self, days: u32) {
        self.history_days.store(days, Ordering::Relaxed);
    }
}

#[async_trait]
impl StateStore for SqliteStore {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.thread.load().await
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.thread.commit(commit).await
    }

    fn keeps_history(&self) -> bool {
        true
    }

    /// Also without a lock, for which the program that opened it has its reasons: alerts must
    /// not wait for a broken disk.
    fn is_exclusive(&self) -> bool {
        true
    }

    async fn recent_results(&self, most: usize) -> Result<BTreeMap<String, Vec<CheckResult>>, StoreError> {
        // A thread of its own: a million rows take a second.
        let path = self.path.clone();
        let (reply, answer) = oneshot::channel();
        let read = move || {
            let results = match path.exists() {
                true => History::open(&path).and_then(|history| history.recent(most)),
                false => Ok(BTreeMap::new()),
            };
            drop(reply.send(results));
        };
        thread::Builder::new()
            .name("apmon-history".into())
            .spawn(read)
            .map_err(|source| StoreError::Io {
                step: "start a thread for",
                place: display(&self.path),
                source,
            })?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }
}

/// The most text that is read from a database only to be shown; it may be anybody's.
const MAX_SHOWN_BYTES: usize = 256 << 20;

/// Reads the database at `path` without owning it.
pub(crate) fn read_only(path: &Path) -> Result<Loaded, StoreError> {
    open::may_be_read(path)?;
    let failed = |step| move |error| open::sqlite_error(step, path, error);
    let connection = open::to_read(path).map_err(failed("open"))?;
    if open::version_of(&connection, path)? == 0 {
        return Ok(Loaded::empty(Vec::new()));
    }
    table::read_some(&connection, &display(path), MAX_SHOWN_BYTES).map_err(failed("read"))
}

/// The JSON state file that a database imports.
fn json_path(path: &Path) -> PathBuf {
    path.with_extension("json")
}
