//! Searches for a program in the same way as the system.

use std::{ffi::OsStr, fs::Metadata, path::Path};

#[derive(PartialEq, Eq, Debug)]
pub(super) enum Found {
    Program,
    NotExecutable,
    Nothing,
}

/// Searches for `program` as execvp does: by its path, or in the directories of
/// `path`.
pub(super) fn find(program: &str, path: Option<&OsStr>) -> Found {
    if program.contains('/') {
        return at(Path::new(program));
    }
    let directories = path.map(std::env::split_paths).into_iter().flatten();
    let mut best = Found::Nothing;
    for directory in directories {
        match at(&directory.join(program)) {
            Found::Program => return Found::Program,
            Found::NotExecutable => best = Found::NotExecutable,
            Found::Nothing => {}
        }
    }
    best
}

fn at(path: &Path) -> Found {
    match path.metadata() {
        Err(_) => Found::Nothing,
        Ok(there) if there.is_file() && is_executable(&there) => Found::Program,
        Ok(_) => Found::NotExecutable,
    }
}

/// Executable by anybody: apmon may run as another user than who asks.
#[cfg(unix)]
fn is_executable(file: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_searched_for_where_it_would_be_started_from() {
        let path = Some(OsStr::new("/nowhere:/etc:/bin"));
        assert_eq!(find("/bin/sh", None), Found::Program);
        assert_eq!(find("sh", path), Found::Program);
        assert_eq!(find("sh", None), Found::Nothing);
        assert_eq!(find("passwd", Some("/etc".as_ref())), Found::NotExecutable);
        assert_eq!(find("/etc", None), Found::NotExecutable, "a directory");
        assert_eq!(find("/etc/no/such", None), Found::Nothing);
    }
}
