//! Why a daemon that runs other sites does not run this one.

use std::collections::BTreeSet;

use crate::{
    api::{self, ApiError},
    registry::{SitePath, Survey},
};

/// Asks each running daemon whether it was started with this site file and does not run it.
pub(super) fn reason(file: &SitePath, survey: &Survey) -> Option<ApiError> {
    let mut asked = BTreeSet::new();
    let daemons = survey.entries.iter().filter(|found| found.live);
    for found in daemons.filter(|found| asked.insert(found.entry.pid)) {
        // One of another version does not know.
        let Ok(sites) = api::sites_of(&found.entry.socket) else {
            continue;
        };
        let site = sites.into_iter().find(|site| site.file.is_same(file));
        if let Some(reason) = site.and_then(|site| site.reason) {
            let pid = found.entry.pid;
            return Some(ApiError::NotRun { pid, reason });
        }
    }
    None
}
