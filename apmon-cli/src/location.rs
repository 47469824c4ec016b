//! The files of a site, for verbs that read its state from outside.

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
    site::{self, RunMode},
};

/// Where the files of one site are.
pub(crate) struct SiteLocation {
    /// The stem of the files; shown where the site's name is not known.
    pub(crate) stem: String,
    /// The site file, if one was given.
    pub(crate) config: Option<PathBuf>,
    /// The state file of a pass or of the daemon.
    pub(crate) state_file: PathBuf,
}

impl SiteLocation {
    /// The socket of the site's daemon.
    pub(crate) fn socket(&self) -> PathBuf {
        api::socket_of(&self.state_file)
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
                anyhow::anyhow!("{}: no such state file", printable(&path))
            }
            error => anyhow::anyhow!("{}", error.one_line()),
        }
    }

    /// The location of the site of this site file.
    pub(crate) fn of(config: &Path, statefile: Option<&Path>) -> Self {
        Self {
            stem: stem(config),
            config: Some(config.to_owned()),
            state_file: site::state_file(config, statefile, RunMode::Pass),
        }
    }
}

/// The locations of the sites of these site files; without any, of all sites whose
/// state is in the default directory.
pub(crate) fn all(configs: &[PathBuf], statefile: Option<&Path>) -> anyhow::Result<Vec<SiteLocation>> {
    match (configs, statefile) {
        ([], Some(state_file)) => Ok(vec![SiteLocation {
            stem: stem(state_file),
            config: None,
            state_file: state_file.to_owned(),
        }]),
        ([], None) => in_default_directory(),
        (configs, statefile) => Ok(configs
            .iter()
            .map(|config| SiteLocation::of(config, statefile))
            .collect()),
    }
}

fn in_default_directory() -> anyhow::Result<Vec<SiteLocation>> {
    let directory = apmon_store::default_directory(Platform::HERE, &ProcessEnvironment);
    let shown = directory.display().to_string();
    let shown = printable(&shown);
    let hint = "give a site file, a state file with -s, or its directory in STATE_DIRECTORY";
    let entries = match std::fs::read_dir(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            anyhow::bail!("no site has state in {shown}; {hint}")
        }
        entries => entries.with_context(|| format!("cannot read {shown}; {hint}"))?,
    };
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // If there is a database, every command uses it.
        if let Some(stem) = name.strip_suffix(".statefile.db") {
            found.insert(stem.to_owned(), entry.path());
        } else if let Some(stem) = name.strip_suffix(".statefile.sock") {
            // A daemon that has just started has no database yet.
            let database = entry.path().with_extension("db");
            found.entry(stem.to_owned()).or_insert(database);
        } else if let Some(stem) = name.strip_suffix(".statefile.json") {
            // Until its database exists, a daemon has not imported this file.
            let known = found.entry(stem.to_owned()).or_insert_with(|| entry.path());
            if !known.exists() {
                *known = entry.path();
            }
        }
    }
    if found.is_empty() {
        anyhow::bail!("no site has state in {shown}; {hint}");
    }
    let locations = found.into_iter().map(|(stem, state_file)| SiteLocation {
        stem,
        config: None,
        state_file,
    });
    Ok(locations.collect())
}

/// The stem of a site file or state file: `home` for `/etc/apmon/home.yaml` and for
/// `/var/tmp/APMonitor/home.statefile.db`.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.strip_suffix(".statefile").unwrap_or(&stem).to_owned()
}
