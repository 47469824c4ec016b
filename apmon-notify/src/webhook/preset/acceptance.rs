//! Whether a service took a notification although its status is good: some report errors with
//! status 200.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What the answer to a notification looks like that was taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acceptance {
    /// The texts that mean success, in any case; without it any text does. An empty answer means
    /// success too.
    texts: Option<Vec<String>>,
    /// The places in a JSON object that have these values, if they are there.
    #[serde(default)]
    members: BTreeMap<String, Value>,
    /// The places in a JSON object that have no content.
    #[serde(default)]
    errors: Vec<String>,
}

impl Acceptance {
    /// Whether `body` is such an answer.
    pub(crate) fn has(&self, body: &[u8]) -> bool {
        if let Ok(answer @ Value::Object(_)) = serde_json::from_slice::<Value>(body) {
            let is_good =
                |(place, value): (&String, &Value)| answer.pointer(place).is_none_or(|found| found == value);
            let is_empty = |place: &String| match answer.pointer(place) {
                None | Some(Value::Null | Value::Bool(false)) => true,
                Some(Value::String(text)) => text.is_empty(),
                Some(Value::Array(items)) => items.is_empty(),
                Some(Value::Object(members)) => members.is_empty(),
                Some(_) => false,
            };
            return self.members.iter().all(is_good) && self.errors.iter().all(is_empty);
        }
        let text = String::from_utf8_lossy(body);
        let text = text.trim().trim_matches('"');
        let is_text = |known: &String| known.eq_ignore_ascii_case(text);
        text.is_empty() || self.texts.as_ref().is_none_or(|texts| texts.iter().any(is_text))
    }
}
