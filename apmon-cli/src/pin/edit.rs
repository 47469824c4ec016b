//! Sets one option of one monitor in the text of a site file. Every other byte stays:
//! the file is a person's, with comments and an order of its own.
//!
//! An edit is trusted only after the new text has been read again and compared with
//! the old one (docs/decisions/0020).

mod change;
mod meaning;
mod outline;
mod write;

use std::{borrow::Cow, fmt, path::Path};

use anyhow::bail;
use apmon_core::{
    config::{ConfigError, Environment, FileId, MAX_FILE_BYTES, Position, SiteFile, Tables},
    text::{excerpt, nearest},
};

pub(super) use self::write::write_file;
use self::{
    change::{Change, Setting},
    meaning::Value,
    outline::{Node, Outline, Shape},
};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// How many places for a new option are tried; each costs a reading of the file.
const MAX_TRIES: usize = 8;

/// What is needed to read a site file's text.
pub(super) struct SiteReader<'a> {
    /// The path, for errors and for the files that the text names.
    pub(super) path: &'a Path,
    pub(super) tables: Tables<'a>,
    pub(super) environment: &'a dyn Environment,
}

impl SiteReader<'_> {
    fn read(&self, text: &str) -> Result<ParsedSite, ConfigError> {
        let file = self.tables.parse(self.path, text, self.environment)?;
        let outline = Outline::read(text).map_err(|error| ConfigError::Syntax {
            at: Position {
                file: FileId::of(self.path),
                line: error.marker().line().max(1),
                column: error.marker().col() + 1,
            },
            reason: error.info().to_owned(),
        })?;
        Ok(ParsedSite {
            root: Value::of(&outline),
            file,
        })
    }

    /// A position in the file, for errors.
    fn at(&self, at: Position) -> impl fmt::Display {
        Position {
            file: FileId::of(self.path),
            ..at
        }
    }
}

/// Sets the option `key` of `monitor` to `value` in the text of a site file, which
/// includes its byte order mark if it has one. Returns the new text.
///
/// The value is written in double quotes: in place of the present one (even if that
/// is a `${NAME}` or an alias), else after the monitor's address. What is merged by
/// `<<` stays; the monitor's own key takes precedence.
///
/// # Errors
/// The file is invalid or would be; there is no such monitor; or the edit would
/// change more than this option of this monitor.
pub(super) fn set_option(
    reader: &SiteReader<'_>,
    text: &str,
    monitor: &str,
    key: &str,
    value: &str,
) -> anyhow::Result<String> {
    let (mark, text) = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => (&text[..BYTE_ORDER_MARK.len_utf8()], rest),
        None => ("", text),
    };
    let old = reader.read(text)?;
    let edit = Edit {
        reader,
        monitor,
        key,
        value,
        index: index_of(reader, text, &old, monitor)?,
    };
    let new = format!("{mark}{}", edit.make(text, &old)?);
    if new.len() as u64 > MAX_FILE_BYTES {
        return Err(edit.unsafe_at(old.file.monitors[edit.index].at, "the file would be too large"));
    }
    Ok(new)
}

/// The index of the monitor with this name.
fn index_of(reader: &SiteReader<'_>, text: &str, old: &ParsedSite, monitor: &str) -> anyhow::Result<usize> {
    let names = || old.file.monitors.iter().map(|entry| entry.name.as_str());
    if let Some(index) = names().position(|name| name == monitor) {
        return Ok(index);
    }
    let outline = Outline::read(text)?;
    let at = outline.monitors().map(|(key, _)| key.at);
    let hint = nearest(monitor, names())
        .map(|name| format!("; did you mean \"{}\"?", excerpt(name, 80)))
        .unwrap_or_default();
    bail!(
        "{}: no monitor is called \"{}\"{hint}",
        reader.at(at.unwrap_or(Position {
            line: 1,
            column: 1,
            ..Position::default()
        })),
        excerpt(monitor, 80)
    )
}

/// A text that has been read: as a site file, and as values to compare.
struct ParsedSite {
    file: SiteFile,
    root: Value,
}

impl ParsedSite {
    /// The monitors; in a valid file each has an entry in `file`.
    fn monitors(&self) -> &[Value] {
        self.root.get("monitors").map_or(&[], Value::items)
    }
}

struct Edit<'a> {
    reader: &'a SiteReader<'a>,
    monitor: &'a str,
    key: &'a str,
    value: &'a str,
    /// The index of the monitor.
    index: usize,
}

impl Edit<'_> {
    fn make(&self, text: &str, old: &ParsedSite) -> anyhow::Result<String> {
        let outline = Outline::read(text)?;
        let at = old.file.monitors[self.index].at;
        let list = outline.monitors().map(|(_, list)| outline.resolve(list));
        let Some(monitor) = list.and_then(|list| outline.items(list).nth(self.index)) else {
            return Err(self.unsafe_at(at, "the list of monitors is merged by \"<<\""));
        };
        if let Shape::Alias(_) = monitor.shape {
            bail!(
                "{}: monitor \"{1}\" is an alias for line {2}; edit line {2} by hand, or replace the alias by a section with \"<<\"",
                self.reader.at(monitor.at),
                excerpt(self.monitor, 80),
                outline.resolve(monitor).at.line
            );
        }
        let own = outline
            .entries(monitor)
            .find(|(key, _)| outline.key(key) == self.key);
        let at = own.map_or(monitor.at, |(_, value)| value.at);
        let Some(written) = literal(self.value) else {
            return Err(self.unsafe_at(at, "a site file cannot express a value that begins with $${"));
        };
        let setting = Setting {
            key: self.key,
            value: &written,
        };
        for change in self.changes(text, &outline, monitor, own, setting)? {
            let new = change.make(text);
            let Ok(after) = Outline::read(&new) else { continue };
            if change.is_all(&outline, &after, setting) {
                let reading = self.reader.read(&new).map_err(|error| self.invalid(at, error))?;
                self.compare(at, old, &reading, &written)?;
                return Ok(new);
            }
        }
        Err(self.unsafe_at(at, "the layout is not supported"))
    }

    /// The possible changes, the best first.
    fn changes(
        &self,
        text: &str,
        outline: &Outline<'_>,
        monitor: &Node,
        own: Option<(&Node, &Node)>,
        setting: Setting<'_>,
    ) -> anyhow::Result<Vec<Change>> {
        let Some((key, value)) = own else {
            // The address may be merged by `<<`.
            let after = ["address", "name", "type"].into_iter().filter_map(|known| {
                outline
                    .entries(monitor)
                    .find(|(key, _)| outline.key(key) == known)
            });
            return Ok(after
                .chain(outline.entries(monitor))
                .filter_map(|(key, value)| Change::add(text, key, value, setting))
                .take(MAX_TRIES)
                .collect());
        };
        let found = match outline.resolve(value).shape {
            Shape::Sequence { .. } => "a list",
            Shape::Mapping { .. } => "a section",
            Shape::Scalar { .. } | Shape::Alias(_) => {
                return Ok(Change::replace(text, key, value, setting).into_iter().collect());
            }
        };
        bail!(
            "{}: monitor \"{}\": \"{}\" is {found}; edit it by hand",
            self.reader.at(value.at),
            excerpt(self.monitor, 80),
            excerpt(self.key, 60)
        )
    }

    /// Checks that only this option of this monitor has changed. Other values with
    /// unchanged text can change only through an anchor.
    fn compare(&self, at: Position, old: &ParsedSite, new: &ParsedSite, written: &str) -> anyhow::Result<()> {
        let mut others = Vec::new();
        if old.root.get("site") != new.root.get("site") {
            others.push("the section site".to_owned());
        }
        let (before, after) = (old.monitors(), new.monitors());
        let counts = [
            before.len(),
            after.len(),
            old.file.monitors.len(),
            new.file.monitors.len(),
        ];
        if counts.iter().any(|count| *count != counts[0]) {
            return Err(self.unsafe_at(at, "the number of monitors would change"));
        }
        for (index, (before, after)) in before.iter().zip(after).enumerate() {
            let (was, is) = (&old.file.monitors[index], &new.file.monitors[index]);
            if index == self.index {
                others.extend(self.other_options(before, after));
            } else if before != after {
                others.push(format!("monitor \"{}\"", excerpt(&was.name, 80)));
            } else if (&was.name, &was.checksum) != (&is.name, &is.checksum) {
                // Something that the text refers to was changed meanwhile.
                return Err(self.unsafe_at(at, "other monitors have changed meanwhile"));
            }
        }
        if let [first, more @ ..] = &others[..] {
            let others = match more.len() {
                0 => first.clone(),
                n => format!("{first} and {n} more"),
            };
            bail!(
                "{}: monitor \"{}\": setting \"{}\" would also change {others} through an anchor; edit it by hand",
                self.reader.at(at),
                excerpt(self.monitor, 80),
                excerpt(self.key, 60)
            );
        }
        match new.monitors()[self.index].get(self.key) {
            Some(Value::Scalar(text)) if **text == *written => Ok(()),
            _ => Err(self.unsafe_at(at, "it would be read as another value")),
        }
    }

    /// The monitor's other options that have changed.
    fn other_options(&self, before: &Value, after: &Value) -> Vec<String> {
        let others = |value| Value::entries(value).iter().filter(|(key, _)| **key != *self.key);
        let mut changed: Vec<_> = others(before)
            .zip(others(after))
            .filter(|(before, after)| before != after)
            .map(|((key, _), _)| format!("its \"{}\"", excerpt(key, 60)))
            .collect();
        if others(before).count() != others(after).count() {
            changed.push("its other options".to_owned());
        }
        changed
    }

    fn unsafe_at(&self, at: Position, reason: &str) -> anyhow::Error {
        anyhow::anyhow!(
            "{}: monitor \"{}\": cannot set \"{}\" safely: {reason}; edit it by hand",
            self.reader.at(at),
            excerpt(self.monitor, 80),
            excerpt(self.key, 60)
        )
    }

    /// The errors in the new text without their positions, since that text is dropped.
    fn invalid(&self, at: Position, error: ConfigError) -> anyhow::Error {
        match error {
            ConfigError::Invalid { errors, .. } => {
                let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
                anyhow::anyhow!("{}: {}", self.reader.at(at), errors.join("; "))
            }
            // Too many values: the syntax was checked before.
            _ => self.unsafe_at(at, "the file could not be read again"),
        }
    }
}

/// `value` as a site file has to spell it: a text that is `${NAME}` as a whole names a
/// variable, and `$${` is a literal `${`. `None` for a value that begins with `$${`.
fn literal(value: &str) -> Option<Cow<'_, str>> {
    let is_variable = value
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|name| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
    match value {
        _ if is_variable => Some(Cow::Owned(format!("${value}"))),
        _ if value.starts_with("$${") => None,
        _ => Some(Cow::Borrowed(value)),
    }
}

#[cfg(test)]
mod tests;
