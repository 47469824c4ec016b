//! One process per state file.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use crate::place::{beside, make_directory};

/// Held while a process uses a state file; let go when dropped, or when the
/// process ends in whatever way.
///
/// It is an flock on `<state file>.lock`, in which the holder's pid stands for
/// people to read. What is written there locks nothing, and the file stays:
/// removing it would let two processes hold two different files of one name.
#[derive(Debug)]
pub struct Lock(File, Option<Box<Lock>>);

/// Why a state file cannot be used by this process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process uses it.
    #[error("{} is held by {}", .path.display(), holder(*.pid))]
    Held {
        /// The other process, where it says so.
        pid: Option<u32>,
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file cannot be made or locked.
    #[error("{step} {}", .path.display())]
    Io {
        /// What was tried (`open`, `lock`).
        step: &'static str,
        /// The lock file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}

impl Lock {
    pub(crate) fn of(state_file: &Path) -> Result<Self, LockError> {
        let path = beside(state_file, ".lock");
        let failed = |step| {
            let path = path.clone();
            move |source| LockError::Io { step, path, source }
        };
        make_directory(&path).map_err(failed("make the directory of"))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            // The directory may be anybody's: what stands in the way is not
            // followed, and not waited for.
            options
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        }
        let opened = options.open(&path).or_else(|error| match error.kind() {
            // A disk that has gone read-only: what stands there can be locked all the same.
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                options.write(false).create(false);
                options.open(&path).map_err(|_| error)
            }
            _ => Err(error),
        });
        let mut file = opened.map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Not to know the pid is no reason to fail in another way.
                let _ = (&mut file).take(32).read_to_string(&mut text);
                return Err(LockError::Held {
                    pid: text.trim().parse().ok(),
                    path,
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        // The lock holds without its pid too: a full disk is no reason to do without one.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self(file, None))
    }

    /// Both, let go together.
    pub(crate) fn with(mut self, other: Self) -> Self {
        self.1 = Some(Box::new(other));
        self
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.set_len(0); // a pid left behind misleads nobody but readers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_instance_is_told_whose_the_file_is() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("new/x.statefile.json");
        let lock = Lock::of(&state).unwrap();
        let error = Lock::of(&state).unwrap_err();
        let path = beside(&state, ".lock");
        assert_eq!(
            error.to_string(),
            format!("{} is held by process {}", path.display(), std::process::id())
        );
        drop(lock);
        assert!(path.exists());
        Lock::of(&state).unwrap();
    }

    #[test]
    fn a_pid_without_a_lock_locks_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("x.statefile.json");
        std::fs::write(beside(&state, ".lock"), "1\nand much more than a pid\n").unwrap();
        let _lock = Lock::of(&state).unwrap();
        let written = std::fs::read_to_string(beside(&state, ".lock")).unwrap();
        assert_eq!(written, format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_holder_that_does_not_say_who_it_is_is_another_process() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("x.statefile.json");
        let _lock = Lock::of(&state).unwrap();
        std::fs::write(beside(&state, ".lock"), "no pid").unwrap();
        let error = Lock::of(&state).unwrap_err();
        assert!(error.to_string().ends_with("is held by another process"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_the_lock_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("x.statefile.json");
        let victim = directory.path().join("victim");
        std::fs::write(&victim, "kept").unwrap();
        std::os::unix::fs::symlink(&victim, beside(&state, ".lock")).unwrap();
        assert!(matches!(
            Lock::of(&state),
            Err(LockError::Io { step: "open", .. })
        ));
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
    }
}
