//! What is wrong with a value that serde reads, and where.

use std::{fmt, rc::Rc};

use serde::de;

use super::{
    position::Position,
    tree::{KeyValue, Node},
    unknown::explained,
};
use crate::text::{nearest, shown_name};

/// An error from serde: text that follows the quoted `path`, and its position.
#[derive(Debug, Default)]
pub(super) struct ReadError {
    /// The key, followed by those inside it (`login.user`).
    pub(super) path: String,
    /// The key in the section itself.
    pub(super) key: Option<Rc<str>>,
    /// The innermost invalid node, by its address.
    pub(super) node: Option<usize>,
    pub(super) at: Option<Position>,
    pub(super) text: String,
    /// Whether another error covers it already.
    pub(super) reported: bool,
    /// Whether a field is missing.
    pub(super) missing: bool,
}

impl ReadError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    pub(super) fn at(mut self, at: Position, node: &Node) -> Self {
        self.at.get_or_insert(at);
        self.node.get_or_insert(address(node));
        self
    }

    pub(super) fn under(mut self, entry: &KeyValue) -> Self {
        let key = shown_name(&entry.key, 60);
        if self.path.is_empty() {
            self.text = explained(std::mem::take(&mut self.text), entry);
        }
        self.path = match self.path.as_str() {
            "" => key,
            inner => format!("{key}.{inner}"),
        };
        self.key = Some(Rc::clone(&entry.key));
        self.at(entry.value.at, &entry.value)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(text.to_string())
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("must be {expected}"))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("must be {expected}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let hint = nearest(field, expected.iter().copied())
            .map(|word| format!("; did you mean \"{word}\"?"))
            .unwrap_or_default();
        Self::new(format!(
            "has an unknown option \"{}\"{hint}",
            shown_name(field, 60)
        ))
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            missing: true,
            ..Self::new(format!("needs \"{field}\""))
        }
    }
}

/// What identifies a node: its memory address.
pub(super) fn address(node: &Node) -> usize {
    std::ptr::from_ref(node) as usize
}
