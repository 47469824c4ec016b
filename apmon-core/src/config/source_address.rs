//! The addresses of this machine from which targets are checked: `source_address`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::one_or_many::one_or_many;
use crate::text::excerpt;

/// The addresses of this machine from which targets are checked, at most one of each family.
/// The default has none: the system chooses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SourceAddresses {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

impl SourceAddresses {
    /// The address from which a target at `to` is checked: that of its family.
    #[must_use]
    pub fn toward(self, to: IpAddr) -> Option<IpAddr> {
        match to {
            IpAddr::V4(_) => self.v4.map(IpAddr::V4),
            IpAddr::V6(_) => self.v6.map(IpAddr::V6),
        }
    }

    /// All of them.
    pub fn all(self) -> impl Iterator<Item = IpAddr> {
        [self.v4.map(IpAddr::V4), self.v6.map(IpAddr::V6)]
            .into_iter()
            .flatten()
    }

    /// Whether there is none.
    #[must_use]
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// An address that a socket can be bound to.
struct Address(IpAddr);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(&text);
        let shown = || excerpt(&text, 60);
        let address: IpAddr = bare.parse().map_err(|_| {
            D::Error::custom(format!(
                "must be an IPv4 or IPv6 address of this machine, not \"{}\"",
                shown()
            ))
        })?;
        let wrong = match address {
            _ if address.is_unspecified() => "stands for every address; leave the option out instead",
            _ if address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) => {
                "belongs to more than one machine"
            }
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "is an IPv4 address; write it as one",
            IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                "is a link-local address, from which other networks cannot be reached"
            }
            _ => return Ok(Self(address)),
        };
        Err(D::Error::custom(format!(
            "must be an IPv4 or IPv6 address of this machine: {} {wrong}",
            shown()
        )))
    }
}

impl<'de> Deserialize<'de> for SourceAddresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut sources = Self::default();
        let all: Vec<Address> = one_or_many(deserializer)?;
        if all.is_empty() {
            return Err(D::Error::custom("must not be an empty list"));
        }
        for Address(address) in all {
            let before = match address {
                IpAddr::V4(v4) => sources.v4.replace(v4).map(|_| "IPv4"),
                IpAddr::V6(v6) => sources.v6.replace(v6).map(|_| "IPv6"),
            };
            if let Some(family) = before {
                return Err(D::Error::custom(format!(
                    "contains two {family} addresses; give at most one of each family"
                )));
            }
        }
        Ok(sources)
    }
}

impl Serialize for SourceAddresses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.all())
    }
}

impl JsonSchema for SourceAddresses {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        OneOrMany::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        OneOrMany::json_schema(generator)
    }
}

/// One address or a list of them.
#[derive(JsonSchema)]
#[schemars(inline, untagged)]
#[allow(dead_code)] // only its schema is used
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}
