//! Types for values with a limited range, checked when they are parsed.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// Ten years; a larger value is a typing error.
const MAX_SECONDS: u64 = 315_360_000;

/// A number of seconds, 1 to 315360000.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Seconds(#[schemars(range(min = 1, max = 315_360_000))] u64);

impl Seconds {
    /// Creates a value, limiting `secs` to the range.
    #[must_use]
    pub const fn new(secs: u64) -> Self {
        Self(if secs == 0 {
            1
        } else if secs > MAX_SECONDS {
            MAX_SECONDS
        } else {
            secs
        })
    }

    /// The value as a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The value as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let n = i128::deserialize(deserializer)?;
        u64::try_from(n)
            .ok()
            .filter(|secs| (1..=MAX_SECONDS).contains(secs))
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("must be 1 to {MAX_SECONDS} seconds, not {n}")))
    }
}

/// A whole number, 1 or more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Count(#[schemars(with = "u32", range(min = 1))] NonZeroU32);

impl Count {
    /// Wraps a number.
    #[must_use]
    pub const fn new(n: NonZeroU32) -> Self {
        Self(n)
    }

    /// The value as a number.
    #[must_use]
    pub const fn get(self) -> NonZeroU32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let n = i128::deserialize(deserializer)?;
        u32::try_from(n)
            .ok()
            .and_then(NonZeroU32::new)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("must be 1 to {}, not {n}", u32::MAX)))
    }
}

/// A port, 1 to 65535.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct PortNumber(#[schemars(range(min = 1))] u16);

impl PortNumber {
    /// The value as a number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl<'de> Deserialize<'de> for PortNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let n = i128::deserialize(deserializer)?;
        u16::try_from(n)
            .ok()
            .filter(|n| *n > 0)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("must be a port, 1 to 65535, not {n}")))
    }
}

/// A text of at least one character.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Text(#[schemars(length(min = 1))] String);

impl Text {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, owned.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Err(D::Error::custom("must not be empty"));
        }
        Ok(Self(text))
    }
}

/// Which addresses of a host may be used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AddressFamily {
    /// IPv4 if the name has such an address, else IPv6.
    #[default]
    Any,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

impl AddressFamily {
    /// Whether `address` belongs to the family.
    #[must_use]
    pub fn has(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Ipv4 => address.is_ipv4(),
            Self::Ipv6 => address.is_ipv6(),
        }
    }
}

/// Which addresses of a name must answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Addresses {
    /// One of them: if one cannot be reached, the next one is tried.
    #[default]
    Any,
    /// The first one: no other is tried.
    First,
    /// Each of them.
    All,
}

/// How names are resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NameResolution {
    /// With the hosts file, then the name servers of resolv.conf.
    #[default]
    Dns,
    /// With the system's `getaddrinfo`, as configured in nsswitch.conf (mDNS, LDAP).
    System,
}
