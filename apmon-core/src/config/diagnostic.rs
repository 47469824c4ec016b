//! What is wrong with a site file, each thing at its place.

use std::{
    collections::{HashMap, hash_map},
    fmt,
    path::PathBuf,
};

use super::position::Position;
use crate::text::printable;

/// One error, warning or hint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Where.
    pub at: Position,
    /// In what (`monitor "web"`, `site`); empty for the file itself.
    pub within: String,
    /// What is wrong, and what was perhaps meant.
    pub text: String,
}

/// `monitor "web": "address" is missing`, without the place.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.within.is_empty() {
            f.write_str(&printable(&self.text))
        } else {
            write!(f, "{}: {}", printable(&self.within), printable(&self.text))
        }
    }
}

/// The diagnostics in the order of the file. What came through `<<` or an alias
/// is reported once, where it stands, however often it was merged.
pub(super) fn deduplicated(diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut places = HashMap::new();
    let mut once: Vec<(Diagnostic, usize)> = Vec::with_capacity(diagnostics.len());
    for diagnostic in diagnostics {
        let place = places.entry((diagnostic.at, diagnostic.text.clone()));
        match place {
            hash_map::Entry::Vacant(place) => {
                place.insert(once.len());
                once.push((diagnostic, 0));
            }
            hash_map::Entry::Occupied(place) => once[*place.get()].1 += 1,
        }
    }
    once.sort_by_key(|(diagnostic, _)| diagnostic.at);
    once.into_iter()
        .map(|(mut diagnostic, others)| {
            if others > 0 && !diagnostic.within.is_empty() {
                diagnostic.within.push_str(&format!(" and {others} more"));
            }
            diagnostic
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
    /// It is not valid YAML; reading ended there.
    #[error("{at}: {}", printable(.reason))]
    Syntax {
        /// Where.
        at: Position,
        /// What is wrong.
        reason: String,
    },
    /// Its content is invalid: every error, in the order of the file.
    #[error("{}", lines(.errors))]
    Invalid {
        /// All of them.
        errors: Vec<Diagnostic>,
    },
}

/// More errors than a person reads are counted, not shown.
const SHOWN: usize = 200;

fn lines(errors: &[Diagnostic]) -> String {
    let shown = errors.iter().take(SHOWN);
    let mut text = shown
        .map(|error| format!("{}: {error}", error.at))
        .collect::<Vec<_>>()
        .join("\n");
    if let (Some(more @ 1..), Some(first)) = (errors.len().checked_sub(SHOWN), errors.first()) {
        let path = first.at.file.path().display().to_string();
        let noun = if more == 1 { "error" } else { "errors" };
        text.push_str(&format!("\n{}: and {more} more {noun}", printable(&path)));
    }
    text
}
