//! Where things are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::fault::{During, Fault};

/// The top of the checkout.
pub(crate) fn root() -> PathBuf {
    // As cargo says now; as it said at the build, where it does not run us.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let xtask = Path::new(&xtask);
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// `path` as it is shown: relative to the top where it lies below.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

pub(crate) fn read(path: &Path) -> Result<String, Fault> {
    fs::read_to_string(path).during(format!("read {}", shown(path)))
}

/// Writes a file, and its directory where that is missing.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Fault> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).during(format!("make {}", shown(directory)))?;
    }
    fs::write(path, text).during(format!("write {}", shown(path)))
}
