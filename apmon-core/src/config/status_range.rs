//! Ranges of HTTP statuses.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A status or a range of statuses: `200`, `200-299`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, JsonSchema)]
#[schemars(transparent)]
pub struct StatusRange(
    #[schemars(with = "String", regex(pattern = "^[1-9][0-9]{2}( ?- ?[1-9][0-9]{2})?$"))] (u16, u16),
);

impl StatusRange {
    /// Whether the range contains `status`.
    #[must_use]
    pub fn has(self, status: u16) -> bool {
        (self.0.0..=self.0.1).contains(&status)
    }

    /// Formats ranges as a list: `200-299 or 401`.
    #[must_use]
    pub fn list(ranges: &[Self]) -> String {
        let texts: Vec<_> = ranges.iter().map(ToString::to_string).collect();
        texts.join(" or ")
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}

impl Serialize for StatusRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StatusRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let status = |text: &str| {
            let text = text.trim();
            let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse()
                .ok()
                .filter(|status| digits && (100..=999).contains(status))
        };
        match (status(first), status(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self((first, last))),
            _ => Err(D::Error::custom(
                "must be a status such as 200, a range such as 200-299, or a list of them",
            )),
        }
    }
}
