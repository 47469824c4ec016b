//! Searches for a program in the same way as the system.

use std::{borrow::Cow, ffi::OsStr, fs::Metadata, path::Path};

use apmon_core::text::without_userinfo;

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

/// A program as it may be shown. A path that does not exist may have arguments at its end, which
/// somebody took for a part of it, and arguments may be secret.
pub(super) fn shown_program(program: &str) -> Cow<'_, str> {
    let is_argument = |c: char| c.is_whitespace() || "=?&;|<>\"'`$".contains(c);
    let end = program.find(is_argument);
    let has_login = program.contains("://") || program.contains('@');
    if (end.is_none() && !has_login) || Path::new(program).exists() {
        return Cow::Borrowed(program);
    }
    let shown = without_userinfo(&program[..end.unwrap_or(program.len())]);
    match end {
        Some(_) => Cow::Owned(format!("{shown} ***")),
        None => Cow::Owned(shown),
    }
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

    #[test]
    fn arguments_in_place_of_a_program_are_masked() {
        for (program, shown) in [
            ("/bin/sh", "/bin/sh"),
            ("send-sms", "send-sms"),
            ("/bin/curl -H hunter2", "/bin/curl ***"),
            ("/bin/sms?token=hunter2", "/bin/sms ***"),
            ("https://u:hunter2@h/x", "https://u:***@h/x"),
        ] {
            assert_eq!(shown_program(program), shown);
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("with a space");
        std::fs::write(&path, "").unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(shown_program(path), path);
    }
}
