//! Parses a site file into a tree whose scalars keep their text.

use std::{
    collections::{HashMap, hash_map},
    rc::Rc,
};

use granit_parser::{ErrorKind, Event, Marker, Options, Parser, ScalarStyle, ScanError, Span};

use super::{
    diagnostic::Diagnostic,
    likely_error,
    position::{FileId, Position},
    source::Environment,
};
use crate::text::{excerpt, shown_name};

/// The maximum number of nodes in a file with its aliases expanded, as a protection
/// against alias bombs.
const MAX_NODES: usize = 2_000_000;
/// The maximum depth of nesting.
const MAX_DEPTH: usize = 64;

/// One node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its position. An alias has the position of the alias, its children those where
    /// they were written.
    pub(super) at: Position,
    pub(super) value: Value,
    /// The environment variable that its value came from.
    pub(super) variable: Option<Rc<str>>,
}

/// A node's content. Children are shared, so that an alias costs nothing.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// `~`, `null`, or nothing at all, unquoted.
    Null,
    /// Invalid and already reported: neither present nor missing.
    Wrong,
    Scalar(Rc<str>),
    Sequence(Rc<[Node]>),
    Mapping(Rc<[KeyValue]>),
}

/// One key with its value. An entry merged with `<<` keeps its position, so that an
/// error in it is reported once, at its anchor.
#[derive(Clone, Debug)]
pub(super) struct KeyValue {
    pub(super) key: Rc<str>,
    pub(super) at: Position,
    pub(super) value: Node,
}

impl Node {
    fn new(at: Position, value: Value) -> Self {
        Self {
            at,
            value,
            variable: None,
        }
    }
}

impl Value {
    /// A description for messages.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Null | Self::Wrong => "nothing",
            Self::Scalar(_) => "a single value",
            Self::Sequence(_) => "a list",
            Self::Mapping(_) => "a section",
        }
    }
}

/// An error that ends the reading: invalid syntax, or a limit that is exceeded.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) at: Position,
    pub(super) reason: String,
}

/// A tree, and the errors in it that did not end the reading.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: Node,
    pub(super) errors: Vec<Diagnostic>,
}

impl SyntaxError {
    /// The parser's error, or the likely one behind it.
    fn of(error: &ScanError, text: &str) -> Self {
        let at = position(error.marker());
        let is_second_colon = *error.kind() == ErrorKind::MappingValueNotAllowed;
        let is_limit = *error.kind() == ErrorKind::RecursionLimitExceeded;
        match likely_error::find(text, at.line, is_second_colon).filter(|_| !is_limit) {
            Some(found) => Self {
                at: Position {
                    line: found.line,
                    column: found.column,
                    ..at
                },
                reason: found.text,
            },
            None => Self {
                at,
                reason: reason(error),
            },
        }
    }
}

/// The events of `text`.
fn events(text: &str) -> impl Iterator<Item = Result<(Event<'_>, Span), ScanError>> {
    let mut options = Options::default();
    // Keys in JSON are quoted and may be long.
    options.simple_key_max_lookahead = 64 * 1024;
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    Parser::new_from_str_with_options(text, options)
}

/// Parses `text`, which must hold exactly one document.
pub(super) fn read(text: &str, file: FileId, environment: &dyn Environment) -> Result<Tree, SyntaxError> {
    let mut builder = Builder {
        environment,
        stack: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
        errors: Vec::new(),
    };
    let mut documents = 0;
    for event in events(text) {
        let (event, span) = event.map_err(|error| SyntaxError::of(&error, text))?;
        let at = Position {
            file,
            ..position(&span.start)
        };
        if matches!(event, Event::DocumentStart(..)) {
            documents += 1;
            if documents > 1 {
                return Err(SyntaxError {
                    at,
                    reason: "a second document begins here; a site file must have only one".into(),
                });
            }
        }
        builder.take(event, at)?;
    }
    match builder.root {
        Some(root) => Ok(Tree {
            root,
            errors: builder.errors,
        }),
        None => Err(SyntaxError {
            at: Position {
                file,
                line: 1,
                column: 1,
            },
            reason: "the file is empty".into(),
        }),
    }
}

fn position(marker: &Marker) -> Position {
    Position {
        file: FileId::default(),
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

/// The reason for a syntax error: a text of our own, or else the parser's.
fn reason(error: &ScanError) -> String {
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => too_deep(),
        ErrorKind::UnexpectedCharacter { character } => {
            format!("text cannot begin with {character}; put it in quotes")
        }
        ErrorKind::UnknownAnchor => {
            "no anchor of this name is defined above; quote text that begins with *".into()
        }
        ErrorKind::MappingValueNotAllowed => {
            "a second \":\" on one line; quote text that contains \": \"".into()
        }
        ErrorKind::ExpectedBlockMappingKey => {
            "expected a key here; is the line indented like those above?".into()
        }
        ErrorKind::ExpectedBlockSequenceEntry => {
            "expected a list entry (\"- \") here; is the line indented like those above?".into()
        }
        ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            "tabs cannot indent; use spaces".into()
        }
        _ => error.info(),
    }
}

fn too_deep() -> String {
    format!("nested deeper than {MAX_DEPTH} levels")
}

struct Builder<'a> {
    environment: &'a dyn Environment,
    stack: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
    errors: Vec<Diagnostic>,
}

struct Open {
    at: Position,
    anchor: usize,
    /// The number of nodes before it.
    before: usize,
    collection: Collection,
}

/// A sequence or mapping that is being read.
enum Collection {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<KeyValue>,
        merges: Vec<Node>,
        key: Option<(Rc<str>, Position)>,
        seen: HashMap<Rc<str>, Position>,
    },
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), SyntaxError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, at)?;
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
                    Value::Null
                } else {
                    Value::Scalar(Rc::from(&*text))
                };
                self.close(Node::new(at, value), anchor, 1, true)
            }
            Event::SequenceStart(_, anchor, _) => self.open(at, anchor, Collection::Sequence(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.open(
                at,
                anchor,
                Collection::Mapping {
                    entries: Vec::new(),
                    merges: Vec::new(),
                    key: None,
                    seen: HashMap::new(),
                },
            ),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.stack.pop() else {
                    return Ok(());
                };
                let value = match open.collection {
                    Collection::Sequence(items) => Value::Sequence(items.into()),
                    Collection::Mapping {
                        entries,
                        merges,
                        seen,
                        ..
                    } => Value::Mapping(self.merge(entries, merges, seen).into()),
                };
                let size = self.nodes - open.before;
                self.close(Node::new(open.at, value), open.anchor, size, false)
            }
            Event::Alias(id) => {
                let Some((mut node, size)) = self.anchors.get(&id).cloned() else {
                    return Err(SyntaxError {
                        at,
                        reason: "an alias is used inside its own anchor".into(),
                    });
                };
                self.count(size, at)?;
                node.at = at;
                self.close(node, 0, size, false)
            }
            _ => Ok(()),
        }
    }

    fn error(&mut self, at: Position, text: String) {
        self.errors.push(Diagnostic {
            at,
            within: String::new(),
            text,
        });
    }

    fn count(&mut self, nodes: usize, at: Position) -> Result<(), SyntaxError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(SyntaxError {
                at,
                reason: format!("more than {MAX_NODES} values, counting every use of an alias"),
            });
        }
        Ok(())
    }

    fn open(&mut self, at: Position, anchor: usize, collection: Collection) -> Result<(), SyntaxError> {
        let before = self.nodes;
        self.count(1, at)?;
        if self.stack.len() >= MAX_DEPTH {
            return Err(SyntaxError {
                at,
                reason: too_deep(),
            });
        }
        self.stack.push(Open {
            at,
            anchor,
            before,
            collection,
        });
        Ok(())
    }

    /// Adds a finished node to its parent. `written` is true for a scalar that stands
    /// in the text and may name a variable; in a node used through an alias the
    /// variable was replaced at its anchor.
    fn close(
        &mut self,
        mut node: Node,
        anchor: usize,
        size: usize,
        written: bool,
    ) -> Result<(), SyntaxError> {
        let is_key = matches!(
            self.stack.last(),
            Some(Open {
                collection: Collection::Mapping { key: None, .. },
                ..
            })
        );
        if written && !is_key {
            self.replace_variable(&mut node);
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.stack.last_mut().map(|open| &mut open.collection) {
            None => self.root = Some(node),
            Some(Collection::Sequence(items)) => items.push(node),
            Some(Collection::Mapping {
                entries,
                merges,
                key,
                seen,
            }) => match key.take() {
                None => match node.value {
                    Value::Scalar(text) => *key = Some((text, node.at)),
                    Value::Null => *key = Some((Rc::from("~"), node.at)),
                    other => {
                        return Err(SyntaxError {
                            at: node.at,
                            reason: format!("a key must be a single value, found {}", other.what()),
                        });
                    }
                },
                Some((name, _)) if &*name == "<<" => merges.push(node),
                Some((name, at)) => match seen.entry(Rc::clone(&name)) {
                    hash_map::Entry::Vacant(first) => {
                        first.insert(at);
                        entries.push(KeyValue {
                            key: name,
                            at,
                            value: node,
                        });
                    }
                    hash_map::Entry::Occupied(first) => {
                        let line = first.get().line;
                        let name = shown_name(&name, 60);
                        self.error(at, format!("\"{name}\" is already given on line {line}"));
                    }
                },
            },
        }
        Ok(())
    }

    /// Adds the entries merged with `<<` whose keys are not given directly.
    fn merge(
        &mut self,
        mut entries: Vec<KeyValue>,
        merges: Vec<Node>,
        mut seen: HashMap<Rc<str>, Position>,
    ) -> Vec<KeyValue> {
        for node in merges {
            let sources = match &node.value {
                Value::Sequence(items) => &items[..],
                _ => std::slice::from_ref(&node),
            };
            for source in sources {
                match &source.value {
                    Value::Mapping(merged) => {
                        for entry in merged.iter() {
                            if let hash_map::Entry::Vacant(first) = seen.entry(Rc::clone(&entry.key)) {
                                first.insert(entry.at);
                                entries.push(entry.clone());
                            }
                        }
                    }
                    Value::Wrong => {}
                    other => self.error(
                        source.at,
                        format!("\"<<\" must merge a section, found {}", other.what()),
                    ),
                }
            }
        }
        entries
    }

    /// Replaces a value that consists of `${NAME}` only; `$${` at its beginning is a
    /// literal `${`.
    fn replace_variable(&mut self, node: &mut Node) {
        let Value::Scalar(text) = &node.value else { return };
        if let Some(name) = variable_of(text) {
            node.value = match self.environment.variable(name) {
                Some(value) => {
                    node.variable = Some(Rc::from(name));
                    Value::Scalar(Rc::from(value))
                }
                None => {
                    let name = excerpt(name, 60);
                    self.errors.push(Diagnostic {
                        at: node.at,
                        within: String::new(),
                        text: format!("the environment variable {name} is not set"),
                    });
                    Value::Wrong
                }
            };
        } else if let Some(rest) = text.strip_prefix("$${") {
            node.value = Value::Scalar(Rc::from(format!("${{{rest}")));
        }
    }
}

/// The name of the variable if `text` is `${NAME}`.
fn variable_of(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    is_variable_name(name).then_some(name)
}

fn is_variable_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
