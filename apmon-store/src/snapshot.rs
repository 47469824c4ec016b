//! Reading a state file without owning it.

use std::path::Path;

use apmon_core::{Snapshot, StoreError};
use jiff::tz::TimeZone;

use crate::{json, model::Loaded, path::Format, sqlite};

/// Reads the state file at `path` without its lock and without changing
/// anything, also while another process writes it. Local times of a JSON file
/// are read in `zone`. The snapshot carries the owner's epoch and grants none.
///
/// # Errors
/// When the file does not exist, cannot be read, or is damaged.
pub fn read_snapshot(path: impl AsRef<Path>, zone: &TimeZone) -> Result<Snapshot, StoreError> {
    let path = path.as_ref();
    let Loaded { model, warnings } = match Format::of(path) {
        Format::Json => json::read_only(path, zone)?,
        Format::Sqlite => sqlite::read_only(path)?,
    };
    Ok(model.snapshot(warnings))
}
