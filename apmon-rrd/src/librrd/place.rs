//! The disk below a file: space, what is kept in memory, modes.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

// allow-word: the name in POSIX
use rustix::fs::Advice;

use super::fault::Fault;

/// What other programs may do: read it, as the web server of MRTG's pages does.
const MODE: u32 = 0o644;

/// Checks that a file of `needed` bytes fits beside what is there. librrd gives no reason when a
/// disk is full, and tune even reports success.
pub(super) fn check_space(path: &Path, needed: u64) -> Result<(), Fault> {
    let free = free(path).map_err(|error| Fault::Refused(format!("its directory: {error}")))?;
    if free < needed {
        return Err(Fault::NoSpace { needed, free });
    }
    Ok(())
}

/// The free bytes of the disk of a file's directory.
fn free(path: &Path) -> io::Result<u64> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let disk = rustix::fs::statvfs(directory)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Gives a new file its mode, which librrd does not make dependent on the umask, and lets go of
/// its pages.
pub(super) fn settle_new(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    let_go(&file)
}

/// Gives a file that tune has replaced by a copy back to its owner. Only root may do that, and
/// only root can have taken it away.
pub(super) fn settle_changed(path: &Path, before: &fs::Metadata) -> io::Result<()> {
    let file = File::open(path)?;
    let after = file.metadata()?;
    if (after.uid(), after.gid()) != (before.uid(), before.gid()) {
        std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid()))?;
        // A change of owner may take away bits of the mode.
        file.set_permissions(before.permissions())?;
    }
    let_go(&file)
}

/// Writes a file's pages to the disk and drops them from memory.
///
/// As they are after the creation, they belong to large folios: each update would make some
/// 800 kB dirty, 1.2 GB a day and monitor. Read again page by page, it is 20 kB.
fn let_go(file: &File) -> io::Result<()> {
    file.sync_all()?;
    // allow-word: the name in POSIX
    rustix::fs::fadvise(file, 0, None, Advice::DontNeed)?;
    Ok(())
}
