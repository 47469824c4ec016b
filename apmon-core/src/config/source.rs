//! The file's bytes, or why there are none; and the environment for `${NAME}`.

use std::{fs::File, io::Read, path::Path};

use super::{
    diagnostic::ConfigError,
    position::{FileId, Position},
};

/// The largest site file: some fifty thousand monitors.
pub const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Where `${NAME}` comes from.
pub trait Environment {
    /// The variable's value.
    fn variable(&self, name: &str) -> Option<String>;
}

/// The process's own environment.
#[derive(Clone, Copy, Debug)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// Reads a site file. Directories, pipes and devices are refused, so that
/// nothing here waits or never ends.
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
        return Err(unreadable(
            "a site file's name ends in .yaml, .yml or .json".into(),
        ));
    }
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable(match metadata.is_dir() {
            true => "a directory; a site file is wanted".into(),
            false => "a pipe or device; a site file is a regular file".into(),
        }));
    }
    let too_large = |bytes: u64| {
        unreadable(format!(
            "{bytes} bytes or more; a site file has at most {MAX_FILE_BYTES}"
        ))
    };
    if metadata.len() > MAX_FILE_BYTES {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large(bytes.len() as u64));
    }
    decode(path, bytes)
}

/// Text from bytes: UTF-8, with or without a byte order mark.
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

/// The position just behind `before`.
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
