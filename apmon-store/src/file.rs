//! File names, directories and errors shared by both stores.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use apmon_core::{
    StoreError,
    input_file::InputFileError,
    text::{printable, without_logins},
};
use jiff::{Timestamp, tz::TimeZone};

/// `path` with `suffix` appended to its whole name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The directory that contains `path`.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Creates the directory of `path` where it is missing: readable by everybody
/// (the chart tools read it), writable by its owner alone, whatever the umask.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    let directory = directory(path);
    let missing: Vec<_> = directory
        .ancestors()
        .take_while(|above| !above.as_os_str().is_empty() && above.symlink_metadata().is_err())
        .collect();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o755);
    builder.create(directory)?;
    #[cfg(unix)]
    for made in missing {
        // Another process may own it by now; the directory exists, which is enough.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let _ = fs::set_permissions(made, mode);
    }
    Ok(())
}

/// The path without links in its directory, and without one in place of the file if it is root's or
/// this user's: the owner of everything else is to be checked before.
#[cfg(feature = "sqlite")]
pub(crate) fn without_links(path: &Path) -> PathBuf {
    let directory = directory(path).canonicalize();
    let path = match directory.ok().zip(path.file_name()) {
        Some((directory, name)) => directory.join(name),
        None => path.to_owned(),
    };
    let there = fs::symlink_metadata(&path);
    let is_own_link = there.is_ok_and(|there| there.is_symlink() && owner_of(&there).is_none());
    match is_own_link {
        true => path.canonicalize().unwrap_or(path),
        false => path,
    }
}

/// The owner of a file, if it is neither root nor the user of this process.
pub(crate) fn owner_of(file: &fs::Metadata) -> Option<u32> {
    #[cfg(unix)]
    {
        let owner = std::os::unix::fs::MetadataExt::uid(file);
        let is_trusted = owner == 0 || owner == rustix::process::geteuid().as_raw();
        (!is_trusted).then_some(owner)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        None
    }
}

/// Makes the names in the directory of `path` durable.
#[cfg(feature = "sqlite")]
pub(crate) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let synced = match open_directory(path)? {
        Some(opened) => sync_names(&opened),
        None => Ok(()),
    };
    synced.map_err(|error| io_error("sync", directory(path), error))
}

/// Opens the directory of `path` for [`sync_names`]; `None` where a system has no such thing.
pub(crate) fn open_directory(path: &Path) -> Result<Option<File>, StoreError> {
    if !cfg!(unix) {
        return Ok(None);
    }
    let directory = directory(path);
    let opened = File::open(directory).map_err(|error| io_error("open", directory, error))?;
    Ok(Some(opened))
}

/// Makes the names in an open directory durable.
pub(crate) fn sync_names(directory: &File) -> io::Result<()> {
    match directory.sync_all() {
        // A network file system that has no such thing: its server keeps names.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

/// The name under which a damaged file is set aside.
pub(crate) fn corrupt_name(path: &Path, zone: &TimeZone, now: Timestamp) -> PathBuf {
    let at = zone.to_datetime(now).strftime("%Y%m%dT%H%M%S").to_string();
    let mut name = beside(path, &format!(".corrupt-{at}"));
    let mut n = 1;
    while name.symlink_metadata().is_ok() {
        n += 1;
        name = beside(path, &format!(".corrupt-{at}-{n}"));
    }
    name
}

pub(crate) fn io_error(step: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        step,
        place: display(path),
        source,
    }
}

/// The error of a file that is not used because another user may have put it there.
pub(crate) fn foreign(uid: u32) -> io::Error {
    io::Error::other(format!("it belongs to another user (uid {uid})"))
}

/// The error of a file that is not read: it is not there, or is something else.
pub(crate) fn input_error(path: &Path, error: InputFileError) -> StoreError {
    match error {
        InputFileError::Io(error) => io_error("read", path, error),
        InputFileError::Directory | InputFileError::Special => damaged(path, "not a regular file"),
        other => damaged(path, other.to_string()),
    }
}

/// An error about a file that is left as it is.
pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        place: display(path),
        reason: reason.into(),
    }
}

/// What identifies a file and its content: as long as this stays the same, nobody else
/// has written it, replaced it or cut it off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileStamp {
    /// Device and inode on Unix.
    id: (u64, u64),
    size: u64,
    modified: Option<SystemTime>,
    /// Seconds and nanoseconds of the last change of any kind, also of the times themselves.
    changed: (i64, i64),
}

impl FileStamp {
    /// The stamp of the file at `path`; `None` where there is no regular file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::symlink_metadata(path).ok()?;
        #[cfg(unix)]
        let (id, changed) = {
            use std::os::unix::fs::MetadataExt as _;
            let changed = (metadata.ctime(), metadata.ctime_nsec());
            ((metadata.dev(), metadata.ino()), changed)
        };
        #[cfg(not(unix))]
        let (id, changed) = ((0, 0), (0, 0));
        metadata.is_file().then(|| Self {
            id,
            size: metadata.len(),
            modified: metadata.modified().ok(),
            changed,
        })
    }

    /// Size of the file in bytes.
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code))]
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether the file is that of `other` and nobody has written it since. Its mode or the
    /// number of its names may differ.
    pub(crate) fn has_content_of(&self, other: &Self) -> bool {
        (self.id, self.size, self.modified) == (other.id, other.size, other.modified)
    }
}

/// The reason for refusing a file whose content has a higher version than ours.
pub(crate) fn newer_version(version: impl std::fmt::Display) -> String {
    format!("written by a newer apmon (format version {version})")
}

/// Whether there is no file: also where a file stands in place of its directory.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// `path` as it may be shown.
pub(crate) fn display(path: &Path) -> String {
    // A wrong argument became a path: an address with a password.
    printable(&without_logins(&path.display().to_string())).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_is_appended_to_the_whole_name() {
        assert_eq!(
            beside(Path::new("/s/x.statefile.json"), ".old"),
            Path::new("/s/x.statefile.json.old")
        );
        assert_eq!(directory(Path::new("x.json")), Path::new("."));
    }
}
