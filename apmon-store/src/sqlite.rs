//! A SQLite database as a store: the daemon's.

mod history;
mod memories;
mod open;
mod record;
mod rows;
mod schema;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use apmon_core::{Clock, Commit, Snapshot, StateStore, StoreError, SystemClock};
use async_trait::async_trait;
use jiff::{Timestamp, tz::TimeZone};
use rusqlite::{Connection, TransactionBehavior};

pub use self::history::{History, Span};
use self::{
    memories::Memories,
    open::{Mark, Opened},
    record::Rings,
};
use crate::{
    desk::{Desk, Keeper},
    disk::{self, Disk, shown},
    lock::{Lock, LockError},
    model::Model,
    place::beside,
};

/// So long are incidents and deliveries kept by default.
pub const HISTORY_DAYS: u32 = 400;

/// So often is looked whether something is too old to be kept.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// The state and history of one site in one SQLite database.
///
/// All reading and writing happens on one thread of its own, one step after
/// the other. Each commit is one transaction, and is on disk when it is
/// acknowledged. Dropping the store waits for nothing. [`History`] reads the
/// file beside it.
///
/// Where there is no database yet it takes over the JSON state file of the
/// same name: that one is renamed to `.json.imported` once all it held is in
/// the database.
#[derive(Debug)]
pub struct SqliteStore {
    desk: Desk,
    history_days: Arc<AtomicU32>,
}

impl SqliteStore {
    /// A store on `path`, which is not touched yet. The times of a JSON file
    /// that is taken over are read in `zone`. The `lock` (see
    /// [`SqliteStore::lock`]) is held for as long as anything can still be
    /// written; without one nobody else is kept off.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn open(path: impl AsRef<Path>, zone: TimeZone, lock: Option<Lock>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let history_days = Arc::new(AtomicU32::new(HISTORY_DAYS));
        let keeper = SqliteKeeper {
            path: path.to_owned(),
            zone,
            history_days: Arc::clone(&history_days),
            model: None,
            newest: 0,
            untold: Vec::new(),
            connection: None,
            mark: None,
            is_whole: true,
            taken_over: None,
            rings: Rings::new(),
            memories: Memories::default(),
            pruned: None,
            _lock: lock,
        };
        let desk = Desk::open(path, keeper)?;
        Ok(Self { desk, history_days })
    }

    /// Keeps other processes off the database at `path`, and off the JSON state
    /// file it takes over, while the lock is held. Makes the directory (mode
    /// 755) where it is missing.
    ///
    /// # Errors
    /// When another process holds it, or a lock file cannot be made.
    pub fn lock(path: impl AsRef<Path>) -> Result<Lock, LockError> {
        let path = path.as_ref();
        let lock = Lock::of(path)?;
        // A pass that began before there was a database works on that one.
        let json = json_of(path);
        match Lock::of(&json) {
            Ok(other) => Ok(lock.with(other)),
            Err(held @ LockError::Held { .. }) => Err(held),
            Err(LockError::Io { .. }) => Ok(lock),
        }
    }

    /// Keeps incidents and deliveries for so many days, from the next commit
    /// on; [`HISTORY_DAYS`] where nothing is said.
    pub fn keep_history(&self, days: u32) {
        self.history_days.store(days, Ordering::Relaxed);
    }
}

#[async_trait]
impl StateStore for SqliteStore {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.desk.load().await
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.desk.commit(commit).await
    }

    fn keeps_history(&self) -> bool {
        true
    }
}

/// Everything but the history, and what could not be read; beside the owner.
pub(crate) fn peek(path: &Path) -> Result<(Model, Vec<String>), StoreError> {
    fs::File::open(path).map_err(|error| disk::failed("read", path, error))?;
    let failed = |step| move |error| open::failed(step, path, error);
    let connection = open::to_read(path).map_err(failed("open"))?;
    if open::version_of(&connection, path)? == 0 {
        return Ok((Model::default(), Vec::new()));
    }
    let reading = rows::read(&connection, &shown(path)).map_err(failed("read"))?;
    Ok((reading.model, reading.doubts))
}

/// The JSON state file that a database takes over.
pub(crate) fn json_of(path: &Path) -> PathBuf {
    path.with_extension("json")
}

/// Lives on the thread.
struct SqliteKeeper {
    path: PathBuf,
    zone: TimeZone,
    history_days: Arc<AtomicU32>,
    /// What the database holds, history apart: should the file go away under
    /// us, a new one gets all of it.
    model: Option<Model>,
    /// The newest epoch granted.
    newest: u64,
    /// Warnings of a reading that nobody was told.
    untold: Vec<String>,
    /// `None` before the first use, and after a failure: it is opened again.
    connection: Option<Connection>,
    /// Which file `connection` is on.
    mark: Option<Mark>,
    /// The file holds what `model` holds. If not, the next commit writes all.
    is_whole: bool,
    /// The JSON file that the next commit takes over.
    taken_over: Option<PathBuf>,
    rings: Rings,
    memories: Memories,
    pruned: Option<Timestamp>,
    _lock: Option<Lock>,
}

impl Keeper for SqliteKeeper {
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
        if commit.epoch < self.newest {
            return Err(StoreError::Superseded {
                epoch: commit.epoch,
                newest: self.newest,
            });
        }
        if commit.is_empty() {
            return Ok(());
        }
        let mut model = self.model.take().ok_or(StoreError::Stopped)?;
        let undo = model.apply(commit.clone());
        let written = self.write(&commit, &model);
        match written {
            Ok(()) => self.newest = model.epoch,
            Err(_) => model.take_back(undo),
        }
        self.model = Some(model);
        written
    }
}

impl SqliteKeeper {
    fn now() -> Timestamp {
        SystemClock::new().now().wall
    }

    /// Everything but the history; from the JSON file where there is no
    /// database yet.
    fn read(&mut self) -> Result<Model, StoreError> {
        self.close();
        match open::read(&self.path)? {
            Opened::Nothing => self.read_json(),
            Opened::Read {
                connection,
                reading,
                mark,
            } => {
                self.untold.extend(reading.doubts);
                self.is_whole = true;
                self.memories.follow(&reading.model);
                self.finish_taking_over(&connection);
                // An older one is opened anew to be written, and brought up to date then.
                let is_present = open::version_of(&connection, &self.path)? == schema::VERSION;
                if is_present && !connection.is_readonly("main").unwrap_or(true) {
                    self.connection = Some(connection);
                    self.mark = mark;
                }
                Ok(reading.model)
            }
            Opened::Damaged { reason, saved } => {
                self.is_whole = false;
                let place = shown(&self.path);
                let fate = match self.set_aside() {
                    Ok(aside) => format!("it was set aside as {}", shown(&aside)),
                    Err(error) => format!("it could not be set aside: {}", error.one_line()),
                };
                self.untold.push(format!("{place} is DAMAGED ({reason}); {fate}"));
                let (model, left) = match saved {
                    Some(reading) => {
                        self.untold.extend(reading.doubts);
                        (
                            reading.model,
                            "its states and messages could be read and are used, its history begins anew",
                        )
                    }
                    // What was taken over once is long over: its messages were
                    // told, its outages are others.
                    None => (
                        Model::default(),
                        "nothing could be read: starting without any state",
                    ),
                };
                self.untold.push(format!("{place} was damaged: {left}"));
                Ok(model)
            }
        }
    }

    fn read_json(&mut self) -> Result<Model, StoreError> {
        self.is_whole = false;
        let json = json_of(&self.path);
        let there = json.exists() || beside(&json, ".old").exists();
        if json == self.path || !there {
            return Ok(Model::default());
        }
        let (model, warnings) = Disk::new(&json).load(&self.zone, Self::now())?;
        self.untold.extend(warnings);
        self.taken_over = Some(json);
        Ok(model)
    }

    /// A crash came between taking the JSON file over and renaming it.
    fn finish_taking_over(&self, connection: &Connection) {
        let json = json_of(&self.path);
        let stamp = disk::stamp(&json);
        let taken = rows::text(connection, "taken_over").ok().flatten();
        if stamp.is_some() && stamp == taken {
            rename_imported(&json);
        }
    }

    fn close(&mut self) {
        self.connection = None;
        self.mark = None;
        self.rings.clear();
        self.memories.doubt();
    }

    fn set_aside(&mut self) -> Result<PathBuf, StoreError> {
        self.close();
        let aside = disk::aside(&self.path, &self.zone, Self::now());
        fs::rename(&self.path, &aside).map_err(|error| disk::failed("set aside", &self.path, error))?;
        // What was not in the database yet goes with it.
        let _ = fs::rename(beside(&self.path, "-wal"), beside(&aside, "-wal"));
        let _ = fs::remove_file(beside(&self.path, "-shm"));
        Ok(aside)
    }

    fn write(&mut self, commit: &Commit, model: &Model) -> Result<(), StoreError> {
        // Somebody removed or replaced the file: what is written there is lost.
        if self.connection.is_some() && open::mark_of(&self.path) != self.mark {
            self.close();
        }
        if self.connection.is_none() {
            if open::is_nothing(&self.path) {
                self.is_whole = false;
            }
            match open::to_write(&self.path) {
                Ok((connection, mark)) => {
                    self.connection = Some(connection);
                    self.mark = mark;
                }
                Err(StoreError::Io { source, .. }) if open::says_damage(&source) => {
                    return Err(self.damaged(&source.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        match self.transact(commit, model) {
            Ok(()) => {
                self.is_whole = true;
                if let Some(json) = self.taken_over.take() {
                    rename_imported(&json);
                }
                Ok(())
            }
            Err(error) if open::is_damage(&error) => Err(self.damaged(&error.to_string())),
            Err(error) => {
                // A disk that comes back wants its files opened anew.
                self.close();
                Err(open::failed("write", &self.path, error))
            }
        }
    }

    /// Found while writing: the next commit begins a new file.
    fn damaged(&mut self, why: &str) -> StoreError {
        let fate = match self.set_aside() {
            Ok(aside) => format!(
                "it was set aside as {}, a new one is begun with all states and messages",
                shown(&aside)
            ),
            Err(error) => format!("it could not be set aside: {}", error.one_line()),
        };
        self.is_whole = false;
        StoreError::Damaged {
            place: shown(&self.path),
            reason: format!("DAMAGED ({why}); {fate}"),
        }
    }

    fn transact(&mut self, commit: &Commit, model: &Model) -> rusqlite::Result<()> {
        let Some(connection) = &mut self.connection else {
            return Err(rusqlite::Error::InvalidQuery);
        };
        let now = Self::now();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if self.is_whole {
            let states = commit.states.iter();
            rows::write_states(
                &transaction,
                states.map(|(name, state)| (name.as_str(), &**state)),
            )?;
            rows::delete(&transaction, "DELETE FROM states WHERE name = ?1", &commit.forget)?;
            rows::write_outbox(&transaction, commit.outbox.iter())?;
            rows::delete(&transaction, "DELETE FROM outbox WHERE key = ?1", &commit.settled)?;
        } else {
            rows::write_whole(&transaction, model)?;
        }
        let changed = commit.states.iter().map(|(name, _)| name.as_str());
        let memories = self
            .memories
            .write(&transaction, model, changed, self.is_whole, now)?;
        rows::delete(
            &transaction,
            "DELETE FROM memories WHERE monitor = ?1",
            &commit.forget,
        )?;
        rows::write_meta(&transaction, model)?;
        if let Some(json) = &self.taken_over {
            rows::set_meta(&transaction, "taken_over", disk::stamp(json))?;
        }
        record::write(&transaction, &commit.history, &mut self.rings)?;
        record::forget(&transaction, &commit.forget, &mut self.rings)?;
        let prune = self
            .pruned
            .is_none_or(|last| now.duration_since(last).unsigned_abs() >= PRUNE_EVERY);
        if prune {
            let days = u64::from(self.history_days.load(Ordering::Relaxed));
            record::prune(&transaction, now, Duration::from_secs(days * 86_400))?;
        }
        transaction.commit()?;
        self.memories.wrote(memories, &commit.forget);
        if prune {
            self.pruned = Some(now);
        }
        Ok(())
    }
}

/// What a database has taken over is not to be taken for a state file again.
fn rename_imported(json: &Path) {
    let imported = beside(json, ".imported");
    // Left where it is, it is renamed at the next start.
    if fs::rename(json, &imported).is_ok() {
        let _ = fs::rename(beside(json, ".old"), beside(&imported, ".old"));
    }
}
