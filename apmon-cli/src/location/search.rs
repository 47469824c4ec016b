//! The daemon and the state of a site file, wherever they are: in the registry, and in
//! every directory in which an apmon may keep its state.

use std::{
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use apmon_core::{config::ProcessEnvironment, text::printable};
use apmon_store::{Format, Platform};

use super::{Search, SiteLocation, stem};
use crate::{
    api::{self, ApiError},
    registry::{SitePath, Survey, is_believed, is_of_owner},
    site::{self, RunMode},
};

/// A running daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) pid: u32,
    pub(crate) state_file: PathBuf,
}

impl Daemon {
    /// The error for a second apmon on the same site file.
    pub(crate) fn is_running(&self) -> anyhow::Error {
        let state_file = self.state_file.display().to_string();
        anyhow::anyhow!(
            "another apmon is running this site: the daemon of process {}, whose state is in {}",
            self.pid,
            printable(&state_file)
        )
    }
}

/// Searches for the daemon of this site file. This process must not be running it. (Its id says
/// nothing: in containers that share a registry, all daemons may have the same one.)
pub(crate) fn find_daemon(config: &Path) -> (Option<Daemon>, Search) {
    let (survey, file) = (Survey::take(), SitePath::of(config));
    let mut search = Search::of(&survey);
    if let Some(found) = survey.of(&file).find(|found| found.live) {
        let daemon = Daemon {
            pid: found.entry.pid,
            state_file: found.entry.state_file.clone(),
        };
        return (Some(daemon), search);
    }
    for place in places(config, &mut search) {
        match place.ask(&file) {
            Asked::Ours(pid) => {
                let state_file = place.database();
                return (Some(Daemon { pid, state_file }), search);
            }
            Asked::Unknown(why) => search.unsearched.push((place.socket(), why)),
            _ => {}
        }
    }
    (None, search)
}

/// Finds the daemon of this site file, else the latest state of the site.
pub(super) fn find(config: &Path, survey: &Survey) -> SiteLocation {
    let file = SitePath::of(config);
    let mut location = SiteLocation {
        stem: stem(config),
        config: Some(config.to_owned()),
        state_file: PathBuf::new(),
        is_guess: false,
        daemon: None,
        search: Search::of(survey),
    };
    if let Some(found) = survey.of(&file).find(|found| found.live) {
        location.state_file = found.entry.state_file.clone();
        location.daemon = Some(found.entry.pid);
        return location;
    }
    let mut states: Vec<State> = Vec::new();
    for place in places(config, &mut location.search) {
        let mut is_guess = !place.is_own;
        match place.ask(&file) {
            Asked::Ours(pid) => {
                location.state_file = place.database();
                location.daemon = Some(pid);
                return location;
            }
            Asked::Other => continue,
            Asked::Unknown(why) => location.search.unsearched.push((place.socket(), why)),
            // Those who only read may see it.
            Asked::Owners(pid) => {
                let state = State::new(place.database(), false);
                states.push(State {
                    daemon: Some(pid),
                    ..state
                });
                continue;
            }
            Asked::Foreign => is_guess = true,
            Asked::Nobody => {}
        }
        let path = place.state_file();
        states.extend(path.map(|path| State::new(path, is_guess)));
    }
    // Those of other site files of the same stem.
    let others = survey
        .entries
        .iter()
        .filter(|found| !found.entry.file.is_same(&file));
    let others: Vec<_> = others.map(|found| resolved(&found.entry.state_file)).collect();
    states.retain(|state| !others.contains(&resolved(&state.path)));
    let registered = survey.of(&file).map(|found| &found.entry.state_file);
    let registered = registered.filter(|path| path.exists());
    states.extend(registered.map(|path| State::new(path.clone(), false)));
    // What the environment names comes first.
    let given = apmon_store::default_directory(Platform::HERE, &ProcessEnvironment);
    let is_given = |state: &State| is_given(&given) && state.path.parent() == Some(&given);
    let latest = states
        .into_iter()
        .max_by_key(|state| (is_given(state), state.changed, !state.is_guess));
    match latest {
        Some(state) => {
            location.state_file = state.path;
            location.is_guess = state.is_guess;
            location.daemon = state.daemon;
        }
        None => location.state_file = site::state_file(config, None, RunMode::Pass),
    }
    location
}

/// Whether the environment names this default directory.
fn is_given(directory: &Path) -> bool {
    let of_platform = apmon_store::default_directories(Platform::HERE, &ProcessEnvironment).pop();
    of_platform.is_none_or(|of_platform| of_platform != directory)
}

/// A state file that may be of the site.
struct State {
    path: PathBuf,
    changed: SystemTime,
    is_guess: bool,
    /// The process of another user that says it runs the site with this state.
    daemon: Option<u32>,
}

impl State {
    fn new(path: PathBuf, is_guess: bool) -> Self {
        Self {
            changed: changed(&path),
            path,
            is_guess,
            daemon: None,
        }
    }
}

/// A directory in which a site's state may be.
struct Place {
    directory: PathBuf,
    config: PathBuf,
    /// This process would keep the state here.
    is_own: bool,
}

/// What listens on the socket of a place.
enum Asked {
    /// The daemon of the site file: its process.
    Ours(u32),
    /// The daemon of another site file of the same stem.
    Other,
    /// A process of the user who owns the state says that it runs the site file. That is good enough
    /// to show it, and no reason not to run the site.
    Owners(u32),
    /// Something of another user, which is not believed.
    Foreign,
    Nobody,
    /// It did not say whose daemon it is.
    Unknown(String),
}

impl Place {
    fn path(&self, format: Format) -> PathBuf {
        apmon_store::path_in(&self.directory, &self.config, format)
    }

    fn database(&self) -> PathBuf {
        self.path(Format::Sqlite)
    }

    fn socket(&self) -> PathBuf {
        api::socket_of(&self.database())
    }

    /// The state file, if there is one or a daemon that may have one.
    fn state_file(&self) -> Option<PathBuf> {
        let (database, json) = (self.database(), self.path(Format::Json));
        let exists = |path: &Path| path.symlink_metadata().is_ok();
        match (exists(&database), exists(&json), exists(&self.socket())) {
            (true, ..) => Some(database),
            (false, true, _) => Some(json),
            (false, false, true) => Some(database),
            (false, false, false) => None,
        }
    }

    fn ask(&self, file: &SitePath) -> Asked {
        let socket = self.socket();
        if socket.symlink_metadata().is_err() {
            return Asked::Nobody;
        }
        match api::site_of(&socket, |uid| is_believed(&self.directory, uid)) {
            Ok((theirs, pid)) if theirs.is_same(file) => Asked::Ours(pid),
            Ok(_) => Asked::Other,
            Err(ApiError::NoDaemon) => Asked::Nobody,
            Err(ApiError::Foreign(uid)) if is_of_owner(&socket, uid) => {
                match api::site_of(&socket, |other| other == uid) {
                    Ok((theirs, pid)) if theirs.is_same(file) => Asked::Owners(pid),
                    Ok(_) => Asked::Other,
                    Err(_) => Asked::Foreign,
                }
            }
            // Anybody may listen where anybody may create files, and say anything.
            Err(ApiError::Foreign(uid)) => {
                let shown = socket.display().to_string();
                tracing::debug!(
                    "{}: not asked: what listens there is of another user (uid {uid})",
                    printable(&shown)
                );
                Asked::Foreign
            }
            Err(error) => Asked::Unknown(error.to_string()),
        }
    }
}

/// The directories that exist and may be searched, each once.
fn places(config: &Path, search: &mut Search) -> Vec<Place> {
    let environment = ProcessEnvironment;
    let own = apmon_store::default_directory(Platform::HERE, &environment);
    let mut places: Vec<Place> = Vec::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    for directory in apmon_store::default_directories(Platform::HERE, &environment) {
        // Fails if the directory may not be searched.
        match directory.join(".").metadata() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                search.searched.push(directory);
                continue;
            }
            // Only root may enter it; the link to it, which comes first, says whether it exists.
            Err(_) if directory.parent().is_some_and(|above| above.ends_with("private")) => continue,
            Err(error) => {
                search.unsearched.push((directory, error.to_string()));
                continue;
            }
        }
        search.searched.push(directory.clone());
        let real = resolved(&directory);
        if seen.contains(&real) {
            continue;
        }
        seen.push(real);
        places.push(Place {
            is_own: directory == own,
            directory,
            config: config.to_owned(),
        });
    }
    places
}

/// A path without symbolic links in its directory; the file need not exist.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    SitePath::of(path).real
}

/// When a state file was last written. A database is written through its log.
fn changed(state_file: &Path) -> SystemTime {
    let mut log = state_file.as_os_str().to_owned();
    log.push("-wal");
    let times = [state_file, Path::new(&log)]
        .into_iter()
        .filter_map(|path| path.metadata().ok()?.modified().ok());
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}
