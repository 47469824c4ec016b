//! What a monitor knows again at its next look.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// A monitor's keys in seed 003's state file.
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

/// What a monitor's last look left for the next one, kept with its state.
///
/// The engine does not read it. What a look returns is written in one step with
/// what it tells, so that no message about a change is lost or told twice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    /// Values in JSON, each under its key in the state file. A monitor leaves
    /// the keys alone that it does not know. What has the same value may come
    /// back as another text.
    pub kept: BTreeMap<String, Arc<str>>,
    /// What changes at every look, in JSON (`null` where there is nothing): it
    /// may be some minutes old when it is read again after a restart.
    pub counts: Option<Arc<str>>,
}

/// A value that cannot be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct InvalidValue {
    /// Its key; `counts` of the counts.
    pub(crate) key: String,
    /// What is wrong with it.
    pub(crate) reason: String,
}

impl Memory {
    /// Nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.counts.is_none()
    }

    /// This as it can be kept after `before`: in the place of a value that is no
    /// JSON, or that stands under a key of the state file itself, stays what was
    /// there. What is as it was is not read again.
    pub(crate) fn keep_valid(mut self, before: &Self) -> (Self, Vec<InvalidValue>) {
        let mut unfit = Vec::new();
        self.kept = std::mem::take(&mut self.kept)
            .into_iter()
            .filter_map(|(key, text)| {
                let known = before.kept.get(&key);
                let reason = if known == Some(&text) {
                    None
                } else if STATE_KEYS.contains(&key.as_str()) {
                    Some("the state file has this key for itself".to_owned())
                } else {
                    json_error(&text)
                };
                let Some(reason) = reason else {
                    return Some((key, text));
                };
                let known = known.map(|text| (key.clone(), Arc::clone(text)));
                unfit.push(InvalidValue { key, reason });
                known
            })
            .collect();
        if let Some(text) = self.counts.take_if(|text| before.counts.as_ref() != Some(&*text)) {
            self.counts = match json_error(&text) {
                None => Some(text),
                Some(reason) => {
                    let key = "counts".to_owned();
                    unfit.push(InvalidValue { key, reason });
                    before.counts.clone()
                }
            };
        }
        (self, unfit)
    }
}

/// Why a text is no JSON.
fn json_error(text: &str) -> Option<String> {
    serde_json::from_str::<AnyJson>(text)
        .err()
        .map(|error| format!("no JSON: {error}"))
}

/// Any JSON that can be read as a value, of which nothing is kept: the counts of
/// a switch are 60 kB at every look. (serde's own `IgnoredAny` takes numbers and
/// depths that no value has.)
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
    fn what_is_no_json_leaves_what_was_there() {
        let before = memory(&[("a", "1"), ("gone", "2")], Some("[1]"));
        let new = memory(
            &[("a", "{\"x\": "), ("b", "[1, {\"y\": null}]"), ("c", "")],
            Some("[1"),
        );
        let (kept, unfit) = new.keep_valid(&before);
        assert_eq!(
            kept,
            memory(&[("a", "1"), ("b", "[1, {\"y\": null}]")], Some("[1]"))
        );
        let keys: Vec<_> = unfit.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["a", "c", "counts"]);
        assert!(
            unfit[0].reason.starts_with("no JSON: EOF while parsing"),
            "{unfit:?}"
        );
    }

    #[test]
    fn the_keys_of_the_state_file_are_nobodys_to_keep() {
        let (kept, unfit) =
            memory(&[("is_up", "true"), ("ports_state", "{}")], None).keep_valid(&Memory::default());
        assert_eq!(kept, memory(&[("ports_state", "{}")], None));
        assert_eq!(unfit[0].key, "is_up");
    }

    #[test]
    fn what_can_be_kept_is_what_can_be_read_as_a_value() {
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
