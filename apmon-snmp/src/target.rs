//! Which agent is asked, and by which community.

use apmon_core::{
    Secret,
    config::{Host, Section},
};
use percent_encoding::percent_decode_str;
use serde::{Serialize, Serializer};

/// The port agents listen on (RFC 3417, section 3.2).
const SNMP_PORT: u16 = 161;

/// The community of a device nobody has configured.
const DEFAULT_COMMUNITY: &str = "public";

/// An SNMP agent and how it is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The device.
    pub host: Host,
    /// Its UDP port.
    pub port: u16,
    /// SNMPv2c community.
    pub community: Secret,
}

impl Target {
    /// From a monitor's address (`snmp://host`, `snmp://host:1161`,
    /// `snmp://community@host`) and its option `community`. Mistakes are noted
    /// in `section`.
    pub fn read(section: &mut Section<'_>, community: Option<Secret>) -> Option<Self> {
        if community
            .as_ref()
            .is_some_and(|community| community.reveal().is_empty())
        {
            section.mistake("community", "must not be empty");
        }
        let url = section.address_url(&["snmp"])?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            section.mistake(
                "address",
                "must end with the host or its port: SNMP knows no path",
            );
            return None;
        }
        if url.password().is_some() {
            section.mistake(
                "address",
                "holds more than a community before the @; write %3A for a colon in it",
            );
            return None;
        }
        let in_address = match url.username() {
            "" if section.address().contains('@') => {
                section.mistake("address", "has an empty community before the @");
                return None;
            }
            "" => None,
            encoded => match percent_decode_str(encoded).decode_utf8() {
                Ok(decoded) => Some(Secret::new(decoded)),
                Err(_) => {
                    section.mistake("address", "has a community that is not UTF-8");
                    return None;
                }
            },
        };
        if in_address.is_some() && section.has("community") {
            section.misplaced("community", "must not stand beside a community in the address");
            return None;
        }
        Some(Self {
            host: Host::parse(url.host_str()?)?,
            port: url.port().unwrap_or(SNMP_PORT),
            community: in_address
                .or(community)
                .unwrap_or_else(|| Secret::new(DEFAULT_COMMUNITY)),
        })
    }
}

/// Serialises the community in force, so that writing out the default is no
/// other monitor.
pub(crate) fn effective_community<S: Serializer>(
    community: &Option<Secret>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match community {
        Some(community) => community.serialize(serializer),
        None => Secret::new(DEFAULT_COMMUNITY).serialize(serializer),
    }
}
