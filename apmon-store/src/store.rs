//! The state file of seed 003 as a store.

use std::path::Path;

use apmon_core::{Clock, Commit, Snapshot, StateStore, StoreError, SystemClock};
use async_trait::async_trait;
use jiff::tz::TimeZone;

use crate::{
    desk::{Desk, Keeper},
    disk::Disk,
    lock::{Lock, LockError},
    model::Model,
    write,
};

/// The state of one site in one JSON file.
///
/// All reading and writing happens on one thread of its own, one step after
/// the other. Dropping the store waits for nothing: what was acknowledged is on
/// disk, and a disk that hangs must not keep a program from ending. The thread
/// ends with the step under way, and lets go of the lock then.
#[derive(Debug)]
pub struct JsonStore {
    desk: Desk,
}

impl JsonStore {
    /// A store on `path`, which is not touched yet. Times are written in
    /// `zone`. The `lock` (see [`JsonStore::lock`]) is held for as long as
    /// anything can still be written; without one nobody else is kept off.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn open(path: impl AsRef<Path>, zone: TimeZone, lock: Option<Lock>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let keeper = JsonKeeper {
            disk: Disk::new(path),
            zone,
            model: None,
            newest: 0,
            untold: Vec::new(),
            _lock: lock,
        };
        let desk = Desk::open(path, keeper)?;
        Ok(Self { desk })
    }

    /// Keeps other processes off the state file at `path` while the lock is
    /// held. Makes the file's directory (mode 755) where it is missing.
    ///
    /// # Errors
    /// When another process holds it, or the lock file cannot be made.
    pub fn lock(path: impl AsRef<Path>) -> Result<Lock, LockError> {
        Lock::of(path.as_ref())
    }
}

#[async_trait]
impl StateStore for JsonStore {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.desk.load().await
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.desk.commit(commit).await
    }
}

/// Lives on the thread.
struct JsonKeeper {
    disk: Disk,
    zone: TimeZone,
    model: Option<Model>,
    /// The newest epoch granted.
    newest: u64,
    /// Warnings of a reading that nobody was told.
    untold: Vec<String>,
    _lock: Option<Lock>,
}

impl Keeper for JsonKeeper {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        let mut model = self.read()?;
        model.epoch = model.epoch.max(self.newest).saturating_add(1);
        self.newest = model.epoch;
        let snapshot = model.snapshot(std::mem::take(&mut self.untold));
        self.model = Some(model);
        Ok(snapshot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        if self.model.is_none() {
            let model = self.read()?;
            self.newest = model.epoch;
            self.model = Some(model);
        }
        let model = self.model.as_mut().ok_or(StoreError::Stopped)?;
        if commit.epoch < self.newest {
            return Err(StoreError::Superseded {
                epoch: commit.epoch,
                newest: self.newest,
            });
        }
        if commit.is_empty() {
            return Ok(());
        }
        let undo = model.apply(commit);
        let written = self.disk.replace(|out| write::to_writer(out, model, &self.zone));
        match written {
            Ok(()) => self.newest = model.epoch,
            Err(_) => model.take_back(undo),
        }
        written
    }
}

impl JsonKeeper {
    fn read(&mut self) -> Result<Model, StoreError> {
        let (model, warnings) = self.disk.load(&self.zone, SystemClock::new().now().wall)?;
        self.untold.extend(warnings);
        Ok(model)
    }
}
