//! Which site file an argument names: its path, or the name of a registered site.

use std::path::{Path, PathBuf};

use apmon_core::{
    config::{Environment as _, ProcessEnvironment},
    text::{nearest, printable},
};

use super::Search;
use crate::{
    registry::{Found, Survey},
    site,
};

/// The site file that an argument names. `~/` at its start is the home directory, also
/// where no shell has replaced it.
///
/// # Errors
/// If it is neither a file nor the name of exactly one site.
pub(crate) fn site_file(given: &Path) -> anyhow::Result<PathBuf> {
    let path = from_home(given);
    if is_path(&path) {
        return Ok(path);
    }
    let shown = path.display().to_string();
    let missing = match path.is_file() {
        true => "a site file's name must end in .yaml, .yml or .json",
        false => "no such file",
    };
    let survey = Survey::take();
    match named(&survey, &shown)? {
        Some(path) => Ok(path),
        None => {
            let names = survey.entries.iter().map(|found| found.entry.site.as_str());
            let hint = nearest(&shown, names)
                .map(|name| format!("; did you mean \"{name}\"?"))
                .unwrap_or_default();
            anyhow::bail!(
                "{}: {missing}, and no daemon has registered a site of this name ({}){}",
                printable(&shown),
                Search::of(&survey),
                printable(&hint)
            )
        }
    }
}

/// Whether an argument is a path, and not the name of a site. A bare word is none, even if a file
/// has that name: it may as well be a mistyped command.
pub(crate) fn is_path(given: &Path) -> bool {
    let text = given.to_string_lossy();
    site::is_site_file(&text)
        || text.contains('/')
        || matches!(&*text, "." | "..")
        || given.extension().is_some() && given.is_file()
}

/// The site files that these arguments name, and the arguments that name none. Those are logged: one
/// argument does not keep the others from running.
pub(crate) fn site_files(given: &[PathBuf]) -> (Vec<PathBuf>, Vec<(PathBuf, anyhow::Error)>) {
    let (mut files, mut unknown) = (Vec::new(), Vec::new());
    for given in given {
        match site_file(given) {
            Ok(file) => files.push(file),
            Err(error) => {
                tracing::error!("{error:#}");
                unknown.push((given.clone(), error));
            }
        }
    }
    (files, unknown)
}

/// The file of the site that is registered under this name.
///
/// # Errors
/// If there are several.
pub(crate) fn registered(name: &str) -> anyhow::Result<Option<PathBuf>> {
    named(&Survey::take(), name)
}

fn named(survey: &Survey, name: &str) -> anyhow::Result<Option<PathBuf>> {
    let of_this_name =
        |found: &&Found| found.entry.site == name && (found.live || found.entry.file.given.exists());
    let mut files: Vec<&Found> = Vec::new();
    for found in survey.entries.iter().filter(of_this_name) {
        if !files
            .iter()
            .any(|other| other.entry.file.is_same(&found.entry.file))
        {
            files.push(found);
        }
    }
    // A file that was once tried does not make the name of a running site ambiguous.
    if files.iter().any(|found| found.live) {
        files.retain(|found| found.live);
    }
    match files[..] {
        [] => Ok(None),
        [found] => Ok(Some(found.entry.file.given.clone())),
        _ => {
            let paths = files.iter().map(|found| {
                let path = found.entry.file.given.display().to_string();
                printable(&path).into_owned()
            });
            let paths: Vec<_> = paths.collect();
            anyhow::bail!(
                "\"{}\" is the name of {} sites; give one of their files instead: {}",
                printable(name),
                paths.len(),
                paths.join(", ")
            )
        }
    }
}

fn from_home(path: &Path) -> PathBuf {
    let home = ProcessEnvironment
        .variable("HOME")
        .filter(|home| !home.is_empty());
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) if !path.exists() => Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}
