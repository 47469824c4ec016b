//! Mistakes, each at its place.

use std::{
    collections::{HashMap, hash_map},
    fmt,
    path::PathBuf,
};

use crate::text::printable;

/// A place in a file, both from 1; columns count characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// One mistake of meaning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Where.
    pub at: Position,
    /// In what (`monitor "web"`, `site`); empty for the file itself.
    pub within: String,
    /// What is wrong, and what was perhaps meant.
    pub text: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.within.is_empty() {
            f.write_str(&printable(&self.text))
        } else {
            write!(f, "{}: {}", printable(&self.within), printable(&self.text))
        }
    }
}

/// The mistakes in the order of the file. What came through `<<` or an alias
/// is wrong once, where it stands, however many took it in.
pub(super) fn deduplicated(errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut places = HashMap::new();
    let mut once: Vec<(Diagnostic, usize)> = Vec::with_capacity(errors.len());
    for error in errors {
        let place = places.entry((error.at, error.text.clone()));
        match place {
            hash_map::Entry::Vacant(place) => {
                place.insert(once.len());
                once.push((error, 0));
            }
            hash_map::Entry::Occupied(place) => once[*place.get()].1 += 1,
        }
    }
    once.sort_by_key(|(error, _)| error.at);
    once.into_iter()
        .map(|(mut error, others)| {
            if others > 0 && !error.within.is_empty() {
                error.within.push_str(&format!(" and {others} more"));
            }
            error
        })
        .collect()
}

/// Why a site file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read at all.
    #[error("{}: {}", printable(&.path.display().to_string()), printable(.reason))]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It is no YAML; reading ended there.
    #[error("{}:{}:{}: {}", printable(&.path.display().to_string()), .at.line, .at.column, printable(.reason))]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where.
        at: Position,
        /// What is wrong.
        reason: String,
    },
    /// It means nothing, or too much: every mistake, in the order of the file.
    #[error("{}", lines(.path, .errors))]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// All of them.
        errors: Vec<Diagnostic>,
    },
}

/// More mistakes than a person reads are counted, not shown.
const SHOWN: usize = 200;

fn lines(path: &std::path::Path, errors: &[Diagnostic]) -> String {
    let path = path.display().to_string();
    let path = printable(&path);
    let mut text = errors
        .iter()
        .take(SHOWN)
        .map(|error| format!("{path}:{}:{}: {error}", error.at.line, error.at.column))
        .collect::<Vec<_>>()
        .join("\n");
    if errors.len() > SHOWN {
        text.push_str(&format!("\n{path}: and {} more mistakes", errors.len() - SHOWN));
    }
    text
}
