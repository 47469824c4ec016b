//! References between names of one site file: `then`, and whatever else means
//! another entry by its name.

use std::collections::HashMap;

use super::{diagnostic::Diagnostic, position::Position};
use crate::text::{excerpt, nearest};

/// The names of entries of one sort, and which of them mean which others.
pub(super) struct References {
    /// What an entry is called (`channel`).
    noun: &'static str,
    /// The option that refers to another entry (`then`).
    option: &'static str,
    /// What follows from a circle (`no channel would be notified`).
    circle: &'static str,
    entries: Vec<Entry>,
}

#[derive(Default)]
struct Entry {
    within: String,
    name: Option<(String, Position)>,
    refers_to: Vec<(String, Position)>,
}

impl References {
    pub(super) fn new(noun: &'static str, option: &'static str, circle: &'static str) -> Self {
        Self {
            noun,
            option,
            circle,
            entries: Vec::new(),
        }
    }

    /// Adds an entry: what it is called in diagnostics, its name, and the names
    /// it refers to.
    pub(super) fn add(
        &mut self,
        within: &str,
        name: Option<(String, Position)>,
        refers_to: Vec<(String, Position)>,
    ) {
        self.entries.push(Entry {
            within: within.to_owned(),
            name,
            refers_to,
        });
    }

    /// Once all entries are there: names given twice, references to nothing,
    /// and references that lead back to where they begin.
    pub(super) fn check(&self, errors: &mut Vec<Diagnostic>) {
        let mut report = |entry: &Entry, at: Position, text: String| {
            errors.push(Diagnostic {
                at,
                within: entry.within.clone(),
                text,
            });
        };
        let mut by_name: HashMap<&str, usize> = HashMap::new();
        for (i, entry) in self.entries.iter().enumerate() {
            let Some((name, at)) = &entry.name else { continue };
            if let Some(first) = by_name.get(name.as_str()) {
                let first = &self.entries[*first].within;
                report(entry, *at, format!("\"name\" is already that of {first}"));
            } else {
                by_name.insert(name, i);
            }
        }
        let next = |i: usize| {
            let names = self.entries[i].refers_to.iter();
            names.filter_map(|(name, _)| by_name.get(name.as_str()).copied())
        };
        let (noun, option) = (self.noun, self.option);
        for (i, entry) in self.entries.iter().enumerate() {
            for (name, at) in &entry.refers_to {
                let Some(&first) = by_name.get(name.as_str()) else {
                    let hint = nearest(name, by_name.keys().copied())
                        .map(|near| format!("; did you mean \"{}\"?", excerpt(near, 60)))
                        .unwrap_or_default();
                    let shown = excerpt(name, 60);
                    let text =
                        format!("\"{option}\" refers to no {noun}: none has the name \"{shown}\"{hint}");
                    report(entry, *at, text);
                    continue;
                };
                // A circle that an entry merely leads into is reported at the
                // circle's own members.
                let mut seen = vec![false; self.entries.len()];
                let mut open = vec![first];
                while let Some(there) = open.pop() {
                    if there == i {
                        report(
                            entry,
                            *at,
                            format!("\"{option}\" leads back here: {}", self.circle),
                        );
                        break;
                    }
                    if !std::mem::replace(&mut seen[there], true) {
                        open.extend(next(there));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entries: &[(&str, &[&str])]) -> Vec<String> {
        let mut references = References::new("monitor", "depends_on", "none of them could be checked");
        for (i, (name, refers_to)) in entries.iter().enumerate() {
            let at = |column| Position {
                line: i + 1,
                column,
                ..Position::default()
            };
            let named = (!name.is_empty()).then(|| ((*name).to_owned(), at(1)));
            let refers_to = refers_to.iter().zip(2..);
            let refers_to = refers_to.map(|(to, column)| ((*to).to_owned(), at(column)));
            references.add(&format!("entry {}", i + 1), named, refers_to.collect());
        }
        let mut errors = Vec::new();
        references.check(&mut errors);
        let shown = errors.iter();
        shown
            .map(|error| format!("{}:{} {error}", error.at.line, error.at.column))
            .collect()
    }

    #[test]
    fn names_are_unique_and_references_have_a_target() {
        assert_eq!(
            check(&[("core", &[]), ("a", &["core"]), ("", &["a", "core"])]),
            [""; 0]
        );
        assert_eq!(
            check(&[("core", &[]), ("core", &["coer", "x"])]),
            [
                "2:1 entry 2: \"name\" is already that of entry 1",
                "2:2 entry 2: \"depends_on\" refers to no monitor: none has the name \"coer\"; did you mean \"core\"?",
                "2:3 entry 2: \"depends_on\" refers to no monitor: none has the name \"x\"",
            ]
        );
    }

    #[test]
    fn a_circle_is_reported_at_its_members_only() {
        let text = |line: usize, column: usize| {
            format!(
                "{line}:{column} entry {line}: \"depends_on\" leads back here: none of them could be checked"
            )
        };
        assert_eq!(check(&[("a", &["a"])]), [text(1, 2)]);
        assert_eq!(
            check(&[("a", &["b"]), ("b", &["c", "a"]), ("c", &[]), ("d", &["a", "b"])]),
            [text(1, 2), text(2, 3)]
        );
    }

    #[test]
    fn many_references_take_no_exponential_time() {
        let names: Vec<String> = (0..60).map(|i| format!("m{i}")).collect();
        let after: Vec<Vec<&str>> = (0..60)
            .map(|i| names[i + 1..].iter().map(String::as_str).collect())
            .collect();
        let entries: Vec<(&str, &[&str])> = names
            .iter()
            .zip(&after)
            .map(|(n, a)| (n.as_str(), a.as_slice()))
            .collect();
        assert_eq!(check(&entries), [""; 0]);
    }
}
