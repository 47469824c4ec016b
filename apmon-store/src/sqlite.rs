//! A SQLite database as a store: the daemon's.

mod history;
mod memory;
mod open;
mod record;
mod schema;
mod table;
mod value;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use apmon_core::{CheckResult, Clock, Commit, Snapshot, StateStore, StoreError, SystemClock};
use async_trait::async_trait;
use jiff::{Timestamp, tz::TimeZone};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

pub use self::history::{History, Span};
use self::{
    memory::MemoryTable,
    open::{FileId, Opened},
    record::Rings,
};
use crate::{
    file::{self, beside, display, io_error},
    json::JsonFile,
    lock::{Lock, LockError},
    model::{Loaded, Model},
    store_thread::{Backend, StoreThread},
};

/// Days for which incidents and deliveries are kept by default.
pub const HISTORY_DAYS: u32 = 400;

/// Time between two searches for history that is too old.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

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
    /// written; without one, other processes are not kept away.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn open(path: impl AsRef<Path>, zone: TimeZone, lock: Option<Lock>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let history_days = Arc::new(AtomicU32::new(HISTORY_DAYS));
        let backend = SqliteBackend {
            path: path.to_owned(),
            zone,
            history_days: Arc::clone(&history_days),
            connection: None,
            file_id: None,
            is_complete: true,
            import: None,
            rings: Rings::new(),
            memories: MemoryTable::default(),
            last_pruned: None,
        };
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
    /// When another process holds the lock, or a lock file cannot be created.
    pub fn lock(path: impl AsRef<Path>) -> Result<Lock, LockError> {
        let path = path.as_ref();
        let lock = Lock::of(path)?;
        // A pass that started before there was a database uses the JSON file.
        let json = json_path(path);
        match Lock::of(&json) {
            Ok(other) => Ok(lock.with(other)),
            Err(held @ LockError::Held { .. }) => Err(held),
            Err(LockError::Io { .. }) => Ok(lock),
        }
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

    async fn recent_results(&self, most: usize) -> Result<BTreeMap<String, Vec<CheckResult>>, StoreError> {
        // A thread of its own: a million rows take a second, and commits must not wait.
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

/// Reads the database at `path` without owning it.
pub(crate) fn read_only(path: &Path) -> Result<Loaded, StoreError> {
    fs::File::open(path).map_err(|error| io_error("read", path, error))?;
    let failed = |step| move |error| open::sqlite_error(step, path, error);
    let connection = open::to_read(path).map_err(failed("open"))?;
    if open::version_of(&connection, path)? == 0 {
        return Ok(Loaded::empty(Vec::new()));
    }
    table::read(&connection, &display(path)).map_err(failed("read"))
}

/// The JSON state file that a database imports.
fn json_path(path: &Path) -> PathBuf {
    path.with_extension("json")
}

struct SqliteBackend {
    path: PathBuf,
    zone: TimeZone,
    history_days: Arc<AtomicU32>,
    /// `None` before the first use, and after a failure: it is then reopened.
    connection: Option<Connection>,
    /// The file that `connection` has open.
    file_id: Option<FileId>,
    /// Whether the file contains what the model contains. If not, the next commit
    /// writes everything: also if the file was removed while in use.
    is_complete: bool,
    /// The JSON file that the next commit imports.
    import: Option<PathBuf>,
    rings: Rings,
    memories: MemoryTable,
    last_pruned: Option<Timestamp>,
}

impl Backend for SqliteBackend {
    fn read(&mut self) -> Result<Loaded, StoreError> {
        self.close();
        match open::read(&self.path)? {
            Opened::Missing => self.read_json(),
            Opened::Good {
                connection,
                loaded,
                file_id,
            } => {
                self.is_complete = true;
                self.memories.was_read(&loaded.model);
                self.finish_import(&connection);
                // An older database is reopened for writing, and updated then.
                let is_present = open::version_of(&connection, &self.path)? == schema::VERSION;
                if is_present && !connection.is_readonly("main").unwrap_or(true) {
                    self.connection = Some(connection);
                    self.file_id = file_id;
                }
                Ok(loaded)
            }
            Opened::Damaged { reason, salvaged } => {
                self.is_complete = false;
                let place = display(&self.path);
                let result = match self.set_aside() {
                    Ok(aside) => format!("it was set aside as {}", display(&aside)),
                    Err(error) => format!("it could not be set aside: {}", error.one_line()),
                };
                let mut warnings = vec![format!("{place} is DAMAGED ({reason}); {result}")];
                let (model, left) = match salvaged {
                    Some(loaded) => {
                        warnings.extend(loaded.warnings);
                        (
                            loaded.model,
                            "its states and notifications could be read and are used; its history starts over",
                        )
                    }
                    // An imported JSON file is no substitute: its notifications were
                    // delivered long ago, its outages are over.
                    None => (
                        Model::default(),
                        "nothing could be read: starting without any state",
                    ),
                };
                warnings.push(format!("{place} was damaged: {left}"));
                Ok(Loaded { model, warnings })
            }
        }
    }

    fn write(&mut self, commit: &Commit, model: &Model) -> Result<(), StoreError> {
        // The file was removed or replaced: what is written to it would be lost.
        if self.connection.is_some() && FileId::of(&self.path) != self.file_id {
            self.close();
        }
        if self.connection.is_none() {
            if open::is_empty(&self.path) {
                self.is_complete = false;
            }
            match open::to_write(&self.path) {
                Ok((connection, file_id)) => {
                    self.connection = Some(connection);
                    self.file_id = file_id;
                }
                Err(StoreError::Io { source, .. }) if open::is_damage_io(&source) => {
                    return Err(self.damaged(&source.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        match self.write_transaction(commit, model) {
            Ok(()) => {
                self.is_complete = true;
                if let Some(json) = self.import.take() {
                    rename_imported(&json);
                }
                Ok(())
            }
            Err(error) if open::is_damage(&error) => Err(self.damaged(&error.to_string())),
            Err(error) => {
                // A disk that comes back needs its files opened anew.
                self.close();
                Err(open::sqlite_error("write", &self.path, error))
            }
        }
    }
}

impl SqliteBackend {
    fn now() -> Timestamp {
        SystemClock::new().now().wall
    }

    /// Reads the JSON file that the first commit will import.
    fn read_json(&mut self) -> Result<Loaded, StoreError> {
        self.is_complete = false;
        let json = json_path(&self.path);
        let exists = json.exists() || beside(&json, ".old").exists();
        if json == self.path || !exists {
            return Ok(Loaded::empty(Vec::new()));
        }
        let loaded = JsonFile::new(&json).load(&self.zone, Self::now())?;
        self.import = Some(json);
        Ok(loaded)
    }

    /// Renames an imported JSON file if a crash came before that.
    fn finish_import(&self, connection: &Connection) {
        let json = json_path(&self.path);
        let stamp = stamp(&json);
        let imported = table::text(connection, "taken_over").ok().flatten();
        if stamp.is_some() && stamp == imported {
            rename_imported(&json);
        }
    }

    fn close(&mut self) {
        self.connection = None;
        self.file_id = None;
        self.rings.clear();
        self.memories.invalidate();
    }

    fn set_aside(&mut self) -> Result<PathBuf, StoreError> {
        self.close();
        let aside = file::corrupt_name(&self.path, &self.zone, Self::now());
        fs::rename(&self.path, &aside).map_err(|error| io_error("set aside", &self.path, error))?;
        // The newest transactions may still be in the write-ahead log.
        let _ = fs::rename(beside(&self.path, "-wal"), beside(&aside, "-wal"));
        let _ = fs::remove_file(beside(&self.path, "-shm"));
        Ok(aside)
    }

    /// Handles damage found while writing: the next commit begins a new file.
    fn damaged(&mut self, why: &str) -> StoreError {
        let result = match self.set_aside() {
            Ok(aside) => format!(
                "it was set aside as {}; a new database is begun with all states and notifications",
                display(&aside)
            ),
            Err(error) => format!("it could not be set aside: {}", error.one_line()),
        };
        self.is_complete = false;
        file::damaged(&self.path, format!("DAMAGED ({why}); {result}"))
    }

    fn write_transaction(&mut self, commit: &Commit, model: &Model) -> rusqlite::Result<()> {
        let Some(connection) = &mut self.connection else {
            return Err(rusqlite::Error::InvalidQuery);
        };
        let now = Self::now();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if self.is_complete {
            let states = commit.states.iter();
            table::write_states(
                &transaction,
                states.map(|(name, state)| (name.as_str(), &**state)),
            )?;
            table::delete(&transaction, "DELETE FROM states WHERE name = ?1", &commit.forget)?;
            table::write_outbox(&transaction, commit.outbox.iter())?;
            table::delete(&transaction, "DELETE FROM outbox WHERE key = ?1", &commit.settled)?;
        } else {
            table::write_all(&transaction, model)?;
        }
        let changed = commit.states.iter().map(|(name, _)| name.as_str());
        let memories = self
            .memories
            .write(&transaction, model, changed, !self.is_complete, now)?;
        table::delete(
            &transaction,
            "DELETE FROM memories WHERE monitor = ?1",
            &commit.forget,
        )?;
        table::write_meta(&transaction, model)?;
        match self.is_complete {
            true => table::write_records(&transaction, commit.records.iter().cloned())?,
            false => {
                let records = model.records.iter();
                let all = records.map(|(key, record)| (key.clone(), Some(record.clone())));
                table::write_records(&transaction, all)?;
            }
        }
        if let Some(json) = &self.import {
            table::set_meta(&transaction, "taken_over", stamp(json))?;
        }
        record::write(&transaction, &commit.history, &mut self.rings)?;
        record::forget(&transaction, &commit.forget, &mut self.rings)?;
        let prune = self
            .last_pruned
            .is_none_or(|last| now.duration_since(last).unsigned_abs() >= PRUNE_EVERY);
        if prune {
            let days = u64::from(self.history_days.load(Ordering::Relaxed));
            record::prune(&transaction, now, Duration::from_secs(days * 86_400))?;
        }
        transaction.commit()?;
        self.memories.was_written(memories, &commit.forget);
        if prune {
            self.last_pruned = Some(now);
        }
        Ok(())
    }
}

/// Modification time and size, by which an unchanged file is recognized; `None`
/// where there is no file.
fn stamp(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    let changed = metadata
        .modified()
        .ok()?
        .duration_since(std::time::UNIX_EPOCH)
        .ok()?;
    Some(format!("{}-{}", changed.as_nanos(), metadata.len()))
}

/// Renames an imported JSON file, so that it is not mistaken for the state file.
fn rename_imported(json: &Path) {
    let imported = beside(json, ".imported");
    // If that fails, it is renamed at the next start.
    if fs::rename(json, &imported).is_ok() {
        let _ = fs::rename(beside(json, ".old"), beside(&imported, ".old"));
    }
}
