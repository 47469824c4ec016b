//! The error that takes the place of SQLite in a build without it.

use std::{fs, io, path::Path};

use apmon_core::StoreError;

use crate::{file::io_error, model::Loaded};

/// Fails, because the database cannot be read.
pub(crate) fn read_only(path: &Path) -> Result<Loaded, StoreError> {
    fs::File::open(path).map_err(|error| io_error("read", path, error))?;
    let reason = "this apmon was built without \"sqlite\"";
    Err(io_error(
        "read",
        path,
        io::Error::new(io::ErrorKind::Unsupported, reason),
    ))
}
