//! The database of a site in a build without SQLite: there is none.

use std::{path::Path, sync::Arc};

use apmon_core::{StateStore, text::printable};
use apmon_store::{Format, Trust};
use jiff::tz::TimeZone;

use crate::feature;

/// What a daemon keeps its state in.
pub(crate) const DAEMON_FORMAT: Format = Format::Json;

/// What a daemon says of its stores when it starts.
pub(crate) const NOTICE: Option<&str> =
    Some("this apmon was built without \"sqlite\": the state of a site is kept in JSON, without a history");

/// A database that cannot be opened.
#[derive(Clone)]
pub(crate) enum Database {}

impl Database {
    /// Fails.
    pub(super) fn open(path: &Path, _: TimeZone, _: &str, _: Trust) -> anyhow::Result<Self> {
        anyhow::bail!(
            "{} cannot be opened: {}; give a JSON state file with -s, or move the database away to start without state",
            printable(&path.display().to_string()),
            feature::missing("sqlite")
        )
    }

    pub(super) fn shared(&self) -> Arc<dyn StateStore> {
        match *self {}
    }

    pub(super) async fn close(&self) {
        match *self {}
    }

    pub(super) fn keep_history(&self, _: Option<u32>) {
        match *self {}
    }
}
