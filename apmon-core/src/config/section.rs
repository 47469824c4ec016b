//! One section of the tree, read into an options struct.
//!
//! The struct's types decide how a text is read. A mistake is noted, its key
//! left out, and the section read again, so that all mistakes come together.

use std::{collections::HashSet, fmt, rc::Rc};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor},
    forward_to_deserialize_any,
};
use url::Url;

use super::{
    address,
    field::fields_of,
    mistake::{Mistake, Position},
    tree::{Entry, Node, Value},
};
use crate::text::{excerpt, nearest, without_userinfo};

/// A section of the site file while it is read: its keys, and what is wrong
/// with them.
pub struct Section<'a> {
    pub(super) within: String,
    pub(super) at: Position,
    entries: Rc<[Entry]>,
    read: HashSet<&'static str>,
    wrong: HashSet<Rc<str>>,
    mistakes: &'a mut Vec<Mistake>,
    warnings: Vec<Mistake>,
    address: String,
}

impl<'a> Section<'a> {
    /// The section at `node`, or a mistake where it is none.
    pub(super) fn open(
        node: &Node,
        within: impl Into<String>,
        mistakes: &'a mut Vec<Mistake>,
    ) -> Option<Self> {
        let within = within.into();
        let Value::Mapping(entries) = &node.value else {
            if !matches!(node.value, Value::Wrong) {
                mistakes.push(Mistake {
                    at: node.at,
                    within,
                    text: format!("must be a section of options, this is {}", node.value.what()),
                });
            }
            return None;
        };
        Some(Self {
            within,
            at: node.at,
            entries: Rc::clone(entries),
            read: HashSet::new(),
            wrong: HashSet::new(),
            mistakes,
            warnings: Vec::new(),
            address: String::new(),
        })
    }

    /// Reads the keys that are fields of `T`. Wrong ones are noted and read as
    /// if they were not there. `None` only where `T` cannot do without one.
    pub fn read<T: DeserializeOwned>(&mut self) -> Option<T> {
        let fields = fields_of::<T>();
        self.read.extend(fields);
        let all = Rc::clone(&self.entries);
        loop {
            let entries: Vec<&Entry> = all
                .iter()
                .filter(|entry| fields.contains(&&*entry.key) && !self.wrong.contains(&entry.key))
                .filter(|entry| !matches!(entry.value.value, Value::Wrong))
                .collect();
            match T::deserialize(Fields { entries: &entries }) {
                Ok(options) => return Some(options),
                Err(ReadError {
                    key: Some(key),
                    at,
                    text,
                }) => {
                    let at = at.unwrap_or(self.at);
                    self.wrong.insert(Rc::clone(&key));
                    self.push(at, format!("\"{key}\" {text}"));
                }
                Err(ReadError { key: None, text, .. }) => {
                    // Only a struct that demands a field gets here; such a
                    // field may be missing because it was wrong.
                    if self.wrong.is_empty() {
                        self.push(self.at, text);
                    }
                    return None;
                }
            }
        }
    }

    fn push(&mut self, at: Position, text: String) {
        self.mistakes.push(Mistake {
            at,
            within: self.within.clone(),
            text,
        });
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| &*entry.key == key)
    }

    /// Whether the key is given, rightly or wrongly.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// The list or section under a key that is read by hand.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node> {
        self.read.insert(key);
        self.entry(key).map(|entry| entry.value.clone())
    }

    /// Notes that the value of `key` is wrong; `text` follows `"key" `. Where
    /// the key is not given, the section's own place is named.
    pub fn mistake(&mut self, key: &str, text: impl fmt::Display) {
        let at = self.entry(key).map_or(self.at, |entry| entry.value.at);
        self.wrong.insert(Rc::from(key));
        self.push(at, format!("\"{key}\" {text}"));
    }

    /// Notes that `key` must not stand here.
    pub fn misplaced(&mut self, key: &str, text: impl fmt::Display) {
        let at = self.entry(key).map_or(self.at, |entry| entry.at);
        self.push(at, format!("\"{key}\" {text}"));
    }

    /// Notes what is questionable but allowed.
    pub fn warn(&mut self, key: &str, text: impl fmt::Display) {
        let at = self.entry(key).map_or(self.at, |entry| entry.value.at);
        self.warnings.push(Mistake {
            at,
            within: self.within.clone(),
            text: format!("\"{key}\" {text}"),
        });
    }

    /// `value`, or a mistake saying that `key` is missing (unless it is there
    /// and was wrong).
    pub fn require<T>(&mut self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.has(key) {
            self.push(self.at, format!("\"{key}\" is missing"));
        }
        value
    }

    /// The monitor's address as it was written.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn set_address(&mut self, address: String) {
        self.address = address;
    }

    /// The monitor's address as a URL with one of `schemes` and a host.
    pub fn address_url(&mut self, schemes: &[&str]) -> Option<Url> {
        if self.address.is_empty() {
            return None; // complained of already
        }
        match address::parse_url(&self.address, schemes) {
            Ok(url) => Some(url),
            Err(text) => {
                let shown = excerpt(&without_userinfo(&self.address), 80);
                self.mistake("address", format!("{text} (here: {shown})"));
                None
            }
        }
    }

    /// A URL under `key`, checked; it is not repeated in the message, for it
    /// may hold a token.
    pub(super) fn check_url(&mut self, key: &str, text: &str, schemes: &[&str]) -> bool {
        match address::parse_url(text, schemes) {
            Ok(_) => true,
            Err(text) => {
                self.mistake(key, text);
                false
            }
        }
    }

    /// The warnings, where too little is known to call other keys unknown.
    pub(super) fn finish_partly(self) -> Vec<Mistake> {
        self.warnings
    }

    /// Every key that nobody read is unknown. `elsewhere` knows where it would
    /// be right.
    pub(super) fn finish(mut self, elsewhere: impl Fn(&str) -> Option<String>) -> Vec<Mistake> {
        let entries = Rc::clone(&self.entries);
        for entry in entries.iter() {
            if self.read.contains(&*entry.key) {
                continue;
            }
            let known = self.read.iter().copied();
            let text = match (elsewhere(&entry.key), nearest(&entry.key, known)) {
                (Some(text), _) => format!("\"{}\" {text}", entry.key),
                (None, Some(word)) => format!("unknown option \"{}\"; did you mean \"{word}\"?", entry.key),
                (None, None) => format!("unknown option \"{}\"", entry.key),
            };
            self.push(entry.at, text);
        }
        self.warnings
    }
}

/// What serde reports: text to follow the key, and where.
#[derive(Debug)]
struct ReadError {
    key: Option<Rc<str>>,
    at: Option<Position>,
    text: String,
}

impl ReadError {
    fn new(text: impl Into<String>) -> Self {
        Self {
            key: None,
            at: None,
            text: text.into(),
        }
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

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let hint = nearest(variant, expected.iter().copied())
            .map(|word| format!("; did you mean {word}?"))
            .unwrap_or_default();
        Self::new(format!(
            "must be {}, not \"{}\"{hint}",
            expected.join(" or "),
            excerpt(variant, 40)
        ))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("\"{field}\" is missing"))
    }
}

/// The chosen entries of a section, as a struct.
struct Fields<'a> {
    entries: &'a [&'a Entry],
}

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_map(Pairs {
            entries: self.entries.iter().copied(),
            next: None,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Pairs<'a, I> {
    entries: I,
    next: Option<&'a Entry>,
}

impl<'a, 'de, I: Iterator<Item = &'a Entry>> de::MapAccess<'de> for Pairs<'a, I> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        self.next = self.entries.next();
        match self.next {
            None => Ok(None),
            Some(entry) => seed.deserialize((*entry.key).into_deserializer()).map(Some),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let entry = self
            .next
            .take()
            .ok_or_else(|| ReadError::new("a value without its key"))?;
        seed.deserialize(Text(&entry.value)).map_err(|error| ReadError {
            key: Some(Rc::clone(&entry.key)),
            at: Some(error.at.unwrap_or(entry.value.at)),
            text: error.text,
        })
    }
}

/// One node: the type that reads it decides what its text means.
struct Text<'a>(&'a Node);

impl<'a> Text<'a> {
    fn scalar(&self, expected: &str) -> Result<&'a str, ReadError> {
        match &self.0.value {
            Value::Scalar(text) => Ok(text),
            Value::Null => Err(ReadError::new("has no value; leave the line out or give one")),
            other => Err(ReadError::new(format!(
                "must be {expected}, this is {}",
                other.what()
            ))),
        }
    }

    fn number<T: std::str::FromStr>(&self, expected: &str) -> Result<T, ReadError> {
        let text = self.scalar(expected)?;
        text.parse()
            .map_err(|_| ReadError::new(format!("must be {expected}, not \"{}\"", excerpt(text, 40))))
    }
}

/// Seed 003's words for yes and no, in any case.
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
            visitor.$visit(self.number::<$type>("a whole number")?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.0.value {
            Value::Sequence(items) => visitor.visit_seq(Items(items.iter())),
            Value::Mapping(entries) => visitor.visit_map(Pairs {
                entries: entries.iter(),
                next: None,
            }),
            _ => visitor.visit_str(self.scalar("a single value")?),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let text = self.scalar("yes or no")?;
        match yes_or_no(text) {
            Some(value) => visitor.visit_bool(value),
            None => Err(ReadError::new(format!(
                "must be yes or no, not \"{}\"",
                excerpt(text, 40)
            ))),
        }
    }

    whole_numbers! {
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_f64(self.number("a number")?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_str(self.scalar("text")?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.0.value {
            Value::Sequence(items) => visitor.visit_seq(Items(items.iter())),
            other => Err(ReadError::new(format!(
                "must be a list, this is {}",
                other.what()
            ))),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.0.value {
            Value::Mapping(entries) => visitor.visit_map(Pairs {
                entries: entries.iter(),
                next: None,
            }),
            other => Err(ReadError::new(format!(
                "must be a section, this is {}",
                other.what()
            ))),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let text = self.scalar(&variants.join(" or "))?;
        visitor.visit_enum(text.into_deserializer())
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct struct identifier ignored_any
    }
}

struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let Some(node) = self.0.next() else {
            return Ok(None);
        };
        seed.deserialize(Text(node)).map(Some).map_err(|error| ReadError {
            at: Some(error.at.unwrap_or(node.at)),
            ..error
        })
    }
}

/// One value or a list of them, read the same.
///
/// # Errors
/// What the element's own reading says.
pub fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct OneOrMany<T>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("one value or a list of them")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            T::deserialize(text.into_deserializer()).map(|one| vec![one])
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(item) = items.next_element()? {
                all.push(item);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_any(OneOrMany(std::marker::PhantomData))
}
