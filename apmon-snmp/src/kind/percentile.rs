//! The option `percentile`.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// A percentile, 1 to 99.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Percentile(#[schemars(range(min = 1, max = 99))] u8);

impl Percentile {
    /// Returns the percentile as a number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Percentile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let n = u64::deserialize(deserializer)?;
        u8::try_from(n)
            .ok()
            .filter(|n| (1..=99).contains(n))
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("must be a percentile, 1 to 99, not {n}")))
    }
}
