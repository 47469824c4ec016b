//! A database that is open for reading.

use std::{path::Path, sync::Arc};

use apmon_core::StoreError;
use rusqlite::Connection;

use super::limit::TimeLimit;
use crate::sqlite::open::{self, FileId};

/// An open database.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) file_id: Option<FileId>,
    /// Version of the content; an older database is read without updating it.
    pub(super) version: i64,
}

impl Opened {
    pub(super) fn new(path: &Path, limit: Option<&Arc<TimeLimit>>) -> Result<Self, StoreError> {
        open::may_be_read(path)?;
        let file_id = FileId::of(path);
        let failed = |error| open::sqlite_error("open", path, error);
        let mut connection = open::to_read(path).map_err(failed)?;
        if let Some(limit) = limit {
            limit.apply(&mut connection).map_err(failed)?;
        }
        let version = open::version_of(&connection, path)?;
        Ok(Self {
            connection,
            file_id,
            version,
        })
    }
}
