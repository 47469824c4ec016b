//! A directory whose files are replaced.
//!
//! It may be writable for the web server, and apmon may be root. So everything goes through the
//! opened directory, nothing follows a link, and a file is made anew and takes the name of the
//! former one: at every moment the name has a complete file.

use std::{
    fs::{DirBuilder, File, Permissions},
    io::{self, Read as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, fchown},
    },
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, renameat, statat, unlinkat};

use super::MrtgError;

const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;
/// A page that is larger is not read again.
const MAX_PAGE: u64 = 64 << 20;

#[derive(Debug)]
pub(super) struct Directory {
    file: File,
    path: PathBuf,
    group: Option<u32>,
}

impl Directory {
    /// Opens a directory, and makes it if it is not there.
    pub(super) fn make(path: &Path, group: Option<u32>) -> Result<Self, MrtgError> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(path);
        made.map_err(MrtgError::io("make directory", path))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(CWD, path, flags, Mode::empty());
        let opened = opened.map_err(|error| MrtgError::io("open", path)(error.into()))?;
        Ok(Self {
            file: File::from(opened),
            path: path.to_owned(),
            group,
        })
    }

    /// Opens the directory of this name below, and makes it if it is not there.
    pub(super) fn child(&self, name: &str) -> Result<Self, MrtgError> {
        let path = self.path.join(name);
        match mkdirat(&self.file, name, Mode::from_raw_mode(DIRECTORY_MODE)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(MrtgError::io("make directory", &path)(error.into())),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened = openat(&self.file, name, flags, Mode::empty()).map_err(|error| match error {
            rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => MrtgError::NotOurs(path.clone()),
            error => MrtgError::io("open", &path)(error.into()),
        })?;
        let child = Self {
            file: File::from(opened),
            path,
            group: self.group,
        };
        let _ = fchown(&child.file, None, child.group); // readable without it
        child.add_mode(DIRECTORY_MODE);
        Ok(child)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces a file.
    pub(super) fn replace(&self, name: &str, content: &[u8]) -> Result<(), MrtgError> {
        self.replace_with(name, content, |file| {
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
            let _ = fchown(file, None, self.group); // readable without it
            Ok(())
        })
    }

    /// Replaces a file, which `finish` gives its mode and owner.
    pub(super) fn replace_with(
        &self,
        name: &str,
        content: &[u8],
        finish: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<(), MrtgError> {
        // Hidden, so that no web server offers it.
        let new = format!(".{name}.new");
        let create = || -> io::Result<OwnedFd> {
            match unlinkat(&self.file, &new, AtFlags::empty()) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            Ok(openat(&self.file, &new, flags, Mode::from_raw_mode(0o600))?)
        };
        let path = self.path.join(name);
        let mut file = File::from(create().map_err(MrtgError::io("create", &self.path.join(&new)))?);
        let written = file
            .write_all(content)
            .and_then(|()| finish(&file))
            .map_err(MrtgError::io("write", &path))
            .and_then(|()| {
                renameat(&self.file, &new, &self.file, name)
                    .map_err(|error| MrtgError::io("replace", &path)(error.into()))
            });
        if written.is_err() {
            let _ = unlinkat(&self.file, &new, AtFlags::empty());
        }
        written
    }

    /// The text of a file, if it can be read.
    pub(super) fn read(&self, name: &str) -> Option<String> {
        // Without waiting: it may be a pipe.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = File::from(openat(&self.file, name, flags, Mode::empty()).ok()?);
        let length = file.metadata().ok().filter(|metadata| metadata.is_file())?.len();
        if length > MAX_PAGE {
            return None;
        }
        let mut text = String::new();
        file.take(MAX_PAGE).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// When a file was last written.
    pub(super) fn modified(&self, name: &str) -> Option<Timestamp> {
        let found = statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Timestamp::from_second(found.st_mtime).ok()
    }

    /// Lets the web server write here.
    pub(super) fn open_to_group(&self) -> Result<(), MrtgError> {
        const GROUP_WRITES: u32 = 0o020;
        const ALL_WRITE: u32 = 0o002;
        let is_open = || {
            self.file.metadata().is_ok_and(|metadata| {
                let for_group = self.group == Some(metadata.gid()) && metadata.mode() & GROUP_WRITES != 0;
                for_group || metadata.mode() & ALL_WRITE != 0
            })
        };
        let has_group = self
            .file
            .metadata()
            .is_ok_and(|metadata| self.group == Some(metadata.gid()));
        if has_group {
            self.add_mode(GROUP_WRITES);
        }
        match is_open() {
            true => Ok(()),
            false => Err(MrtgError::NotWritable(self.path.clone())),
        }
    }

    /// Adds to the mode, as far as that is allowed.
    fn add_mode(&self, mode: u32) {
        let Ok(metadata) = self.file.metadata() else {
            return;
        };
        if metadata.mode() & mode != mode {
            // Another user's directory: what cannot be read there is said when it is written.
            let _ = self
                .file
                .set_permissions(Permissions::from_mode(metadata.mode() & 0o7777 | mode));
        }
    }
}
