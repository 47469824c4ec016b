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
    /// The form openssl prints: upper-case pairs with colons.
    #[must_use]
    pub fn in_pairs(&self) -> String {
        let pairs: Vec<_> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }

    /// The fingerprint of a certificate, given as DER.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// The fingerprint with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether it is all zeros, which stands in examples in place of a real one.
    #[must_use]
    pub fn is_placeholder(&self) -> bool {
        self.0 == [0; 32]
    }

    fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "must be a SHA-256 fingerprint: 64 hex digits, with or without colons";
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
                    return Err(format!(
                        "{EXPECTED}; '{found}' at character {} is neither",
                        at + 1
                    ));
                }
            }
        }
        match digits {
            64 => Ok(Self(bytes)),
            40 => Err(format!(
                "{EXPECTED}; this has 40 digits, like a SHA-1 fingerprint"
            )),
            1 => Err(format!("{EXPECTED}; this has 1 digit")),
            _ => Err(format!("{EXPECTED}; this has {digits} digits")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_in_every_usual_form() {
        let plain = "e85260e8f8e85629cfa4d023ea0ae8dd3ce8ccc0040b054a4753c2a5ab269296";
        let pairs: Vec<_> = (0..32)
            .map(|at| plain[2 * at..2 * at + 2].to_uppercase())
            .collect();
        let read = Fingerprint::parse(plain).unwrap();
        assert_eq!(Fingerprint::parse(&pairs.join(":")).unwrap(), read);
        assert_eq!(read.to_string(), plain);
        for bad in [
            "",
            "e8",
            &plain[1..],
            &format!("{plain}0"),
            "g",
            &plain.replace('e', "é"),
        ] {
            let message = Fingerprint::parse(bad).unwrap_err();
            assert!(
                message.starts_with("must be a SHA-256 fingerprint: 64 hex digits"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_fingerprint_is_the_hash_of_the_certificate() {
        let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Fingerprint::of(b"").to_string(), of_nothing);
    }
}
