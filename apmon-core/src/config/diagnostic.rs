//! Errors, warnings and hints about a site file, with their positions.

use std::{
    collections::{HashMap, hash_map},
    fmt,
    path::PathBuf,
};

use super::position::Position;
use crate::text::{printable, without_logins};

/// One error, warning or hint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Its position.
    pub at: Position,
    /// The section that it concerns (`monitor "web"`, `site`); empty for the file
    /// itself.
    pub within: String,
    /// What is wrong, and what was probably meant.
    pub text: String,
}

/// The text without the position: `monitor "web": "address" is missing`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.within.is_empty() {
            f.write_str(&printable(&self.text))
        } else {
            write!(f, "{}: {}", printable(&self.within), printable(&self.text))
        }
    }
}

/// Sorts diagnostics in the order of the file. A diagnostic about text that is
/// merged with `<<` or used through an alias is reported once, where that text
/// was written, however often it is used.
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
    /// The file cannot be read.
    #[error("{}: {}", printable(&without_logins(&.path.display().to_string())), printable(.reason))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The file is not valid YAML; reading ended at this position.
    #[error("{at}: {}", printable(.reason))]
    Syntax {
        /// The position.
        at: Position,
        /// What is wrong there.
        reason: String,
    },
    /// The content is invalid.
    #[error("{}", lines(.errors))]
    Invalid {
        /// Every error, in the order of the file.
        errors: Vec<Diagnostic>,
    },
}

/// The maximum number of errors that are shown; further ones are only counted.
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
