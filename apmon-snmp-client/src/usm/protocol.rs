//! The protocols for signing and encryption, and their names.

use std::{fmt, str::FromStr};

use crate::text::excerpt;

/// The protocol that signs messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum AuthProtocol {
    /// HMAC-MD5-96 (RFC 3414), for devices that support nothing better.
    Md5,
    /// HMAC-SHA-96 (RFC 3414). May be written `sha`.
    Sha1,
    /// HMAC-128-SHA-224 (RFC 7860).
    Sha224,
    /// HMAC-192-SHA-256 (RFC 7860).
    Sha256,
    /// HMAC-256-SHA-384 (RFC 7860).
    Sha384,
    /// HMAC-384-SHA-512 (RFC 7860).
    Sha512,
}

/// Each protocol with its names, of which the first is displayed.
const AUTH: &[(AuthProtocol, &[&str])] = &[
    (AuthProtocol::Md5, &["md5", "md-5"]),
    (AuthProtocol::Sha1, &["sha1", "sha", "sha-1"]),
    (AuthProtocol::Sha224, &["sha224", "sha-224"]),
    (AuthProtocol::Sha256, &["sha256", "sha-256"]),
    (AuthProtocol::Sha384, &["sha384", "sha-384"]),
    (AuthProtocol::Sha512, &["sha512", "sha-512"]),
];

impl AuthProtocol {
    /// The length of a signature (msgAuthenticationParameters), in octets.
    #[must_use]
    pub const fn mac_len(self) -> usize {
        match self {
            Self::Md5 | Self::Sha1 => 12,
            Self::Sha224 => 16,
            Self::Sha256 => 24,
            Self::Sha384 => 32,
            Self::Sha512 => 48,
        }
    }
}

/// The protocol that encrypts the content of messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum PrivProtocol {
    /// DES-CBC (RFC 3414), for devices that support nothing better.
    Des,
    /// AES with 128 bits (RFC 3826). May be written `aes`.
    Aes128,
    /// AES with 192 bits, with keys derived as net-snmp does it.
    Aes192,
    /// AES with 256 bits, with keys derived as net-snmp does it.
    Aes256,
    /// AES with 192 bits, with keys derived as Cisco does it.
    #[cfg_attr(feature = "serde", serde(rename = "aes192c"))]
    Aes192Cisco,
    /// AES with 256 bits, with keys derived as Cisco does it.
    #[cfg_attr(feature = "serde", serde(rename = "aes256c"))]
    Aes256Cisco,
}

/// Each protocol with its names, of which the first is displayed.
const PRIV: &[(PrivProtocol, &[&str])] = &[
    (PrivProtocol::Des, &["des"]),
    (PrivProtocol::Aes128, &["aes128", "aes", "aes-128"]),
    (PrivProtocol::Aes192, &["aes192", "aes-192"]),
    (PrivProtocol::Aes256, &["aes256", "aes-256"]),
    (PrivProtocol::Aes192Cisco, &["aes192c", "aes-192c", "aes-192-c"]),
    (PrivProtocol::Aes256Cisco, &["aes256c", "aes-256c", "aes-256-c"]),
];

/// The error for an unknown protocol. Its text follows the name of an option: `must be md5
/// or sha1 or .., not "sha3"`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be {}, not \"{}\"", .names.join(" or "), excerpt(.word, 40))]
pub struct UnknownProtocol {
    names: Vec<&'static str>,
    word: String,
}

/// Finds a protocol by any of its names, ignoring case.
fn find<P: Copy>(table: &[(P, &[&'static str])], word: &str) -> Result<P, UnknownProtocol> {
    let row = table
        .iter()
        .find(|(_, names)| names.iter().any(|name| name.eq_ignore_ascii_case(word)));
    row.map(|row| row.0).ok_or_else(|| UnknownProtocol {
        names: table.iter().map(|(_, names)| names[0]).collect(),
        word: word.to_owned(),
    })
}

fn shown<P: PartialEq>(table: &[(P, &[&'static str])], protocol: &P) -> &'static str {
    let row = table.iter().find(|row| row.0 == *protocol);
    row.map_or("", |(_, names)| names[0]) // every protocol has its row
}

impl FromStr for AuthProtocol {
    type Err = UnknownProtocol;

    fn from_str(word: &str) -> Result<Self, UnknownProtocol> {
        find(AUTH, word)
    }
}

impl FromStr for PrivProtocol {
    type Err = UnknownProtocol;

    fn from_str(word: &str) -> Result<Self, UnknownProtocol> {
        find(PRIV, word)
    }
}

impl fmt::Display for AuthProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(shown(AUTH, self))
    }
}

impl fmt::Display for PrivProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(shown(PRIV, self))
    }
}

#[cfg(feature = "serde")]
mod serde_impls {
    use serde::{Deserialize, Deserializer, de::Error as _};

    use super::{AuthProtocol, PrivProtocol};

    impl<'de> Deserialize<'de> for AuthProtocol {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            String::deserialize(deserializer)?
                .parse()
                .map_err(D::Error::custom)
        }
    }

    impl<'de> Deserialize<'de> for PrivProtocol {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            String::deserialize(deserializer)?
                .parse()
                .map_err(D::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_parsed_in_any_case_with_or_without_the_dash() {
        for (words, protocol) in [
            ("md5 MD5", AuthProtocol::Md5),
            ("sha1 sha SHA SHA-1 sha-1", AuthProtocol::Sha1),
            ("sha224 SHA-224", AuthProtocol::Sha224),
            ("sha256 SHA-256 Sha256", AuthProtocol::Sha256),
            ("sha384 SHA-384", AuthProtocol::Sha384),
            ("sha512 SHA-512", AuthProtocol::Sha512),
        ] {
            for word in words.split(' ') {
                assert_eq!(word.parse(), Ok(protocol), "{word}");
            }
        }
        for (words, protocol) in [
            ("des DES", PrivProtocol::Des),
            ("aes128 aes AES AES-128", PrivProtocol::Aes128),
            ("aes192 AES-192", PrivProtocol::Aes192),
            ("aes256 AES-256", PrivProtocol::Aes256),
            ("aes192c AES192C AES-192-C", PrivProtocol::Aes192Cisco),
            ("aes256c AES256C AES-256-C", PrivProtocol::Aes256Cisco),
        ] {
            for word in words.split(' ') {
                assert_eq!(word.parse(), Ok(protocol), "{word}");
            }
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_all_the_names() {
        for word in ["", "none", "sha3", "s-h-a", "sha-", " md5", "aes"] {
            let error = word.parse::<AuthProtocol>().unwrap_err().to_string();
            let expected =
                format!("must be md5 or sha1 or sha224 or sha256 or sha384 or sha512, not \"{word}\"");
            assert_eq!(error, expected);
        }
        for word in ["3des", "aes512", "md5"] {
            let error = word.parse::<PrivProtocol>().unwrap_err();
            let expected =
                format!("must be des or aes128 or aes192 or aes256 or aes192c or aes256c, not \"{word}\"");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn every_protocol_is_shown_by_its_first_name() {
        for (protocol, names) in AUTH {
            assert_eq!(protocol.to_string(), names[0]);
            assert_eq!(names[0].parse(), Ok(*protocol));
        }
        for (protocol, names) in PRIV {
            assert_eq!(protocol.to_string(), names[0]);
            assert_eq!(names[0].parse(), Ok(*protocol));
        }
    }
}
