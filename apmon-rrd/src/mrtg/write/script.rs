//! `mrtg-rrd.cgi.pl`, whose list of configurations is in its own text.

use std::{
    fs::{File, Permissions, TryLockError},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{super::cgi_list, MrtgError, directory::Directory};

const NAME: &str = "mrtg-rrd.cgi.pl";
/// Another program needs milliseconds to change the script.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// What became of the entry.
pub(super) struct Entered {
    /// Whether links can carry the site.
    pub(super) has_sites: bool,
    /// The configuration that the site had before, if that was another one.
    pub(super) replaced: Option<String>,
}

/// The script that serves the pages in `pages`.
pub(super) fn find(pages: &Path) -> Option<PathBuf> {
    let directories = [pages.parent(), Some(pages)];
    let scripts = directories
        .into_iter()
        .flatten()
        .map(|directory| directory.join(NAME));
    scripts.into_iter().find(|script| script.is_file())
}

/// Enters a site in the list of the script, under the lock of the script's directory: the sites
/// of a machine are written by several processes, and an entry must not be lost.
pub(super) fn enter(path: &Path, site: &str, cfg: &Path) -> Result<Entered, MrtgError> {
    // An administrator may have made it a link; the file itself is replaced.
    let path = &path.canonicalize().map_err(MrtgError::io("find", path))?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let lock = File::open(directory).map_err(MrtgError::io("open", directory))?;
    acquire(&lock, path)?;
    let script = std::fs::read(path).map_err(MrtgError::io("read", path))?;
    let listed = cgi_list(&script, site, cfg).map_err(|reason| MrtgError::NotListed {
        path: path.clone(),
        reason,
    })?;
    if let Some(script) = listed.script {
        replace(path, directory, &script)?;
    }
    Ok(Entered {
        has_sites: listed.has_sites,
        replaced: listed.replaced,
    })
}

/// Replaces the script, which keeps its owner as far as that is allowed, and can be run.
fn replace(path: &Path, directory: &Path, script: &[u8]) -> Result<(), MrtgError> {
    let metadata = path.metadata().map_err(MrtgError::io("read", path))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Directory::make(directory, None)?.replace_with(&name, script, |file| {
        let owner = (metadata.uid(), metadata.gid());
        if fchown(file, Some(owner.0), Some(owner.1)).is_err() {
            let _ = fchown(file, None, Some(owner.1));
        }
        file.set_permissions(Permissions::from_mode(metadata.mode() & 0o777 | 0o755))?;
        // Nobody could make it again after a crash.
        file.sync_all()
    })
}

fn acquire(lock: &File, path: &Path) -> Result<(), MrtgError> {
    for _ in 0..ATTEMPTS {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(refused(path)(error)),
        }
    }
    Err(MrtgError::Busy(path.to_owned()))
}

fn refused(path: &Path) -> impl FnOnce(io::Error) -> MrtgError + use<'_> {
    MrtgError::io("lock", path)
}
