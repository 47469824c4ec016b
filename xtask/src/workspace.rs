//! Paths of the workspace.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::fault::{During, Fault};

/// The root of the checkout.
pub fn root() -> PathBuf {
    // From cargo at run time, or from the build if cargo does not run this program.
    // Both name the directory of a crate, which lies directly below the root.
    let member = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let member = Path::new(&member);
    member.parent().unwrap_or(member).to_owned()
}

/// The directory that cargo builds in.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// A path for display: relative to the root if it lies below.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Reads a text file.
///
/// # Errors
/// If the file cannot be read, with its path.
pub fn read(path: &Path) -> Result<String, Fault> {
    fs::read_to_string(path).during(format!("read {}", shown(path)))
}

/// Writes a file and creates its directory if needed.
///
/// # Errors
/// If either cannot be written, with its path.
pub fn write(path: &Path, text: &str) -> Result<(), Fault> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).during(format!("make {}", shown(directory)))?;
    }
    fs::write(path, text).during(format!("write {}", shown(path)))
}
