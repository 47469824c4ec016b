//! The sites of a process, as the sockets of all of them list them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use apmon_core::{Handle, SiteRun, Sites};
use serde_json::{Value, json};

use crate::registry::{SitePath, path_as_json, path_of};

/// The sites of this process: those that run, and why the others do not. Clones share their
/// content.
#[derive(Clone, Default)]
pub(crate) struct ProcessSites {
    sites: Sites,
    /// The names under which they are listed, by site file.
    names: Arc<Mutex<BTreeMap<PathBuf, String>>>,
}

/// A site as another process lists it.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct ListedSite {
    pub(crate) file: SitePath,
    /// Why it does not run; `None` if it runs.
    pub(crate) reason: Option<String>,
}

impl ProcessSites {
    /// Records that the site of this file runs, under this name.
    pub(crate) fn running(&self, config: &Path, site: &str, handle: Handle) {
        let mut names = self.lock();
        let is_taken = |name: &str| {
            names
                .iter()
                .any(|(other, taken)| other != config && taken == name)
        };
        let name = match is_taken(site) {
            false => site.to_owned(),
            // Two site files may give the same name.
            true => format!("{site} ({})", config.display()),
        };
        self.rename(&mut names, config, &name);
        self.sites.running(name, handle);
    }

    /// Records that the site of this file does not run, and why. Its name is the last one that
    /// is known, or its file.
    pub(crate) fn stopped(&self, config: &Path, reason: &anyhow::Error) {
        let mut names = self.lock();
        let known = names.get(config).cloned();
        let name = known.unwrap_or_else(|| config.display().to_string());
        self.rename(&mut names, config, &name);
        // The errors of a site file are one per line.
        let reason = format!("{reason:#}");
        let lines: Vec<&str> = reason.lines().collect();
        self.sites.stopped(name, lines.join("; "));
    }

    fn rename(&self, names: &mut BTreeMap<PathBuf, String>, config: &Path, name: &str) {
        let former = names.insert(config.to_owned(), name.to_owned());
        if let Some(former) = former.filter(|former| former != name) {
            self.sites.remove(&former);
        }
    }

    /// All sites, `{"pid": 1, "sites": [...]}`.
    pub(super) fn as_json(&self) -> Value {
        self.list(SitePath::of)
    }

    fn list(&self, path: impl Fn(&Path) -> SitePath) -> Value {
        // A file system that hangs must hold up nothing but this answer, and the engines take the
        // lock too.
        let names = self.lock().clone();
        let sites = names.iter().filter_map(|(config, name)| {
            let reason = match self.sites.get(name)? {
                SiteRun::Stopped(reason) => Some(reason),
                _ => None,
            };
            let file = path(config);
            Some(json!({
                "site": name,
                "site_file": path_as_json(&file.real),
                "given": path_as_json(&file.given),
                "running": reason.is_none(),
                "reason": reason,
            }))
        });
        json!({"pid": std::process::id(), "sites": sites.collect::<Vec<_>>()})
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ListedSite {
    /// Reads one element of `sites`.
    pub(super) fn of(object: &Value) -> Option<Self> {
        Some(Self {
            file: SitePath {
                given: path_of(&object["given"])?,
                real: path_of(&object["site_file"])?,
            },
            reason: object["reason"].as_str().map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path on a file system that hangs takes as long as it takes.
    #[test]
    fn the_sites_can_change_while_their_paths_are_looked_up() {
        let sites = ProcessSites::default();
        for config in ["/etc/apmon/home.yaml", "/etc/apmon/office.yaml"] {
            sites.stopped(Path::new(config), &anyhow::anyhow!("no"));
        }
        let listed = sites.list(|config| {
            assert!(sites.names.try_lock().is_ok(), "the engines would wait");
            sites.stopped(config, &anyhow::anyhow!("changed meanwhile"));
            SitePath::of(config)
        });
        assert_eq!(listed["sites"].as_array().unwrap().len(), 2);
        let reasons = sites.as_json()["sites"].as_array().unwrap().clone();
        assert!(reasons.iter().all(|site| site["reason"] == "changed meanwhile"));
    }
}
