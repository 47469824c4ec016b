//! One section of the tree, read into an options struct.
//!
//! The struct's types decide how a text is read. A mistake is noted, its key
//! left out, and the section read again, so that all mistakes come together.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    path::PathBuf,
    rc::Rc,
    sync::LazyLock,
};

use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::{
    address,
    defaults::MonitorDefaults,
    deserializer::{Fields, Pruned},
    diagnostic::Diagnostic,
    field::fields_of,
    position::Position,
    tree::{Entry, Node, Value},
    value::AddressFamily,
};
use crate::text::{excerpt, nearest};

/// After so many mistakes in one section an option's further ones are left out.
const MOST_PER_SECTION: usize = 20;
/// After so many mistakes in one file no nearest word is looked for.
pub(super) const MOST_HINTS: usize = 1000;

/// A section of the site file while it is read: its keys, and what is wrong
/// with them.
pub struct Section<'a> {
    within: String,
    pub(super) at: Position,
    entries: Rc<[Entry]>,
    read: HashSet<&'static str>,
    pruned: Pruned,
    wrong: HashSet<Rc<str>>,
    errors: &'a mut Vec<Diagnostic>,
    /// Errors of other sections.
    errors_before: usize,
    diagnostics: Diagnostics,
    address: String,
    family: AddressFamily,
    defaults: Option<&'a MonitorDefaults>,
    basis: Vec<serde_json::Value>,
}

/// What is reported although the section is valid.
#[derive(Default)]
pub(super) struct Diagnostics {
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) hints: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(super) fn extend(&mut self, other: Self) {
        self.warnings.extend(other.warnings);
        self.hints.extend(other.hints);
    }
}

impl<'a> Section<'a> {
    /// The section at `node`, or a mistake where it is none.
    pub(super) fn open(
        node: &Node,
        within: impl Into<String>,
        errors: &'a mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let within = within.into();
        let Value::Mapping(entries) = &node.value else {
            if !matches!(node.value, Value::Wrong) {
                errors.push(Diagnostic {
                    at: node.at,
                    within,
                    text: format!("must be a section of options, this is {}", node.value.what()),
                });
            }
            return None;
        };
        Some(Self {
            within,
            at: node.at,
            entries: Rc::clone(entries),
            read: HashSet::new(),
            pruned: Pruned::default(),
            wrong: HashSet::new(),
            errors_before: errors.len(),
            errors,
            diagnostics: Diagnostics::default(),
            address: String::new(),
            family: AddressFamily::Any,
            defaults: None,
            basis: Vec::new(),
        })
    }

    /// The same section, of a monitor with these defaults.
    pub(super) fn with_defaults(self, defaults: &'a MonitorDefaults) -> Self {
        Self {
            defaults: Some(defaults),
            ..self
        }
    }

    /// The site's options that are defaults of its monitors.
    #[must_use]
    pub fn defaults(&self) -> &'a MonitorDefaults {
        static NONE: LazyLock<MonitorDefaults> = LazyLock::new(MonitorDefaults::default);
        self.defaults.unwrap_or(&NONE)
    }

    /// What the section is called in diagnostics (`monitor "web"`).
    pub(super) fn within(&self) -> &str {
        &self.within
    }

    /// The path that `text` means: relative to the directory of the file it
    /// stands in.
    #[must_use]
    pub fn path(&self, text: &str) -> PathBuf {
        let directory = self.at.file.path().parent();
        directory.map_or_else(|| PathBuf::from(text), |directory| directory.join(text))
    }

    /// The monitor also depends on `value` (the site's option, the content of a
    /// file): where it differs, it is another monitor.
    pub fn depends_on(&mut self, value: impl Serialize) {
        self.basis.push(serde_json::to_value(value).unwrap_or_default());
    }

    pub(super) fn take_basis(&mut self) -> Vec<serde_json::Value> {
        std::mem::take(&mut self.basis)
    }

    /// Reads the keys that are fields of `T`. Wrong ones are noted and read as
    /// if they were not there. `None` only where `T` cannot do without one.
    pub fn read<T: DeserializeOwned>(&mut self) -> Option<T> {
        self.read_keys(fields_of::<T>())
    }

    /// Reads those of `keys` that are given, each as a `T`: for options whose
    /// names stand in a table. Wrong ones are noted and left out.
    pub fn read_each<T: DeserializeOwned>(&mut self, keys: &[&'static str]) -> BTreeMap<String, T> {
        self.read_keys(keys).unwrap_or_default()
    }

    fn read_keys<T: DeserializeOwned>(&mut self, fields: &[&'static str]) -> Option<T> {
        self.read.extend(fields);
        let all = Rc::clone(&self.entries);
        let entries: Vec<&Entry> = all.iter().filter(|entry| fields.contains(&&*entry.key)).collect();
        let mut errors = 0;
        loop {
            let error = match T::deserialize(Fields {
                entries: &entries,
                pruned: &self.pruned,
            }) {
                Ok(options) => return Some(options),
                Err(error) => error,
            };
            let Some(entry) = entries
                .iter()
                .find(|entry| error.key.as_ref() == Some(&entry.key))
            else {
                // Only a struct that demands a field gets here; such a field
                // may be missing because it was wrong.
                if !entries.iter().any(|entry| self.pruned.skips(&entry.value)) {
                    self.push(self.at, error.text);
                }
                return None;
            };
            if !error.reported {
                let at = error.at.unwrap_or(entry.value.at);
                self.push(at, format!("\"{}\" {}", error.path, error.text));
            }
            self.wrong.insert(Rc::clone(&entry.key));
            errors += 1;
            match error.node {
                Some(address) if errors < MOST_PER_SECTION => self.pruned.insert_address(address),
                _ => self.pruned.insert(&entry.value),
            }
        }
    }

    fn push(&mut self, at: Position, text: String) {
        self.errors.push(Diagnostic {
            at,
            within: self.within.clone(),
            text,
        });
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| &*entry.key == key)
    }

    /// Whether something of the value of `key` was wrong, and is reported already:
    /// what follows from it need not be reported as well.
    #[must_use]
    pub fn is_wrong(&self, key: &str) -> bool {
        let unset = |node: &Node| matches!(node.value, Value::Wrong);
        self.wrong.contains(key)
            || self.entry(key).is_some_and(|entry| match &entry.value.value {
                Value::Sequence(items) => items.iter().any(unset),
                _ => unset(&entry.value),
            })
    }

    /// Whether something of this section was wrong.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors.len() > self.errors_before
    }

    /// Whether the key is given, rightly or wrongly.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Where the value of `key` stands, or the section.
    pub(super) fn place(&self, key: &str) -> Position {
        self.entry(key).map_or(self.at, |entry| entry.value.at)
    }

    /// The list or section under a key that is read by hand.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node> {
        self.read.insert(key);
        self.entry(key).map(|entry| entry.value.clone())
    }

    /// Notes that the value of `key` is wrong; `text` follows `"key" `. Where
    /// the key is not given, the section's own place is named.
    pub fn error(&mut self, key: &str, text: impl fmt::Display) {
        self.error_text(key, format!("\"{key}\" {text}"));
    }

    /// The same; `text` is the whole sentence.
    pub fn error_text(&mut self, key: &str, text: String) {
        let at = match self.entries.iter().find(|entry| &*entry.key == key) {
            Some(entry) => {
                self.pruned.insert(&entry.value);
                entry.value.at
            }
            None => self.at,
        };
        self.push(at, text);
    }

    /// Notes an error at a place of the section.
    pub(super) fn error_at(&mut self, at: Position, text: String) {
        self.push(at, text);
    }

    /// Notes that `key` must not stand here.
    pub fn misplaced(&mut self, key: &str, text: impl fmt::Display) {
        let at = self.entry(key).map_or(self.at, |entry| entry.at);
        self.push(at, format!("\"{key}\" {text}"));
    }

    /// Notes what is questionable but allowed.
    pub fn warn(&mut self, key: &str, text: impl fmt::Display) {
        let at = self.place(key);
        let diagnostic = self.diagnostic(at, key, text);
        self.diagnostics.warnings.push(diagnostic);
    }

    /// Notes what could be safer.
    pub fn hint(&mut self, key: &str, text: impl fmt::Display) {
        let at = self.place(key);
        let diagnostic = self.diagnostic(at, key, text);
        self.diagnostics.hints.push(diagnostic);
    }

    fn diagnostic(&self, at: Position, key: &str, text: impl fmt::Display) -> Diagnostic {
        Diagnostic {
            at,
            within: self.within.clone(),
            text: format!("\"{key}\" {text}"),
        }
    }

    /// `value`, or a mistake saying that `key` is missing (unless it is there
    /// and was wrong).
    pub fn require<T>(&mut self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.has(key) {
            self.push(self.at, format!("\"{key}\" is missing"));
        }
        value
    }

    /// The monitor's address as it was written.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn set_address(&mut self, address: String) {
        self.address = address;
    }

    /// Which addresses of its host are looked at.
    #[must_use]
    pub fn family(&self) -> AddressFamily {
        self.family
    }

    pub(super) fn set_family(&mut self, family: AddressFamily) {
        self.family = family;
        self.depends_on(family);
    }

    /// The monitor's address as a URL with one of `schemes` and a host.
    pub fn address_url(&mut self, schemes: &[&str]) -> Option<Url> {
        if self.address.is_empty() {
            return None; // complained of already
        }
        match address::parse_url(&self.address, schemes) {
            Ok(url) => Some(url),
            Err(text) => {
                let shown = excerpt(&address::shown(&self.address), 80);
                self.error("address", format!("{text} (here: {shown})"));
                None
            }
        }
    }

    /// A URL under `key`, checked; it is not repeated in the message, for it
    /// may hold a token.
    pub fn check_url(&mut self, key: &str, text: &str, schemes: &[&str]) -> bool {
        match address::parse_url(text, schemes) {
            Ok(_) => true,
            Err(text) => {
                self.error(key, text);
                false
            }
        }
    }

    /// Takes `keys` for known, although nobody reads them.
    pub(super) fn allow(&mut self, keys: &[&'static str]) {
        self.read.extend(keys);
    }

    /// Every key that nobody read is unknown. `elsewhere` knows where it would
    /// be right. Gives the warnings back.
    pub(super) fn finish(mut self, elsewhere: impl Fn(&str) -> Option<String>) -> Diagnostics {
        let entries = Rc::clone(&self.entries);
        for entry in entries.iter() {
            if self.read.contains(&*entry.key) {
                continue;
            }
            let key = excerpt(&entry.key, 60);
            let near = || match self.errors.len() {
                0..MOST_HINTS => nearest(&entry.key, self.read.iter().copied()),
                _ => None,
            };
            let text = match elsewhere(&entry.key) {
                Some(text) => format!("\"{key}\" {text}"),
                None => match near() {
                    Some(word) => format!("unknown option \"{key}\"; did you mean \"{word}\"?"),
                    None => format!("unknown option \"{key}\""),
                },
            };
            self.push(entry.at, text);
        }
        self.diagnostics
    }
}
