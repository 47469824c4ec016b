//! One process per state file.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use crate::{
    file::{beside, make_directory},
    trust::Trust,
};

/// The lock on a state file, released when dropped and when the process ends,
/// however it ends.
///
/// It is an flock on `<state file>.lock`, which contains the holder's pid for
/// people to read, and a line in which the holder may describe itself. That text
/// locks nothing, and the file is never removed: removing it would let two
/// processes hold two different files of one name.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// A second lock that is released together with this one.
    other: Option<Box<Lock>>,
}

/// Why this process cannot lock a state file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process holds the lock.
    #[error("{} is held by {}", .path.display(), holder(*.pid))]
    Held {
        /// The other process, if the lock file names it.
        pid: Option<u32>,
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file belongs to another user, who may hold it for ever.
    #[error("{} belongs to another user (uid {uid})", .path.display())]
    Foreign {
        /// The other user.
        uid: u32,
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file cannot be created or locked.
    #[error("cannot {step} {}", .path.display())]
    Io {
        /// The step that failed (`open`, `lock`).
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

/// The longest text of a lock file that is read.
const MAX_TEXT: u64 = 256;

fn text_of(mut file: &File) -> String {
    let mut text = String::new();
    let _ = (&mut file).take(MAX_TEXT).read_to_string(&mut text);
    text
}

/// Opens a lock file: whatever is there instead is neither followed nor waited for.
fn open_to_read(path: &Path) -> Option<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options.open(path).ok()
}

/// Whether there is such a process: one that was killed has left its pid in the lock file.
fn is_running(pid: u32) -> bool {
    #[cfg(unix)]
    {
        let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
        // One of another user may not be asked.
        pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
    }
    #[cfg(not(unix))]
    {
        let _ = pid;
        true
    }
}

impl Lock {
    /// Locks a state file. `note` is one line in which the holder describes itself to others;
    /// it may be empty.
    pub(crate) fn of(state_file: &Path, note: &str, trust: Trust) -> Result<Self, LockError> {
        let path = beside(state_file, ".lock");
        let foreign = |uid| LockError::Foreign {
            uid,
            path: path.clone(),
        };
        if let Some(uid) = trust.refuses_name(&path) {
            return Err(foreign(uid));
        }
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
            // The directory may belong to anyone: a link in place of the lock
            // file is not followed, a pipe is not waited for.
            options
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        }
        let opened = options.open(&path).or_else(|error| match error.kind() {
            // On a disk that has become read-only, an existing lock file can still be locked.
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                options.write(false).create(false);
                options.open(&path).map_err(|_| error)
            }
            _ => Err(error),
        });
        let mut file = opened.map_err(failed("open"))?;
        let found = file.metadata().map_err(failed("open"))?;
        // Another user may have taken the name just now.
        if let Some(uid) = trust.refuses(&found) {
            return Err(foreign(uid));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // Without the pid, the lock is still held by someone.
                let text = text_of(&file);
                return Err(LockError::Held {
                    pid: text.lines().next().and_then(|pid| pid.trim().parse().ok()),
                    path,
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        let mut text = format!("{}\n", std::process::id());
        if !note.is_empty() {
            text = format!("{text}{note}\n");
        }
        // The lock holds without the text too; a full disk must not prevent it.
        let _ = file
            .rewind()
            .and_then(|()| file.write_all(text.as_bytes()))
            .and_then(|()| file.set_len(text.len() as u64));
        Ok(Self { file, other: None })
    }

    /// The error that locking this state file would give because another process holds the lock, as
    /// far as the lock file says so. The lock is not taken: a process that only wants to name the
    /// holder must not be in the way of one that is about to become it.
    #[must_use]
    pub fn holder(state_file: &Path) -> Option<LockError> {
        let path = beside(state_file, ".lock");
        let text = text_of(&open_to_read(&path)?);
        let pid: u32 = text.lines().next()?.trim().parse().ok()?;
        is_running(pid).then_some(LockError::Held { pid: Some(pid), path })
    }

    /// How the holder of the lock in this file describes itself; `None` if it does not.
    #[must_use]
    pub fn note(lock_file: &Path) -> Option<String> {
        let text = text_of(&open_to_read(lock_file)?);
        text.lines().nth(1).map(|note| note.trim().to_owned())
    }

    /// Combines two locks, released together.
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code))]
    pub(crate) fn with(mut self, other: Self) -> Self {
        self.other = Some(Box::new(other));
        self
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.file.set_len(0); // a leftover pid would mislead people
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_names_the_process_that_holds_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("new/x.statefile.json");
        let lock = Lock::of(&state, "", Trust::Own).unwrap();
        let error = Lock::of(&state, "", Trust::Own).unwrap_err();
        let path = beside(&state, ".lock");
        assert_eq!(
            error.to_string(),
            format!("{} is held by process {}", path.display(), std::process::id())
        );
        drop(lock);
        assert!(path.exists());
        Lock::of(&state, "", Trust::Own).unwrap();
    }

    #[test]
    fn a_pid_without_a_lock_locks_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("x.statefile.json");
        std::fs::write(beside(&state, ".lock"), "1\nand much more than a pid\n").unwrap();
        let _lock = Lock::of(&state, "", Trust::Own).unwrap();
        let written = std::fs::read_to_string(beside(&state, ".lock")).unwrap();
        assert_eq!(written, format!("{}\n", std::process::id()));
    }

    #[test]
    fn the_holder_may_describe_itself() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("x.statefile.json");
        std::fs::write(
            beside(&state, ".lock"),
            "1\na much longer text of an earlier holder\n",
        )
        .unwrap();
        let _lock = Lock::of(&state, "a pass", Trust::Own).unwrap();
        let LockError::Held { pid, path } = Lock::of(&state, "", Trust::Own).unwrap_err() else {
            panic!("it is held");
        };
        assert_eq!(pid, Some(std::process::id()));
        assert_eq!(Lock::note(&path).as_deref(), Some("a pass"));
    }

    #[test]
    fn a_holder_without_a_pid_is_called_another_process() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("x.statefile.json");
        let _lock = Lock::of(&state, "", Trust::Own).unwrap();
        std::fs::write(beside(&state, ".lock"), "no pid").unwrap();
        let error = Lock::of(&state, "", Trust::Own).unwrap_err();
        assert!(error.to_string().ends_with("is held by another process"));
    }

    #[test]
    fn the_holder_is_named_without_taking_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("x.statefile.json");
        assert!(Lock::holder(&state).is_none());
        assert!(!beside(&state, ".lock").exists());
        let lock = Lock::of(&state, "", Trust::Own).unwrap();
        let held = Lock::of(&state, "", Trust::Own).unwrap_err();
        let named = Lock::holder(&state).unwrap();
        assert_eq!(named.to_string(), held.to_string());
        drop(lock);
        assert!(Lock::holder(&state).is_none());
        // Left behind by a process that was killed.
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        std::fs::write(beside(&state, ".lock"), format!("{}\n", ended.id())).unwrap();
        assert!(Lock::holder(&state).is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_file_of_another_user_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("x.statefile.json");
        let path = beside(&state, ".lock");
        std::fs::write(&path, "1\n").unwrap();
        // Only root can do this, and CI does.
        std::os::unix::fs::chown(&path, Some(54_321), None).unwrap();
        let error = Lock::of(&state, "", Trust::Own).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{} belongs to another user (uid 54321)", path.display())
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n");
        Lock::of(&state, "", Trust::Everybody).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn nothing_waits_for_a_pipe_in_place_of_the_lock_file() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("x.statefile.json");
        let pipe = beside(&state, ".lock");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let lock = Lock::of(&state, "a pass", Trust::Own);
        assert_eq!(Lock::note(&pipe), None);
        drop(lock);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_place_of_the_lock_file_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("x.statefile.json");
        let victim = directory.path().join("victim");
        std::fs::write(&victim, "kept").unwrap();
        std::os::unix::fs::symlink(&victim, beside(&state, ".lock")).unwrap();
        assert!(matches!(
            Lock::of(&state, "", Trust::Own),
            Err(LockError::Io { step: "open", .. })
        ));
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
    }
}
