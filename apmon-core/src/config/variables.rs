//! The values of a section that came from the environment.

use std::rc::Rc;

use super::tree::{KeyValue, Node, Value};

/// A value, and the name of the variable that it came from.
pub(super) type Variable = (Rc<str>, Rc<str>);

/// The texts in `entries` that came from the environment, the longest first: one may be a part of
/// another.
pub(super) fn of(entries: &[KeyValue]) -> Vec<Variable> {
    let mut found = Vec::new();
    for entry in entries {
        add(&entry.value, &mut found);
    }
    found.sort_unstable_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    found
}

fn add(node: &Node, found: &mut Vec<Variable>) {
    match &node.value {
        Value::Scalar(text) => {
            if let Some(name) = &node.variable {
                found.push((Rc::clone(text), Rc::clone(name)));
            }
        }
        Value::Sequence(items) => items.iter().for_each(|item| add(item, found)),
        Value::Mapping(entries) => entries.iter().for_each(|entry| add(&entry.value, found)),
        Value::Null | Value::Wrong => {}
    }
}

/// Replaces each text of `json` that is one of `values` by `***`.
pub(super) fn hide(values: &[Variable], json: &mut serde_json::Value) {
    match json {
        serde_json::Value::String(text) if values.iter().any(|(value, _)| **value == **text) => {
            "***".clone_into(text);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| hide(values, item)),
        serde_json::Value::Object(entries) => {
            entries.iter_mut().for_each(|(_, entry)| hide(values, entry));
        }
        _ => {}
    }
}
