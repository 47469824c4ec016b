//! Where everything of a site file's text stands, to the byte.

use std::{collections::HashMap, ops::Range};

use granit_parser::{Event, ScalarStyle, StructureStyle};

use crate::config::{
    position::Position,
    tree::{self, SyntaxError},
};

/// A text's events, and its nodes over them. Aliases are not followed.
#[derive(Default)]
pub(super) struct Outline<'a> {
    pub(super) events: Vec<Event<'a>>,
    pieces: Vec<Piece>,
    /// The piece of each anchor.
    anchors: HashMap<usize, usize>,
    root: Option<usize>,
}

/// One node of the text.
pub(super) struct Piece {
    pub(super) at: Position,
    /// Its bytes, without tag and anchor; of a block collection they end nowhere
    /// of interest.
    pub(super) bytes: Range<usize>,
    /// Its last event.
    pub(super) last: usize,
    /// How deep a key of a block section is indented.
    pub(super) indent: Option<usize>,
    pub(super) shape: Shape,
}

pub(super) enum Shape {
    Scalar {
        text: String,
        style: ScalarStyle,
    },
    Alias(usize),
    Sequence {
        items: Vec<usize>,
        flow: bool,
    },
    /// Keys and values.
    Mapping {
        entries: Vec<(usize, usize)>,
        flow: bool,
    },
}

impl<'a> Outline<'a> {
    /// Takes stock of `text`.
    pub(super) fn of(text: &'a str) -> Result<Self, SyntaxError> {
        let mut outline = Self::default();
        let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
        for event in tree::events(text) {
            let (event, span) = event?;
            // Offsets are there for every span of borrowed text; the end of the
            // text is a place where nothing is found.
            let byte = |offset: Option<usize>| offset.unwrap_or(text.len());
            let last = outline.events.len();
            let piece = |shape| Piece {
                at: tree::position(&span.start),
                bytes: byte(span.start.byte_offset())..byte(span.end.byte_offset()),
                last,
                indent: span.indent,
                shape,
            };
            let done = match &event {
                Event::Scalar(content, style, anchor, _) => {
                    let shape = Shape::Scalar {
                        text: content.to_string(),
                        style: *style,
                    };
                    Some(outline.add(piece(shape), *anchor))
                }
                Event::Alias(anchor) => Some(outline.add(piece(Shape::Alias(*anchor)), 0)),
                Event::SequenceStart(style, anchor, _) => {
                    let shape = Shape::Sequence {
                        items: Vec::new(),
                        flow: *style == StructureStyle::Flow,
                    };
                    open.push((outline.add(piece(shape), *anchor), Vec::new()));
                    None
                }
                Event::MappingStart(style, anchor, _) => {
                    let shape = Shape::Mapping {
                        entries: Vec::new(),
                        flow: *style == StructureStyle::Flow,
                    };
                    open.push((outline.add(piece(shape), *anchor), Vec::new()));
                    None
                }
                Event::SequenceEnd | Event::MappingEnd => open.pop().map(|(index, children)| {
                    let end = byte(span.end.byte_offset());
                    outline.pieces[index].close(children, end, last);
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

    fn add(&mut self, piece: Piece, anchor: usize) -> usize {
        let index = self.pieces.len();
        self.pieces.push(piece);
        if anchor != 0 {
            self.anchors.insert(anchor, index);
        }
        index
    }

    /// What `piece` is an alias of, or itself.
    pub(super) fn meant<'s>(&'s self, piece: &'s Piece) -> &'s Piece {
        match piece.shape {
            // An alias is never that of an alias.
            Shape::Alias(anchor) => self
                .anchors
                .get(&anchor)
                .map_or(piece, |index| &self.pieces[*index]),
            _ => piece,
        }
    }

    /// The keys of a section with their values, those of `<<` not looked for.
    pub(super) fn entries<'s>(
        &'s self,
        piece: &'s Piece,
    ) -> impl Iterator<Item = (&'s Piece, &'s Piece)> + 's {
        let entries = match &piece.shape {
            Shape::Mapping { entries, .. } => &entries[..],
            _ => &[],
        };
        entries
            .iter()
            .map(|(key, value)| (&self.pieces[*key], &self.pieces[*value]))
    }

    /// The text of a key.
    pub(super) fn word<'s>(&'s self, key: &'s Piece) -> &'s str {
        match &self.meant(key).shape {
            Shape::Scalar { text, .. } => text,
            _ => "",
        }
    }

    /// The `index`th monitor, as far as the list itself stands in the file.
    pub(super) fn monitor(&self, index: usize) -> Option<&Piece> {
        let root = &self.pieces[self.root?];
        let (_, list) = self.entries(root).find(|(key, _)| self.word(key) == "monitors")?;
        match &self.meant(list).shape {
            Shape::Sequence { items, .. } => items.get(index).map(|item| &self.pieces[*item]),
            _ => None,
        }
    }
}

impl Piece {
    fn close(&mut self, children: Vec<usize>, end: usize, last: usize) {
        self.bytes.end = end;
        self.last = last;
        match &mut self.shape {
            Shape::Sequence { items, .. } => *items = children,
            Shape::Mapping { entries, .. } => {
                *entries = children.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            }
            Shape::Scalar { .. } | Shape::Alias(_) => {}
        }
    }
}
