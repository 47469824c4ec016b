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

use apmon_core::{Clock, Commit, StoreError, SystemClock};
use jiff::{Timestamp, tz::TimeZone};
use rusqlite::{Connection, TransactionBehavior};

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
                            "its states and notifications could be read and are used, its history starts over",
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
    pub(super) fn new(path: &Path, zone: TimeZone, history_days: Arc<AtomicU32>) -> Self {
        Self {
            path: path.to_owned(),
            zone,
            history_days,
            connection: None,
            file_id: None,
            is_complete: true,
            import: None,
            rings: Rings::new(),
            memories: MemoryTable::default(),
            last_pruned: None,
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
                "it was set aside as {}, a new one is begun with all states and notifications",
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
