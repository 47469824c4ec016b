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
    intact, json_path,
    memory::MemoryTable,
    open::{self, FileId, Opened},
    record::{self, Rings},
    rescue, table,
};
use crate::{
    file::{FileStamp, beside, display},
    json::JsonFile,
    model::{Loaded, Model},
    store_thread::Backend,
    trust::Trust,
};

/// Time between two searches for history that is too old.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

mod examine;

/// Carries content between the model and the database.
pub(super) struct SqliteBackend {
    path: PathBuf,
    zone: TimeZone,
    /// Whether a lock keeps other processes away.
    is_locked: bool,
    /// Whose files are used.
    trust: Trust,
    history_days: Arc<AtomicU32>,
    /// `None` before the first use, and after a failure: it is then reopened.
    connection: Option<Connection>,
    /// The file that contains what was written, as far as it is known: the one that
    /// `connection` has open, or had.
    file_id: Option<FileId>,
    /// How the last commit, or the reading, left the file; `None` after a failed commit.
    written: Option<FileStamp>,
    /// The size that it had at the end of the last transaction.
    size: Option<u64>,
    /// Whether its content must be compared, whatever `written` says.
    is_suspect: bool,
    /// Epoch and number of the last commit in it.
    last: Option<(u64, u64)>,
    /// Whether it still has the write-ahead log of an older apmon: another program reads it.
    has_log: bool,
    /// When its content was last compared with what was written.
    compared: Option<Timestamp>,
    /// Whether the file contains what the model contains. If not, the next commit
    /// writes everything: also if the file was removed while in use.
    is_complete: bool,
    /// The JSON file that the next commit imports.
    import: Option<PathBuf>,
    /// A damaged file that was set aside, whose history the next commit rescues.
    rescued: Option<PathBuf>,
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
        self.disconnect();
        self.unknown_file();
        self.in_doubt = None;
        match open::read(&self.path, self.trust)? {
            Opened::Missing => self.read_without_database(),
            Opened::Good { connection, loaded } => {
                self.is_complete = true;
                self.memories.was_read(&loaded.model);
                self.finish_import(&connection);
                // Closed first: closing may still write what a crash has left in a log.
                drop(connection);
                self.file_id = FileId::of(&self.path);
                self.written = FileStamp::of(&self.path);
                self.last = Some((loaded.model.epoch, loaded.model.number));
                self.compared = Some(Self::now());
                Ok(loaded)
            }
            Opened::Damaged { reason, salvaged } => {
                let place = display(&self.path);
                let (aside, result) = self.set_aside();
                self.rescued = aside;
                let mut warnings = vec![format!("{place} is DAMAGED ({reason}); {result}")];
                let (model, left) = match salvaged {
                    Some(loaded) => {
                        warnings.extend(loaded.warnings);
                        (
                            loaded.model,
                            "its states and notifications could be read and are used",
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
        self.examine(commit, model)?;
        let mut written = self.attempt(commit, model)?;
        if let Err(Failure::NotStored(error)) = &written
            && open::is_damage(error)
        {
            let reason = error.to_string();
            self.damaged(&reason)?;
            written = self.attempt(commit, model)?;
        }
        match written {
            Ok(()) => {
                self.in_doubt = None;
                self.is_complete = true;
                // Another program may have written it since the transaction ended.
                let written = FileStamp::of(&self.path);
                self.is_suspect = !self.has_log
                    && written.is_none_or(|file| self.size.is_some_and(|size| file.size() != size));
                self.written = written;
                if let Some(connection) = &self.connection {
                    // What another program wrote during the transaction is not found in the cache:
                    // the next transaction reads its pages again.
                    let _ = connection.execute_batch("PRAGMA shrink_memory");
                }
                self.last = Some((model.epoch, model.number));
                self.compared.get_or_insert_with(Self::now);
                if self.has_log {
                    self.connection = None; // the next commit tries to do without
                }
                if let Some(json) = self.import.take() {
                    rename_imported(&json);
                }
                Ok(())
            }
            Err(Failure::Superseded(newest)) => {
                self.disconnect();
                Err(superseded(model, newest))
            }
            Err(Failure::NotStored(error)) => {
                // A disk that comes back needs its files opened anew.
                self.disconnect();
                self.written = None;
                Err(open::sqlite_error("write", &self.path, error))
            }
            Err(Failure::InDoubt(error)) => {
                self.disconnect();
                self.written = None;
                self.in_doubt = Some(commit.id());
                let error = open::sqlite_error("commit to", &self.path, error);
                Err(StoreError::Unknown {
                    reason: error.one_line(),
                })
            }
        }
    }

    /// Leaves one file: the empty journal is removed, except where another user could then take
    /// its name.
    fn close(&mut self) {
        let is_shared = intact::is_shared_directory(&self.path);
        if let (Some(connection), Some(_), false) = (&self.connection, self.written, is_shared) {
            // While it is locked nobody else uses the journal; nobody is waited for.
            let _ = connection.busy_timeout(Duration::ZERO);
            if connection.execute_batch("BEGIN EXCLUSIVE").is_ok()
                && !self.has_log
                && intact::foreign_side_file(&self.path, false).is_none()
            {
                intact::remove_side_files(&self.path);
            }
        }
        self.disconnect();
        if self.written.is_some() && !self.has_log {
            // SQLite may have removed its journal.
            intact::hold_side_files(&self.path);
        }
    }
}

impl Drop for SqliteBackend {
    fn drop(&mut self) {
        Backend::close(self);
    }
}

impl SqliteBackend {
    pub(super) fn new(
        path: &Path,
        zone: TimeZone,
        is_locked: bool,
        trust: Trust,
        history_days: Arc<AtomicU32>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            zone,
            is_locked,
            trust,
            history_days,
            connection: None,
            file_id: None,
            written: None,
            size: None,
            is_suspect: false,
            last: None,
            has_log: false,
            compared: None,
            rescued: None,
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

    /// Reads the JSON file that the first commit will import, if there is one.
    fn read_without_database(&mut self) -> Result<Loaded, StoreError> {
        self.is_complete = false;
        let json = json_path(&self.path);
        let exists = json.exists() || beside(&json, ".old").exists();
        if json == self.path || !exists {
            // A file that exists contained something, or a process was killed while it made it.
            let place = display(&self.path);
            let was_emptied = self.path.exists();
            let warning = was_emptied.then(|| format!("{place} is empty: starting without any state"));
            return Ok(Loaded::empty(warning.into_iter().collect()));
        }
        let loaded = JsonFile::new(&json, self.trust).load(&self.zone, Self::now())?;
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

    /// One attempt to write the commit.
    fn attempt(&mut self, commit: &Commit, model: &Model) -> Result<Result<(), Failure>, StoreError> {
        self.open()?;
        Ok(match self.was_stored(commit.id()) {
            Ok(true) => Ok(()),
            Ok(false) => self.write_transaction(commit, model),
            Err(error) if open::is_damage(&error) => Err(Failure::NotStored(error)),
            Err(error) => Err(Failure::InDoubt(error)),
        })
    }

    /// Opens the database for writing.
    fn open(&mut self) -> Result<(), StoreError> {
        if self.connection.is_some() {
            return Ok(());
        }
        if open::is_empty(&self.path) {
            self.is_complete = false;
        }
        let opened = match open::to_write(&self.path, self.trust) {
            Err(StoreError::Io { source, .. }) if open::is_damage_io(&source) => {
                self.damaged(&source.to_string())?;
                open::to_write(&self.path, self.trust)
            }
            opened => opened,
        };
        let mut connection = opened?;
        self.has_log = open::has_log(&connection);
        if !self.has_log {
            // Converting a database that had a log has removed it.
            intact::hold_side_files(&self.path);
        }
        self.file_id = FileId::of(&self.path);
        if let Some(aside) = self.rescued.take() {
            let (place, from) = (display(&self.path), display(&aside));
            match rescue::history(&aside, &mut connection) {
                Ok(rescued) => tracing::error!("{place}: {rescued}"),
                Err(error) => {
                    tracing::error!(
                        "{place}: its history starts over: that of {from} cannot be read ({error})"
                    );
                }
            }
        }
        self.connection = Some(connection);
        Ok(())
    }

    fn disconnect(&mut self) {
        self.connection = None;
        self.rings.clear();
        self.memories.invalidate();
    }

    /// Forgets which file contains what was written.
    fn unknown_file(&mut self) {
        self.file_id = None;
        self.written = None;
        self.last = None;
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
            // The end of its journal may be in memory only, and syncing it again may do nothing:
            // one more transaction writes and ends it anew. Its content must be another one.
            let transaction = connection.unchecked_transaction()?;
            let now = i64::try_from(Self::now().as_nanosecond()).unwrap_or(i64::MAX);
            table::set_meta(&transaction, "confirmed", now)?;
            transaction.commit()?;
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
            examine::report_rewrite(&self.path, "no longer contains what was written to it");
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
        let size = |pragma: &str| transaction.query_row(pragma, [], |row| row.get::<_, u32>(0));
        let size = u64::from(size("PRAGMA page_count")?) * u64::from(size("PRAGMA page_size")?);
        self.size = Some(size);
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

fn superseded(model: &Model, newest: u64) -> StoreError {
    StoreError::Superseded {
        epoch: model.epoch,
        newest: Some(newest),
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

#[cfg(test)]
mod tests;
