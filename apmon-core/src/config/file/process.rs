//! Options of the process, which may run several site files.

use std::collections::HashMap;

use super::{SiteFile, Tables};
use crate::{
    channel::SectionKind,
    config::{
        diagnostic::{Diagnostic, deduplicated},
        position::Position,
        section::{Diagnostics, Section},
        tree::{Node, Value},
    },
    section_value::SectionValue,
    text::{nearest, shown_name},
};

/// One section under the top-level key `apmon`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessSection {
    /// Its key.
    pub name: &'static str,
    /// Its position.
    pub at: Position,
    /// The value that its kind has read.
    pub value: SectionValue,
    /// The options in a normal form that does not depend on their order.
    content: String,
}

/// Reads the sections under `apmon`.
pub(super) fn read(
    node: &Node,
    kinds: &[&dyn SectionKind],
    errors: &mut Vec<Diagnostic>,
    diagnostics: &mut Diagnostics,
) -> Vec<ProcessSection> {
    let mut report = |at, text| {
        errors.push(Diagnostic {
            at,
            within: "apmon".into(),
            text,
        });
    };
    let Value::Mapping(entries) = &node.value else {
        if !matches!(node.value, Value::Wrong) {
            report(
                node.at,
                format!(
                    "must be a section that contains sections, found {}",
                    node.value.what()
                ),
            );
        }
        return Vec::new();
    };
    let mut sections = Vec::new();
    for entry in entries.iter() {
        let key = &*entry.key;
        let Some(kind) = kinds.iter().find(|kind| kind.name() == key) else {
            let hint = nearest(key, kinds.iter().map(|kind| kind.name()))
                .map(|word| format!("; did you mean \"{word}\"?"))
                .unwrap_or_default();
            let unknown = Diagnostic {
                at: entry.at,
                within: "apmon".into(),
                text: format!("unknown section \"{}\"{hint}", shown_name(key, 60)),
            };
            // A program without options of the process can use the file all the same.
            if kinds.is_empty() {
                diagnostics.warnings.push(unknown);
            } else {
                errors.push(unknown);
            }
            continue;
        };
        sections.push((*kind, entry));
    }
    let mut read = Vec::new();
    for (kind, entry) in sections {
        let Some(mut section) = Section::open(&entry.value, format!("apmon.{}", kind.name()), errors) else {
            continue;
        };
        let value = kind.read(&mut section);
        diagnostics.extend(section.finish(|_| None));
        read.extend(value.map(|value| ProcessSection {
            name: kind.name(),
            at: entry.at,
            value,
            content: content(&entry.value),
        }));
    }
    read
}

/// The content of a node in a normal form: nodes that differ only in layout,
/// quotes or order have the same.
fn content(node: &Node) -> String {
    match &node.value {
        Value::Null | Value::Wrong => "null".into(),
        Value::Scalar(text) => format!("{text:?}"),
        Value::Sequence(items) => {
            let items: Vec<_> = items.iter().map(content).collect();
            format!("[{}]", items.join(","))
        }
        Value::Mapping(entries) => {
            let mut entries: Vec<_> = entries
                .iter()
                .map(|entry| format!("{:?}:{}", entry.key, content(&entry.value)))
                .collect();
            entries.sort();
            format!("{{{}}}", entries.join(","))
        }
    }
}

/// Checks the site files of one process together, each of which is valid by
/// itself: options of the process must not differ, and each kind checks its
/// monitors of all files.
#[must_use]
pub fn check_process(files: &[&SiteFile], tables: &Tables<'_>) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    let mut first: HashMap<&str, &ProcessSection> = HashMap::new();
    for section in files.iter().flat_map(|file| &file.process) {
        let before = *first.entry(section.name).or_insert(section);
        if before.content != section.content {
            errors.push(Diagnostic {
                at: section.at,
                within: "apmon".into(),
                text: format!(
                    "\"{}\" differs from the one at {}: it must be the same for all sites of a process",
                    section.name, before.at
                ),
            });
        }
    }
    if files.len() > 1 {
        check_monitors(files, tables, &mut errors);
    }
    deduplicated(errors)
}

/// Has each kind check all its monitors of these files together.
pub(super) fn check_monitors(files: &[&SiteFile], tables: &Tables<'_>, errors: &mut Vec<Diagnostic>) {
    for kind in tables.kinds {
        let monitors: Vec<_> = files
            .iter()
            .flat_map(|file| &file.monitors)
            .filter(|monitor| monitor.kind == kind.name())
            .collect();
        kind.check_together(&monitors, errors);
    }
}
