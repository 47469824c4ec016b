//! The sites of a process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Handle;

/// The sites of a process by name: for a dashboard or an API that serves all of them. Cheap to
/// clone; clones share their content.
#[derive(Clone, Default)]
pub struct Sites(Arc<Mutex<BTreeMap<String, SiteRun>>>);

/// Whether a site runs.
#[derive(Clone)]
#[non_exhaustive]
pub enum SiteRun {
    /// It runs.
    Running(Handle),
    /// It does not run, for this reason.
    Stopped(String),
}

impl Sites {
    /// Records that a site runs.
    pub fn running(&self, name: impl Into<String>, handle: Handle) {
        self.lock().insert(name.into(), SiteRun::Running(handle));
    }

    /// Records that a site does not run, and why.
    pub fn stopped(&self, name: impl Into<String>, reason: impl Into<String>) {
        self.lock().insert(name.into(), SiteRun::Stopped(reason.into()));
    }

    /// Removes a site.
    pub fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// The site of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<SiteRun> {
        self.lock().get(name).cloned()
    }

    /// All sites, by name.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, SiteRun> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, SiteRun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;

    use super::*;
    use crate::{
        engine::{Engine, Plan},
        store::{Commit, Snapshot, StateStore, StoreError},
    };

    struct NoStore;

    #[async_trait]
    impl StateStore for NoStore {
        async fn load(&self) -> Result<Snapshot, StoreError> {
            Ok(Snapshot::default())
        }

        async fn commit(&self, _: &Commit) -> Result<(), StoreError> {
            Ok(())
        }
    }

    #[test]
    fn a_site_runs_or_says_why_not() {
        let sites = Sites::default();
        let shared = sites.clone();
        shared.stopped("office", "the site file has errors");
        let engine = Engine::new(Plan::new("HomeLab"), Arc::new(NoStore));
        shared.running("home", engine.handle());
        assert!(matches!(sites.get("home"), Some(SiteRun::Running(_))));
        assert!(matches!(
            sites.get("office"),
            Some(SiteRun::Stopped(reason)) if reason.contains("errors")
        ));
        sites.remove("office");
        assert_eq!(sites.all().into_keys().collect::<Vec<_>>(), ["home"]);
    }
}
