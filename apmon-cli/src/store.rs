//! A site's store, opened and locked.

#[cfg_attr(not(feature = "sqlite"), path = "store/database/not_built.rs")]
mod database;

use std::{fs::File, path::Path, sync::Arc, time::Duration};

use apmon_core::{StateStore, local_zone, text::printable};
use apmon_store::{Format, JsonStore, Lock, LockError, Trust};

use self::database::Database;
pub(crate) use self::database::{DAEMON_FORMAT, NOTICE};

/// How long the end of a process waits for a store to be closed.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A site's store.
#[derive(Clone)]
pub(crate) enum Store {
    Json(Arc<JsonStore>),
    Database(Database),
}

impl Store {
    /// As the engine needs it.
    pub(crate) fn shared(&self) -> Arc<dyn StateStore> {
        match self {
            Self::Json(store) => Arc::clone(store) as _,
            Self::Database(database) => database.shared(),
        }
    }

    /// Leaves nothing of a database but one file. A disk that does not answer is not waited
    /// for.
    pub(crate) async fn close(&self) {
        if let Self::Database(database) = self {
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, database.close()).await;
        }
    }

    /// Does with the history what the site file says: `None` where it says nothing.
    pub(crate) fn configure(&self, history_days: Option<u32>) {
        if let Self::Database(database) = self {
            database.keep_history(history_days);
        }
    }
}

/// Opens a site's store and locks it against other writers. A state that other users may write
/// is refused; with `trust`, it is used with a warning.
pub(crate) fn open(state_file: &Path, trust: bool) -> anyhow::Result<Store> {
    let (store, warning) = open_as(state_file, trust, "")?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    Ok(store)
}

/// As [`open`]; `note` describes the process to others that find the lock held. The warning is
/// returned: who tries every few seconds would log it each time.
pub(crate) fn open_as(state_file: &Path, trust: bool, note: &str) -> anyhow::Result<(Store, Option<String>)> {
    let warning = may_be_trusted(state_file, trust)?;
    let whose = match trust {
        true => Trust::Everybody,
        false => Trust::Own,
    };
    let store = locked(state_file, note, whose)?;
    // Another user may have created the directory first. (Each file is checked when it is opened.)
    if !trust {
        may_be_trusted(state_file, trust)?;
    }
    Ok((store, warning))
}

/// Whether a state may be used, perhaps with a warning.
fn may_be_trusted(state_file: &Path, trust: bool) -> anyhow::Result<Option<String>> {
    match apmon_store::check_owner(state_file) {
        Ok(()) => Ok(None),
        Err(untrusted) if trust => Ok(Some(format!(
            "{untrusted}; used anyway because of --trust-state-dir"
        ))),
        Err(untrusted) => {
            anyhow::bail!(
                "{untrusted}; otherwise name another file with -s, or accept it with --trust-state-dir"
            )
        }
    }
}

/// The error for a state that another process has locked, if its lock says so. Nothing is locked for
/// that.
pub(crate) fn holder(state_file: &Path) -> Option<anyhow::Error> {
    // A pass may still use the JSON file that a database imports.
    let json = state_file.with_extension("json");
    let held = [state_file, &json].into_iter().find_map(Lock::holder)?;
    Some(anyhow::Error::from(held).context(HELD))
}

/// The context of [`LockError::Held`].
const HELD: &str = "another apmon is running this site";

fn locked(state_file: &Path, note: &str, trust: Trust) -> anyhow::Result<Store> {
    let zone = local_zone();
    Ok(match Format::of(state_file) {
        Format::Json => {
            let lock = held(JsonStore::lock_as(state_file, note, trust), state_file)?;
            Store::Json(Arc::new(JsonStore::open_as(state_file, zone, lock, trust)?))
        }
        Format::Sqlite => Store::Database(Database::open(state_file, zone, note, trust)?),
    })
}

/// The lock of a state file, or none where a site runs without one.
///
/// Where a lock file cannot be created, the state cannot be saved either: the engine
/// logs that and continues from memory. If the lock fails for another reason, it is
/// logged here.
fn held(locked: Result<Lock, LockError>, state_file: &Path) -> anyhow::Result<Option<Lock>> {
    match locked {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Io { step, path, source }) if path.symlink_metadata().is_err() => {
            tracing::debug!(
                "cannot {step} {}: {source}",
                printable(&path.display().to_string())
            );
            Ok(None)
        }
        // In a directory such as `/tmp` the name can be taken, and held, by anybody.
        Err(foreign @ LockError::Foreign { .. }) => {
            tracing::warn!("{foreign}; continuing without a lock: a second apmon could run this site");
            Ok(None)
        }
        // Anything but a regular file is in the way, perhaps on purpose.
        Err(LockError::Io { step, path, source })
            if path.symlink_metadata().is_ok_and(|there| there.is_file()) =>
        {
            may_be_read(state_file)?;
            tracing::warn!(
                "cannot {step} {}: {source}; continuing without a lock: a second apmon could run this site",
                printable(&path.display().to_string())
            );
            Ok(None)
        }
        Err(error @ LockError::Held { .. }) => Err(anyhow::Error::from(error).context(HELD)),
        Err(error) => Err(error.into()),
    }
}

/// Refuses to run, with or without a lock, if the state file may not be read.
fn may_be_read(state_file: &Path) -> anyhow::Result<()> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    match options.open(state_file) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            anyhow::bail!(
                "cannot run: this user may read neither {} nor its lock: {error}",
                printable(&state_file.display().to_string())
            )
        }
        _ => Ok(()),
    }
}
