//! Replacing a file so that it is never damaged, and what to do if it is.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use apmon_core::{StoreError, text::printable};
use jiff::{Timestamp, tz::TimeZone};

/// So much is written at a time.
const PIECE: usize = 64 * 1024;

use crate::{
    model::Model,
    place::{beside, directory, make_directory},
    read::{self, ReadError},
};

/// No state file is larger: it would be something else.
const MAX_BYTES: u64 = 1 << 30;

/// A state file and what stands beside it.
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
    new: PathBuf,
    old: PathBuf,
    link: PathBuf,
    /// What stands at `path` is damaged and could not be moved away; `.old` is
    /// better.
    damaged: bool,
}

impl Disk {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            new: beside(path, ".new"),
            old: beside(path, ".old"),
            link: beside(path, ".old.tmp"),
            damaged: false,
        }
    }

    /// Replaces the file. At every moment a complete one stands there, the one
    /// before under `.old`.
    pub(crate) fn replace(
        &mut self,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        self.write_new(content)
            .and_then(|()| self.keep_old())
            .and_then(|()| {
                fs::rename(&self.new, &self.path).map_err(|error| failed("rename", &self.new, error))
            })
            .inspect_err(|_| {
                // Half a file would only take up room on a full disk.
                let _ = fs::remove_file(&self.new);
            })?;
        self.damaged = false;
        self.sync_directory()
    }

    /// Written piece by piece: the file of a large site is never in memory whole.
    fn write_new(&self, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), StoreError> {
        let file = match self.create_new() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_directory(&self.path)
                    .map_err(|error| failed("make directory", directory(&self.path), error))?;
                self.create_new()
            }
            created => created,
        }
        .map_err(|error| failed("create", &self.new, error))?;
        let mut out = BufWriter::with_capacity(PIECE, &file);
        content(&mut out)
            .and_then(|()| out.flush())
            .map_err(|error| failed("write", &self.new, error))?;
        file.sync_all().map_err(|error| failed("sync", &self.new, error))
    }

    /// Made anew, never opened: what stands there may be a link of somebody's.
    fn create_new(&self) -> io::Result<File> {
        remove(&self.new)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&self.new)
    }

    /// Gives the present file a second name, so that it is never without one.
    fn keep_old(&self) -> Result<(), StoreError> {
        if self.damaged {
            return Ok(());
        }
        remove(&self.link).map_err(|error| failed("remove", &self.link, error))?;
        match fs::hard_link(&self.path, &self.link) {
            Ok(()) => {
                fs::rename(&self.link, &self.old).map_err(|error| failed("rename", &self.link, error))?;
                // Renaming one name of a file to another of the same file does nothing.
                remove(&self.link).map_err(|error| failed("remove", &self.link, error))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()), // the first commit
            // A file system without hard links: for a moment `.old` stands alone, and is read then.
            Err(_) => fs::rename(&self.path, &self.old).map_err(|error| failed("rename", &self.path, error)),
        }
    }

    /// Makes the names durable.
    fn sync_directory(&self) -> Result<(), StoreError> {
        sync_directory(&self.path)
    }

    /// Reads the file, or what is left of it; the warnings say what happened.
    pub(crate) fn load(
        &mut self,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Result<(Model, Vec<String>), StoreError> {
        let mut warnings = Vec::new();
        self.damaged = false;
        match self.read(&self.path, zone, now, &mut warnings)? {
            Found::Good(model) => return Ok((*model, warnings)),
            Found::Damaged => self.damaged = self.path.symlink_metadata().is_ok(),
            Found::Nothing => {}
        }
        let was_damaged = !warnings.is_empty();
        let path = shown(&self.path);
        match self.read(&self.old, zone, now, &mut warnings)? {
            Found::Good(model) => {
                let fault = if was_damaged { "was damaged" } else { "is missing" };
                let old = shown(&self.old);
                warnings.push(format!(
                    "{path} {fault}: the state before the last commit is used, from {old}"
                ));
                Ok((*model, warnings))
            }
            Found::Damaged => {
                warnings.push(format!(
                    "{path}: nothing could be read: starting without any state"
                ));
                Ok((Model::default(), warnings))
            }
            Found::Nothing => {
                if was_damaged {
                    warnings.push(format!(
                        "{path} was damaged and there is no {}: starting without any state",
                        shown(&self.old)
                    ));
                }
                Ok((Model::default(), warnings))
            }
        }
    }

    fn read(
        &self,
        path: &Path,
        zone: &TimeZone,
        now: Timestamp,
        warnings: &mut Vec<String>,
    ) -> Result<Found, StoreError> {
        let Some(bytes) = bytes_of(path)? else {
            return Ok(Found::Nothing);
        };
        let place = shown(path);
        match read::from_bytes(&bytes, zone, &place) {
            Ok((model, doubts)) => {
                warnings.extend(doubts);
                Ok(Found::Good(Box::new(model)))
            }
            Err(ReadError::Newer(version)) => Err(newer(place, version)),
            Err(ReadError::Damaged(reason)) => {
                let fate = match self.set_aside(path, zone, now) {
                    Ok(aside) => format!("it was set aside as {}", shown(&aside)),
                    // A disk that has gone read-only. Watching goes on.
                    Err(error) => format!("it could not be set aside: {}", error.one_line()),
                };
                warnings.push(format!("{place} is DAMAGED ({}); {fate}", printable(&reason)));
                Ok(Found::Damaged)
            }
        }
    }

    /// Reads the file as it is, whoever writes it; damaged or missing it is an
    /// error, and nothing is changed.
    pub(crate) fn peek(&self, zone: &TimeZone) -> Result<(Model, Vec<String>), StoreError> {
        let missing = || failed("read", &self.path, io::Error::from(io::ErrorKind::NotFound));
        let mut path = &self.path;
        let bytes = match bytes_of(path)? {
            // Where there are no hard links `.old` stands alone for a moment.
            None => {
                path = &self.old;
                bytes_of(path)?.ok_or_else(missing)?
            }
            Some(bytes) => bytes,
        };
        let place = shown(path);
        read::from_bytes(&bytes, zone, &place).map_err(|error| match error {
            ReadError::Newer(version) => newer(place, version),
            ReadError::Damaged(reason) => StoreError::Damaged {
                place,
                reason: printable(&reason).into_owned(),
            },
        })
    }

    fn set_aside(&self, path: &Path, zone: &TimeZone, now: Timestamp) -> Result<PathBuf, StoreError> {
        let aside = aside(path, zone, now);
        fs::rename(path, &aside).map_err(|error| failed("set aside", path, error))?;
        Ok(aside)
    }
}

/// The name under which a damaged file is set aside.
pub(crate) fn aside(path: &Path, zone: &TimeZone, now: Timestamp) -> PathBuf {
    let at = zone.to_datetime(now).strftime("%Y%m%dT%H%M%S").to_string();
    let mut aside = beside(path, &format!(".corrupt-{at}"));
    let mut n = 1;
    while aside.symlink_metadata().is_ok() {
        n += 1;
        aside = beside(path, &format!(".corrupt-{at}-{n}"));
    }
    aside
}

/// Makes the names in the directory of `path` durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    if cfg!(unix) {
        let directory = directory(path);
        File::open(directory)
            .and_then(|opened| opened.sync_all())
            .map_err(|error| failed("sync", directory, error))?;
    }
    Ok(())
}

/// By which a file is known again; `None` where there is none.
pub(crate) fn stamp(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    let changed = metadata
        .modified()
        .ok()?
        .duration_since(std::time::UNIX_EPOCH)
        .ok()?;
    Some(format!("{}-{}", changed.as_nanos(), metadata.len()))
}

enum Found {
    Good(Box<Model>),
    Damaged,
    Nothing,
}

fn newer(place: String, version: u64) -> StoreError {
    StoreError::Damaged {
        place,
        reason: format!("written by a newer apmon (version {version} of its content)"),
    }
}

/// A file's bytes; `None` where there is no file.
fn bytes_of(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        // A file where a directory should be holds no state, and takes none.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(failed("read", path, error)),
    };
    let refused = |reason: String| StoreError::Damaged {
        place: shown(path),
        reason,
    };
    // A pipe would never end.
    if !metadata.is_file() {
        return Err(refused("not a regular file".into()));
    }
    if metadata.len() > MAX_BYTES {
        return Err(refused(format!(
            "{} bytes; no state file has more than {MAX_BYTES}",
            metadata.len()
        )));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
        .map_err(|error| failed("read", path, error))?;
    Ok(Some(bytes))
}

/// Removes a file that may be missing.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(crate) fn failed(step: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        step,
        place: shown(path),
        source,
    }
}

pub(crate) fn shown(path: &Path) -> String {
    printable(&path.display().to_string()).into_owned()
}
