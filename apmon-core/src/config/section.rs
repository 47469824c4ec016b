//! Reads one section of the tree into an options struct.
//!
//! The struct's types decide how a text is read. An error is noted, its key left
//! out, and the section read again, so that all errors are reported together.

use std::{
    cell::OnceCell,
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
    source_address::SourceAddresses,
    tree::{KeyValue, Node, Value},
    unknown::{UnknownOption, instead_of_section},
    value::AddressFamily,
    variables::{self, Variable},
};
use crate::{
    mask::Mask,
    secret::Secret,
    text::{excerpt, shown_name},
};

/// The number of errors in one section after which only the first error of each
/// further option is reported.
const MOST_PER_SECTION: usize = 20;
/// The shortest value from the environment that a diagnostic leaves out; a shorter one would match
/// by chance.
const MIN_VALUE: usize = 4;
/// The number of errors in one file after which no similar word is suggested.
pub(super) const MOST_HINTS: usize = 1000;

/// A section of the site file that is being read: its keys and their errors.
pub struct Section<'a> {
    within: String,
    pub(super) at: Position,
    entries: Rc<[KeyValue]>,
    read: HashSet<&'static str>,
    ignores_others: bool,
    pruned: Pruned,
    wrong: HashSet<Rc<str>>,
    errors: &'a mut Vec<Diagnostic>,
    /// The number of errors in the sections before this one.
    errors_before: usize,
    diagnostics: Diagnostics,
    address: String,
    family: AddressFamily,
    own_source: SourceAddresses,
    defaults: Option<&'a MonitorDefaults>,
    basis: Vec<serde_json::Value>,
    effective: Vec<(&'static str, serde_json::Value)>,
    mask: Mask,
    /// The values that came from the environment, once an error has asked for them.
    variables: OnceCell<Vec<Variable>>,
}

/// Warnings and hints, which are reported although the section is valid.
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
    /// Opens the section at `node`, or reports an error if it is not a section.
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
                    text: format!(
                        "must be a section of options, found {}{}",
                        node.value.what(),
                        instead_of_section(&node.value)
                    ),
                });
            }
            return None;
        };
        Some(Self {
            within,
            at: node.at,
            entries: Rc::clone(entries),
            read: HashSet::new(),
            ignores_others: false,
            pruned: Pruned::default(),
            wrong: HashSet::new(),
            errors_before: errors.len(),
            errors,
            diagnostics: Diagnostics::default(),
            address: String::new(),
            family: AddressFamily::Any,
            own_source: SourceAddresses::default(),
            defaults: None,
            basis: Vec::new(),
            effective: Vec::new(),
            mask: Mask::default(),
            variables: OnceCell::new(),
        })
    }

    /// Sets the defaults of the monitor that the section describes.
    pub(super) fn with_defaults(self, defaults: &'a MonitorDefaults) -> Self {
        Self {
            defaults: Some(defaults),
            ..self
        }
    }

    /// The options of the site that are defaults for its monitors.
    #[must_use]
    pub fn defaults(&self) -> &'a MonitorDefaults {
        static NONE: LazyLock<MonitorDefaults> = LazyLock::new(MonitorDefaults::default);
        self.defaults.unwrap_or(&NONE)
    }

    /// The section's name in diagnostics (`monitor "web"`).
    pub(super) fn within(&self) -> &str {
        &self.within
    }

    /// The path that `text` denotes, relative to the directory of the site file.
    #[must_use]
    pub fn path(&self, text: &str) -> PathBuf {
        let directory = self.at.file.path().parent();
        directory.map_or_else(|| PathBuf::from(text), |directory| directory.join(text))
    }

    /// Makes the monitor depend on `value` (an option of the site, the content of a
    /// file): if the value changes, the monitor counts as changed.
    pub fn depends_on(&mut self, value: impl Serialize) {
        self.basis.push(serde_json::to_value(value).unwrap_or_default());
    }

    /// Sets the effective value of the option `key` in
    /// [`MonitorEntry::options`](super::MonitorEntry::options), where it may differ from
    /// the monitor's own: for options that the site has too.
    pub fn effective(&mut self, key: &'static str, value: impl Serialize) {
        self.effective
            .push((key, serde_json::to_value(value).unwrap_or_default()));
    }

    pub(crate) fn take_effective(&mut self) -> Vec<(&'static str, serde_json::Value)> {
        std::mem::take(&mut self.effective)
    }

    pub(super) fn take_basis(&mut self) -> Vec<serde_json::Value> {
        std::mem::take(&mut self.basis)
    }

    /// Reads the keys that are fields of `T`. Invalid ones are reported and read as if
    /// they were absent. Returns `None` only if `T` requires one of them.
    pub fn read<T: DeserializeOwned>(&mut self) -> Option<T> {
        self.read_keys(fields_of::<T>())
    }

    /// Reads those of `keys` that are present, each as a `T`; for options whose names
    /// come from a table. Invalid ones are reported and left out.
    pub fn read_each<T: DeserializeOwned>(&mut self, keys: &[&'static str]) -> BTreeMap<String, T> {
        self.read_keys(keys).unwrap_or_default()
    }

    fn read_keys<T: DeserializeOwned>(&mut self, fields: &[&'static str]) -> Option<T> {
        self.read.extend(fields);
        let all = Rc::clone(&self.entries);
        let entries: Vec<&KeyValue> = all.iter().filter(|entry| fields.contains(&&*entry.key)).collect();
        let mut errors = 0;
        loop {
            let read = T::deserialize(Fields {
                entries: &entries,
                pruned: &self.pruned,
            });
            for secret in self.pruned.take_secrets() {
                self.mask.add(&secret);
            }
            let error = match read {
                Ok(options) => return Some(options),
                Err(error) => error,
            };
            let Some(entry) = entries
                .iter()
                .find(|entry| error.key.as_ref() == Some(&entry.key))
            else {
                // Only a struct that requires a field gets here. The field may be
                // missing because it was invalid.
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
            text: self.without_variables(text),
        });
    }

    /// A diagnostic with `${NAME}` in place of the values that came from the environment.
    fn without_variables(&self, mut text: String) -> String {
        for (value, name) in self.variables() {
            if value.len() >= MIN_VALUE && text.contains(&**value) {
                text = text.replace(&**value, &format!("${{{name}}}"));
            }
        }
        text
    }

    /// Adds a secret that is not a value of the section itself, such as the content of a file,
    /// to those that are masked in what the checks of the monitor return.
    pub fn add_secret(&mut self, secret: &Secret) {
        self.mask.add(secret.reveal());
    }

    /// The secrets that were read so far.
    pub(super) fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Whether the value of `key` came from the environment.
    pub(super) fn is_from_environment(&self, key: &str) -> bool {
        self.entry(key)
            .is_some_and(|entry| entry.value.variable.is_some())
    }

    /// Replaces the texts that came from the environment in `options`, which are for display.
    pub(super) fn hide_variables(&self, options: &mut serde_json::Value) {
        let values = self.variables();
        if !values.is_empty() {
            variables::hide(values, options);
        }
    }

    fn variables(&self) -> &[Variable] {
        self.variables.get_or_init(|| variables::of(&self.entries))
    }

    fn entry(&self, key: &str) -> Option<&KeyValue> {
        self.entries.iter().find(|entry| &*entry.key == key)
    }

    /// Whether the value of `key`, or part of it, was invalid. That is reported
    /// already, so errors that follow from it need not be.
    #[must_use]
    pub fn is_wrong(&self, key: &str) -> bool {
        let unset = |node: &Node| matches!(node.value, Value::Wrong);
        self.wrong.contains(key)
            || self.entry(key).is_some_and(|entry| match &entry.value.value {
                Value::Sequence(items) => items.iter().any(unset),
                _ => unset(&entry.value),
            })
    }

    /// Whether this section has errors.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors.len() > self.errors_before
    }

    /// Whether the key is present, even with an invalid value.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// The position of the value of `key`, or of the section if the key is absent.
    pub(super) fn position_of(&self, key: &str) -> Position {
        self.entry(key).map_or(self.at, |entry| entry.value.at)
    }

    /// Takes the list or section under a key, to be read separately.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node> {
        self.read.insert(key);
        self.entry(key).map(|entry| entry.value.clone())
    }

    /// Reports that the value of `key` is invalid; `text` follows `"key" `. If the key
    /// is absent, the error has the section's position.
    pub fn error(&mut self, key: &str, text: impl fmt::Display) {
        self.error_text(key, format!("\"{key}\" {text}"));
    }

    /// Reports that the value of `key` is invalid; `text` is the whole sentence.
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

    /// Reports an error at a position in the section.
    pub(super) fn error_at(&mut self, at: Position, text: String) {
        self.push(at, text);
    }

    /// Reports that `key` must not be used here; the error has the position of the key.
    pub fn misplaced(&mut self, key: &str, text: impl fmt::Display) {
        let at = self.entry(key).map_or(self.at, |entry| entry.at);
        self.push(at, format!("\"{key}\" {text}"));
    }

    /// Adds a warning: the value of `key` is allowed but questionable.
    pub fn warn(&mut self, key: &str, text: impl fmt::Display) {
        let at = self.position_of(key);
        let diagnostic = self.diagnostic(at, key, text);
        self.diagnostics.warnings.push(diagnostic);
    }

    /// Adds a hint: the value of `key` could be safer.
    pub fn hint(&mut self, key: &str, text: impl fmt::Display) {
        let at = self.position_of(key);
        let diagnostic = self.diagnostic(at, key, text);
        self.diagnostics.hints.push(diagnostic);
    }

    fn diagnostic(&self, at: Position, key: &str, text: impl fmt::Display) -> Diagnostic {
        Diagnostic {
            at,
            within: self.within.clone(),
            text: self.without_variables(format!("\"{key}\" {text}")),
        }
    }

    /// Returns `value`, and reports that `key` is missing if it is `None` (unless the
    /// key is present and was invalid).
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
        match self.is_from_environment("address") {
            true => self.mask.add_url_parts(&address),
            false => self.mask.add_login(&address),
        }
        self.address = address;
    }

    /// Which addresses of the monitor's host may be used.
    #[must_use]
    pub fn family(&self) -> AddressFamily {
        self.family
    }

    pub(super) fn set_family(&mut self, family: AddressFamily) {
        self.family = family;
        self.depends_on(family);
        self.effective("address_family", family);
    }

    /// The monitor's own `source_address`, not the site's.
    pub(super) fn own_source(&self) -> SourceAddresses {
        self.own_source
    }

    pub(super) fn set_own_source(&mut self, source: SourceAddresses) {
        self.own_source = source;
    }

    /// Parses the monitor's address as a URL that has a host and one of `schemes`.
    pub fn address_url(&mut self, schemes: &[&str]) -> Option<Url> {
        if self.address.is_empty() {
            return None; // reported already
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

    /// Checks the URL under `key`. An error does not quote it, as it may contain a
    /// token.
    pub fn check_url(&mut self, key: &str, text: &str, schemes: &[&str]) -> bool {
        match address::parse_url(text, schemes) {
            Ok(_) => true,
            Err(text) => {
                self.error(key, text);
                false
            }
        }
    }

    /// Accepts every other key without reading it: for a section that is refused as a
    /// whole.
    pub fn ignore_others(&mut self) {
        self.ignores_others = true;
    }

    /// Accepts `keys` without reading them.
    pub(super) fn allow(&mut self, keys: &[&'static str]) {
        self.read.extend(keys);
    }

    /// Reports every key that was not read as unknown. `elsewhere` returns a text for
    /// keys that belong in another place. Returns the warnings and hints.
    pub(super) fn finish(mut self, elsewhere: impl Fn(&str) -> Option<String>) -> Diagnostics {
        let entries = Rc::clone(&self.entries);
        for entry in entries.iter() {
            if self.ignores_others || self.read.contains(&*entry.key) {
                continue;
            }
            let key = shown_name(&entry.key, 60);
            // Of `token:hunter2`, the part before the colon was meant.
            let word = match key.strip_suffix("***") {
                Some(word) if !word.is_empty() => word,
                _ => &entry.key,
            };
            let unknown = UnknownOption {
                shown: &key,
                word,
                known: &self.read,
                elsewhere: elsewhere(&entry.key),
                is_searched: self.errors.len() < MOST_HINTS,
            };
            let (text, meant) = unknown.answer(|option| self.has(option));
            if let Some(meant) = meant {
                self.withdraw_missing(meant);
            }
            self.push(entry.at, text);
        }
        self.diagnostics
    }

    /// Withdraws the error that an option is missing: it is there under a wrong name, which is an
    /// error of its own.
    fn withdraw_missing(&mut self, option: &str) {
        let text = format!("\"{option}\" is missing");
        let own = self.errors.split_off(self.errors_before);
        let is_other = |error: &Diagnostic| error.text != text;
        self.errors.extend(own.into_iter().filter(is_other));
    }
}
