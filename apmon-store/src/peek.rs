//! Reading what a store remembers, beside whoever holds it.

use std::path::Path;

use apmon_core::{Snapshot, StoreError};
use jiff::tz::TimeZone;

use crate::{disk::Disk, place::Format, sqlite};

/// What the state file at `path` remembers, read without its lock and without
/// changing anything, also while somebody writes it. Local times of a JSON file
/// are read in `zone`. The epoch is the owner's.
///
/// # Errors
/// When there is no such file, or it cannot be read, or is damaged.
pub fn peek(path: impl AsRef<Path>, zone: &TimeZone) -> Result<Snapshot, StoreError> {
    let path = path.as_ref();
    let (model, warnings) = match Format::of(path) {
        Format::Json => Disk::new(path).peek(zone)?,
        Format::Sqlite => sqlite::peek(path)?,
    };
    Ok(model.snapshot(warnings))
}
