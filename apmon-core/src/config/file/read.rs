//! Reads the sections of a site file one after the other, and collects their
//! errors.

use std::{
    collections::{HashMap, hash_map},
    path::Path,
};

use super::{SiteFile, Tables, process};
use crate::{
    channel::SectionKind,
    config::{
        channel::Lists,
        diagnostic::{ConfigError, Diagnostic, deduplicated},
        field::fields_of,
        foreign, hint,
        monitor::{MonitorEntry, MonitorOptions, read_monitor},
        position::{FileId, Position},
        section::{Diagnostics, MOST_HINTS, Section},
        site::SiteOptions,
        source::Environment,
        tree::{self, KeyValue, Node, Value},
    },
    text::{excerpt, nearest, shown_name},
};

/// The sections that every site file has.
const SECTIONS: [&str; 2] = ["site", "monitors"];
/// The optional section for options of the process.
const PROCESS: &str = "apmon";

pub(super) fn site_file(
    tables: &Tables<'_>,
    path: &Path,
    text: &str,
    environment: &dyn Environment,
) -> Result<SiteFile, ConfigError> {
    let id = FileId::of(path);
    let tree = tree::read(text, id, environment).map_err(|error| ConfigError::Syntax {
        at: Position { file: id, ..error.at },
        reason: error.reason,
    })?;
    let mut reader = Reader {
        tables,
        errors: tree.errors,
        misplaced: Vec::new(),
        diagnostics: Diagnostics::default(),
    };
    let file = reader.file(path, &tree.root);
    if !reader.errors.is_empty() {
        // They explain what is missing elsewhere.
        reader.errors.append(&mut reader.misplaced);
    }
    let errors = deduplicated(reader.errors);
    match file {
        Some(mut file) if errors.is_empty() => {
            hint::channels(&file.channels, &file.monitors, &mut reader.diagnostics);
            file.warnings = deduplicated(reader.diagnostics.warnings);
            file.hints = reader.diagnostics.hints;
            Ok(file)
        }
        _ => Err(ConfigError::Invalid { errors }),
    }
}

/// Says whose file this is, if a section shows it.
fn of_another_tool(entries: &[KeyValue]) -> Option<String> {
    let sections = entries.iter().take(MOST_HINTS);
    let mut found = sections.filter_map(|entry| Some((entry, foreign::tool(&entry.key)?)));
    let (entry, tool) = found.next()?;
    let (key, line) = (&entry.key, entry.at.line);
    Some(format!(
        "; \"{key}\" on line {line} is a section of {tool}, whose files have to be rewritten"
    ))
}

/// Says where `section` is, if another one contains it.
fn indented(entries: &[KeyValue], section: &str) -> Option<String> {
    let inside = entries.iter().filter_map(|entry| match &entry.value.value {
        Value::Mapping(inside) => inside.iter().find(|entry| &*entry.key == section),
        _ => None,
    });
    let line = inside.take(MOST_HINTS).next()?.at.line;
    Some(format!(
        "; the one on line {line} is indented, but begins at the start of a line"
    ))
}

struct Reader<'a> {
    tables: &'a Tables<'a>,
    errors: Vec<Diagnostic>,
    /// Options that stand where sections do: no errors by themselves.
    misplaced: Vec<Diagnostic>,
    diagnostics: Diagnostics,
}

impl Reader<'_> {
    fn error(&mut self, at: Position, text: impl Into<String>) {
        self.errors.push(Diagnostic {
            at,
            within: String::new(),
            text: text.into(),
        });
    }

    fn file(&mut self, path: &Path, root: &Node) -> Option<SiteFile> {
        let Value::Mapping(entries) = &root.value else {
            if !matches!(root.value, Value::Wrong) {
                self.error(
                    root.at,
                    format!(
                        "a site file must have the sections site and monitors, found {}",
                        root.value.what()
                    ),
                );
            }
            return None;
        };
        let find = |key: &str| {
            entries
                .iter()
                .find(|entry| &*entry.key == key)
                .map(|entry| &entry.value)
        };
        for entry in entries.iter() {
            self.top_level_key(entry);
        }
        let mut file = SiteFile {
            path: path.to_owned(),
            name: String::new(),
            site: SiteOptions::default(),
            channels: Vec::new(),
            monitors: Vec::new(),
            site_values: Vec::new(),
            process: Vec::new(),
            warnings: Vec::new(),
            hints: Vec::new(),
        };
        if let Some(node) = find(PROCESS) {
            file.process = process::read(node, self.tables.process, &mut self.errors, &mut self.diagnostics);
        }
        match find("site") {
            None => self.missing(root, entries, "site"),
            Some(node) => self.site(node, &mut file),
        }
        match find("monitors") {
            None => self.missing(root, entries, "monitors"),
            Some(node) => file.monitors = self.monitors(node, &file.site),
        }
        process::check_monitors(&[&file], self.tables, &mut self.errors);
        Some(file)
    }

    /// Reports that `section` is missing, and which key may be a misspelling of it.
    fn missing(&mut self, root: &Node, entries: &[KeyValue], section: &str) {
        if let Some(hint) = of_another_tool(entries) {
            self.misplaced.clear();
            self.error(root.at, format!("the section \"{section}\" is missing{hint}"));
            return;
        }
        let meant = entries
            .iter()
            .take(MOST_HINTS)
            .find(|entry| nearest(&entry.key, SECTIONS).is_some_and(|near| near == section));
        let hint = meant
            .map(|entry| {
                format!(
                    "; should \"{}\" on line {} be \"{section}\"?",
                    shown_name(&entry.key, 60),
                    entry.at.line
                )
            })
            .or_else(|| indented(entries, section))
            .unwrap_or_default();
        self.error(
            meant.map_or(root.at, |entry| entry.at),
            format!("the section \"{section}\" is missing{hint}"),
        );
    }

    fn top_level_key(&mut self, entry: &KeyValue) {
        let key = &*entry.key;
        if SECTIONS.contains(&key) || key == PROCESS || key.starts_with("x-") {
            return;
        }
        if self.is_option(key) {
            self.misplaced.push(Diagnostic {
                at: entry.at,
                within: String::new(),
                text: format!(
                    "\"{}\" is an option, not a section: indent it below \"site\", or below the \"- \" of its monitor",
                    shown_name(key, 60)
                ),
            });
        }
        let hint = (self.diagnostics.warnings.len() < MOST_HINTS)
            .then(|| nearest(key, SECTIONS))
            .flatten()
            .map(|word| format!("; did you mean \"{word}\"?"))
            .unwrap_or_default();
        self.diagnostics.warnings.push(Diagnostic {
            at: entry.at,
            within: String::new(),
            text: format!("unknown section \"{}\" is ignored{hint}", shown_name(key, 60)),
        });
    }

    /// Whether a site or a monitor has an option of this name.
    fn is_option(&self, key: &str) -> bool {
        let mut kinds = self.tables.kinds.iter();
        let of_site = |kind: &&dyn SectionKind| kind.schema().as_value()["properties"].get(key).is_some();
        fields_of::<SiteOptions>().contains(&key)
            || fields_of::<MonitorOptions>().contains(&key)
            || kinds.any(|kind| kind.fields().contains(&key))
            || self.tables.site.iter().any(of_site)
    }

    fn site(&mut self, node: &Node, file: &mut SiteFile) {
        let Some(mut section) = Section::open(node, "site", &mut self.errors) else {
            return;
        };
        if let Some((name, options)) = SiteOptions::read(&mut section, self.tables.heartbeat) {
            (file.name, file.site) = (name, options);
        }
        file.site_values = self
            .tables
            .site
            .iter()
            .filter_map(|kind| kind.read(&mut section))
            .collect();
        for (option, value, reason) in self.tables.refused {
            let given = section.take(option).map(|node| node.value);
            if matches!(given, Some(Value::Scalar(given)) if *given == **value) {
                section.error(option, format!("cannot be {value}: {reason}"));
            }
        }
        let expire = file.site.expire(&section);
        let lists = Lists::take(&mut section, self.tables.channels);
        self.diagnostics.extend(section.finish(|_| None));
        file.channels = lists.read(expire, &mut self.errors, &mut self.diagnostics);
    }

    fn monitors(&mut self, node: &Node, site: &SiteOptions) -> Vec<MonitorEntry> {
        let Value::Sequence(items) = &node.value else {
            if !matches!(node.value, Value::Wrong) {
                self.error(
                    node.at,
                    match node.value {
                        Value::Mapping(_) => {
                            "\"monitors\" must be a list, found a section; begin each monitor with \"- \""
                                .to_owned()
                        }
                        _ => format!("\"monitors\" must be a list, found {}", node.value.what()),
                    },
                );
            }
            return Vec::new();
        };
        if items.is_empty() {
            self.error(node.at, "\"monitors\" is empty: there is nothing to monitor");
        }
        let defaults = site.defaults();
        let mut names: HashMap<String, (Position, Position)> = HashMap::with_capacity(items.len());
        let mut monitors = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            let name = name_of(item);
            let within = match &name {
                Some((name, _)) => format!("monitor \"{}\"", excerpt(name, 80)),
                None => format!("monitor {}", i + 1),
            };
            if let Some((name, at)) = name {
                match names.entry(name) {
                    hash_map::Entry::Vacant(first) => {
                        first.insert((item.at, at));
                    }
                    hash_map::Entry::Occupied(first) => {
                        let (first, name_at) = *first.get();
                        self.errors.push(Diagnostic {
                            // A name that both monitors merged has only one position.
                            at: if at == name_at { item.at } else { at },
                            within: within.clone(),
                            text: format!("\"name\" is already used by the monitor on line {}", first.line),
                        });
                    }
                }
            }
            let Some(section) = Section::open(item, within, &mut self.errors) else {
                continue;
            };
            let section = section.with_defaults(&defaults);
            let (entry, diagnostics) = read_monitor(section, site, self.tables);
            self.diagnostics.extend(diagnostics);
            monitors.extend(entry);
        }
        monitors
    }
}

/// The name of a monitor and its position, before the monitor is read.
fn name_of(node: &Node) -> Option<(String, Position)> {
    let Value::Mapping(entries) = &node.value else {
        return None;
    };
    let entry = entries.iter().find(|entry| &*entry.key == "name")?;
    match &entry.value.value {
        Value::Scalar(name) if !name.is_empty() => Some((name.to_string(), entry.value.at)),
        _ => None,
    }
}
