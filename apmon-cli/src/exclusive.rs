//! One apmon per site file, wherever each would keep its state: two of them would each
//! send every notification.

use std::path::Path;

use apmon_core::text::printable;

use crate::{
    location::{self, Search, SiteLocation},
    options::CommonArgs,
    registry::{self, Claim, SitePath},
    site::{self, RunMode},
    store::{self, Store},
};

/// Opens the store of a site, unless a daemon runs its site file already. May wait for a
/// daemon that does not answer. `note` describes the process to others that find the lock held;
/// it may be empty. Also returns what people should know.
///
/// The site is this process's as long as it keeps the claim.
///
/// # Errors
/// If a daemon runs it, or if the store cannot be opened.
pub(crate) fn open(
    config: &Path,
    args: &CommonArgs,
    mode: RunMode,
    note: &str,
) -> anyhow::Result<(Store, Claim, Vec<String>)> {
    let state_file = site::state_path(config, args, mode);
    let file = SitePath::of(config);
    // First, so that of two that start at the same moment only one comes further.
    let claimed = match mode {
        RunMode::Daemon => registry::claim_alone(&file),
        RunMode::Pass => registry::claim_with_others(&file),
    };
    let (daemon, search) = location::find_daemon(config);
    let is_of_daemon = |path: &Path| location::resolved(path) == location::resolved(&state_file);
    if let Some(daemon) = daemon.as_ref().filter(|daemon| !is_of_daemon(&daemon.state_file)) {
        return Err(daemon.is_running());
    }
    let Ok(claim) = claimed else {
        // The lock on the state, if that is the same, names its holder. It must not be taken for that:
        // the other process may be about to.
        let holder = store::holder(&state_file).or_else(|| Some(daemon?.is_running()));
        return Err(holder.unwrap_or_else(|| {
            anyhow::anyhow!(
                "another apmon is running this site, or has just started to; try again when it has ended"
            )
        }));
    };
    let mut warnings = match args.statefile.is_none() && !state_file.exists() {
        true => of_other_state(config, &state_file, &search),
        false => Vec::new(),
    };
    // The lock on the state file names its holder.
    let (store, warning) = store::open_as(&state_file, args.trust_state_dir, note)?;
    // Where no lock can be taken, the registry is enough.
    if let Some(daemon) = daemon {
        return Err(daemon.is_running());
    }
    warnings.extend(warning);
    Ok((store, claim, warnings))
}

/// Warnings, when a site's state begins, of a daemon or a state that may be elsewhere.
fn of_other_state(config: &Path, state_file: &Path, search: &Search) -> Vec<String> {
    let shown = |path: &Path| printable(&path.display().to_string()).into_owned();
    let unsearched = search.unsearched.iter().map(|(path, why)| {
        format!(
            "{}: it is not known whether another apmon runs this site: {}: {}",
            shown(config),
            shown(path),
            printable(why)
        )
    });
    let mut warnings: Vec<String> = unsearched.collect();
    let other = SiteLocation::of(config, None).state_file;
    let base = |path: &Path| location::resolved(&path.with_extension(""));
    if other.exists() && base(&other) != base(state_file) {
        let other = shown(&other);
        warnings.push(format!(
            "{}: its state in {other} is not used, and outages are reported as new; to continue from it, use -s {other}",
            shown(config)
        ));
    }
    warnings
}
