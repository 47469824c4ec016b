//! The database of a site.

use std::{path::Path, sync::Arc};

use apmon_core::StateStore;
use apmon_store::{Format, HISTORY_DAYS, SqliteStore, Trust};
use jiff::tz::TimeZone;

use super::held;

/// What a daemon keeps its state in.
pub(crate) const DAEMON_FORMAT: Format = Format::Sqlite;

/// What a daemon says of its stores when it starts.
pub(crate) const NOTICE: Option<&str> = None;

/// A site's database.
#[derive(Clone)]
pub(crate) struct Database(Arc<SqliteStore>);

impl Database {
    /// Opens the database and locks it.
    pub(super) fn open(path: &Path, zone: TimeZone, note: &str, trust: Trust) -> anyhow::Result<Self> {
        let lock = held(SqliteStore::lock_as(path, note, trust), path)?;
        Ok(Self(Arc::new(SqliteStore::open_as(path, zone, lock, trust)?)))
    }

    pub(super) fn shared(&self) -> Arc<dyn StateStore> {
        Arc::clone(&self.0) as _
    }

    pub(super) async fn close(&self) {
        let _ = self.0.close().await;
    }

    /// Keeps the history for `days`, or for as long as is usual.
    pub(super) fn keep_history(&self, days: Option<u32>) {
        self.0.keep_history(days.unwrap_or(HISTORY_DAYS));
    }
}
