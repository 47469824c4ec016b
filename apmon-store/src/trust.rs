//! Whose files a store uses.

use std::{
    fs::{self, Metadata},
    path::Path,
};

use apmon_core::StoreError;

use crate::file::{foreign, io_error, owner_of};

/// Whose files a store uses.
///
/// [`check_owner`](crate::check_owner) decides about the names in a directory before they are
/// used. In a directory such as `/tmp`, another user may take one of them after that; so each file
/// is checked once more when it is opened.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Trust {
    /// Those of root and of the user of this process.
    #[default]
    Own,
    /// Those of all users.
    Everybody,
}

impl Trust {
    /// The owner of a file, if it must not be used.
    pub(crate) fn refuses(self, file: &Metadata) -> Option<u32> {
        owner_of(file).filter(|_| self == Self::Own)
    }

    /// The owner of what has this name, if it must not be used.
    pub(crate) fn refuses_name(self, path: &Path) -> Option<u32> {
        self.refuses(&fs::symlink_metadata(path).ok()?)
    }

    /// Checks a file that is open.
    pub(crate) fn check(self, path: &Path, file: &Metadata) -> Result<(), StoreError> {
        match self.refuses(file) {
            Some(uid) => Err(io_error("use", path, foreign(uid))),
            None => Ok(()),
        }
    }
}
