//! A serde deserializer of the tree: the type that reads a node decides what its
//! text means.

use std::{cell::RefCell, collections::HashSet, fmt, rc::Rc};

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, IntoDeserializer, Visitor},
    forward_to_deserialize_any,
};

use super::{
    one_or_many::ONE_OR_MANY,
    read_error::{ReadError, address},
    tree::{KeyValue, Node, Value},
    unknown::NO_VALUE,
};
use crate::{
    secret,
    text::{excerpt, nearest},
};

/// Nodes that are read as if they were absent, identified by their memory address, and the
/// secrets that were read.
#[derive(Default)]
pub(super) struct Pruned {
    nodes: HashSet<usize>,
    secrets: RefCell<Vec<Rc<str>>>,
}

impl Pruned {
    pub(super) fn insert(&mut self, node: &Node) {
        self.nodes.insert(address(node));
    }

    pub(super) fn insert_address(&mut self, address: usize) {
        self.nodes.insert(address);
    }

    /// Whether `node` is skipped because its error was reported already.
    pub(super) fn skips(&self, node: &Node) -> bool {
        matches!(node.value, Value::Wrong) || self.nodes.contains(&address(node))
    }

    /// Takes the secrets that were read: values of the type for them, and other texts that came
    /// from the environment.
    pub(super) fn take_secrets(&self) -> Vec<Rc<str>> {
        self.secrets.take()
    }

    fn skips_some(&self, entries: &[KeyValue]) -> bool {
        entries.iter().any(|entry| self.skips(&entry.value))
    }
}

/// A deserializer of a section's entries, as the fields of a struct.
pub(super) struct Fields<'a> {
    pub(super) entries: &'a [&'a KeyValue],
    pub(super) pruned: &'a Pruned,
}

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_map(Pairs {
            entries: self.entries.iter().copied(),
            next: None,
            pruned: self.pruned,
            use_of: None,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Pairs<'a, I> {
    entries: I,
    next: Option<&'a KeyValue>,
    pruned: &'a Pruned,
    /// What the mapping is used for; `None` if it is the section itself.
    use_of: Option<UseOf>,
}

impl<'a, 'de, I: Iterator<Item = &'a KeyValue>> de::MapAccess<'de> for Pairs<'a, I> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let pruned = self.pruned;
        self.next = self.entries.find(|entry| !pruned.skips(&entry.value));
        match self.next {
            None => Ok(None),
            Some(entry) => seed
                .deserialize((*entry.key).into_deserializer())
                .map(Some)
                .map_err(|error: ReadError| error.at(entry.at, &entry.value)),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let entry = self
            .next
            .take()
            .ok_or_else(|| ReadError::new("a value without its key"))?;
        seed.deserialize(NodeDeserializer {
            node: &entry.value,
            pruned: self.pruned,
            use_of: self.use_of.unwrap_or_else(|| UseOf::of(&entry.key)),
        })
        .map_err(|error| error.under(entry))
    }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Node>,
    pruned: &'a Pruned,
    use_of: UseOf,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let pruned = self.pruned;
        let Some(node) = self.items.find(|node| !pruned.skips(node)) else {
            return Ok(None);
        };
        seed.deserialize(NodeDeserializer {
            node,
            pruned,
            use_of: self.use_of,
        })
        .map(Some)
        .map_err(|error| error.at(node.at, node))
    }
}

/// What the value of a key is used for, as far as that decides whether it is secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UseOf {
    /// What people must see to understand a failure. It is no secret, wherever it comes from,
    /// unless it has the type of one.
    Label,
    /// A URL that is requested of somebody else, who is not the target.
    Elsewhere,
    /// Anything else: a secret if it has the type of one or comes from the environment.
    Content,
}

impl UseOf {
    fn of(key: &str) -> Self {
        match key {
            // Names, places and receivers.
            "name" | "type" | "then" | "address" | "email" | "from_address" | "smtp_host" | "program" => {
                Self::Label
            }
            // What an answer is compared with, and what is chosen from a device's answer. A failure
            // has to say what was expected and what came instead. Not the text of `expect`, which
            // may be a password or a token that a healthy answer contains.
            "expect_status"
            | "expect_rcode"
            | "success_statuses"
            | "ssl_fingerprint"
            | "heartbeat_ssl_fingerprint"
            | "port"
            | "mac"
            | "allow_macs"
            | "ignore_ports"
            | "ignore_disks" => Self::Label,
            // Words of a protocol (`ipv4`, `MX`, `text/plain`), which our own texts use as well.
            "address_family" | "resolver" | "record_type" | "content_type" | "expect_type" | "version"
            | "auth_protocol" | "priv_protocol" | "rrd_rows" | "starttls" | "transport" | "mac_changes"
            | "facility" | "preset" | "request_method" | "request_encoding" | "smtp_auth" | "priority"
            | "sound" | "tags" | "message_thread_id" => Self::Label,
            // Paths, which an error about the file begins with. What the file contains is secret.
            key if key.ends_with("_file") => Self::Label,
            "heartbeat_url" => Self::Elsewhere,
            _ => Self::Content,
        }
    }
}

/// A deserializer of one node.
struct NodeDeserializer<'a> {
    node: &'a Node,
    pruned: &'a Pruned,
    use_of: UseOf,
}

impl<'a> NodeDeserializer<'a> {
    fn scalar(&self, expected: &str) -> Result<&'a str, ReadError> {
        match &self.node.value {
            Value::Scalar(text) => Ok(text),
            other => Err(Self::other(other, expected)),
        }
    }

    fn other(value: &Value, expected: &str) -> ReadError {
        match value {
            Value::Null => ReadError::new(NO_VALUE),
            other => ReadError::new(format!("must be {expected}, found {}", other.what())),
        }
    }

    /// A scalar that is used as a text.
    fn text(&self, expected: &str) -> Result<&'a str, ReadError> {
        let text = self.scalar(expected)?;
        if self.node.variable.is_some() && self.use_of == UseOf::Content {
            self.note_secret(text);
        }
        Ok(text)
    }

    fn note_secret(&self, text: &str) {
        if self.use_of != UseOf::Elsewhere {
            self.pruned.secrets.borrow_mut().push(Rc::from(text));
        }
    }

    /// The text quoted for a message. The value of a variable is not shown, as it
    /// may be secret.
    fn quoted(&self, text: &str) -> String {
        match &self.node.variable {
            Some(name) => format!("the value of ${{{}}}", excerpt(name, 60)),
            None => format!("\"{}\"", excerpt(text, 40)),
        }
    }

    /// Parses a whole number; `range` describes the values that its type holds.
    fn whole<T: std::str::FromStr>(&self, range: &dyn fmt::Display) -> Result<T, ReadError> {
        let text = self.scalar("a whole number")?;
        text.parse().map_err(|_| {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let quoted = self.quoted(text);
            ReadError::new(match whole {
                true => format!("must be {range}, not {quoted}"),
                false => format!("must be a whole number, not {quoted}"),
            })
        })
    }

    fn pairs(&self, entries: &'a [KeyValue]) -> Pairs<'a, std::slice::Iter<'a, KeyValue>> {
        Pairs {
            entries: entries.iter(),
            next: None,
            pruned: self.pruned,
            use_of: Some(self.use_of),
        }
    }

    fn items(&self, items: &'a [Node]) -> Items<'a> {
        Items {
            items: items.iter(),
            pruned: self.pruned,
            use_of: self.use_of,
        }
    }
}

/// Parses the words for yes and no of APMonitor, ignoring case.
fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "ok" | "good" | "positive" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "bad" | "fail" | "negative" | "0" => Some(false),
        _ => None,
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ty),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            visitor.$visit(self.whole(&format_args!("{} to {}", <$type>::MIN, <$type>::MAX))?)
        }
    )*};
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Sequence(items) => visitor.visit_seq(self.items(items)),
            Value::Mapping(entries) => visitor.visit_map(self.pairs(entries)),
            _ => visitor.visit_str(self.text("a single value")?),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let text = self.scalar("yes or no")?;
        match yes_or_no(text) {
            Some(value) => visitor.visit_bool(value),
            None => Err(ReadError::new(format!(
                "must be yes or no, not {}",
                self.quoted(text)
            ))),
        }
    }

    whole_numbers! {
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
    }

    /// Used by types that check and report a range of their own.
    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_i128(self.whole(&"a number of at most 38 digits")?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let text = self.scalar("a number")?;
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => visitor.visit_f64(number),
            _ => Err(ReadError::new(format!(
                "must be a number, not {}",
                self.quoted(text)
            ))),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_str(self.text("text")?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name == secret::NAME
            && let Value::Scalar(text) = &self.node.value
        {
            self.note_secret(text);
        }
        if name == ONE_OR_MANY && !matches!(self.node.value, Value::Sequence(_)) {
            return visitor.visit_seq(self.items(std::slice::from_ref(self.node)));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Sequence(items) => visitor.visit_seq(self.items(items)),
            other => Err(Self::other(other, "a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Mapping(entries) => visitor.visit_map(self.pairs(entries)),
            other => Err(Self::other(other, "a section")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let Value::Mapping(entries) = &self.node.value else {
            return Err(Self::other(&self.node.value, "a section of options"));
        };
        visitor.visit_map(self.pairs(entries)).map_err(|error| ReadError {
            // A field may be missing because it was invalid.
            reported: error.reported || (error.missing && self.pruned.skips_some(entries)),
            missing: false,
            ..error
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let text = self.scalar(&variants.join(" or "))?;
        if variants.contains(&text) {
            return visitor.visit_enum(text.into_deserializer());
        }
        // Short words all resemble each other.
        let hint = nearest(text, variants.iter().copied())
            .filter(|word| word.len() > 3 || word.eq_ignore_ascii_case(text))
            .map(|word| format!("; did you mean {word}?"))
            .unwrap_or_default();
        Err(ReadError::new(format!(
            "must be {}, not {}{hint}",
            variants.join(" or "),
            self.quoted(text)
        )))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}
