//! Response codes, as an operator writes them.

use std::fmt;

use apmon_core::text::excerpt;
use hickory_proto::op::ResponseCode;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A response code of DNS (RFC 6895, section 2.3): its name, in upper or lower case, or its
/// number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, JsonSchema)]
#[schemars(transparent)]
pub struct Rcode(#[schemars(with = "String")] u16);

/// The codes that a query may get.
const NAMES: &[(&str, u16)] = &[
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("NOTAUTH", 9),
    ("BADVERS", 16),
    ("BADCOOKIE", 23),
];

impl Rcode {
    pub(super) const NO_ERROR: Self = Self(0);

    /// Whether `code` is this one.
    pub(super) fn is(self, code: ResponseCode) -> bool {
        u16::from(code) == self.0
    }
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, code)| *code == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "rcode {}", self.0),
        }
    }
}

impl Serialize for Rcode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match NAMES.iter().find(|(_, code)| *code == self.0) {
            Some((name, _)) => serializer.serialize_str(name),
            None => serializer.serialize_u16(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Rcode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text));
        let number = || text.parse().ok().filter(|code| *code < 4096);
        named
            .map(|(_, code)| *code)
            .or_else(number)
            .map(Self)
            .ok_or_else(|| {
                let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
                D::Error::custom(format!(
                    "must be {} or a number, not \"{}\"",
                    names.join(" or "),
                    excerpt(&text, 40)
                ))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_name_or_a_number() {
        let read = |text: &str| serde_json::from_value::<Rcode>(text.into());
        for (text, shown) in [
            ("NXDOMAIN", "NXDOMAIN"),
            ("refused", "REFUSED"),
            ("3", "NXDOMAIN"),
            ("11", "rcode 11"),
        ] {
            assert_eq!(read(text).unwrap().to_string(), shown);
        }
        assert!(read("NXDOMAIN").unwrap().is(ResponseCode::NXDomain));
        for wrong in ["NXDOMIAN", "4096", "-1", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
