//! Positions in files.

use std::{
    fmt,
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::text::printable;

/// A file, identified by a small number so that a position is cheap to copy. A
/// process has few site files; each path is stored once and never freed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FileId(u32);

/// The paths by number, from 1. The number 0 means no file.
static PATHS: Mutex<Vec<&'static Path>> = Mutex::new(Vec::new());

impl FileId {
    /// The file at `path`.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let mut paths = PATHS.lock().unwrap_or_else(PoisonError::into_inner);
        let known = paths.iter().position(|known| *known == path);
        let at = known.unwrap_or_else(|| {
            paths.push(Box::leak(path.into()));
            paths.len() - 1
        });
        Self(u32::try_from(at + 1).unwrap_or(0))
    }

    /// The path of the file; empty for the number 0.
    #[must_use]
    pub fn path(self) -> &'static Path {
        let paths = PATHS.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (self.0 as usize).checked_sub(1);
        at.and_then(|at| paths.get(at)).copied().unwrap_or(Path::new(""))
    }
}

/// A position in a file. Lines and columns count from 1; a column is one character.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position {
    /// The file.
    pub file: FileId,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// `site.yaml:3:14`
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.file.path().display().to_string();
        write!(f, "{}:{}:{}", printable(&path), self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_number_and_its_path() {
        let (a, b) = (FileId::of(Path::new("a.yaml")), FileId::of(Path::new("b\n.yaml")));
        assert_eq!(FileId::of(Path::new("a.yaml")), a);
        assert_ne!(a, b);
        assert_eq!(a.path(), Path::new("a.yaml"));
        let position = |file| Position {
            file,
            line: 3,
            column: 14,
        };
        assert_eq!(position(a).to_string(), "a.yaml:3:14");
        assert_eq!(position(b).to_string(), "b\\n.yaml:3:14");
        assert_eq!(FileId::default().path(), Path::new(""));
    }
}
