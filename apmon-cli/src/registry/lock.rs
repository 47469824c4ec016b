//! The lock on an entry, which says that its daemon is running.
//!
//! It is a record lock for writing, not an flock: only the user who may write the entry
//! can hold it, and asking for it disturbs nobody. Another user who holds the file open
//! cannot make a dead daemon appear alive.

use std::{fs::File, io};

#[cfg(target_os = "linux")]
use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
};

/// Locks an entry that is open for writing, until it is closed or the process ends.
#[cfg(target_os = "linux")]
pub(super) fn lock(file: &File) -> io::Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole(libc::F_WRLCK)))?;
    Ok(())
}

/// Locks the file of a claim, which is open for reading, beside others that do the same.
#[cfg(target_os = "linux")]
pub(super) fn lock_shared(file: &File) -> io::Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole(libc::F_RDLCK)))?;
    Ok(())
}

/// Whether a lock was refused because another process has one.
#[cfg(target_os = "linux")]
pub(super) fn is_taken(error: &io::Error) -> bool {
    // The system reports either.
    [libc::EAGAIN, libc::EACCES]
        .map(Some)
        .contains(&error.raw_os_error())
}

/// Whether a daemon holds the lock on an entry.
#[cfg(target_os = "linux")]
pub(super) fn is_locked(file: &File) -> io::Result<bool> {
    let mut asked = whole(libc::F_RDLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut asked))?;
    Ok(i32::from(asked.l_type) != libc::F_UNLCK)
}

/// A lock on the whole file.
#[cfg(target_os = "linux")]
fn whole(kind: i32) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn lock(_: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn lock_shared(_: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_taken(_: &io::Error) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_locked(_: &File) -> io::Result<bool> {
    Ok(false)
}
