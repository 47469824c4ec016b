//! What the registry says of one site of a daemon.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Found, SitePath, lock::is_locked, trust::Directory};

/// The largest entry: three paths of 4 KiB each, escaped.
const MAX_LENGTH: u64 = 128 * 1024;

/// One site of a daemon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) file: SitePath,
    /// The site's name.
    pub(crate) site: String,
    pub(crate) state_file: PathBuf,
    pub(crate) socket: PathBuf,
    /// For people: another process may have it by now.
    pub(crate) pid: u32,
    pub(crate) started: Timestamp,
}

impl Entry {
    /// The entry as JSON.
    pub(super) fn text(&self) -> String {
        let object = json!({
            "version": 1,
            "site": self.site,
            "site_file": path_as_json(&self.file.real),
            "given": path_as_json(&self.file.given),
            "state_file": path_as_json(&self.state_file),
            "socket": path_as_json(&self.socket),
            "pid": self.pid,
            "started": self.started.to_string(),
        });
        format!("{object:#}\n")
    }

    /// Reads an entry; `None` if it is none, or of another version.
    pub(super) fn of(text: &str) -> Option<Self> {
        let object: Value = serde_json::from_str(text).ok()?;
        if object["version"] != 1 {
            return None;
        }
        let path = |key: &str| path_of(&object[key]).filter(|path| path.is_absolute());
        Some(Self {
            file: SitePath {
                given: path("given")?,
                real: path("site_file")?,
            },
            site: object["site"].as_str()?.to_owned(),
            state_file: path("state_file")?,
            socket: path("socket")?,
            pid: object["pid"].as_u64().and_then(|pid| pid.try_into().ok())?,
            started: object["started"].as_str()?.parse().ok()?,
        })
    }
}

/// A path as a string, or as its bytes if it is not UTF-8.
pub(crate) fn path_as_json(path: &Path) -> Value {
    match path.to_str() {
        Some(text) => text.into(),
        None => path.as_os_str().as_encoded_bytes().to_vec().into(),
    }
}

/// The path that [`path_as_json`] wrote.
pub(crate) fn path_of(value: &Value) -> Option<PathBuf> {
    match value {
        Value::String(text) => Some(PathBuf::from(text)),
        #[cfg(unix)]
        Value::Array(bytes) => {
            let bytes = bytes
                .iter()
                .map(|byte| byte.as_u64().and_then(|byte| byte.try_into().ok()));
            let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
            Some(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into())
        }
        _ => None,
    }
}

/// Reads the entry in a file; `None` if it does not count.
pub(super) fn read(path: &Path, directory: &Directory) -> io::Result<Option<Found>> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    // The others are still being written.
    if name.starts_with(b".") || !name.ends_with(b".json") {
        return Ok(None);
    }
    let file = open(path)?;
    if !directory.counts(&file.metadata()?) {
        tracing::debug!("{}: ignored: it is not of root or this user", path.display());
        return Ok(None);
    }
    let live = is_locked(&file)?;
    let mut text = String::new();
    file.take(MAX_LENGTH).read_to_string(&mut text)?;
    Ok(Entry::of(&text).map(|entry| Found { entry, live }))
}

/// Opens a file for reading: a link is not followed, and a pipe is not waited for.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options.open(path)
}
