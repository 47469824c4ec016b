//! The error that takes the place of SQLite in a build without it.

use std::{io, path::Path};

use apmon_core::{StoreError, input_file::open_file};

use crate::{
    file::{input_error, io_error},
    model::Loaded,
};

/// Fails, because the database cannot be read.
pub(crate) fn read_only(path: &Path) -> Result<Loaded, StoreError> {
    open_file(path).map_err(|error| input_error(path, error))?;
    let reason = "this apmon was built without \"sqlite\"";
    Err(io_error(
        "read",
        path,
        io::Error::new(io::ErrorKind::Unsupported, reason),
    ))
}
