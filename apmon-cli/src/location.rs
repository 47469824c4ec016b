//! The files of a site, for verbs that read its state from outside, and for passes, which
//! must not run beside a daemon.

mod argument;
mod listing;
mod search;
mod stopped;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use apmon_core::{
    StoreError,
    config::{ProcessEnvironment, SiteFile},
    text::{printable, without_logins},
};

pub(crate) use self::{
    argument::{registered, site_file, site_files},
    search::{find_daemon, resolved},
};
use crate::{
    api::{self, ApiError},
    kinds,
    registry::{SitePath, Survey},
};

/// Where the files of one site are.
pub(crate) struct SiteLocation {
    /// The stem of the files; shown where the site's name is not known.
    pub(crate) stem: String,
    /// The site file, if one was given or is registered.
    pub(crate) config: Option<PathBuf>,
    /// The state file of a pass or of the daemon.
    pub(crate) state_file: PathBuf,
    /// Only its name says that the state file is of this site.
    pub(crate) is_guess: bool,
    /// The process that runs the site, according to the registry.
    pub(crate) daemon: Option<u32>,
    /// Where its daemon was searched for.
    pub(crate) search: Search,
}

/// Where a daemon was searched for.
#[derive(Clone, Default, Debug)]
pub(crate) struct Search {
    pub(crate) searched: Vec<PathBuf>,
    /// Where one may be all the same, and why that is not known.
    pub(crate) unsearched: Vec<(PathBuf, String)>,
}

impl Search {
    fn of(survey: &Survey) -> Self {
        Self {
            searched: survey.searched.clone(),
            unsearched: survey.unsearched.clone(),
        }
    }
}

/// `searched /run/apmon, /var/tmp/APMonitor; not searched: /var/lib/apmon (Permission
/// denied)`
impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &PathBuf| printable(&path.display().to_string()).into_owned();
        let searched: Vec<_> = self.searched.iter().map(shown).collect();
        let unsearched = self.unsearched.iter();
        let unsearched: Vec<_> = unsearched
            .map(|(path, why)| format!("{} ({})", shown(path), printable(why)))
            .collect();
        let lists = [("searched ", searched), ("not searched: ", unsearched)];
        let lists = lists.iter().filter(|(_, list)| !list.is_empty());
        let lists: Vec<_> = lists
            .map(|(verb, list)| format!("{verb}{}", list.join(", ")))
            .collect();
        f.write_str(&lists.join("; "))
    }
}

impl SiteLocation {
    /// The socket of the site's daemon.
    pub(crate) fn socket(&self) -> PathBuf {
        api::socket_of(&self.state_file)
    }

    /// Adds to an error of the socket what the search has shown, and what the daemons of other
    /// sites say of this one.
    pub(crate) fn daemon_error(&self, error: ApiError) -> ApiError {
        if let (ApiError::NoDaemon, None, Some(config)) = (&error, self.daemon, &self.config)
            && let Some(why) = stopped::reason(&SitePath::of(config), &Survey::take())
        {
            return why;
        }
        match (error, self.daemon) {
            (ApiError::NoDaemon, Some(pid)) => ApiError::NoSocket(pid),
            // One may be running where this user may not search.
            (ApiError::NoDaemon, None) if !self.search.unsearched.is_empty() => ApiError::NotFound,
            (error, _) => error,
        }
    }

    /// The content of the site file, if one was given and is valid. Errors in it are
    /// not reported here.
    pub(crate) fn site_file(&self) -> Option<SiteFile> {
        let config = self.config.as_deref()?;
        kinds::tables().load(config, &ProcessEnvironment).ok()
    }

    /// The error for a state file that cannot be read.
    pub(crate) fn read_error(&self, error: &StoreError) -> anyhow::Error {
        match error {
            StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                let path = self.state_file.display().to_string();
                anyhow::anyhow!("{}: no such state file", printable(&without_logins(&path)))
            }
            error => anyhow::anyhow!("{}", error.one_line()),
        }
    }

    /// The location of the site of this site file.
    pub(crate) fn of(config: &Path, state_file: Option<&Path>) -> Self {
        match state_file {
            Some(state_file) => Self::of_state_file(state_file, Some(config)),
            None => search::find(config, &Survey::take()),
        }
    }

    /// The location of a site whose state file is known.
    fn of_state_file(state_file: &Path, config: Option<&Path>) -> Self {
        Self {
            stem: stem(config.unwrap_or(state_file)),
            config: config.map(Path::to_owned),
            state_file: state_file.to_owned(),
            is_guess: false,
            daemon: None,
            search: Search {
                searched: vec![api::socket_of(state_file)],
                unsearched: Vec::new(),
            },
        }
    }
}

/// The locations of the sites of these site files, or of the sites of these names; without
/// any, of all sites that are registered or whose state is in a default directory.
pub(crate) fn all(configs: &[PathBuf], state_file: Option<&Path>) -> anyhow::Result<Vec<SiteLocation>> {
    match (configs, state_file) {
        ([], Some(state_file)) => Ok(vec![SiteLocation::of_state_file(state_file, None)]),
        ([], None) => listing::all(),
        (configs, state_file) => configs
            .iter()
            .map(|config| Ok(SiteLocation::of(&site_file(config)?, state_file)))
            .collect(),
    }
}

/// The stem of a site file or state file: `home` for `/etc/apmon/home.yaml` and for
/// `/var/tmp/APMonitor/home.statefile.db`.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.strip_suffix(".statefile").unwrap_or(&stem).to_owned()
}
