//! The nodes of a site file's text, with their bytes.

use std::{collections::HashMap, ops::Range};

use apmon_core::config::Position;
use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, StructureStyle};

/// The events of a text, and its nodes. Aliases are not followed.
#[derive(Default)]
pub(super) struct Outline<'a> {
    pub(super) events: Vec<Event<'a>>,
    nodes: Vec<Node>,
    /// The node of each anchor.
    anchors: HashMap<usize, usize>,
    root: Option<usize>,
}

/// One node of the text.
pub(super) struct Node {
    pub(super) at: Position,
    /// The bytes without tag and anchor. The end of a block collection is not exact.
    pub(super) bytes: Range<usize>,
    /// The index of the last event.
    pub(super) last_event: usize,
    /// The indentation, for a key in a block section.
    pub(super) indent: Option<usize>,
    pub(super) shape: Shape,
}

pub(super) enum Shape {
    Scalar {
        text: String,
        style: ScalarStyle,
        /// `~`, `null` or nothing, unquoted.
        is_null: bool,
    },
    Alias(usize),
    Sequence {
        items: Vec<usize>,
        flow: bool,
    },
    /// Pairs of keys and values.
    Mapping {
        entries: Vec<(usize, usize)>,
        flow: bool,
    },
}

impl<'a> Outline<'a> {
    /// Reads the nodes of `text`.
    pub(super) fn read(text: &'a str) -> Result<Self, ScanError> {
        let mut options = Options::default();
        // As the site file's reader does: JSON may have long keys.
        options.simple_key_max_lookahead = 64 * 1024;
        let mut outline = Self::default();
        let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event?;
            // Spans of borrowed text always have offsets.
            let byte = |offset: Option<usize>| offset.unwrap_or(text.len());
            let last_event = outline.events.len();
            let node = |shape| Node {
                at: Position {
                    line: span.start.line().max(1),
                    column: span.start.col() + 1,
                    ..Position::default()
                },
                bytes: byte(span.start.byte_offset())..byte(span.end.byte_offset()),
                last_event,
                indent: span.indent,
                shape,
            };
            let done = match &event {
                Event::Scalar(content, style, anchor, tag) => {
                    let is_plain = *style == ScalarStyle::Plain && tag.is_none();
                    let shape = Shape::Scalar {
                        text: content.to_string(),
                        style: *style,
                        is_null: is_plain && matches!(&**content, "" | "~" | "null" | "Null" | "NULL"),
                    };
                    Some(outline.add(node(shape), *anchor))
                }
                Event::Alias(anchor) => Some(outline.add(node(Shape::Alias(*anchor)), 0)),
                Event::SequenceStart(style, anchor, _) => {
                    let shape = Shape::Sequence {
                        items: Vec::new(),
                        flow: *style == StructureStyle::Flow,
                    };
                    open.push((outline.add(node(shape), *anchor), Vec::new()));
                    None
                }
                Event::MappingStart(style, anchor, _) => {
                    let shape = Shape::Mapping {
                        entries: Vec::new(),
                        flow: *style == StructureStyle::Flow,
                    };
                    open.push((outline.add(node(shape), *anchor), Vec::new()));
                    None
                }
                Event::SequenceEnd | Event::MappingEnd => open.pop().map(|(index, children)| {
                    let end = byte(span.end.byte_offset());
                    outline.nodes[index].close(children, end, last_event);
                    index
                }),
                _ => None,
            };
            outline.events.push(event);
            match (done, open.last_mut()) {
                (Some(index), Some((_, children))) => children.push(index),
                (Some(index), None) => outline.root = Some(index),
                (None, _) => {}
            }
        }
        Ok(outline)
    }

    fn add(&mut self, node: Node, anchor: usize) -> usize {
        let index = self.nodes.len();
        self.nodes.push(node);
        if anchor != 0 {
            self.anchors.insert(anchor, index);
        }
        index
    }

    pub(super) fn root(&self) -> Option<&Node> {
        self.root.map(|index| &self.nodes[index])
    }

    /// The node that `node` is an alias of, or `node` itself.
    pub(super) fn resolve<'s>(&'s self, node: &'s Node) -> &'s Node {
        match node.shape {
            // An alias never refers to another alias.
            Shape::Alias(anchor) => self
                .anchors
                .get(&anchor)
                .map_or(node, |index| &self.nodes[*index]),
            _ => node,
        }
    }

    /// The entries of a section as written, including `<<` but not what it merges.
    pub(super) fn entries<'s>(&'s self, node: &'s Node) -> impl Iterator<Item = (&'s Node, &'s Node)> + 's {
        let entries = match &node.shape {
            Shape::Mapping { entries, .. } => &entries[..],
            _ => &[],
        };
        entries
            .iter()
            .map(|(key, value)| (&self.nodes[*key], &self.nodes[*value]))
    }

    /// The items of a list.
    pub(super) fn items<'s>(&'s self, node: &'s Node) -> impl Iterator<Item = &'s Node> + 's {
        let items = match &node.shape {
            Shape::Sequence { items, .. } => &items[..],
            _ => &[],
        };
        items.iter().map(|item| &self.nodes[*item])
    }

    /// The text of a key.
    pub(super) fn key<'s>(&'s self, node: &'s Node) -> &'s str {
        match &self.resolve(node).shape {
            Shape::Scalar { text, .. } => text,
            _ => "",
        }
    }

    /// The key `monitors` and its value, unless they are merged by `<<`.
    pub(super) fn monitors(&self) -> Option<(&Node, &Node)> {
        self.entries(self.root()?)
            .find(|(key, _)| self.key(key) == "monitors")
    }
}

impl Node {
    fn close(&mut self, children: Vec<usize>, end: usize, last_event: usize) {
        self.bytes.end = end;
        self.last_event = last_event;
        match &mut self.shape {
            Shape::Sequence { items, .. } => *items = children,
            Shape::Mapping { entries, .. } => {
                *entries = children.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            }
            Shape::Scalar { .. } | Shape::Alias(_) => {}
        }
    }
}
