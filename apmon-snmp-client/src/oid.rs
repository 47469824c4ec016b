//! Object identifiers.

use std::{borrow::Borrow, fmt, ops::Deref, str::FromStr};

use crate::text::excerpt;

/// The most sub-identifiers of an OID (RFC 3416, section 2).
pub const MAX_LEN: usize = 128;

/// An object identifier such as `1.3.6.1.2.1.1.5.0`. OIDs are ordered as agents order them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Oid(Vec<u32>);

impl Oid {
    /// Creates an OID from its sub-identifiers.
    #[must_use]
    pub fn new(parts: impl Into<Vec<u32>>) -> Self {
        Self(parts.into())
    }

    /// The sub-identifiers.
    #[must_use]
    pub fn parts(&self) -> &[u32] {
        &self.0
    }

    /// The sub-identifiers that follow `root`; `None` if the OID is not below `root`.
    #[must_use]
    pub fn below(&self, root: &[u32]) -> Option<&[u32]> {
        self.0.strip_prefix(root).filter(|index| !index.is_empty())
    }

    /// The OID of `root` with `index` after it.
    #[must_use]
    pub fn join(root: &[u32], index: &[u32]) -> Self {
        Self([root, index].concat())
    }
}

impl From<&[u32]> for Oid {
    fn from(parts: &[u32]) -> Self {
        Self(parts.to_vec())
    }
}

impl<const N: usize> From<[u32; N]> for Oid {
    fn from(parts: [u32; N]) -> Self {
        Self(parts.to_vec())
    }
}

impl Deref for Oid {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.0
    }
}

impl Borrow<[u32]> for Oid {
    fn borrow(&self) -> &[u32] {
        &self.0
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            match i {
                0 => write!(f, "{part}")?,
                _ => write!(f, ".{part}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The error for a text that is not an OID.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an OID in the form 1.3.6.1.2.1: {text:?}")]
pub struct NotAnOid {
    text: String,
}

/// Parses numbers separated by dots. A leading dot, as net-snmp prints it, is allowed.
impl FromStr for Oid {
    type Err = NotAnOid;

    fn from_str(text: &str) -> Result<Self, NotAnOid> {
        let wrong = || NotAnOid {
            text: excerpt(text, 80),
        };
        let parts = text.strip_prefix('.').unwrap_or(text).split('.');
        let number = |part: &str| match part.bytes().all(|byte| byte.is_ascii_digit()) {
            true => part.parse().ok(),
            false => None,
        };
        let parts: Vec<u32> = parts.map(number).collect::<Option<_>>().ok_or_else(wrong)?;
        // X.690, section 8.19: the first two share an octet, which limits them.
        let is_one = match parts.as_slice() {
            [0 | 1, second, ..] => *second < 40,
            [2, second, ..] => *second <= u32::MAX - 80,
            _ => false,
        };
        match is_one && parts.len() <= MAX_LEN {
            true => Ok(Self(parts)),
            false => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oid_is_parsed_with_and_without_a_first_dot() {
        let oid = Oid::from([1, 3, 6, 1, 2, 1]);
        for text in ["1.3.6.1.2.1", ".1.3.6.1.2.1"] {
            assert_eq!(text.parse::<Oid>().unwrap(), oid);
        }
        assert_eq!(oid.to_string(), "1.3.6.1.2.1");
    }

    #[test]
    fn a_text_that_is_not_an_oid_is_refused() {
        let long = ["1.3"; 65].join(".");
        for text in [
            "",
            ".",
            "1",
            "1..3",
            "3.1",
            "1.40",
            "1.3.",
            "1.3.-6",
            "1.3.4294967296",
            "sysName.0",
            &long,
        ] {
            assert!(text.parse::<Oid>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_index_is_the_part_below_the_root() {
        let oid = Oid::from([1, 3, 6, 7]);
        assert_eq!(oid.below(&[1, 3]), Some(&[6, 7][..]));
        assert_eq!(oid.below(&[1, 3, 6, 7]), None);
        assert_eq!(oid.below(&[1, 4]), None);
    }
}
