//! A running site as other apmon commands find it, in the registry.

use std::path::{Path, PathBuf};

use apmon_core::{Clock as _, SystemClock, text::printable};

use crate::{
    api,
    registry::{Claim, Entry, Registration, SitePath, register},
};

/// A running site and its entry in the registry.
pub(super) struct RegisteredSite {
    entry: Entry,
    /// Keeps other apmons from running the site file.
    claim: Claim,
    /// Whether it was logged that another one has claimed it.
    is_contested: bool,
    /// `None` before [`RegisteredSite::register`], or if no registry can be written to.
    registration: Option<Registration>,
}

impl RegisteredSite {
    pub(super) fn new(site: &str, file: SitePath, state_file: PathBuf, claim: Claim) -> Self {
        Self {
            entry: Entry {
                file,
                site: site.to_owned(),
                socket: api::socket_of(&state_file),
                state_file,
                pid: std::process::id(),
                started: SystemClock::new().now().wall,
            },
            claim,
            is_contested: false,
            registration: None,
        }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.entry.socket
    }

    pub(super) fn file(&self) -> &SitePath {
        &self.entry.file
    }

    /// Logs what runs, for a reader of the log who knows nothing else.
    pub(super) fn log_start(&self) {
        let shown = |path: &Path| printable(&path.display().to_string()).into_owned();
        tracing::info!(
            "apmon {}: site file {}, state file {}",
            env!("CARGO_PKG_VERSION"),
            shown(&self.entry.file.given),
            shown(&self.entry.state_file)
        );
    }

    /// Registers the site. Without a registry it runs all the same, with one line in the
    /// log.
    pub(super) fn register(&mut self) {
        match register(&self.entry) {
            Ok(registration) => {
                let directory = registration.directory().display().to_string();
                let directory = printable(&directory);
                match registration.refusals() {
                    why if registration.is_private() => {
                        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
                        tracing::warn!(
                            "registered in {directory}, where only commands of the same unit find this daemon{why}; set RuntimeDirectory=apmon in the unit, or give other commands its state file with -s"
                        );
                    }
                    Some(why) => tracing::info!("registered in {directory}, because of {why}"),
                    None => tracing::debug!("registered in {directory}"),
                }
                self.registration = Some(registration);
            }
            Err(why) => tracing::warn!(
                "other apmon commands may not find this daemon, because it cannot be registered ({why}); give them its state file with -s"
            ),
        }
    }

    /// Registers the site anew if its entry is gone, as when somebody empties `/run`, or if it
    /// could not be registered before.
    pub(super) fn keep(&mut self) {
        let claimed = self.claim.keep();
        self.report_contest(claimed.is_err());
        if self.registration.as_ref().is_some_and(Registration::is_present) {
            return;
        }
        match register(&self.entry) {
            Ok(registration) => {
                let directory = registration.directory().display().to_string();
                let directory = printable(&directory);
                tracing::info!("registered anew in {directory}: there was no entry of this daemon");
                self.registration = Some(registration);
            }
            // Said once.
            Err(why) if self.registration.take().is_some() => tracing::warn!(
                "other apmon commands may not find this daemon any more: its entry in the registry is gone, and it cannot be registered anew ({why})"
            ),
            Err(_) => {}
        }
    }

    /// Logs once that another apmon has claimed the site file while this one had no claim.
    fn report_contest(&mut self, is_contested: bool) {
        if is_contested && !self.is_contested {
            tracing::error!(
                "another apmon has claimed this site file while the registry was empty, or the file is a link that was changed to one that is running: notifications may be sent twice; stop one of them"
            );
        }
        self.is_contested = is_contested;
    }

    /// Registers the site anew if a reload has changed its name, or the target of a link.
    pub(super) fn reloaded(&mut self, site: &str, file: SitePath) {
        let is_same = self.entry.site == site && self.entry.file == file;
        let claimed = self.claim.follow(&file);
        self.report_contest(claimed.is_err());
        self.entry.site = site.to_owned();
        self.entry.file = file;
        let Some(registration) = self.registration.as_mut().filter(|_| !is_same) else {
            return;
        };
        if let Err(why) = registration.replace(&self.entry) {
            let former = printable(&registration.entry().site).into_owned();
            tracing::warn!("the site is still registered as it was before, as {former}: {why}");
        }
    }
}
