//! One change of a text: the bytes that it replaces, and the effect that it must have
//! on the events.

use std::{borrow::Cow, ops::Range};

use apmon_core::text::printable;
use granit_parser::{Event, ScalarStyle};

use super::outline::{Node, Outline, Shape};

const BREAKS: [char; 2] = ['\r', '\n'];
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// The option to set.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) key: &'a str,
    /// The value as the file spells it, unquoted.
    pub(super) value: &'a str,
}

pub(super) struct Change {
    bytes: Range<usize>,
    new: String,
    effect: Effect,
}

/// The effect on the events.
enum Effect {
    /// The event with this index becomes another scalar.
    Replaced(usize),
    /// A key and its value follow the event with this index.
    Added(usize),
}

impl Change {
    /// Replaces the value of a key. `None` if the bytes of the value are not known.
    pub(super) fn replace(text: &str, key: &Node, old: &Node, setting: Setting<'_>) -> Option<Self> {
        let value = quoted(setting.value);
        let (bytes, new) = match &old.shape {
            Shape::Scalar {
                style: ScalarStyle::Literal | ScalarStyle::Folded,
                ..
            } => {
                let header = block_header(text, key.bytes.end..old.bytes.start)?;
                let end = block_end(text, &header, old);
                // A comment may follow the `|`.
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
            effect: Effect::Replaced(old.last_event),
        })
    }

    /// Adds a key after another one and its value.
    pub(super) fn add(text: &str, key: &Node, value: &Node, setting: Setting<'_>) -> Option<Self> {
        let like_json = matches!(
            key.shape,
            Shape::Scalar {
                style: ScalarStyle::DoubleQuoted,
                ..
            }
        );
        let word = match like_json || !is_plain_word(setting.key) {
            true => Cow::Owned(quoted(setting.key)),
            false => Cow::Borrowed(setting.key),
        };
        let pair = format!("{word}: {}", quoted(setting.value));
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
        let (at, new) = match key.indent {
            None => (end, format!(", {pair}")),
            Some(indent) => {
                let at = line_end(text, end);
                let line_break = line_break(text, at);
                (at, format!("{line_break}{:indent$}{pair}", ""))
            }
        };
        Some(Self {
            bytes: at..at,
            new,
            effect: Effect::Added(value.last_event),
        })
    }

    /// Returns the text with the change made.
    pub(super) fn make(&self, text: &str) -> String {
        let mut new = String::with_capacity(text.len() + self.new.len());
        new.push_str(&text[..self.bytes.start]);
        new.push_str(&self.new);
        new.push_str(&text[self.bytes.end..]);
        new
    }

    /// Whether `new` differs from `old` by the intended effect and nothing else.
    pub(super) fn is_all(&self, old: &Outline<'_>, new: &Outline<'_>, setting: Setting<'_>) -> bool {
        let (old, new) = (&old.events[..], &new.events[..]);
        let (same, removed, added) = match self.effect {
            Effect::Replaced(event) => (event, 1, 1),
            Effect::Added(event) => (event + 1, 0, 2),
        };
        if new.len() + removed != old.len() + added || old.len() < same + removed {
            return false;
        }
        if old[..same] != new[..same] || old[same + removed..] != new[same + added..] {
            return false;
        }
        match (&old[same..same + removed], &new[same..same + added]) {
            (
                [Event::Scalar(_, _, old_anchor, old_tag)],
                [Event::Scalar(value, ScalarStyle::DoubleQuoted, anchor, tag)],
            ) => value == setting.value && anchor == old_anchor && tag == old_tag,
            ([Event::Alias(_)], [Event::Scalar(value, ScalarStyle::DoubleQuoted, 0, None)]) => {
                value == setting.value
            }
            (
                [],
                [
                    Event::Scalar(key, _, 0, None),
                    Event::Scalar(value, ScalarStyle::DoubleQuoted, 0, None),
                ],
            ) => key == setting.key && value == setting.value,
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
                // Beyond four digits YAML and JSON have no escape in common.
                Cow::Owned(_) if u32::from(c) <= 0xffff => {
                    quoted.push_str(&format!("\\u{:04x}", u32::from(c)))
                }
                _ => quoted.push(c),
            },
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a key needs no quotes in any YAML parser.
fn is_plain_word(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !matches!(
            key,
            "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
        )
}

/// The header of a block scalar, such as `|2-`: the first word after its key that is
/// neither comment, tag nor anchor.
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

/// The end of the last line of a block scalar that is not blank.
fn block_end(text: &str, header: &Range<usize>, scalar: &Node) -> usize {
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

/// The line break at `at`, or, on the last line, that of the line before.
fn line_break(text: &str, at: usize) -> &'static str {
    let at = match text[at..].is_empty() {
        false => at,
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
