//! Options that several verbs share.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use apmon_core::text::printable;
use clap::{ArgAction, Args};

/// Options of a pass and of the daemon.
#[derive(Args, Clone, Default)]
pub(crate) struct CommonArgs {
    /// Log more: -v state changes, -vv every check, -vvv everything.
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Limit on concurrent checks per site; overrides max_threads. Without either there is no limit.
    #[arg(short, long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<u32>,
    /// State file; only with a single CONFIG. A .db file is a SQLite database, any other is JSON.
    /// [default: <CONFIG's stem>.statefile.db in $STATE_DIRECTORY or /var/tmp/APMonitor;
    /// .statefile.json for a pass if there is no database]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) statefile: Option<PathBuf>,
    /// Use a state file that other users may write, or whose directory they may write; without
    /// this it is refused, because they could decide what is sent.
    #[arg(long)]
    pub(crate) trust_state_dir: bool,
    /// Check, keep state and print notifications, but send none.
    #[arg(long)]
    pub(crate) no_notify: bool,
    /// Keep history in RRD files, in a directory beside the state file. Once it is there, it is
    /// filled without this option, unless the site file says rrd: no.
    #[arg(long)]
    pub(crate) generate_rrds: bool,
    /// Also write MRTG's configuration beside the state file, and pages and charts of the site to
    /// its directory below WORKDIR. [default WORKDIR: /var/www/html/mrtg]
    #[arg(long, value_name = "WORKDIR", num_args = 0..=1, default_missing_value = "/var/www/html/mrtg")]
    pub(crate) generate_mrtg_config: Option<PathBuf>,
}

/// The usage error for one state file and several sites.
pub(crate) const ONE_STATE_FILE: &str =
    "-s/--statefile requires a single site file; several sites have a state file each";

/// The usage error for a state file that is a site file: an option has taken the argument that
/// was meant to follow it.
pub(crate) fn wrong_state_file(state_file: Option<&Path>) -> Option<String> {
    let name = state_file?.to_string_lossy().to_ascii_lowercase();
    let is_yaml = [".yaml", ".yml"].iter().any(|suffix| name.ends_with(suffix));
    let shown = state_file?.display().to_string();
    is_yaml.then(|| {
        format!(
            "-s/--statefile takes a state file, but {} is a site file",
            printable(&shown)
        )
    })
}

/// Ten years, the longest time that a site file accepts.
const MAX_SECS: f64 = 315_360_000.0;

/// Parses a number of seconds; fractions are allowed.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .filter(|secs| *secs > 0.0 && *secs <= MAX_SECS)
        .and_then(|secs| Duration::try_from_secs_f64(secs).ok())
        .ok_or_else(|| format!("must be a number of seconds greater than 0 and at most {MAX_SECS}"))
}

fn threads(text: &str) -> Result<u32, String> {
    let threads = text.parse().ok().filter(|threads| *threads > 0);
    threads.ok_or_else(|| format!("must be a whole number between 1 and {}", u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_positive_and_at_most_ten_years() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("315360000").is_ok());
        for wrong in ["0", "-1", "soon", "inf", "nan", "315360001", "1e19"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
