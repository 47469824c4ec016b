//! History in a build without RRD files.

use std::{path::Path, process::ExitCode, time::Duration};

use apmon_core::{CheckRecord, Handle, MetricSink, SiteStatus, config::SiteFile};
use async_trait::async_trait;
use clap::Args;

use crate::{feature, options::CommonArgs, site::RunMode};

/// How long a pass waits until its values are written.
pub(crate) const PASS_WRITES: Duration = Duration::ZERO;
/// How long a pass takes longer with history.
pub(crate) const PASS_END: Duration = Duration::ZERO;

/// Arguments of the child, which does not exist.
#[derive(Args)]
pub(crate) struct WorkerArgs {}

/// Says that this build has no such child.
pub(crate) fn serve() -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build keeps no RRD files: {}", feature::missing("rrd"))
}

/// How the history of a site is kept: never.
#[derive(Clone)]
pub(crate) struct Settings;

impl Settings {
    /// Warns of options that ask for it.
    pub(crate) fn of(_: &SiteFile, args: &CommonArgs, _: &Path) -> (Option<Self>, Option<String>) {
        let is_asked_for = args.generate_rrds || args.generate_mrtg_config.is_some();
        let warning = is_asked_for.then(|| {
            let missing = feature::missing("rrd");
            format!("no history is kept and no MRTG files are written: {missing}")
        });
        (None, warning)
    }
}

/// No warning: there are no files.
pub(crate) fn rare_pass(_: &Settings, _: &Path) -> Option<String> {
    None
}

/// No warning: there are no files.
pub(crate) fn rare_values(_: &Settings) -> Option<String> {
    None
}

/// Nothing to show.
pub(crate) fn report(_: &Settings) -> (String, Option<String>) {
    (String::new(), None)
}

/// The history of a site, which keeps none.
#[derive(Clone)]
pub(crate) struct History;

impl History {
    pub(crate) fn new(_: RunMode) -> Self {
        Self
    }

    pub(crate) async fn configure(&self, _: Option<Settings>) {}

    pub(crate) fn has_pages(&self) -> bool {
        false
    }

    pub(crate) async fn flush(&self, _: Duration) -> bool {
        true
    }

    pub(crate) async fn end(&self) {}

    pub(crate) async fn write_pages(&self, _: SiteStatus) {}

    pub(crate) async fn keep_pages(self, _: Handle) {}
}

#[async_trait]
impl MetricSink for History {
    fn record(&self, _: &CheckRecord<'_>) {}
}
