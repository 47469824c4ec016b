//! One option of one monitor, set in a site file's text. Everything else stays
//! as it was, byte for byte: the file is a person's, with comments and an order
//! of its own.
//!
//! The change is made in the text and believed only after reading it again.

mod change;
mod file;
mod outline;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use self::{
    change::{Change, Wanted},
    outline::{Outline, Piece, Shape},
};
use super::{
    diagnostic::ConfigError,
    file::{SiteFile, Tables},
    position::{FileId, Position},
    source::{Environment, MAX_FILE_BYTES},
    tree::{self, Entry, Node, SyntaxError, Value},
};
use crate::text::{excerpt, nearest, printable};

pub use file::{WriteError, write_file};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Why an option was not set. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The file is wrong already.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// It has no such monitor.
    #[error("{place}: no monitor is called \"{}\"{}", excerpt(.monitor, 80), hint(.near.as_deref()))]
    NoMonitor {
        /// The list of monitors.
        place: Place,
        /// The name that was looked for.
        monitor: String,
        /// The name that was perhaps meant.
        near: Option<String>,
    },
    /// What stands there is more than one value.
    #[error("{place}: monitor \"{}\": \"{}\" is {what} here; change it by hand", excerpt(.monitor, 80), excerpt(.key, 60))]
    NotSingle {
        /// The value.
        place: Place,
        /// Whose it is.
        monitor: String,
        /// The option.
        key: String,
        /// What it is.
        what: &'static str,
    },
    /// The monitor has no section of its own.
    #[error(
        "{place}: monitor \"{}\" is an alias of line {line}; change it there by hand, or write a section with \"<<\" here",
        excerpt(.monitor, 80)
    )]
    Alias {
        /// The alias.
        place: Place,
        /// Whose it is.
        monitor: String,
        /// Where its section was written.
        line: usize,
    },
    /// Others take in what would be changed.
    #[error(
        "{place}: monitor \"{}\": \"{}\" would be set through an anchor for {others} as well; change it by hand",
        excerpt(.monitor, 80), excerpt(.key, 60)
    )]
    Shared {
        /// The value, or the monitor where it has none.
        place: Place,
        /// Whose it is.
        monitor: String,
        /// The option.
        key: String,
        /// For whom else (`monitor "b" and 2 more`).
        others: String,
    },
    /// The file would be wrong with this value.
    #[error("{place}: {errors}")]
    Wrong {
        /// The value, or the monitor where it has none.
        place: Place,
        /// What would be wrong.
        errors: String,
    },
    /// No change is sure to do this and nothing else.
    #[error(
        "{place}: monitor \"{}\": \"{}\" could not be changed safely: {reason}; change it by hand",
        excerpt(.monitor, 80), excerpt(.key, 60)
    )]
    Unsafe {
        /// The value, or the monitor where it has none.
        place: Place,
        /// Whose it is.
        monitor: String,
        /// The option.
        key: String,
        /// What stands in the way.
        reason: &'static str,
    },
}

fn hint(near: Option<&str>) -> String {
    near.map_or_else(String::new, |name| {
        format!("; did you mean \"{}\"?", excerpt(name, 80))
    })
}

/// A place in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Which file.
    pub path: PathBuf,
    /// Where in it.
    pub at: Position,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display().to_string();
        write!(f, "{}:{}:{}", printable(&path), self.at.line, self.at.column)
    }
}

/// A site file's text with the option `key` of `monitor` set to `value`, and
/// nothing else changed. `text` is the whole of the file, byte order mark and
/// all; `path` is for messages, and for the files that it names.
///
/// The value is written in double quotes: in place of the one that stands
/// there (also of a `${NAME}` or an alias), else behind the monitor's address.
/// What comes through `<<` stays, the monitor's own key wins.
///
/// # Errors
/// The file is wrong, or would be; or there is no such monitor; or the change
/// would reach further than this option of this monitor; see [`EditError`].
pub fn set_option(
    path: &Path,
    text: &str,
    monitor: &str,
    key: &str,
    value: &str,
    tables: &Tables<'_>,
    environment: &dyn Environment,
) -> Result<String, EditError> {
    let (mark, text) = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => (&text[..BYTE_ORDER_MARK.len_utf8()], rest),
        None => ("", text),
    };
    let read = |text: &str| Reading::of(path, text, tables, environment);
    let old = read(text)?;
    let index = old.find(monitor)?;
    let edit = Edit {
        path,
        monitor,
        key,
        value,
        index,
    };
    let new = edit.make(text, &old, read)?;
    let new = format!("{mark}{new}");
    match new.len() as u64 > MAX_FILE_BYTES {
        true => Err(edit.unsafe_at(old.file.monitors[index].at, "the file would be too large")),
        false => Ok(new),
    }
}

/// A text, read in both ways: what it means and what it says.
struct Reading {
    file: SiteFile,
    root: Node,
}

impl Reading {
    fn of(
        path: &Path,
        text: &str,
        tables: &Tables<'_>,
        environment: &dyn Environment,
    ) -> Result<Self, ConfigError> {
        let file = tables.parse(path, text, environment)?;
        let root = tree::read(text, FileId::of(path), environment)
            .map_err(|error| syntax(path, error))?
            .root;
        Ok(Self { file, root })
    }

    /// Which of the monitors is called so.
    fn find(&self, monitor: &str) -> Result<usize, EditError> {
        let names = || self.file.monitors.iter().map(|entry| entry.name.as_str());
        names()
            .position(|name| name == monitor)
            .ok_or_else(|| EditError::NoMonitor {
                place: Place {
                    path: self.file.path.clone(),
                    at: self.entry("monitors").map_or(self.root.at, |list| list.at),
                },
                monitor: monitor.to_owned(),
                near: nearest(monitor, names()).map(str::to_owned),
            })
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        entries(&self.root).iter().find(|entry| &*entry.key == key)
    }

    fn section(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The monitors; a file that was read without a mistake has an entry for
    /// each.
    fn monitors(&self) -> &[Node] {
        match self.section("monitors").map(|list| &list.value) {
            Some(Value::Sequence(items)) => items,
            _ => &[],
        }
    }
}

fn entries(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Mapping(entries) => entries,
        _ => &[],
    }
}

fn syntax(path: &Path, error: SyntaxError) -> ConfigError {
    ConfigError::Syntax {
        at: Position {
            file: FileId::of(path),
            ..error.at
        },
        reason: error.reason,
    }
}

struct Edit<'a> {
    path: &'a Path,
    monitor: &'a str,
    key: &'a str,
    value: &'a str,
    /// Which of the monitors it is.
    index: usize,
}

impl Edit<'_> {
    fn make(
        &self,
        text: &str,
        old: &Reading,
        read: impl Fn(&str) -> Result<Reading, ConfigError>,
    ) -> Result<String, EditError> {
        let outline = Outline::of(text).map_err(|error| syntax(self.path, error))?;
        let at = old.file.monitors[self.index].at;
        let Some(monitor) = outline.monitor(self.index) else {
            return Err(self.unsafe_at(at, "the list of monitors comes through \"<<\""));
        };
        if let Shape::Alias(_) = monitor.shape {
            return Err(EditError::Alias {
                place: self.place(monitor.at),
                monitor: self.monitor.to_owned(),
                line: outline.meant(monitor).at.line,
            });
        }
        let own = outline
            .entries(monitor)
            .find(|(key, _)| outline.word(key) == self.key);
        let at = own.map_or(monitor.at, |(_, value)| value.at);
        let Some(written) = tree::literal(self.value) else {
            return Err(self.unsafe_at(at, "no text of a site file is read as one that begins with $${"));
        };
        let wanted = Wanted {
            key: self.key,
            value: &written,
        };
        for change in self.changes(text, &outline, monitor, own, wanted)? {
            let new = change.make(text);
            let Ok(after) = Outline::of(&new) else { continue };
            if change.is_all(&outline, &after, wanted) {
                let meaning = read(&new).map_err(|error| self.wrong(at, error))?;
                self.check(at, old, &meaning)?;
                return Ok(new);
            }
        }
        Err(self.unsafe_at(at, "it is written in an unusual way"))
    }

    /// What could be done, the best first.
    fn changes(
        &self,
        text: &str,
        outline: &Outline<'_>,
        monitor: &Piece,
        own: Option<(&Piece, &Piece)>,
        wanted: Wanted<'_>,
    ) -> Result<Vec<Change>, EditError> {
        let Some((key, value)) = own else {
            // An address may have come through `<<`.
            let behind = ["address", "name", "type"].into_iter().filter_map(|word| {
                outline
                    .entries(monitor)
                    .find(|(key, _)| outline.word(key) == word)
            });
            return Ok(behind
                .chain(outline.entries(monitor))
                .filter_map(|(key, value)| Change::add(text, key, value, wanted))
                .take(8) // each costs a reading
                .collect());
        };
        let what = match outline.meant(value).shape {
            Shape::Sequence { .. } => "a list",
            Shape::Mapping { .. } => "a section",
            Shape::Scalar { .. } | Shape::Alias(_) => {
                return Ok(Change::replace(text, key, value, wanted).into_iter().collect());
            }
        };
        Err(EditError::NotSingle {
            place: self.place(value.at),
            monitor: self.monitor.to_owned(),
            key: self.key.to_owned(),
            what,
        })
    }

    /// Whether this option of this monitor is all that reads otherwise. What
    /// does although its text is the same does so through an anchor.
    fn check(&self, at: Position, old: &Reading, new: &Reading) -> Result<(), EditError> {
        let mut others = Vec::new();
        let site = (old.section("site"), new.section("site"));
        if !matches!(site, (Some(old), Some(new)) if same(old, new)) {
            others.push("the section site".to_owned());
        }
        let (before, after) = (old.monitors(), new.monitors());
        let counts = [
            before.len(),
            after.len(),
            old.file.monitors.len(),
            new.file.monitors.len(),
        ];
        if counts.iter().any(|count| *count != counts[0]) {
            return Err(self.unsafe_at(at, "the number of monitors would change"));
        }
        for (index, (before, after)) in before.iter().zip(after).enumerate() {
            let (was, is) = (&old.file.monitors[index], &new.file.monitors[index]);
            if index == self.index {
                others.extend(self.other_options(before, after));
            } else if !same(before, after) {
                others.push(format!("monitor \"{}\"", excerpt(&was.name, 80)));
            } else if (&was.name, &was.checksum) != (&is.name, &is.checksum) {
                // What it depends on outside the text was changed meanwhile.
                return Err(self.unsafe_at(at, "other monitors read otherwise now"));
            }
        }
        if let [first, more @ ..] = &others[..] {
            let others = match more.len() {
                0 => first.clone(),
                n => format!("{first} and {n} more"),
            };
            return Err(EditError::Shared {
                place: self.place(at),
                monitor: self.monitor.to_owned(),
                key: self.key.to_owned(),
                others,
            });
        }
        let mut set = entries(&new.monitors()[self.index]).iter();
        match set
            .find(|entry| &*entry.key == self.key)
            .map(|entry| &entry.value)
        {
            Some(Node {
                value: Value::Scalar(text),
                variable: None,
                ..
            }) if **text == *self.value => Ok(()),
            _ => Err(self.unsafe_at(at, "it would be read as another value")),
        }
    }

    /// The monitor's other options that read otherwise.
    fn other_options(&self, before: &Node, after: &Node) -> Vec<String> {
        let others = |node| entries(node).iter().filter(|entry| &*entry.key != self.key);
        let mut changed: Vec<_> = others(before)
            .zip(others(after))
            .filter(|(before, after)| before.key != after.key || !same(&before.value, &after.value))
            .map(|(before, _)| format!("its \"{}\"", excerpt(&before.key, 60)))
            .collect();
        if others(before).count() != others(after).count() {
            changed.push("its other options".to_owned());
        }
        changed
    }

    fn place(&self, at: Position) -> Place {
        Place {
            path: self.path.to_owned(),
            at,
        }
    }

    fn unsafe_at(&self, at: Position, reason: &'static str) -> EditError {
        EditError::Unsafe {
            place: self.place(at),
            monitor: self.monitor.to_owned(),
            key: self.key.to_owned(),
            reason,
        }
    }

    /// The mistakes without their places: those are of a text that is not kept.
    fn wrong(&self, at: Position, error: ConfigError) -> EditError {
        match error {
            ConfigError::Invalid { errors, .. } => EditError::Wrong {
                place: self.place(at),
                errors: errors
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; "),
            },
            // Too many values: the text itself was found good.
            _ => self.unsafe_at(at, "the file could not be read again"),
        }
    }
}

/// Whether two nodes say the same, wherever they stand.
fn same(a: &Node, b: &Node) -> bool {
    let mut pairs = vec![(a, b)];
    while let Some((a, b)) = pairs.pop() {
        if a.variable != b.variable {
            return false;
        }
        let alike = match (&a.value, &b.value) {
            (Value::Null, Value::Null) | (Value::Wrong, Value::Wrong) => true,
            (Value::Scalar(a), Value::Scalar(b)) => a == b,
            (Value::Sequence(a), Value::Sequence(b)) => {
                pairs.extend(a.iter().zip(b.iter()));
                a.len() == b.len()
            }
            (Value::Mapping(a), Value::Mapping(b)) => {
                pairs.extend(a.iter().zip(b.iter()).map(|(a, b)| (&a.value, &b.value)));
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.key == b.key)
            }
            _ => false,
        };
        if !alike {
            return false;
        }
    }
    true
}
