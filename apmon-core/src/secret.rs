//! A value that never prints.

use std::{cell::Cell, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

/// A password, token or community, or a URL that contains one. It is printed as
/// `***` and serialised as its SHA-256, so that a checksum over the options changes
/// with the value without revealing it.
#[derive(Clone, PartialEq, Eq, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

/// The name of the newtype by which the reader of a site file recognises a secret.
pub(crate) const NAME: &str = "$apmon::secret";

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl<'de> de::Visitor<'de> for Value {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Secret, D::Error> {
                String::deserialize(deserializer).map(Secret)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::new(text))
            }
        }
        deserializer.deserialize_newtype_struct(NAME, Value)
    }
}

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if MASKED.get() {
            return serializer.serialize_str("***");
        }
        serializer.serialize_str(&hex(&Sha256::digest(self.0.as_bytes())))
    }
}

thread_local! {
    /// Whether secrets serialise as `***`.
    static MASKED: Cell<bool> = const { Cell::new(false) };
}

/// What `serialise` returns while secrets serialise as `***` instead of their
/// hash: options as a person may see them.
pub(crate) fn masked<T>(serialise: impl FnOnce() -> T) -> T {
    /// Ends the masking, also where serialising panics.
    struct Unmask(bool);

    impl Drop for Unmask {
        fn drop(&mut self) {
            MASKED.set(self.0);
        }
    }

    let _unmask = Unmask(MASKED.replace(true));
    serialise()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        let hashed = serde_json::to_string(&secret).unwrap();
        assert!(!hashed.contains("hunter2"));
        assert_eq!(masked(|| serde_json::to_string(&secret).unwrap()), "\"***\"");
        assert_eq!(serde_json::to_string(&secret).unwrap(), hashed, "afterwards");
    }
}
