//! Whose files count: those of root, of this user, and of the user to whom root gave a
//! directory.

use std::{
    fs::Metadata,
    io,
    path::{Path, PathBuf},
};

/// Why a directory is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// There is none.
    #[error("no such directory")]
    Missing,
    /// Another user could replace what is in it.
    #[error("other users may write to it")]
    Writable,
    /// It belongs to another user, who made it.
    #[error("it belongs to another user (uid {0})")]
    Foreign(u32),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A directory in which other users can replace nothing.
pub(super) struct Directory {
    path: PathBuf,
    owner: u32,
}

/// The permission to write, of the group and of others.
const WRITABLE: u32 = 0o022;
/// In a sticky directory nobody can replace the files of others.
const STICKY: u32 = 0o1000;

impl Directory {
    /// The directory without symbolic links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a directory that belongs to root or to this user, or that root gave to its
    /// owner, as systemd does: only root could make it where it is.
    pub(super) fn open(path: &Path) -> Result<Self, Refused> {
        let missing = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Refused::Missing,
            _ => Refused::Io(error),
        };
        let path = path.canonicalize().map_err(missing)?;
        let directory = Properties::of(&path.symlink_metadata().map_err(missing)?)?;
        let above = path.parent().map(Path::symlink_metadata).transpose()?;
        let above = above.as_ref().map(Properties::of).transpose()?;
        directory.may_be_used(above.as_ref(), myself())?;
        Ok(Self {
            path,
            owner: directory.owner,
        })
    }

    /// Whether this user may be behind what is in this directory: root, this user, or the owner
    /// of the directory.
    fn may_be_of(&self, uid: u32) -> bool {
        [0, myself(), self.owner].contains(&uid)
    }

    /// Whether a file in this directory was made by a user who counts, and is nobody
    /// else's to change.
    pub(super) fn counts(&self, file: &Metadata) -> bool {
        Properties::of(file).is_ok_and(|file| file.counts(self.owner, myself()))
    }
}

/// Whether what this user does with the files in this directory is believed: as with an entry in
/// a registry, if it is root, this user, or the user to whom root gave the directory.
pub(crate) fn is_believed(directory: &Path, uid: u32) -> bool {
    match Directory::open(directory) {
        Ok(directory) => directory.may_be_of(uid),
        Err(_) => [0, myself()].contains(&uid),
    }
}

/// Whether this user owns the state beside a socket, or the directory of both. Such a user decides
/// what commands show that only read the state, so they may also ask this user's daemon. Nothing
/// else follows from what it says.
pub(crate) fn is_of_owner(socket: &Path, uid: u32) -> bool {
    let owner = |path: &Path| Some(Properties::of(&path.symlink_metadata().ok()?).ok()?.owner);
    let directory = socket.parent().and_then(|directory| {
        // A relative path may consist of a name only.
        let directory = std::path::absolute(directory.join(".")).ok()?;
        owner(&directory.canonicalize().ok()?)
    });
    // The first one that is there is the one that is shown.
    let mut states = ["db", "json"].iter();
    let state = states.find_map(|suffix| owner(&socket.with_extension(suffix)));
    // In a directory such as `/tmp` its owner has no part in the files.
    directory == Some(uid) || state == Some(uid)
}

/// What decides whether a file or directory counts.
struct Properties {
    owner: u32,
    mode: u32,
    names: u64,
    is_file: bool,
    is_directory: bool,
}

impl Properties {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        Ok(Self {
            owner: metadata.uid(),
            mode: metadata.mode(),
            names: metadata.nlink(),
            is_file: metadata.is_file(),
            is_directory: metadata.is_dir(),
        })
    }

    #[cfg(not(unix))]
    fn of(_: &Metadata) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn may_be_used(&self, above: Option<&Self>, me: u32) -> Result<(), Refused> {
        if !self.is_directory {
            return Err(io::Error::from(io::ErrorKind::NotADirectory).into());
        }
        if self.mode & WRITABLE != 0 && self.mode & STICKY == 0 {
            return Err(Refused::Writable);
        }
        let is_given_by_root = above.is_some_and(|above| above.owner == 0 && above.mode & WRITABLE == 0);
        match self.owner == 0 || self.owner == me || is_given_by_root {
            true => Ok(()),
            false => Err(Refused::Foreign(self.owner)),
        }
    }

    fn counts(&self, directory_owner: u32, me: u32) -> bool {
        self.is_file
            && [0, me, directory_owner].contains(&self.owner)
            && self.mode & WRITABLE == 0
            // A second name: somebody may have linked a file from elsewhere.
            && self.names == 1
    }
}

#[cfg(unix)]
fn myself() -> u32 {
    nix::unistd::Uid::effective().as_raw()
}

#[cfg(not(unix))]
fn myself() -> u32 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u32 = 1000;
    const OTHER: u32 = 1001;

    fn directory(owner: u32, mode: u32) -> Properties {
        Properties {
            owner,
            mode,
            names: 2,
            is_file: false,
            is_directory: true,
        }
    }

    fn file(owner: u32, mode: u32) -> Properties {
        Properties {
            owner,
            mode,
            names: 1,
            is_file: true,
            is_directory: false,
        }
    }

    #[test]
    fn a_directory_counts_unless_another_user_made_it_or_may_write_to_it() {
        let (of_root, shared) = (directory(0, 0o755), directory(0, 0o1777));
        let table = [
            (directory(0, 0o755), &of_root, true),
            (directory(ME, 0o755), &directory(OTHER, 0o755), true),
            (directory(OTHER, 0o755), &of_root, true),
            (directory(OTHER, 0o755), &shared, false),
            (directory(OTHER, 0o755), &directory(ME, 0o755), false),
            (directory(OTHER, 0o755), &directory(OTHER, 0o755), false),
            (directory(0, 0o775), &of_root, false),
            (directory(0, 0o777), &of_root, false),
            (directory(0, 0o1777), &of_root, true),
            (file(0, 0o644), &of_root, false),
        ];
        for (n, (directory, above, expected)) in table.iter().enumerate() {
            let used = directory.may_be_used(Some(above), ME);
            assert_eq!(used.is_ok(), *expected, "row {n}: {used:?}");
        }
    }

    #[test]
    fn in_a_directory_that_anybody_may_make_only_root_and_this_user_are_believed() {
        let directory = tempfile::tempdir().unwrap();
        for directory in [directory.path(), Path::new("/proc/none")] {
            assert!(is_believed(directory, 0));
            assert!(is_believed(directory, myself()));
            assert!(!is_believed(directory, OTHER));
        }
    }

    #[test]
    fn only_the_owner_of_the_state_or_of_its_directory_may_be_asked_about_it() {
        use std::os::unix::fs::chown;
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("home.statefile.sock");
        assert!(is_of_owner(&socket, myself()) && !is_of_owner(&socket, OTHER));
        // The tests of this module need root only here.
        let json = directory.path().join("home.statefile.json");
        std::fs::write(&json, "").unwrap();
        chown(&json, Some(OTHER), None).unwrap();
        assert!(is_of_owner(&socket, OTHER));
        // Beside a database, anybody could have put it there.
        std::fs::write(directory.path().join("home.statefile.db"), "").unwrap();
        assert!(!is_of_owner(&socket, OTHER));
        chown(directory.path(), Some(OTHER), None).unwrap();
        assert!(is_of_owner(&socket, OTHER));
    }

    #[test]
    fn a_file_counts_if_it_is_of_root_this_user_or_the_owner_of_the_directory() {
        assert!(file(0, 0o644).counts(OTHER, ME));
        assert!(file(ME, 0o644).counts(0, ME));
        assert!(file(OTHER, 0o644).counts(OTHER, ME));
        assert!(!file(OTHER, 0o644).counts(0, ME));
        assert!(!file(0, 0o664).counts(0, ME));
        assert!(!file(0, 0o646).counts(0, ME));
        assert!(!directory(0, 0o755).counts(0, ME));
        let linked = Properties {
            names: 2,
            ..file(0, 0o644)
        };
        assert!(!linked.counts(0, ME));
    }
}
