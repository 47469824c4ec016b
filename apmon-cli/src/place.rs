//! Where a site's state stands, for verbs that look at it from outside.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use apmon_core::{
    StoreError,
    config::{ProcessEnvironment, SiteFile},
    text::printable,
};
use apmon_store::Platform;

use crate::{
    api, kinds,
    site::{self, Watcher},
};

/// One site's place.
pub(crate) struct Place {
    /// The stem of its files, which stands for the site's name where that is not known.
    pub(crate) stem: String,
    /// Its site file, where one was named.
    pub(crate) config: Option<PathBuf>,
    /// Where a pass and the daemon keep its state.
    pub(crate) state_file: PathBuf,
}

impl Place {
    /// Where its daemon can be asked.
    pub(crate) fn socket(&self) -> PathBuf {
        api::socket_of(&self.state_file)
    }

    /// Its site file, where one was named and can be read: what may be wrong with
    /// it is not the question here.
    pub(crate) fn site_file(&self) -> Option<SiteFile> {
        let config = self.config.as_deref()?;
        kinds::tables().load(config, &ProcessEnvironment).ok()
    }

    /// Why its state file cannot be read.
    pub(crate) fn unread(&self, error: &StoreError) -> anyhow::Error {
        match error {
            StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                let path = self.state_file.display().to_string();
                anyhow::anyhow!("{}: there is no such state file", printable(&path))
            }
            error => anyhow::anyhow!("{}", error.one_line()),
        }
    }

    /// The place of this site file.
    pub(crate) fn of(config: &Path, statefile: Option<&Path>) -> Self {
        Self {
            stem: stem(config),
            config: Some(config.to_owned()),
            state_file: site::state_file(config, statefile, Watcher::Pass),
        }
    }
}

/// The places of these site files; without any, of all sites whose state stands
/// in the default directory.
pub(crate) fn all(configs: &[PathBuf], statefile: Option<&Path>) -> anyhow::Result<Vec<Place>> {
    match (configs, statefile) {
        ([], Some(state_file)) => Ok(vec![Place {
            stem: stem(state_file),
            config: None,
            state_file: state_file.to_owned(),
        }]),
        ([], None) => in_default_directory(),
        (configs, statefile) => Ok(configs
            .iter()
            .map(|config| Place::of(config, statefile))
            .collect()),
    }
}

fn in_default_directory() -> anyhow::Result<Vec<Place>> {
    let directory = apmon_store::default_directory(Platform::HERE, &ProcessEnvironment);
    let shown = directory.display().to_string();
    let shown = printable(&shown);
    let hint = "name a site file, a state file with -s, or its directory in STATE_DIRECTORY";
    let entries = match std::fs::read_dir(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            anyhow::bail!("no site has its state in {shown}; {hint}")
        }
        entries => entries.with_context(|| format!("{shown} cannot be read; {hint}"))?,
    };
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // A database is used wherever there is one.
        if let Some(stem) = name.strip_suffix(".statefile.db") {
            found.insert(stem.to_owned(), entry.path());
        } else if let Some(stem) = name.strip_suffix(".statefile.sock") {
            // A daemon that has just started has no database yet.
            let database = entry.path().with_extension("db");
            found.entry(stem.to_owned()).or_insert(database);
        } else if let Some(stem) = name.strip_suffix(".statefile.json") {
            // Nor has it taken this one over yet, where both stand there.
            let known = found.entry(stem.to_owned()).or_insert_with(|| entry.path());
            if !known.exists() {
                *known = entry.path();
            }
        }
    }
    if found.is_empty() {
        anyhow::bail!("no site has its state in {shown}; {hint}");
    }
    let places = found.into_iter().map(|(stem, state_file)| Place {
        stem,
        config: None,
        state_file,
    });
    Ok(places.collect())
}

/// `home` of `/etc/apmon/home.yaml` and of `/var/tmp/APMonitor/home.statefile.db`.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.strip_suffix(".statefile").unwrap_or(&stem).to_owned()
}
