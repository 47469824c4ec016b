//! APMonitor's JSON state file as a store.

mod file;
mod local_time;
mod read;
mod write;

use std::path::Path;

use apmon_core::{Clock, Commit, Snapshot, StateStore, StoreError, SystemClock};
use async_trait::async_trait;
use jiff::tz::TimeZone;

pub(crate) use self::file::JsonFile;
use crate::{
    lock::{Lock, LockError},
    model::{Loaded, Model},
    store_thread::{Backend, StoreThread},
    trust::Trust,
};

/// The state of one site in one JSON file.
///
/// All reading and writing happens on a thread of its own, one step after the
/// other. Dropping the store waits for nothing: what was acknowledged is on
/// disk, and a disk that hangs must not keep a program from ending. The thread
/// ends after the step under way and then releases the lock.
#[derive(Debug)]
pub struct JsonStore {
    thread: StoreThread,
}

impl JsonStore {
    /// Opens a store on `path` without touching the file yet. Times are written
    /// in `zone`. The `lock` (see [`JsonStore::lock`]) is held for as long as
    /// anything can still be written; without one, other processes are not kept
    /// away. A file of another user, except root, is not read.
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
        let backend = JsonBackend {
            file: JsonFile::new(path, trust),
            zone,
        };
        let thread = StoreThread::start(path, backend, lock)?;
        Ok(Self { thread })
    }

    /// Keeps other processes away from the state file at `path` while the lock
    /// is held. Creates the file's directory (mode 755) where it is missing.
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
        Lock::of(path.as_ref(), note, trust)
    }
}

#[async_trait]
impl StateStore for JsonStore {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.thread.load().await
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.thread.commit(commit).await
    }

    /// Also without a lock, for which the program that opened it has its reasons: alerts must
    /// not wait for a broken disk.
    fn is_exclusive(&self) -> bool {
        true
    }
}

struct JsonBackend {
    file: JsonFile,
    zone: TimeZone,
}

impl Backend for JsonBackend {
    fn read(&mut self) -> Result<Loaded, StoreError> {
        self.file.load(&self.zone, SystemClock::new().now().wall)
    }

    fn write(&mut self, _: &Commit, model: &Model) -> Result<(), StoreError> {
        self.file.replace(|out| write::to_writer(out, model, &self.zone))
    }
}

/// Reads the file at `path` without owning it.
pub(crate) fn read_only(path: &Path, zone: &TimeZone) -> Result<Loaded, StoreError> {
    JsonFile::new(path, Trust::Everybody).read_only(zone)
}
