//! All sites of this machine, as far as their state is where apmon keeps it.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use apmon_core::{
    config::{Environment as _, ProcessEnvironment},
    text::printable,
};
use apmon_store::Platform;

use super::{Search, SiteLocation, search::resolved, stem};
use crate::registry::Survey;

const HINT: &str = "give a site file, a state file with -s, or its directory in STATE_DIRECTORY";

/// All sites that are registered or whose state is in a default directory; if
/// `$STATE_DIRECTORY` is set, those whose state is there.
pub(super) fn all() -> anyhow::Result<Vec<SiteLocation>> {
    let given = ProcessEnvironment.variable("STATE_DIRECTORY");
    if given.is_some_and(|given| !given.is_empty()) {
        let directory = apmon_store::default_directory(Platform::HERE, &ProcessEnvironment);
        let shown = directory.display().to_string();
        let shown = printable(&shown);
        let found = match state_files(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            found => found.with_context(|| format!("cannot read {shown}; {HINT}"))?,
        };
        anyhow::ensure!(!found.is_empty(), "no site has state in {shown}; {HINT}");
        let search = Search {
            searched: vec![directory],
            unsearched: Vec::new(),
        };
        return Ok(locations(found, &search).collect());
    }
    let survey = Survey::take();
    let mut search = Search::of(&survey);
    let mut all: Vec<SiteLocation> = registered(&survey).collect();
    for directory in apmon_store::default_directories(Platform::HERE, &ProcessEnvironment) {
        match state_files(&directory) {
            Ok(found) => {
                search.searched.push(directory);
                all.extend(locations(found, &search));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => search.searched.push(directory),
            // Only root may enter it; the link to it, which comes first, says whether it exists.
            Err(_) if directory.parent().is_some_and(|above| above.ends_with("private")) => {}
            Err(error) => search.unsearched.push((directory, error.to_string())),
        }
    }
    let mut seen = HashSet::new();
    all.retain(|location| seen.insert(resolved(&location.state_file)));
    anyhow::ensure!(!all.is_empty(), "no site was found ({search}); {HINT}");
    for (directory, why) in &search.unsearched {
        let shown = directory.display().to_string();
        tracing::warn!("{}: not searched for sites: {why}", printable(&shown));
    }
    for location in &mut all {
        location.search = search.clone();
    }
    Ok(all)
}

/// The sites that are registered, unless their daemon and their state are gone.
fn registered(survey: &Survey) -> impl Iterator<Item = SiteLocation> {
    let entries = survey.entries.iter();
    let present = entries.filter(|found| found.live || found.entry.state_file.exists());
    present.map(|found| SiteLocation {
        stem: stem(&found.entry.file.given),
        config: Some(found.entry.file.given.clone()),
        state_file: found.entry.state_file.clone(),
        is_guess: false,
        daemon: found.live.then_some(found.entry.pid),
        search: Search::default(),
    })
}

fn locations(found: BTreeMap<String, PathBuf>, search: &Search) -> impl Iterator<Item = SiteLocation> {
    found.into_iter().map(|(stem, state_file)| SiteLocation {
        stem,
        config: None,
        state_file,
        is_guess: false,
        daemon: None,
        search: search.clone(),
    })
}

/// The state files in a directory, by their stem.
fn state_files(directory: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for entry in std::fs::read_dir(directory)?.flatten() {
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
    Ok(found)
}
