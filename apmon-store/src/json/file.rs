//! Replacing a file so that it is never damaged, and recovering if it is.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read as _, Write},
    path::{Path, PathBuf},
};

use apmon_core::{StoreError, input_file::InputFileError, text::printable};
use jiff::{Timestamp, tz::TimeZone};

use super::read::{self, ReadError};
use crate::{
    file::{
        FileStamp, beside, corrupt_name, damaged, directory, display, foreign, input_error, io_error,
        is_missing, make_directory, newer_version, open_directory, sync_names,
    },
    model::Loaded,
    trust::Trust,
};

const WRITE_BUFFER: usize = 64 * 1024;

/// A larger file is not a state file.
const MAX_BYTES: u64 = 1 << 30;

/// How many names for the new file are tried.
const MAX_NAMES: u32 = 16;

/// The same for a file that is only shown, and may be anybody's: ten times what 10,000 monitors take.
const MAX_BYTES_OF_ANOTHER: u64 = 128 << 20;

/// A JSON state file, its predecessor and its temporary names.
#[derive(Debug)]
pub(crate) struct JsonFile {
    path: PathBuf,
    new: PathBuf,
    old: PathBuf,
    link: PathBuf,
    /// Whose files are read.
    trust: Trust,
    /// The file at `path` is damaged and could not be set aside; it must not
    /// replace `.old`.
    damaged: bool,
    /// Whether it was logged that `.old` cannot be written.
    without_old: bool,
    /// How the last commit, or the reading, left the file.
    written: Option<FileStamp>,
    /// Makes the names in a directory durable; only tests set another function.
    sync_names: fn(&File) -> io::Result<()>,
}

/// What reading one of the names found.
enum Content {
    Good(Box<Loaded>),
    Damaged,
    Missing,
}

impl JsonFile {
    pub(crate) fn new(path: &Path, trust: Trust) -> Self {
        Self {
            path: path.to_owned(),
            new: beside(path, ".new"),
            old: beside(path, ".old"),
            link: beside(path, ".old.tmp"),
            trust,
            damaged: false,
            without_old: false,
            written: None,
            sync_names,
        }
    }

    /// Replaces the file. At every moment `path` is a complete file, and `.old`
    /// the one before.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if the file was replaced, but may not be after a crash; after any
    /// other error it was not.
    pub(crate) fn replace(
        &mut self,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        self.report_change();
        let written = self.write_new(content);
        let opened = written
            .and_then(|()| self.keep_old_if_possible())
            .and_then(|()| open_directory(&self.path))
            .and_then(|opened| {
                fs::rename(&self.new, &self.path).map_err(|error| io_error("rename", &self.new, error))?;
                Ok(opened)
            })
            .inspect_err(|_| {
                // Half a file would only take up space on a full disk.
                let _ = fs::remove_file(&self.new);
            })?;
        self.damaged = false;
        self.written = FileStamp::of(&self.path);
        let synced = opened.as_ref().map_or(Ok(()), self.sync_names);
        synced.map_err(|error| StoreError::Unknown {
            reason: io_error("sync", directory(&self.path), error).one_line(),
        })
    }

    /// Logs that another program has written or removed the file while it was in use. The state in
    /// memory is what counts: the file is about to be written anew, all of it.
    fn report_change(&mut self) {
        let Some(written) = self.written.take() else {
            return;
        };
        let change = match FileStamp::of(&self.path) {
            Some(present) if present.has_content_of(&written) => return,
            Some(_) => "was changed by another program",
            None => "was removed",
        };
        let place = display(&self.path);
        tracing::error!(
            "{place} {change} while it was in use; all states and notifications are written anew"
        );
    }

    /// Streams the content, so that a large site's file is never in memory whole.
    fn write_new(
        &mut self,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let file = match self.create_new() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_directory(&self.path)
                    .map_err(|error| io_error("make directory", directory(&self.path), error))?;
                self.create_new()
            }
            created => created,
        }
        .map_err(|error| io_error("create", &self.new, error))?;
        let mut out = BufWriter::with_capacity(WRITE_BUFFER, &file);
        content(&mut out)
            .and_then(|()| out.flush())
            .map_err(|error| io_error("write", &self.new, error))?;
        file.sync_all()
            .map_err(|error| io_error("sync", &self.new, error))
    }

    /// Creates a file and never opens an existing one, which may be someone
    /// else's link. In a directory such as `/tmp` others may have taken the name.
    fn create_new(&mut self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut n = 1;
        loop {
            let created = remove(&self.new).and_then(|()| options.open(&self.new));
            // Where nothing can be created, no other name is free either.
            let is_taken = || self.new.symlink_metadata().is_ok();
            match created {
                Err(_) if n < MAX_NAMES && is_taken() => {
                    n += 1;
                    self.new = beside(&self.path, &format!(".new.{n}"));
                }
                created => return created,
            }
        }
    }

    /// As [`keep_old`](Self::keep_old), unless another user has taken a name that it needs: the file
    /// itself is replaced all the same, and its predecessor is not kept.
    fn keep_old_if_possible(&mut self) -> Result<(), StoreError> {
        match self.keep_old() {
            Err(StoreError::Io { step, place, source })
                if matches!(
                    source.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory
                ) =>
            {
                if !std::mem::replace(&mut self.without_old, true) {
                    tracing::warn!(
                        "the state before each commit is not kept: cannot {step} {place}: {source}"
                    );
                }
                Ok(())
            }
            kept => kept,
        }
    }

    /// Gives the present file a second name, so that it always has one.
    fn keep_old(&self) -> Result<(), StoreError> {
        if self.damaged {
            return Ok(());
        }
        remove(&self.link).map_err(|error| io_error("remove", &self.link, error))?;
        match fs::hard_link(&self.path, &self.link) {
            Ok(()) => {
                fs::rename(&self.link, &self.old).map_err(|error| io_error("rename", &self.link, error))?;
                // Renaming one name of a file to another name of the same file does nothing.
                remove(&self.link).map_err(|error| io_error("remove", &self.link, error))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()), // the first commit
            // A file system without hard links: for a moment only `.old` exists; a reader then uses it.
            Err(_) => {
                fs::rename(&self.path, &self.old).map_err(|error| io_error("rename", &self.path, error))
            }
        }
    }

    /// Reads the file or what is left of it; the warnings say what happened.
    pub(crate) fn load(&mut self, zone: &TimeZone, now: Timestamp) -> Result<Loaded, StoreError> {
        let mut warnings = Vec::new();
        self.damaged = false;
        let present = FileStamp::of(&self.path);
        self.written = None;
        match self.read(&self.path, zone, now, &mut warnings)? {
            Content::Good(loaded) => {
                self.written = present;
                return Ok(*loaded);
            }
            Content::Damaged => self.damaged = self.path.symlink_metadata().is_ok(),
            Content::Missing => {}
        }
        let was_damaged = !warnings.is_empty();
        let path = display(&self.path);
        match self.read_old(zone, now, &mut warnings)? {
            Content::Good(loaded) => {
                warnings.extend(loaded.warnings);
                let fault = if was_damaged { "was damaged" } else { "is missing" };
                warnings.push(format!(
                    "{path} {fault}: the state before the last commit is used, from {}",
                    display(&self.old)
                ));
                Ok(Loaded { warnings, ..*loaded })
            }
            Content::Damaged => {
                warnings.push(format!(
                    "{path}: nothing could be read: starting without any state"
                ));
                Ok(Loaded::empty(warnings))
            }
            Content::Missing => {
                if was_damaged {
                    warnings.push(format!(
                        "{path} was damaged and there is no {}: starting without any state",
                        display(&self.old)
                    ));
                }
                Ok(Loaded::empty(warnings))
            }
        }
    }

    /// Reads the file before the last commit. In a directory such as `/tmp`, another user may have
    /// taken its name.
    fn read_old(
        &self,
        zone: &TimeZone,
        now: Timestamp,
        warnings: &mut Vec<String>,
    ) -> Result<Content, StoreError> {
        let read = self.read(&self.old, zone, now, warnings);
        match self.trust.refuses_name(&self.old) {
            Some(uid) if read.is_err() => {
                let old = display(&self.old);
                warnings.push(format!("{old} is not used: {}", foreign(uid)));
                Ok(Content::Missing)
            }
            _ => read,
        }
    }

    fn read(
        &self,
        path: &Path,
        zone: &TimeZone,
        now: Timestamp,
        warnings: &mut Vec<String>,
    ) -> Result<Content, StoreError> {
        let Some(bytes) = bytes_of(path, MAX_BYTES, self.trust)? else {
            return Ok(Content::Missing);
        };
        let place = display(path);
        match read::from_bytes(&bytes, zone, &place) {
            Ok(loaded) => Ok(Content::Good(Box::new(loaded))),
            Err(ReadError::Newer(version)) => Err(damaged(path, newer_version(version))),
            Err(ReadError::Damaged(reason)) => {
                let result = match set_aside(path, zone, now) {
                    Ok(aside) => format!("it was set aside as {}", display(&aside)),
                    // A disk that has become read-only. Monitoring goes on.
                    Err(error) => format!("it could not be set aside: {}", error.one_line()),
                };
                warnings.push(format!("{place} is DAMAGED ({}); {result}", printable(&reason)));
                Ok(Content::Damaged)
            }
        }
    }

    /// Reads the file as it is, also while its owner writes it. A damaged or
    /// missing file is an error, and nothing is changed.
    pub(crate) fn read_only(&self, zone: &TimeZone) -> Result<Loaded, StoreError> {
        let missing = || io_error("read", &self.path, io::Error::from(io::ErrorKind::NotFound));
        let mut path = &self.path;
        let bytes = match bytes_of(path, MAX_BYTES_OF_ANOTHER, self.trust)? {
            // Without hard links, for a moment only `.old` exists.
            None => {
                path = &self.old;
                bytes_of(path, MAX_BYTES_OF_ANOTHER, self.trust)?.ok_or_else(missing)?
            }
            Some(bytes) => bytes,
        };
        read::from_bytes(&bytes, zone, &display(path)).map_err(|error| match error {
            ReadError::Newer(version) => damaged(path, newer_version(version)),
            ReadError::Damaged(reason) => damaged(path, printable(&reason)),
        })
    }
}

fn set_aside(path: &Path, zone: &TimeZone, now: Timestamp) -> Result<PathBuf, StoreError> {
    let aside = corrupt_name(path, zone, now);
    fs::rename(path, &aside).map_err(|error| io_error("set aside", path, error))?;
    Ok(aside)
}

/// A file's bytes; `None` where there is no file.
fn bytes_of(path: &Path, most: u64, trust: Trust) -> Result<Option<Vec<u8>>, StoreError> {
    let file = match open_state(path) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(io_error("read", path, error)),
    };
    let metadata = file.metadata().map_err(|error| io_error("read", path, error))?;
    trust.check(path, &metadata)?;
    if metadata.is_dir() {
        return Err(input_error(path, InputFileError::Directory));
    }
    if !metadata.is_file() {
        return Err(input_error(path, InputFileError::Special));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(most)).unwrap_or(0) + 1);
    // It may grow meanwhile.
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| io_error("read", path, error))?;
    let found = metadata.len().max(bytes.len() as u64);
    if found > most {
        let reason = format!("too large for a state file: {found} bytes, the limit is {most}");
        return Err(damaged(path, reason));
    }
    Ok(Some(bytes))
}

/// Opens a file for reading; a link in its place is not followed, a pipe is not waited for.
fn open_state(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options.open(path)
}

/// Removes a file that may be missing.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_whose_new_name_may_not_survive_a_crash_is_in_doubt_and_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.json");
        let mut file = JsonFile::new(&path, Trust::Own);
        let write = |file: &mut JsonFile, text: &str| file.replace(|out| out.write_all(text.as_bytes()));
        write(&mut file, "1").unwrap();
        file.sync_names = |_| Err(io::Error::from_raw_os_error(5));
        let error = write(&mut file, "2").unwrap_err();
        assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
        assert!(error.one_line().contains("(cannot sync "), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "2");
        file.sync_names = sync_names;
        write(&mut file, "2").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "2");
    }

    #[test]
    fn a_file_that_was_not_replaced_is_not_in_doubt() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.json");
        // Nothing can be renamed over a directory that is not empty.
        fs::create_dir_all(path.join("x")).unwrap();
        let mut file = JsonFile::new(&path, Trust::Own);
        file.damaged = true;
        let error = file.replace(|out| out.write_all(b"1")).unwrap_err();
        assert!(matches!(error, StoreError::Io { step: "rename", .. }), "{error}");
    }
}
