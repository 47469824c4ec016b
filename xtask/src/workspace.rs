//! Paths of the workspace.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::fault::{During, Fault};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    // From cargo at run time, or from the build if cargo does not run this program.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let xtask = Path::new(&xtask);
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// The directory that cargo builds in.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// A path for display: relative to the root if it lies below.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

pub(crate) fn read(path: &Path) -> Result<String, Fault> {
    fs::read_to_string(path).during(format!("read {}", shown(path)))
}

/// Whether a source file of the product contains `text`: for tests of the words
/// that tasks search for in apmon's output.
#[cfg(test)]
pub(crate) fn product_has(text: &str) -> bool {
    fn is_in(path: &Path, text: &str) -> bool {
        let name = path.file_stem().unwrap_or_default();
        match fs::read_dir(path) {
            _ if name == "tests" => false,
            Ok(entries) => entries.flatten().any(|entry| is_in(&entry.path(), text)),
            Err(_) => fs::read_to_string(path).is_ok_and(|source| source.contains(text)),
        }
    }
    let crates = fs::read_dir(root()).into_iter().flatten().flatten();
    crates
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("apmon-"))
        .any(|entry| is_in(&entry.path().join("src"), text))
}

/// Writes a file and creates its directory if needed.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Fault> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).during(format!("make {}", shown(directory)))?;
    }
    fs::write(path, text).during(format!("write {}", shown(path)))
}
