//! Reads the text of a site file, and the environment for `${NAME}`.

use std::path::Path;

use super::{
    diagnostic::ConfigError,
    position::{FileId, Position},
};
use crate::input_file::{InputFileError, read_file};

/// The maximum size of a site file, enough for about 50,000 monitors.
pub const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

const DIRECTORY: &str = "is a directory, not a site file";

/// The source of values for `${NAME}`.
pub trait Environment {
    /// The value of the variable; `None` if it is not set.
    fn variable(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// Reads a site file. Directories, pipes and devices are refused, because reading
/// one may block or never end.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or("");
    if !["yaml", "yml", "json"]
        .iter()
        .any(|known| suffix.eq_ignore_ascii_case(known))
    {
        let reason = match path.is_dir() {
            true => DIRECTORY,
            false => "a site file's name must end in .yaml, .yml or .json",
        };
        return Err(unreadable(reason.into()));
    }
    let bytes = read_file(path, MAX_FILE_BYTES).map_err(|error| {
        unreadable(match error {
            InputFileError::Directory => DIRECTORY.into(),
            other => other.to_string(),
        })
    })?;
    decode(path, bytes)
}

/// Decodes UTF-8 text, with or without a byte order mark.
pub(super) fn decode(path: &Path, bytes: Vec<u8>) -> Result<String, ConfigError> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        ConfigError::Syntax {
            at: position_of(path, &error.as_bytes()[..valid]),
            reason: match error.as_bytes() {
                [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16 text; save it as UTF-8".into(),
                bytes => format!("not UTF-8 text: byte 0x{:02x}", bytes[valid]),
            },
        }
    })?;
    if let Some(nul) = text.find('\0') {
        return Err(ConfigError::Syntax {
            at: position_of(path, &text.as_bytes()[..nul]),
            reason: "a NUL byte: this is not a text file".into(),
        });
    }
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// The position that follows the text `before`.
fn position_of(path: &Path, before: &[u8]) -> Position {
    let text = String::from_utf8_lossy(before);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    Position {
        file: FileId::of(path),
        line,
        column,
    }
}
