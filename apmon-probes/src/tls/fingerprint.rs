//! A certificate's SHA-256, as a pin.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};

/// SHA-256 of a certificate (its DER form), as a pin. Written as 64 hex
/// digits in either case, with or without colons.
#[derive(Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct Fingerprint(
    #[schemars(with = "String", regex(pattern = "^([0-9A-Fa-f]:?){63}[0-9A-Fa-f]$"))] [u8; 32],
);

impl Fingerprint {
    /// As openssl prints it: pairs of capitals with colons.
    #[must_use]
    pub fn in_pairs(&self) -> String {
        let pairs: Vec<_> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }

    /// That of a certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        const WANTED: &str = "must be a SHA-256 fingerprint: 64 hex digits, with or without colons";
        let mut bytes = [0; 32];
        let mut digits = 0;
        for (at, found) in text.chars().enumerate() {
            match found.to_digit(16) {
                Some(digit) => {
                    if let Some(byte) = bytes.get_mut(digits / 2) {
                        *byte = *byte << 4 | digit as u8;
                    }
                    digits += 1;
                }
                None if found == ':' => {}
                None => {
                    let found = found.escape_debug();
                    return Err(format!("{WANTED}; '{found}' at character {} is neither", at + 1));
                }
            }
        }
        match digits {
            64 => Ok(Self(bytes)),
            40 => Err(format!("{WANTED}; these are 40 digits, a SHA-1")),
            _ => Err(format!("{WANTED}; these are {digits} digits")),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
