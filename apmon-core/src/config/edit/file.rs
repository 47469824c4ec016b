//! A site file's new text in the place of the old one.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use crate::{config::MAX_FILE_BYTES, text::printable};

/// Why a site file was not written. It is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Somebody wrote it since it was read.
    #[error("{}: changed meanwhile; nothing was written", printable(&.path.display().to_string()))]
    Changed {
        /// Which file.
        path: PathBuf,
    },
    /// It is a directory, a pipe or a device.
    #[error("{}: not a regular file", printable(&.path.display().to_string()))]
    NotRegular {
        /// What it is.
        path: PathBuf,
    },
    /// A step failed.
    #[error("cannot {step} {}", printable(&.path.display().to_string()))]
    Io {
        /// What was done.
        step: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Replaces the text `old` of the file at `path` by `new`, at once: whoever
/// reads it finds the one or the other, also after a power cut. A link is
/// followed. Permission bits stay, and owner and group as far as this process
/// may give a file away; access lists do not.
///
/// # Errors
/// The file's text is no longer `old`, byte order mark and all; or it may not
/// be written; or a step failed, its name is in the error.
pub fn write_file(path: &Path, old: &str, new: &str) -> Result<(), WriteError> {
    let target = fs::canonicalize(path).map_err(|error| failed("find", path, error))?;
    // Opening a pipe would wait.
    let metadata = fs::metadata(&target).map_err(|error| failed("read", &target, error))?;
    if !metadata.is_file() {
        return Err(WriteError::NotRegular { path: target });
    }
    require(&target, old)?;
    let beside = Beside::create(&target)?;
    beside.fill(&metadata, new)?;
    // Once more: writing took its time.
    require(&target, old)?;
    beside.become_file(&target)
}

fn failed(step: &'static str, path: &Path, source: io::Error) -> WriteError {
    WriteError::Io {
        step,
        path: path.to_owned(),
        source,
    }
}

/// The file must still be `old`, and be one that may be written: renaming
/// would not ask for that.
fn require(path: &Path, old: &str) -> Result<(), WriteError> {
    let mut present = Vec::with_capacity(old.len() + 1);
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| failed("open", path, error))?
        .take(MAX_FILE_BYTES + 4) // a byte order mark, and one more
        .read_to_end(&mut present)
        .map_err(|error| failed("read", path, error))?;
    match present == old.as_bytes() {
        true => Ok(()),
        false => Err(WriteError::Changed {
            path: path.to_owned(),
        }),
    }
}

/// The new file while it is not yet the file; dropped, it is gone.
struct Beside {
    path: PathBuf,
    file: File,
    renamed: bool,
}

impl Beside {
    /// Made anew, never opened: what stands there may be a link of somebody's,
    /// or another process's half file.
    fn create(target: &Path) -> Result<Self, WriteError> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // The text may hold passwords; the right bits come with the owner.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut number = 0;
        loop {
            let path = beside(target, number);
            match options.open(&path) {
                Ok(file) => {
                    return Ok(Self {
                        path,
                        file,
                        renamed: false,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 100 => number += 1,
                Err(error) => return Err(failed("create", &path, error)),
            }
        }
    }

    fn fill(&self, like: &Metadata, text: &str) -> Result<(), WriteError> {
        (&self.file)
            .write_all(text.as_bytes())
            .map_err(|error| failed("write", &self.path, error))?;
        give(&self.file, like).map_err(|error| failed("give away", &self.path, error))?;
        // After the owner: giving a file away takes bits from it.
        self.file
            .set_permissions(like.permissions())
            .map_err(|error| failed("set the permissions of", &self.path, error))?;
        self.file
            .sync_all()
            .map_err(|error| failed("sync", &self.path, error))
    }

    fn become_file(mut self, target: &Path) -> Result<(), WriteError> {
        fs::rename(&self.path, target).map_err(|error| failed("replace", target, error))?;
        self.renamed = true;
        // The text is there whether or not its name is durable already; some
        // file systems know no sync of a directory.
        if cfg!(unix)
            && let Some(directory) = target.parent()
        {
            let _ = File::open(directory).and_then(|directory| directory.sync_all());
        }
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A hidden name without a site file's suffix, so that nobody takes it for one.
fn beside(target: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{}-{number}.new", std::process::id()));
    target.with_file_name(name)
}

#[cfg(unix)]
fn give(file: &File, like: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};

    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (like.uid(), like.gid())
        || fchown(file, Some(like.uid()), Some(like.gid())).is_ok()
        || own.gid() == like.gid()
    {
        return Ok(());
    }
    fchown(file, None, Some(like.gid())).or_else(|error| {
        // With another group the same bits would let in others than before.
        let (group, everybody) = (like.mode() >> 3 & 7, like.mode() & 7);
        if group == everybody { Ok(()) } else { Err(error) }
    })
}

#[cfg(not(unix))]
fn give(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}
