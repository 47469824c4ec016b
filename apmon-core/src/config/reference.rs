//! References by name between the entries of a site file, such as `then`.

use std::collections::HashMap;

use super::{diagnostic::Diagnostic, position::Position};
use crate::text::{excerpt, nearest};

/// The names of entries of one sort, and the references between them.
pub(super) struct References {
    /// The noun for an entry (`channel`).
    noun: &'static str,
    /// The option that refers to another entry (`then`).
    option: &'static str,
    /// The consequence of a circle (`no channel would be left to try`).
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

    /// Adds an entry: `within` for its diagnostics, its name, and the names that it
    /// refers to.
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

    /// Reports duplicate names, references to unknown names, and circles. Called once
    /// all entries are added.
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
                report(entry, *at, format!("\"name\" is already used by {first}"));
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
                    let text = format!("\"{option}\" refers to an unknown {noun}, \"{shown}\"{hint}");
                    report(entry, *at, text);
                    continue;
                };
                // A circle is reported at its members only, not at an entry that leads
                // into it.
                let mut seen = vec![false; self.entries.len()];
                let mut open = vec![first];
                while let Some(there) = open.pop() {
                    if there == i {
                        report(
                            entry,
                            *at,
                            format!("\"{option}\" leads back to this {noun}: {}", self.circle),
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
    fn duplicate_names_and_references_to_unknown_names_are_reported() {
        assert_eq!(
            check(&[("core", &[]), ("a", &["core"]), ("", &["a", "core"])]),
            [""; 0]
        );
        assert_eq!(
            check(&[("core", &[]), ("core", &["coer", "x"])]),
            [
                "2:1 entry 2: \"name\" is already used by entry 1",
                "2:2 entry 2: \"depends_on\" refers to an unknown monitor, \"coer\"; did you mean \"core\"?",
                "2:3 entry 2: \"depends_on\" refers to an unknown monitor, \"x\"",
            ]
        );
    }

    #[test]
    fn a_circle_is_reported_at_its_members_only() {
        let text = |line: usize, column: usize| {
            format!(
                "{line}:{column} entry {line}: \"depends_on\" leads back to this monitor: none of them could be checked"
            )
        };
        assert_eq!(check(&[("a", &["a"])]), [text(1, 2)]);
        assert_eq!(
            check(&[("a", &["b"]), ("b", &["c", "a"]), ("c", &[]), ("d", &["a", "b"])]),
            [text(1, 2), text(2, 3)]
        );
    }

    #[test]
    fn many_references_are_checked_without_exponential_time() {
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
