//! Who may run a site file: a daemon alone, or passes.
//!
//! An entry says which daemon is running. Of two that start at the same moment neither
//! finds the entry of the other, so each first locks a file that belongs to the site file. The file
//! stays: if it were removed, two processes could lock two files of one name.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::Path,
};

use apmon_core::config::ProcessEnvironment;

use super::{
    Registries, SitePath,
    lock::{is_taken, lock, lock_shared},
    of_this_user,
    register::{fnv, make},
    trust::Directory,
};

/// A claim on a site file, until it is dropped or the process ends.
#[must_use]
#[derive(Debug)]
pub(crate) struct Claim {
    _locked: Vec<File>,
}

/// Another process has a claim that excludes this one.
#[derive(Debug)]
pub(crate) struct Claimed;

/// Claims a site file for a daemon, in every registry that this process may write to. Without any, as
/// on systems that have none, the claim excludes nobody.
pub(crate) fn claim_alone(file: &SitePath) -> Result<Claim, Claimed> {
    claim(file, true)
}

/// Claims a site file for a pass: beside other passes, which exclude each other by the lock on their
/// state. It takes part where a daemon has made a claim before.
pub(crate) fn claim_with_others(file: &SitePath) -> Result<Claim, Claimed> {
    claim(file, false)
}

fn claim(file: &SitePath, alone: bool) -> Result<Claim, Claimed> {
    let registries = Registries::of(&ProcessEnvironment, of_this_user());
    let mut locked = Vec::new();
    for directory in &registries.common {
        // Only a daemon makes a registry, and only one.
        if alone && locked.is_empty() {
            let _ = make(directory);
        }
        locked.extend(claim_in(directory, file, alone)?);
    }
    Ok(Claim { _locked: locked })
}

/// Locks the files of a site file in this registry, as far as they can be opened.
pub(super) fn claim_in(directory: &Path, file: &SitePath, alone: bool) -> Result<Vec<File>, Claimed> {
    let Ok(trusted) = Directory::open(directory) else {
        return Ok(Vec::new());
    };
    // Two daemons run the same file if either path is the same.
    let names = BTreeSet::from([name_of(&file.real), name_of(&file.given)]);
    let mut locked = Vec::new();
    for name in names {
        let path = trusted.path().join(name);
        let opened = open(&path, alone).ok();
        let counts = |file: &File| file.metadata().is_ok_and(|metadata| trusted.counts(&metadata));
        let Some(file) = opened.filter(counts) else {
            continue;
        };
        let taken = match alone {
            true => lock(&file),
            false => lock_shared(&file),
        };
        match taken {
            Ok(()) => locked.push(file),
            Err(error) if is_taken(&error) => return Err(Claimed),
            Err(error) => tracing::debug!("{}: cannot be locked: {error}", path.display()),
        }
    }
    Ok(locked)
}

/// Opens the file of a claim. Nobody but its owner and root may: who can open it can lock it.
fn open(path: &Path, alone: bool) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(alone).create(alone);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    options.open(path)
}

/// `.1f3a….claim`: readers of entries skip it.
fn name_of(file: &Path) -> String {
    format!(".{:016x}.claim", fnv(file.as_os_str().as_encoded_bytes()))
}
