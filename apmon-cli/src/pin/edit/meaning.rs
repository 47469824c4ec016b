//! The meaning of a text: its values with aliases and `<<` resolved, to compare two
//! versions of a site file. Variables stay as written.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use super::outline::{Node, Outline, Shape};

/// A value. Cloning is cheap, so that an alias costs nothing.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Scalar(Rc<str>),
    Sequence(Rc<[Value]>),
    Mapping(Rc<[(Rc<str>, Value)]>),
}

impl Value {
    /// The value of the whole text. The site file's reader has accepted the text, and
    /// so limited its depth and its size.
    pub(super) fn of(outline: &Outline<'_>) -> Self {
        let mut reader = Reader {
            outline,
            anchors: HashMap::new(),
        };
        outline.root().map_or(Self::Null, |root| reader.value(root))
    }

    /// The value of a key in a section.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let mut entries = self.entries().iter();
        entries.find(|(known, _)| **known == *key).map(|(_, value)| value)
    }

    /// The keys and values of a section.
    pub(super) fn entries(&self) -> &[(Rc<str>, Self)] {
        match self {
            Self::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list.
    pub(super) fn items(&self) -> &[Self] {
        match self {
            Self::Sequence(items) => items,
            _ => &[],
        }
    }
}

struct Reader<'a> {
    outline: &'a Outline<'a>,
    /// The values of aliases, by anchor.
    anchors: HashMap<usize, Value>,
}

impl Reader<'_> {
    fn value(&mut self, node: &Node) -> Value {
        match &node.shape {
            Shape::Scalar { is_null: true, .. } => Value::Null,
            Shape::Scalar { text, .. } => Value::Scalar(Rc::from(&**text)),
            Shape::Sequence { .. } => self.outline.items(node).map(|item| self.value(item)).collect(),
            Shape::Mapping { .. } => self.mapping(node),
            Shape::Alias(anchor) => {
                if let Some(value) = self.anchors.get(anchor) {
                    return value.clone();
                }
                let target = self.outline.resolve(node);
                let value = match target.shape {
                    Shape::Alias(_) => Value::Null, // an unknown anchor: the reader rejects it
                    _ => self.value(target),
                };
                self.anchors.insert(*anchor, value.clone());
                value
            }
        }
    }

    /// The section's own entries, then those that `<<` merges and it does not have.
    fn mapping(&mut self, node: &Node) -> Value {
        let (mut entries, mut merges) = (Vec::new(), Vec::new());
        for (key, value) in self.outline.entries(node) {
            let (key, value) = (self.outline.key(key), self.value(value));
            match key {
                "<<" => merges.push(value),
                key => entries.push((Rc::from(key), value)),
            }
        }
        let mut known: HashSet<Rc<str>> = entries.iter().map(|(key, _)| Rc::clone(key)).collect();
        for merge in &merges {
            let sources = match merge {
                Value::Sequence(items) => &items[..],
                single => std::slice::from_ref(single),
            };
            for (key, value) in sources.iter().flat_map(Value::entries) {
                if known.insert(Rc::clone(key)) {
                    entries.push((Rc::clone(key), value.clone()));
                }
            }
        }
        Value::Mapping(entries.into())
    }
}

impl FromIterator<Value> for Value {
    fn from_iter<I: IntoIterator<Item = Self>>(items: I) -> Self {
        Self::Sequence(items.into_iter().collect())
    }
}
