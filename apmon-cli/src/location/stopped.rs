//! Why a daemon that runs other sites does not run this one.

use std::collections::BTreeSet;

use crate::{
    api::{self, ApiError},
    registry::{SitePath, Survey},
};

/// Asks each running daemon whether it was started with this site file and does not run it.
pub(super) fn reason(file: &SitePath, survey: &Survey) -> Option<ApiError> {
    // Each site of a daemon has a socket, and one may not answer. Daemons in containers may share
    // a process id, but not the moment of their start as well.
    let mut asked = BTreeSet::new();
    for found in survey.entries.iter().filter(|found| found.live) {
        let daemon = (found.entry.pid, found.entry.started);
        if asked.contains(&daemon) {
            continue;
        }
        // One of another version does not know.
        let Ok(sites) = api::sites_of(&found.entry.socket) else {
            continue;
        };
        asked.insert(daemon);
        let site = sites.into_iter().find(|site| site.file.is_same(file));
        if let Some(reason) = site.and_then(|site| site.reason) {
            let pid = found.entry.pid;
            return Some(ApiError::NotRun { pid, reason });
        }
    }
    None
}
