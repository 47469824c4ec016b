//! Whether a site keeps history, where, and of what.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use apmon_core::config::SiteFile;
use apmon_rrd::{HistoryOptions, Rows};

use crate::options::CommonArgs;

/// How the history of a site is kept.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Settings {
    /// The site's name.
    pub(crate) site: String,
    /// The directory of its files.
    pub(crate) directory: PathBuf,
    /// How much is kept.
    pub(crate) rows: Rows,
    /// How long values are collected, if the site file says so.
    pub(crate) flush: Option<Duration>,
    /// The monitors, in the order of the site file.
    pub(crate) monitors: Vec<RecordedMonitor>,
    /// Where MRTG's files are written, if they are.
    pub(crate) mrtg: Option<MrtgFiles>,
}

/// What of a monitor matters for its files, pages and charts.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct RecordedMonitor {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) address: String,
    /// The seconds between two checks.
    pub(crate) step: u64,
    /// Whether it is on pages.
    pub(crate) display: bool,
    /// The percentile on its charts.
    pub(crate) percentile: Option<u8>,
}

/// The files for MRTG's tools and for a web server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MrtgFiles {
    /// The configuration.
    pub(crate) cfg: PathBuf,
    /// The directory of the pages of all sites.
    pub(crate) pages: PathBuf,
}

/// Whether a site keeps history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    Yes,
    /// Nobody has asked for it.
    No,
    /// The site file says no to what the command line asks for.
    Refused,
}

impl Kept {
    /// Decides: `is_asked_for` on the command line, `written` in the site file, and whether there
    /// is a directory already.
    fn of(is_asked_for: bool, written: Option<bool>, is_there: bool) -> Self {
        match (written, is_asked_for) {
            (Some(false), true) => Self::Refused,
            (Some(false), false) => Self::No,
            (Some(true), _) | (None, true) => Self::Yes,
            (None, false) if is_there => Self::Yes,
            (None, false) => Self::No,
        }
    }
}

/// The directory of a site's files.
pub(crate) fn directory_of(state_file: &Path) -> PathBuf {
    state_file.with_extension("rrd")
}

impl Settings {
    /// The settings of a site, and a warning; no settings if it keeps no history.
    pub(crate) fn of(
        file: &SiteFile,
        args: &CommonArgs,
        state_file: &Path,
    ) -> (Option<Self>, Option<String>) {
        let options = HistoryOptions::among(&file.site_values);
        let is_asked_for = args.generate_rrds || args.generate_mrtg_config.is_some();
        let directory = directory_of(state_file);
        match Kept::of(is_asked_for, options.is_kept, directory.is_dir()) {
            Kept::No => (None, None),
            Kept::Refused => {
                let warning =
                    "no history is kept and no MRTG files are written, because the site file says rrd: no";
                (None, Some(warning.to_owned()))
            }
            Kept::Yes => {
                let mrtg = args.generate_mrtg_config.as_ref().map(|pages| MrtgFiles {
                    cfg: state_file.with_extension("mrtg.cfg"),
                    pages: pages.clone(),
                });
                let settings = Self::with(file, &options, directory, mrtg);
                (Some(settings), None)
            }
        }
    }

    /// The settings of a site that keeps history in this directory.
    pub(super) fn with(
        file: &SiteFile,
        options: &HistoryOptions,
        directory: PathBuf,
        mrtg: Option<MrtgFiles>,
    ) -> Self {
        Self {
            site: file.name.clone(),
            directory,
            rows: options.rows.clone(),
            flush: options.flush,
            monitors: file.monitors.iter().map(RecordedMonitor::of).collect(),
            mrtg,
        }
    }

    /// Whether a writer for these settings also writes what `other` says.
    pub(super) fn is_written_as(&self, other: &Self) -> bool {
        (&self.directory, &self.rows, self.flush) == (&other.directory, &other.rows, other.flush)
    }
}

impl RecordedMonitor {
    pub(crate) fn of(monitor: &apmon_core::config::MonitorEntry) -> Self {
        let percentile = match monitor.kind {
            // Only a switch has one; it takes a while to find out.
            "ports" | "port" => monitor.options()["percentile"].as_u64(),
            _ => None,
        };
        Self {
            name: monitor.name.clone(),
            kind: monitor.kind,
            address: monitor.address.clone(),
            step: monitor.check_every.value.get(),
            display: monitor.display.value,
            percentile: percentile.and_then(|rank| rank.try_into().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_kept_where_it_is_asked_for_or_already_there() {
        for (is_asked_for, written, is_there, expected) in [
            (false, None, false, Kept::No),
            (true, None, false, Kept::Yes),
            (false, None, true, Kept::Yes),
            (false, Some(true), false, Kept::Yes),
            (true, Some(true), true, Kept::Yes),
            (false, Some(false), true, Kept::No),
            (true, Some(false), true, Kept::Refused),
        ] {
            let kept = Kept::of(is_asked_for, written, is_there);
            assert_eq!(kept, expected, "{is_asked_for} {written:?} {is_there}");
        }
    }

    #[test]
    fn the_directory_is_beside_the_state() {
        for (state, directory) in [
            (
                "/var/tmp/APMonitor/home.statefile.json",
                "/var/tmp/APMonitor/home.statefile.rrd",
            ),
            (
                "/var/tmp/APMonitor/home.statefile.db",
                "/var/tmp/APMonitor/home.statefile.rrd",
            ),
            (
                "/var/tmp/apmonitor-statefile.json",
                "/var/tmp/apmonitor-statefile.rrd",
            ),
            ("state", "state.rrd"),
        ] {
            assert_eq!(directory_of(Path::new(state)), Path::new(directory));
        }
    }
}
