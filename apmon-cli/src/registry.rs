//! The registry of daemons: for each site file that a daemon runs, where its state is.
//!
//! It is a directory with one small file per site, an [`Entry`]. The daemon holds a lock
//! on its entry, so that an entry left behind by a killed daemon is known as such; it
//! stays, because it still says where the state is. Nothing in it is believed that
//! another user could have put there.

mod entry;
mod lock;
mod register;
mod trust;

use std::{
    io,
    path::{Path, PathBuf},
};

use apmon_core::config::{Environment, ProcessEnvironment};

use self::{
    entry::read,
    trust::{Directory, Refused},
};
pub(crate) use self::{
    entry::{Entry, path_as_json, path_of},
    register::{Registration, register},
    trust::is_believed,
};

/// The registry of the machine: tmpfs, which is empty after a restart.
const SYSTEM: &str = "/run/apmon";

/// An entry that counts.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) entry: Entry,
    /// Whether its daemon is running.
    pub(crate) live: bool,
}

/// What all registries contain.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The entries of running daemons first.
    pub(crate) entries: Vec<Found>,
    /// The directories that were searched, or do not exist.
    pub(crate) searched: Vec<PathBuf>,
    /// The directories that could not be searched, and why.
    pub(crate) unsearched: Vec<(PathBuf, String)>,
}

impl Survey {
    /// Reads all registries.
    pub(crate) fn take() -> Self {
        let mut survey = Self::default();
        for directory in directories(&ProcessEnvironment) {
            match entries(&directory) {
                Ok(found) => survey.entries.extend(found),
                Err(Refused::Missing) => {}
                Err(refused) => {
                    survey.unsearched.push((directory, refused.to_string()));
                    continue;
                }
            }
            survey.searched.push(directory);
        }
        let key = |found: &Found| (!found.live, found.entry.file.real.clone());
        survey.entries.sort_by_key(key);
        survey
    }

    /// The entries of this site file.
    pub(crate) fn of<'a>(&'a self, file: &'a SitePath) -> impl Iterator<Item = &'a Found> {
        self.entries.iter().filter(|found| found.entry.file.is_same(file))
    }
}

/// The two paths of a site file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SitePath {
    /// The absolute path by which it was given.
    pub(crate) given: PathBuf,
    /// The path without symbolic links.
    pub(crate) real: PathBuf,
}

impl SitePath {
    /// The paths of a site file, which need not exist.
    pub(crate) fn of(path: &Path) -> Self {
        let given = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let real = given.canonicalize().unwrap_or_else(|_| {
            // It may have been deleted; its directory is still there.
            let parent = given.parent().and_then(|parent| parent.canonicalize().ok());
            let name = given.file_name();
            match parent.zip(name) {
                Some((parent, name)) => parent.join(name),
                None => given.clone(),
            }
        });
        Self { given, real }
    }

    /// Whether both are the same file. A link that was changed since a daemon read it
    /// still counts.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.real == other.real || self.given == other.given
    }
}

/// The directories of registries, in the order in which a daemon tries them.
fn directories(environment: &dyn Environment) -> Vec<PathBuf> {
    let given = |name| environment.variable(name).unwrap_or_default();
    let by_systemd = given("RUNTIME_DIRECTORY");
    let by_systemd = by_systemd.split(':').next().unwrap_or_default();
    let of_user = given("XDG_RUNTIME_DIR");
    let mut directories = Vec::new();
    for directory in [
        PathBuf::from(by_systemd),
        PathBuf::from(SYSTEM),
        // Relative paths in this variable are to be ignored.
        match of_user.starts_with('/') {
            true => PathBuf::from(of_user).join("apmon"),
            false => PathBuf::new(),
        },
    ] {
        if directory.is_absolute() && !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    directories
}

/// The entries of a registry that count.
fn entries(directory: &Path) -> Result<Vec<Found>, Refused> {
    let trusted = Directory::open(directory)?;
    let mut found = Vec::new();
    for file in std::fs::read_dir(trusted.path())? {
        let path = file?.path();
        match read(&path, &trusted) {
            Ok(Some(entry)) => found.push(entry),
            Ok(None) => {}
            // Removed in the meantime by a daemon that starts.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::debug!("{}: ignored: {error}", path.display()),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
