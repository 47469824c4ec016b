//! Replaces the text of a site file atomically.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use apmon_core::{config::MAX_FILE_BYTES, text::printable};

/// Replaces the text `old` of the file at `path` by `new`, atomically: any reader
/// finds the one or the other, also after a power cut. A link is followed. Permission
/// bits stay, and so do owner and group as far as this process may change them; access
/// lists do not.
///
/// # Errors
/// The text is no longer `old`, including its byte order mark; or the file may not be
/// written; or a step failed, which the error names.
pub(in crate::pin) fn write_file(path: &Path, old: &str, new: &str) -> anyhow::Result<()> {
    let target = fs::canonicalize(path).with_context(|| cannot("find", path))?;
    // Opening a pipe would block.
    let metadata = fs::metadata(&target).with_context(|| cannot("read", &target))?;
    if !metadata.is_file() {
        anyhow::bail!("{}: not a regular file", printable(&target.display().to_string()));
    }
    require(&target, old)?;
    let new_file = NewFile::create(&target)?;
    new_file.fill(&metadata, new)?;
    // Again: writing took some time.
    require(&target, old)?;
    new_file.replace(&target)
}

fn cannot(step: &str, path: &Path) -> String {
    format!("cannot {step} {}", printable(&path.display().to_string()))
}

/// Checks that the file still has the text `old` and may be written, which a rename
/// would not check.
fn require(path: &Path, old: &str) -> anyhow::Result<()> {
    let mut present = Vec::with_capacity(old.len() + 1);
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| cannot("open", path))?
        .take(MAX_FILE_BYTES + 4) // a byte order mark, and one more
        .read_to_end(&mut present)
        .with_context(|| cannot("read", path))?;
    if present != old.as_bytes() {
        anyhow::bail!(
            "{}: changed meanwhile; nothing was written",
            printable(&path.display().to_string())
        );
    }
    Ok(())
}

/// The new file beside the old one; removed when dropped before it has replaced it.
struct NewFile {
    path: PathBuf,
    file: File,
    renamed: bool,
}

impl NewFile {
    /// Creates the file and never opens an existing one, which may be somebody's link
    /// or the unfinished file of another process.
    fn create(target: &Path) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // The text may hold passwords; the final bits follow with the owner.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut number = 0;
        loop {
            let path = temporary_path(target, number);
            match options.open(&path) {
                Ok(file) => {
                    return Ok(Self {
                        path,
                        file,
                        renamed: false,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 100 => number += 1,
                Err(error) => return Err(error).with_context(|| cannot("create", &path)),
            }
        }
    }

    fn fill(&self, like: &Metadata, text: &str) -> anyhow::Result<()> {
        (&self.file)
            .write_all(text.as_bytes())
            .with_context(|| cannot("write", &self.path))?;
        set_owner(&self.file, like).with_context(|| cannot("set the owner of", &self.path))?;
        // After the owner: changing the owner clears bits.
        self.file
            .set_permissions(like.permissions())
            .with_context(|| cannot("set the permissions of", &self.path))?;
        self.file.sync_all().with_context(|| cannot("sync", &self.path))
    }

    fn replace(mut self, target: &Path) -> anyhow::Result<()> {
        fs::rename(&self.path, target).with_context(|| cannot("replace", target))?;
        self.renamed = true;
        // The text is safe even if its name is not durable yet; some file systems cannot
        // sync a directory.
        if cfg!(unix)
            && let Some(directory) = target.parent()
        {
            let _ = File::open(directory).and_then(|directory| directory.sync_all());
        }
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A hidden name without the suffix of a site file, so that no program reads it as one.
fn temporary_path(target: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{}-{number}.new", std::process::id()));
    target.with_file_name(name)
}

/// Gives `file` the owner and group of `like`, as far as permitted.
#[cfg(unix)]
fn set_owner(file: &File, like: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};

    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (like.uid(), like.gid())
        || fchown(file, Some(like.uid()), Some(like.gid())).is_ok()
        || own.gid() == like.gid()
    {
        return Ok(());
    }
    fchown(file, None, Some(like.gid())).or_else(|error| {
        // With another group, the same bits would grant access to other people.
        let (group, everybody) = (like.mode() >> 3 & 7, like.mode() & 7);
        if group == everybody { Ok(()) } else { Err(error) }
    })
}

#[cfg(not(unix))]
fn set_owner(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}
