//! Paths of the workspace.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
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

/// An empty directory for what a task starts, with the state of apmon: below `target`. apmon believes
/// no state in a directory of a third user; for root in somebody's checkout it is one for temporary
/// files, of which [`leave`] leaves nothing.
///
/// # Errors
/// If it cannot be made, with its path.
pub fn scratch(name: &str) -> Result<PathBuf, Fault> {
    let mut directory = target().join(name);
    if belongs_to_others(&target()) {
        let name = format!("apmon-{name}-{}", std::process::id());
        directory = std::env::temp_dir().join(name);
    }
    let made = match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(&directory),
    };
    made.during(format!("make {}", shown(&directory)))?;
    Ok(directory)
}

/// Ends the use of a [`scratch`] directory. Below `target` it stays, with its logs.
pub fn leave(directory: &Path) {
    if !directory.starts_with(target()) {
        let _ = fs::remove_dir_all(directory);
    }
}

/// Whether a user other than root and this one owns the directory, or one above.
fn belongs_to_others(directory: &Path) -> bool {
    // The files of a process belong to its user.
    let Ok(own) = fs::metadata("/proc/self") else {
        return false;
    };
    let owners = directory.ancestors().filter_map(|path| path.metadata().ok());
    is_foreign(own.uid(), owners.map(|path| path.uid()))
}

fn is_foreign(user: u32, mut owners: impl Iterator<Item = u32>) -> bool {
    owners.any(|owner| owner != 0 && owner != user)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_a_third_user_is_foreign() {
        for (user, owners, expected) in [
            (1000, vec![1000, 1000, 0, 0], false),
            (0, vec![0, 0, 0], false),
            (0, vec![1000, 1000, 0], true),
            (0, vec![0, 1000, 0], true),
            (1000, vec![1000, 1001, 0], true),
        ] {
            assert_eq!(
                is_foreign(user, owners.iter().copied()),
                expected,
                "{user}: {owners:?}"
            );
        }
        assert!(!belongs_to_others(Path::new("/")));
    }
}
