//! The registry of daemons: for each site file that a daemon runs, where its state is.
//!
//! It is a directory with one small file per site, an [`Entry`]. The daemon holds a lock
//! on its entry, so that an entry left behind by a killed daemon is known as such; it
//! stays, because it still says where the state is. Nothing in it is believed that
//! another user could have put there.

mod claim;
mod entry;
mod lock;
mod register;
mod trust;

use std::{
    io,
    path::{Path, PathBuf},
};

use apmon_core::config::{Environment, ProcessEnvironment};

pub(crate) use self::{
    claim::{Claim, claim_alone, claim_with_others},
    entry::{Entry, path_as_json, path_of},
    register::{Registration, register},
    trust::{is_believed, is_of_owner},
};
use self::{
    entry::read,
    trust::{Directory, Refused},
};

/// The registry of the machine: tmpfs, which is empty after a restart.
const SYSTEM: &str = "/run/apmon";

/// The variable that names the only registry to use: for tests, and for daemons that are to be
/// kept apart.
const ONLY: &str = "APMON_REGISTRY";

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
        let registries = Registries::of(&ProcessEnvironment, of_this_user());
        for (directory, _) in registries.in_order() {
            let directory = directory.to_owned();
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

/// The directories of registries.
#[derive(PartialEq, Eq, Debug)]
struct Registries {
    /// Those that every command of the machine, or of this user, reads.
    common: Vec<PathBuf>,
    /// Those that only commands with the same environment read.
    private: Vec<PathBuf>,
}

impl Registries {
    /// The registries that the environment names; `of_user` is this user's directory where it
    /// names none, as in cron.
    fn of(environment: &dyn Environment, of_user: Option<PathBuf>) -> Self {
        let given = |name| environment.variable(name).unwrap_or_default();
        let only = PathBuf::from(given(ONLY));
        if only.is_absolute() {
            return Self {
                common: vec![only],
                private: Vec::new(),
            };
        }
        // Relative paths in this variable are to be ignored.
        let of_session = PathBuf::from(given("XDG_RUNTIME_DIR"));
        let of_user = Some(of_session).filter(|path| path.is_absolute()).or(of_user);
        let of_user = of_user.map(|directory| directory.join("apmon"));
        let mut common: Vec<_> = [PathBuf::from(SYSTEM)].into_iter().chain(of_user).collect();
        let by_systemd = given("RUNTIME_DIRECTORY");
        let by_systemd = by_systemd.split(':').map(PathBuf::from);
        let by_systemd: Vec<_> = by_systemd.filter(|path| path.is_absolute()).collect();
        // What systemd made for the unit can be written to.
        common.sort_by_key(|directory| !by_systemd.contains(directory));
        common.dedup();
        let private = by_systemd.into_iter().filter(|path| !common.contains(path));
        Self {
            private: private.collect(),
            common,
        }
    }

    /// The directories in the order in which a daemon tries them, and whether each is private.
    fn in_order(&self) -> impl Iterator<Item = (&Path, bool)> {
        let common = self.common.iter().map(|path| (path.as_path(), false));
        common.chain(self.private.iter().map(|path| (path.as_path(), true)))
    }
}

/// The directory of this user's session, if it exists.
fn of_this_user() -> Option<PathBuf> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let user = nix::unistd::Uid::effective().as_raw();
        let directory = PathBuf::from(format!("/run/user/{user}"));
        let found = directory.symlink_metadata().ok()?;
        (found.is_dir() && found.uid() == user).then_some(directory)
    }
    #[cfg(not(unix))]
    None
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
