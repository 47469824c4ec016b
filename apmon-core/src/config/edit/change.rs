//! One change of a text: which bytes go, what comes there, and what must have
//! become of the events.

use std::{borrow::Cow, ops::Range};

use granit_parser::{Event, ScalarStyle};

use super::outline::{Outline, Piece, Shape};
use crate::text::printable;

const BREAKS: [char; 2] = ['\r', '\n'];
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// What is to be set.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) key: &'a str,
    /// As it stands in the file, unquoted.
    pub(super) value: &'a str,
}

pub(super) struct Change {
    bytes: Range<usize>,
    new: String,
    effect: Effect,
}

/// What becomes of the events.
enum Effect {
    /// This one is another scalar.
    Replaced(usize),
    /// A key and its value come behind this one.
    Added(usize),
}

impl Change {
    /// Another value for the key that is there. `None` where its bytes cannot
    /// be told.
    pub(super) fn replace(text: &str, key: &Piece, old: &Piece, wanted: Wanted<'_>) -> Option<Self> {
        let value = quoted(wanted.value);
        let (bytes, new) = match &old.shape {
            Shape::Scalar {
                style: ScalarStyle::Literal | ScalarStyle::Folded,
                ..
            } => {
                let header = block_header(text, key.bytes.end..old.bytes.start)?;
                let end = block_end(text, &header, old);
                // A comment may stand behind the `|`.
                let rest = &text[header.end..line_end(text, header.end)];
                (header.start..end, value + rest)
            }
            Shape::Scalar { .. } if old.bytes.is_empty() => return None,
            Shape::Scalar { .. } | Shape::Alias(_) => (old.bytes.clone(), value),
            Shape::Sequence { .. } | Shape::Mapping { .. } => return None,
        };
        Some(Self {
            bytes,
            new,
            effect: Effect::Replaced(old.last),
        })
    }

    /// A new key behind another one and its value.
    pub(super) fn add(text: &str, key: &Piece, value: &Piece, wanted: Wanted<'_>) -> Option<Self> {
        let like_json = matches!(
            key.shape,
            Shape::Scalar {
                style: ScalarStyle::DoubleQuoted,
                ..
            }
        );
        let word = match like_json || !is_plain_word(wanted.key) {
            true => Cow::Owned(quoted(wanted.key)),
            false => Cow::Borrowed(wanted.key),
        };
        let pair = format!("{word}: {}", quoted(wanted.value));
        let end = match &value.shape {
            Shape::Scalar {
                style: ScalarStyle::Literal | ScalarStyle::Folded,
                ..
            } => {
                let header = block_header(text, key.bytes.end..value.bytes.start)?;
                block_end(text, &header, value)
            }
            Shape::Sequence { flow: false, .. } | Shape::Mapping { flow: false, .. } => return None,
            _ => value.bytes.end,
        };
        let (place, new) = match key.indent {
            None => (end, format!(", {pair}")),
            Some(indent) => {
                let place = line_end(text, end);
                let line_break = line_break(text, place);
                (place, format!("{line_break}{:indent$}{pair}", ""))
            }
        };
        Some(Self {
            bytes: place..place,
            new,
            effect: Effect::Added(value.last),
        })
    }

    /// The text with the change made.
    pub(super) fn make(&self, text: &str) -> String {
        let mut new = String::with_capacity(text.len() + self.new.len());
        new.push_str(&text[..self.bytes.start]);
        new.push_str(&self.new);
        new.push_str(&text[self.bytes.end..]);
        new
    }

    /// Whether of all that is in the text this change made the wanted one and
    /// no other.
    pub(super) fn is_all(&self, old: &Outline<'_>, new: &Outline<'_>, wanted: Wanted<'_>) -> bool {
        let (old, new) = (&old.events[..], &new.events[..]);
        let (same, gone, came) = match self.effect {
            Effect::Replaced(event) => (event, 1, 1),
            Effect::Added(event) => (event + 1, 0, 2),
        };
        if new.len() + gone != old.len() + came || old.len() < same + gone {
            return false;
        }
        if old[..same] != new[..same] || old[same + gone..] != new[same + came..] {
            return false;
        }
        match (&old[same..same + gone], &new[same..same + came]) {
            (
                [Event::Scalar(_, _, old_anchor, old_tag)],
                [Event::Scalar(value, ScalarStyle::DoubleQuoted, anchor, tag)],
            ) => value == wanted.value && anchor == old_anchor && tag == old_tag,
            ([Event::Alias(_)], [Event::Scalar(value, ScalarStyle::DoubleQuoted, 0, None)]) => {
                value == wanted.value
            }
            (
                [],
                [
                    Event::Scalar(key, _, 0, None),
                    Event::Scalar(value, ScalarStyle::DoubleQuoted, 0, None),
                ],
            ) => key == wanted.key && value == wanted.value,
            _ => false,
        }
    }
}

/// `text` as a double-quoted scalar of YAML, which is also a string of JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            _ => match printable(c.encode_utf8(&mut [0; 4])) {
                // None of them needs more than four digits.
                Cow::Owned(_) => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
                Cow::Borrowed(_) => quoted.push(c),
            },
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a key can do without quotes, whatever reads the file.
fn is_plain_word(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !matches!(
            key,
            "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
        )
}

/// The `|2-` of a block scalar: the first word behind its key that is neither
/// comment, tag nor anchor.
fn block_header(text: &str, within: Range<usize>) -> Option<Range<usize>> {
    let mut at = within.start + text.get(within.clone())?.find(':')? + 1;
    loop {
        let rest = &text[at..within.end];
        let word = rest.trim_start_matches(SPACES);
        at += rest.len() - word.len();
        at = match word.chars().next()? {
            '|' | '>' => {
                let length = word.find(SPACES).unwrap_or(word.len());
                return Some(at..at + length);
            }
            '#' => line_end(text, at),
            '&' | '!' => at + word.find(SPACES)?,
            _ => return None,
        };
    }
}

/// The end of a block scalar's last line that is not blank.
fn block_end(text: &str, header: &Range<usize>, scalar: &Piece) -> usize {
    let content = text[scalar.bytes.clone()].trim_end_matches(SPACES);
    match content.is_empty() {
        true => line_end(text, header.end),
        false => line_end(text, scalar.bytes.start + content.len()),
    }
}

fn line_end(text: &str, from: usize) -> usize {
    text[from..]
        .find(BREAKS)
        .map_or(text.len(), |length| from + length)
}

/// The line break at `place`, or on the last line that of the line before.
fn line_break(text: &str, place: usize) -> &'static str {
    let at = match text[place..].is_empty() {
        false => place,
        true => match text.trim_end_matches(|c| !BREAKS.contains(&c)) {
            line if line.ends_with("\r\n") => line.len() - 2,
            line => line.len().saturating_sub(1),
        },
    };
    match text.as_bytes()[at..] {
        [b'\r', b'\n', ..] => "\r\n",
        [b'\r', ..] => "\r",
        _ => "\n",
    }
}
