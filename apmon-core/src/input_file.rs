//! Reads the files that a site file, a command line or the system names. Whatever is there
//! instead (a pipe, a device, a disk full of zeros), reading it neither blocks nor fills the
//! memory.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Read},
    path::Path,
};

/// Why a file is not read. The text follows a path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputFileError {
    /// It cannot be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is a directory.
    #[error("is a directory, not a file")]
    Directory,
    /// It is neither a file nor a directory: a pipe, a socket or a device.
    #[error("is a pipe or a device, not a regular file")]
    Special,
    /// It is larger than its kind may be.
    #[error("at least {found} bytes long; the limit is {limit} bytes")]
    TooLarge {
        /// The length as far as it is known, in bytes.
        found: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// It is not text.
    #[error("not UTF-8 text")]
    NotText,
}

/// Reads a regular file of at most `limit` bytes. A link is followed.
///
/// # Errors
/// There is no such file, it cannot be read, or it is not a regular file of that size.
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, InputFileError> {
    let (file, metadata) = open_file(path)?;
    let too_large = |found| InputFileError::TooLarge { found, limit };
    if metadata.len() > limit {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    // It may grow meanwhile, and files of /proc have no length.
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    // What waits for more, as /proc/kmsg does, looks like a regular file.
    read.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => InputFileError::Special,
        _ => InputFileError::Io(error),
    })?;
    match bytes.len() as u64 {
        found if found > limit => Err(too_large(found)),
        _ => Ok(bytes),
    }
}

/// Reads a regular file of at most `limit` bytes of UTF-8 text. A byte order mark is left out.
///
/// # Errors
/// Those of [`read_file`], and [`InputFileError::NotText`].
pub fn read_text_file(path: &Path, limit: u64) -> Result<String, InputFileError> {
    let mut text = String::from_utf8(read_file(path, limit)?).map_err(|_| InputFileError::NotText)?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

/// Opens a regular file for reading. A link is followed.
///
/// # Errors
/// There is no such file, it cannot be opened, or it is not a regular file.
pub fn open_file(path: &Path) -> Result<(File, Metadata), InputFileError> {
    // Before it is opened: opening some devices has effects.
    regular(&std::fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    // By now it may be a pipe, and opening one waits for its writer.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC,
    );
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    Ok((file, metadata))
}

fn regular(metadata: &Metadata) -> Result<(), InputFileError> {
    match metadata {
        metadata if metadata.is_file() => Ok(()),
        metadata if metadata.is_dir() => Err(InputFileError::Directory),
        _ => Err(InputFileError::Special),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        std::fs::write(&path, "\u{feff}text").unwrap();
        assert_eq!(read_text_file(&path, 7).unwrap(), "text");
        let error = read_file(&path, 6).unwrap_err();
        assert_eq!(error.to_string(), "at least 7 bytes long; the limit is 6 bytes");
        std::fs::write(&path, b"\xff").unwrap();
        assert!(matches!(read_text_file(&path, 7), Err(InputFileError::NotText)));
        let error = read_file(&directory.path().join("b"), 7).unwrap_err();
        assert!(
            matches!(&error, InputFileError::Io(error) if error.kind() == io::ErrorKind::NotFound),
            "{error}"
        );
    }

    #[test]
    fn nothing_but_a_regular_file_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        for special in [pipe.as_path(), Path::new("/dev/zero"), Path::new("/dev/null")] {
            let error = read_file(special, 7).unwrap_err();
            assert!(matches!(error, InputFileError::Special), "{special:?}: {error}");
        }
        let error = read_file(directory.path(), 7).unwrap_err();
        assert!(matches!(error, InputFileError::Directory), "{error}");
        // Only root may open it, and nobody waits for it.
        assert!(read_file(Path::new("/proc/kmsg"), 1 << 30).is_err());
        // A file without a length that never ends would be like this one.
        assert!(
            !read_file(Path::new("/proc/self/status"), 1 << 20)
                .unwrap()
                .is_empty()
        );
        let error = read_file(Path::new("/proc/self/status"), 10).unwrap_err();
        assert!(matches!(error, InputFileError::TooLarge { .. }), "{error}");
    }
}
