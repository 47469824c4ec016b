//! The database as a backend of the store thread.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use apmon_core::{Clock, Commit, CommitId, StoreError, SystemClock};
use jiff::{Timestamp, tz::TimeZone};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{
    json_path,
    memory::MemoryTable,
    open::{self, FileId, Opened},
    record::{self, Rings},
    schema, table,
};
use crate::{
    file::{self, beside, display, io_error},
    json::JsonFile,
    model::{Loaded, Model},
    store_thread::Backend,
};

/// Time between two searches for history that is too old.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// Carries content between the model and the database.
pub(super) struct SqliteBackend {
    path: PathBuf,
    zone: TimeZone,
    /// Whether a lock keeps other processes away.
    is_locked: bool,
    history_days: Arc<AtomicU32>,
    /// `None` before the first use, and after a failure: it is then reopened.
    connection: Option<Connection>,
    /// The file that contains what was written, as far as it is known: the one that
    /// `connection` has open, or had.
    file_id: Option<FileId>,
    /// Its write-ahead log.
    log_id: Option<FileId>,
    /// Epoch and number of the last commit in it: with others, its content was replaced.
    last: Option<(u64, u64)>,
    /// Whether the file contains what the model contains. If not, the next commit
    /// writes everything: also if the file was removed while in use.
    is_complete: bool,
    /// The JSON file that the next commit imports.
    import: Option<PathBuf>,
    rings: Rings,
    memories: MemoryTable,
    last_pruned: Option<Timestamp>,
    /// The commit that may be in the database or not: its `COMMIT` failed.
    in_doubt: Option<CommitId>,
    /// Ends a transaction; only tests set another function.
    end: fn(Transaction<'_>) -> rusqlite::Result<()>,
}

/// The reason why a transaction failed.
enum Failure {
    /// It was not committed.
    NotStored(rusqlite::Error),
    /// Its `COMMIT` failed after it may have taken effect.
    InDoubt(rusqlite::Error),
    /// An owner of this newer epoch has written meanwhile.
    Superseded(u64),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::NotStored(error)
    }
}

impl Backend for SqliteBackend {
    fn read(&mut self) -> Result<Loaded, StoreError> {
        self.close();
        self.unknown_file();
        self.in_doubt = None;
        match open::read(&self.path)? {
            Opened::Missing => self.read_json(),
            Opened::Good {
                connection,
                loaded,
                file_id,
            } => {
                self.is_complete = true;
                self.file_id = file_id;
                self.last = Some((loaded.model.epoch, loaded.model.number));
                self.memories.was_read(&loaded.model);
                self.finish_import(&connection);
                // An older database is reopened for writing, and updated then.
                let is_present = open::version_of(&connection, &self.path)? == schema::VERSION;
                if is_present && !connection.is_readonly("main").unwrap_or(true) {
                    self.connection = Some(connection);
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
        self.open()?;
        let written = match self.was_stored(commit.id()) {
            Ok(true) => Ok(()),
            Ok(false) => self.write_transaction(commit, model),
            Err(error) if open::is_damage(&error) => Err(Failure::NotStored(error)),
            Err(error) => Err(Failure::InDoubt(error)),
        };
        match written {
            Ok(()) => {
                self.in_doubt = None;
                self.is_complete = true;
                self.last = Some((model.epoch, model.number));
                self.log_id = FileId::of(&beside(&self.path, "-wal"));
                if let Some(json) = self.import.take() {
                    rename_imported(&json);
                }
                Ok(())
            }
            Err(Failure::NotStored(error)) if open::is_damage(&error) => {
                Err(self.damaged(&error.to_string()))
            }
            Err(Failure::Superseded(newest)) => {
                self.close();
                Err(StoreError::Superseded {
                    epoch: model.epoch,
                    newest: Some(newest),
                })
            }
            Err(Failure::NotStored(error)) => {
                // A disk that comes back needs its files opened anew.
                self.close();
                Err(open::sqlite_error("write", &self.path, error))
            }
            Err(Failure::InDoubt(error)) => {
                self.close();
                self.in_doubt = Some(commit.id());
                let error = open::sqlite_error("commit to", &self.path, error);
                Err(StoreError::Unknown {
                    reason: error.one_line(),
                })
            }
        }
    }
}

impl SqliteBackend {
    pub(super) fn new(path: &Path, zone: TimeZone, is_locked: bool, history_days: Arc<AtomicU32>) -> Self {
        Self {
            path: path.to_owned(),
            zone,
            is_locked,
            history_days,
            connection: None,
            file_id: None,
            log_id: None,
            last: None,
            is_complete: true,
            import: None,
            rings: Rings::new(),
            memories: MemoryTable::default(),
            last_pruned: None,
            in_doubt: None,
            end: |transaction| transaction.commit(),
        }
    }

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

    /// Opens the database for writing. If it is not the one that was in use, the next
    /// transaction writes everything.
    fn open(&mut self) -> Result<(), StoreError> {
        let is_other = self.file_id.is_some() && FileId::of(&self.path) != self.file_id;
        if is_other {
            self.replaced();
        }
        if self.connection.is_some() {
            return Ok(());
        }
        if open::is_empty(&self.path) {
            self.is_complete = false;
        }
        match open::to_write(&self.path) {
            Ok((connection, file_id)) => {
                self.connection = Some(connection);
                self.file_id = file_id;
                Ok(())
            }
            Err(StoreError::Io { source, .. }) if open::is_damage_io(&source) => {
                Err(self.damaged(&source.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    /// Handles that another file has the name of the one in use, or none has.
    fn replaced(&mut self) {
        let result = match self.path.exists() {
            true => "was replaced by another file",
            false => "was removed",
        };
        report_rewrite(&self.path, result);
        self.close();
        // SQLite leaves the log of a file that was renamed or removed, and would take it for that
        // of the new one.
        let log = beside(&self.path, "-wal");
        if self.log_id.is_some() && FileId::of(&log) == self.log_id {
            let _ = fs::remove_file(log);
            let _ = fs::remove_file(beside(&self.path, "-shm"));
        }
        self.unknown_file();
        self.is_complete = false;
    }

    fn close(&mut self) {
        self.connection = None;
        self.rings.clear();
        self.memories.invalidate();
    }

    /// Forgets which file contains what was written.
    fn unknown_file(&mut self) {
        self.file_id = None;
        self.log_id = None;
        self.last = None;
    }

    fn set_aside(&mut self) -> Result<PathBuf, StoreError> {
        self.close();
        self.unknown_file();
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

    /// Whether the commit `id`, which was in doubt, is in the database. If so, it is made durable.
    fn was_stored(&self, id: CommitId) -> rusqlite::Result<bool> {
        let Some(connection) = &self.connection else {
            return Ok(false);
        };
        if self.in_doubt != Some(id) || id.number == 0 {
            return Ok(false);
        }
        let is_stored = table::last_commit(connection)? == (id.epoch, id.number);
        if is_stored {
            // What could not be synced before may be in memory only, and syncing it again may do
            // nothing: it is written once more, to the database itself.
            let is_busy: bool = connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get(0))?;
            if is_busy {
                let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                return Err(rusqlite::Error::SqliteFailure(busy, None));
            }
        }
        Ok(is_stored)
    }

    fn write_transaction(&mut self, commit: &Commit, model: &Model) -> Result<(), Failure> {
        let Some(connection) = &mut self.connection else {
            return Err(rusqlite::Error::InvalidQuery.into());
        };
        let now = Self::now();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let last = table::last_commit(&transaction)?;
        if self.is_complete && self.last.is_some_and(|written| written != last) {
            if !self.is_locked && last.0 > model.epoch {
                return Err(Failure::Superseded(last.0));
            }
            report_rewrite(&self.path, "no longer contains what was written to it");
            self.is_complete = false;
            self.rings.clear();
        }
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
        (self.end)(transaction).map_err(|error| match open::may_be_stored(&error) {
            true => Failure::InDoubt(error),
            false => Failure::NotStored(error),
        })?;
        self.memories.was_written(memories, &commit.forget);
        if prune {
            self.last_pruned = Some(now);
        }
        Ok(())
    }
}

/// Logs that the next commit writes everything.
fn report_rewrite(path: &Path, reason: &str) {
    let place = display(path);
    tracing::error!(
        "{place} {reason} while it was in use; all states and notifications are written anew; the history that it lacks is lost"
    );
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

#[cfg(test)]
mod tests;
