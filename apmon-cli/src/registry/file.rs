//! What entries and claims have in common: files with names of their own in a directory of a registry.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

/// Whether the open file is the one that has this name.
pub(super) fn has_name(file: &File, path: &Path) -> bool {
    let there = fs::symlink_metadata(path);
    there.is_ok_and(|there| file.metadata().is_ok_and(|own| is_same(&own, &there)))
}

#[cfg(unix)]
fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

/// Makes a directory of a registry, unless it is there.
pub(super) fn make(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o755);
    match builder.create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if directory.is_dir() => {
            tracing::debug!("{}: {error}", directory.display());
            Ok(())
        }
        Err(error) => Err(error),
        Ok(()) => {
            // Whatever the umask: other users may read which sites are running.
            #[cfg(unix)]
            fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
            Ok(())
        }
    }
}

/// FNV-1a, so that the names of two site files of one stem differ.
pub(super) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
