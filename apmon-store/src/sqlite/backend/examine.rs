//! What was done to the files of the database while it was in use, and what follows.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use apmon_core::{Commit, StoreError};
use jiff::Timestamp;

use super::{SqliteBackend, superseded};
use crate::{
    file::{self, FileStamp, beside, display, io_error},
    model::Model,
    sqlite::{
        intact,
        open::{self, FileId, Opened},
    },
};

/// Time between two comparisons of the content of a file that nobody else seems to have written.
const COMPARE_EVERY: Duration = Duration::from_secs(300);

impl SqliteBackend {
    /// Finds out whether the files are as the last commit left them. If not, that is logged, and
    /// the next transaction writes everything.
    pub(super) fn examine(&mut self, commit: &Commit, model: &Model) -> Result<(), StoreError> {
        if self.file_id.is_some() && FileId::of(&self.path) != self.file_id {
            self.replaced();
        }
        let Some(written) = self.written else {
            // SQLite itself repairs what a failed transaction has left.
            return match (self.last, self.in_doubt) {
                (Some(_), None) => self.compare(commit, model, false),
                _ => Ok(()),
            };
        };
        if let Some(suffix) = intact::foreign_side_file(&self.path, self.has_log) {
            // A journal that another process writes is the only repair of what it has not finished.
            if self
                .file_id
                .is_some_and(|id| intact::is_being_written(id.inode()))
            {
                return Err(open::busy(&self.path));
            }
            self.set_side_file_aside(suffix)?;
            return self.compare(commit, model, true);
        }
        let now = Self::now();
        let is_due = |last: Timestamp| now.duration_since(last).unsigned_abs() >= COMPARE_EVERY;
        if self.is_suspect || FileStamp::of(&self.path) != Some(written) {
            return self.compare(commit, model, true);
        }
        match self.compared.is_none_or(is_due) {
            true => self.compare(commit, model, false),
            false => Ok(()),
        }
    }

    /// Compares the content of the file with what was written to it. With `check`, the whole
    /// file is checked for damage before.
    fn compare(&mut self, commit: &Commit, model: &Model, check: bool) -> Result<(), StoreError> {
        // What the connection has cached says nothing about the file.
        self.connection = None;
        if check {
            self.rings.clear();
        }
        // Until it has been read it stays suspect: the next commit tries again.
        self.is_suspect |= check;
        let read = match check {
            true => open::read(&self.path, self.trust)?,
            false => open::read_unchecked(&self.path, self.trust)?,
        };
        self.compared = Some(Self::now());
        self.is_suspect = false;
        match read {
            Opened::Missing => self.rewrite("was emptied"),
            Opened::Damaged { reason, .. } => self.damaged(&reason)?,
            Opened::Good { loaded, .. } => {
                let last = (loaded.model.epoch, loaded.model.number);
                if !self.is_locked && last.0 > model.epoch {
                    return Err(superseded(model, last.0));
                }
                if self.last != Some(last) || !intact::is_same(&loaded.model, model, commit) {
                    self.rewrite("no longer contains what was written to it");
                }
            }
        }
        Ok(())
    }

    /// Logs that the next commit writes everything, and makes it so.
    fn rewrite(&mut self, reason: &str) {
        report_rewrite(&self.path, reason);
        self.disconnect();
        self.is_complete = false;
    }

    /// Moves a file away that SQLite would take for a part of the database.
    fn set_side_file_aside(&mut self, suffix: &str) -> Result<(), StoreError> {
        self.disconnect();
        let path = beside(&self.path, suffix);
        let aside = file::corrupt_name(&path, &self.zone, Self::now());
        fs::rename(&path, &aside).map_err(|error| {
            let found = fs::symlink_metadata(&path).ok();
            let error = match found.and_then(|found| file::owner_of(&found)) {
                Some(uid) => io::Error::other(format!(
                    "{error}; it belongs to another user (uid {uid}), and SQLite would take it for a part of the database; have it removed"
                )),
                None => error,
            };
            io_error("set aside", &path, error)
        })?;
        let (place, aside) = (display(&path), display(&aside));
        tracing::error!(
            "{place} was written by another program while the database was in use; it was set aside as {aside}; all states and notifications are written anew"
        );
        self.is_complete = false;
        Ok(())
    }

    /// Handles that another file has the name of the one in use, or none has.
    pub(super) fn replaced(&mut self) {
        self.rewrite(match self.path.exists() {
            true => "was replaced by another file",
            false => "was removed",
        });
        self.unknown_file();
    }

    /// Renames a damaged file; the next commit begins a new one. Returns the new name and what
    /// to say of it.
    pub(super) fn set_aside(&mut self) -> (Option<PathBuf>, String) {
        self.disconnect();
        self.unknown_file();
        self.is_complete = false;
        let aside = file::corrupt_name(&self.path, &self.zone, Self::now());
        if let Err(error) = fs::rename(&self.path, &aside) {
            let error = io_error("set aside", &self.path, error);
            return (None, format!("it could not be set aside: {}", error.one_line()));
        }
        // The newest transaction of a database that was not closed is in one of them.
        for suffix in ["-journal", "-wal"] {
            let _ = fs::rename(beside(&self.path, suffix), beside(&aside, suffix));
        }
        let _ = fs::remove_file(beside(&self.path, "-shm"));
        let result = format!("it was set aside as {}", display(&aside));
        (Some(aside), result)
    }

    /// Handles damage found while the database is in use: this commit begins a new file.
    pub(super) fn damaged(&mut self, why: &str) -> Result<(), StoreError> {
        let (aside, result) = self.set_aside();
        if aside.is_none() {
            return Err(file::damaged(&self.path, format!("DAMAGED ({why}); {result}")));
        }
        self.rescued = aside;
        let place = display(&self.path);
        tracing::error!(
            "{place} is DAMAGED ({why}); {result}; a new database is begun with all states and notifications"
        );
        Ok(())
    }
}

/// Logs that the next commit writes everything.
pub(super) fn report_rewrite(path: &Path, reason: &str) {
    let place = display(path);
    tracing::error!(
        "{place} {reason} while it was in use; all states and notifications are written anew; the history that it lacks is lost"
    );
}
