//! Data that a monitor passes from one check to the next.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// The keys of a monitor in APMonitor's state file.
pub const STATE_KEYS: [&str; 10] = [
    "is_up",
    "last_checked",
    "last_response_time_ms",
    "last_notified",
    "last_alarm_started",
    "last_successful_heartbeat",
    "down_count",
    "notified_count",
    "error_reason",
    "last_config_checksum",
];

/// Data that a monitor's last check left for the next one, stored with its state.
///
/// The engine does not read it. It is written in one step with the notifications of the same
/// check, so that no notification about a change is lost or sent twice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    /// JSON values by their key in the state file. A monitor leaves keys that it does not know
    /// alone. A value may come back as a different text with the same meaning.
    pub kept: BTreeMap<String, Arc<str>>,
    /// Data that changes with every check, as JSON (`null` if there is none): after a restart
    /// it may be some minutes old.
    pub counts: Option<Arc<str>>,
}

/// A value that cannot be stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct InvalidValue {
    /// Its key; `counts` for the counts.
    pub(crate) key: String,
    /// The reason.
    pub(crate) reason: String,
}

impl Memory {
    /// Whether there is no data.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.counts.is_none()
    }

    /// Replaces each value that cannot be stored (not valid JSON, or under a key that the state
    /// file uses itself) by the one in `before`. Values that have not changed are not parsed
    /// again.
    pub(crate) fn keep_valid(mut self, before: &Self) -> (Self, Vec<InvalidValue>) {
        let mut invalid = Vec::new();
        self.kept = std::mem::take(&mut self.kept)
            .into_iter()
            .filter_map(|(key, text)| {
                let known = before.kept.get(&key);
                let reason = if known == Some(&text) {
                    None
                } else if STATE_KEYS.contains(&key.as_str()) {
                    Some("this key is reserved by the state file".to_owned())
                } else {
                    json_error(&text)
                };
                let Some(reason) = reason else {
                    return Some((key, text));
                };
                let known = known.map(|text| (key.clone(), Arc::clone(text)));
                invalid.push(InvalidValue { key, reason });
                known
            })
            .collect();
        if let Some(text) = self.counts.take_if(|text| before.counts.as_ref() != Some(&*text)) {
            self.counts = match json_error(&text) {
                None => Some(text),
                Some(reason) => {
                    let key = "counts".to_owned();
                    invalid.push(InvalidValue { key, reason });
                    before.counts.clone()
                }
            };
        }
        (self, invalid)
    }
}

/// The reason why `text` is not valid JSON.
fn json_error(text: &str) -> Option<String> {
    serde_json::from_str::<AnyJson>(text)
        .err()
        .map(|error| format!("not valid JSON: {error}"))
}

/// Any JSON that can be parsed as a value, which is then dropped: the counts of a switch are 60
/// kB with every check. (serde's own `IgnoredAny` accepts numbers and depths that no value can
/// have.)
struct AnyJson;

impl<'de> Deserialize<'de> for AnyJson {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for AnyJson {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(kept: &[(&str, &str)], counts: Option<&str>) -> Memory {
        Memory {
            kept: kept
                .iter()
                .map(|(key, text)| ((*key).to_owned(), Arc::from(*text)))
                .collect(),
            counts: counts.map(Arc::from),
        }
    }

    #[test]
    fn invalid_json_leaves_the_previous_value() {
        let before = memory(&[("a", "1"), ("gone", "2")], Some("[1]"));
        let new = memory(
            &[("a", "{\"x\": "), ("b", "[1, {\"y\": null}]"), ("c", "")],
            Some("[1"),
        );
        let (kept, invalid) = new.keep_valid(&before);
        assert_eq!(
            kept,
            memory(&[("a", "1"), ("b", "[1, {\"y\": null}]")], Some("[1]"))
        );
        let keys: Vec<_> = invalid.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["a", "c", "counts"]);
        assert!(
            invalid[0].reason.starts_with("not valid JSON: EOF while parsing"),
            "{invalid:?}"
        );
    }

    #[test]
    fn the_keys_of_the_state_file_are_reserved() {
        let (kept, invalid) =
            memory(&[("is_up", "true"), ("ports_state", "{}")], None).keep_valid(&Memory::default());
        assert_eq!(kept, memory(&[("ports_state", "{}")], None));
        assert_eq!(invalid[0].key, "is_up");
    }

    #[test]
    fn a_text_is_valid_if_it_can_be_parsed_as_a_value() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        let texts = [
            "null",
            " 1 ",
            "-1.5e3",
            "18446744073709551616",
            "1e999",
            "\"\\ud800\"",
            "\"\\u00e9\"",
            "[1,]",
            "{\"a\": 1, \"a\": 2}",
            "{1: 2}",
            "1 2",
            "NaN",
            &deep,
        ];
        for text in texts {
            let value = serde_json::from_str::<serde_json::Value>(text);
            assert_eq!(json_error(text).is_none(), value.is_ok(), "{text}");
        }
    }
}
