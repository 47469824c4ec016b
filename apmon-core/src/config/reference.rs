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
        let mut edges: Vec<Vec<Option<usize>>> = Vec::with_capacity(self.entries.len());
        let (noun, option) = (self.noun, self.option);
        let mut hints = 0;
        for entry in &self.entries {
            let targets = entry.refers_to.iter().map(|(name, at)| {
                let known = by_name.get(name.as_str()).copied();
                if known.is_none() {
                    hints += 1;
                    let hint = (hints <= MOST_HINTS)
                        .then(|| nearest(name, by_name.keys().copied()))
                        .flatten()
                        .map(|near| format!("; did you mean \"{}\"?", excerpt(near, 60)))
                        .unwrap_or_default();
                    let shown = excerpt(name, 60);
                    let text = format!("\"{option}\" refers to an unknown {noun}, \"{shown}\"{hint}");
                    report(entry, *at, text);
                }
                known
            });
            edges.push(targets.collect());
        }
        // A circle is reported at its members only, not at an entry that leads into it.
        let circles = circles(&edges);
        let lengths = lengths(&edges, &circles);
        for (i, entry) in self.entries.iter().enumerate() {
            for ((_, at), target) in entry.refers_to.iter().zip(&edges[i]) {
                let Some(target) = *target else { continue };
                if circles[i].is_some() && circles[i] == circles[target] {
                    let text = format!("\"{option}\" leads back to this {noun}: {}", self.circle);
                    report(entry, *at, text);
                } else if lengths[target] == MOST_IN_A_CHAIN {
                    let text = format!(
                        "\"{option}\" begins a chain of more than {MOST_IN_A_CHAIN} {noun}s; make it shorter"
                    );
                    report(entry, *at, text);
                }
            }
        }
    }
}

/// The most entries that follow each other. More would hardly be what somebody wants.
const MOST_IN_A_CHAIN: usize = 100;
/// The number of unknown names after which no similar one is suggested.
const MOST_HINTS: usize = 10;

/// The circle that each entry is a part of, by number (Tarjan's strongly connected components,
/// without recursion: a circle may have as many members as a file has lines).
fn circles(edges: &[Vec<Option<usize>>]) -> Vec<Option<usize>> {
    const NEW: usize = usize::MAX;
    let mut order = vec![NEW; edges.len()];
    let mut lowest = vec![NEW; edges.len()];
    let mut circle: Vec<Option<usize>> = vec![None; edges.len()];
    let mut is_open = vec![false; edges.len()];
    let (mut open, mut count) = (Vec::new(), 0);
    for start in 0..edges.len() {
        if order[start] != NEW {
            continue;
        }
        // Each entry with the number of its references that were followed.
        let mut path = vec![(start, 0)];
        while let Some((at, followed)) = path.pop() {
            if followed == 0 {
                (order[at], lowest[at]) = (count, count);
                count += 1;
                open.push(at);
                is_open[at] = true;
            }
            match edges[at].get(followed) {
                Some(target) => {
                    path.push((at, followed + 1));
                    match *target {
                        Some(target) if order[target] == NEW => path.push((target, 0)),
                        Some(target) if is_open[target] => lowest[at] = lowest[at].min(order[target]),
                        _ => {}
                    }
                }
                None => {
                    if let Some((before, _)) = path.last() {
                        lowest[*before] = lowest[*before].min(lowest[at]);
                    }
                    if lowest[at] == order[at] {
                        let first = open.iter().rposition(|other| *other == at).unwrap_or(0);
                        let members = open.split_off(first);
                        let is_circle = members.len() > 1 || edges[at].contains(&Some(at));
                        for member in members {
                            is_open[member] = false;
                            circle[member] = is_circle.then_some(at);
                        }
                    }
                }
            }
        }
    }
    circle
}

/// How many entries the longest chain from each entry on has, itself included. The chain ends
/// where a circle begins.
fn lengths(edges: &[Vec<Option<usize>>], circles: &[Option<usize>]) -> Vec<usize> {
    let mut lengths = vec![0; edges.len()];
    let mut path: Vec<usize> = Vec::new();
    for start in 0..edges.len() {
        path.push(start);
        while let Some(&at) = path.last() {
            let next = || {
                edges[at]
                    .iter()
                    .flatten()
                    .filter(|target| circles[**target].is_none())
            };
            if lengths[at] == 0 && circles[at].is_none() {
                let before = path.len();
                path.extend(next().filter(|target| lengths[**target] == 0));
                if path.len() > before {
                    continue;
                }
                lengths[at] = 1 + next().map(|target| lengths[*target]).max().unwrap_or(0);
            }
            path.pop();
        }
    }
    lengths
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

    #[test]
    fn a_chain_or_circle_of_any_length_is_reported_at_once() {
        let names: Vec<String> = (0..20_000).map(|i| format!("m{i}")).collect();
        let after = |last: &'static str| -> Vec<[&str; 1]> {
            let next = names[1..].iter().map(String::as_str);
            next.chain([last]).map(|name| [name]).collect()
        };
        let errors = |after: &[[&str; 1]]| {
            let entries = names.iter().zip(after);
            let entries: Vec<(&str, &[&str])> =
                entries.map(|(name, next)| (name.as_str(), &next[..])).collect();
            check(&entries)
        };
        let circle = errors(&after("m0"));
        assert_eq!(circle.len(), 20_000);
        assert!(circle[19_999].starts_with("20000:2 entry 20000: \"depends_on\" leads back"));
        let end = errors(&after("m20000"));
        assert_eq!(end.len(), 2, "{end:?}");
        assert!(end[0].contains("refers to an unknown monitor"), "{end:?}");
        assert_eq!(
            end[1],
            "19900:2 entry 19900: \"depends_on\" begins a chain of more than 100 monitors; make it shorter"
        );
    }
}
