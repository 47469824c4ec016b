//! The question of a query.

use std::{fmt, net::IpAddr};

use hickory_proto::{
    op::{Edns, Message, Query},
    rr::{Name, RecordType},
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use apmon_core::text::excerpt;

use crate::dns_name::dns_name;

/// The answer size that fits one datagram on every path (DNS flag day 2020).
const PAYLOAD: u16 = 1232;

/// A type of DNS records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordKind {
    /// IPv4 addresses.
    #[default]
    A,
    /// IPv6 addresses.
    Aaaa,
    /// The name that this name is an alias for.
    Cname,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
    /// The host name of an address.
    Ptr,
    /// Serial number and timers of a zone.
    Soa,
    /// The hosts and ports of a service.
    Srv,
    /// Free text.
    Txt,
    /// The authorities that may issue certificates.
    Caa,
}

/// Each record type with its name and its code.
const KINDS: &[(RecordKind, &str, RecordType)] = &[
    (RecordKind::A, "A", RecordType::A),
    (RecordKind::Aaaa, "AAAA", RecordType::AAAA),
    (RecordKind::Cname, "CNAME", RecordType::CNAME),
    (RecordKind::Mx, "MX", RecordType::MX),
    (RecordKind::Ns, "NS", RecordType::NS),
    (RecordKind::Ptr, "PTR", RecordType::PTR),
    (RecordKind::Soa, "SOA", RecordType::SOA),
    (RecordKind::Srv, "SRV", RecordType::SRV),
    (RecordKind::Txt, "TXT", RecordType::TXT),
    (RecordKind::Caa, "CAA", RecordType::CAA),
];

impl RecordKind {
    fn row(self) -> &'static (Self, &'static str, RecordType) {
        let row = KINDS.iter().find(|row| row.0 == self);
        row.unwrap_or(&KINDS[0]) // a test checks that every kind has its row
    }

    fn record_type(self) -> RecordType {
        self.row().2
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().1)
    }
}

/// Accepts upper and lower case, as zone files do.
impl<'de> Deserialize<'de> for RecordKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let row = KINDS.iter().find(|row| row.1.eq_ignore_ascii_case(&text));
        row.map(|row| row.0).ok_or_else(|| {
            let names: Vec<_> = KINDS.iter().map(|row| row.1).collect();
            D::Error::custom(format!(
                "must be {}, not \"{}\"",
                names.join(" or "),
                excerpt(&text, 40)
            ))
        })
    }
}

/// A question in class IN.
pub(crate) struct Question {
    pub(super) query: Query,
    pub(super) kind: RecordKind,
    /// The name as failure reasons show it.
    pub(super) shown: String,
    /// The encoded message, to which only the ID is missing.
    bytes: Vec<u8>,
    /// The same without EDNS.
    bare: Vec<u8>,
}

impl Question {
    /// The question for `text`. An error continues the sentence that begins with
    /// `"query"`.
    pub(super) fn new(text: &str, kind: RecordKind) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().ok();
        let (mut name, shown) = match address {
            Some(ip) if kind == RecordKind::Ptr => {
                let name = Name::from(ip);
                let shown = name.to_ascii();
                (name, shown)
            }
            Some(_) => {
                return Err(format!(
                    "is an IP address, but {kind} records belong to names; use record_type: PTR to look up the \
                     name of an address"
                ));
            }
            None => {
                let name = dns_name(text).ok_or("must be a host name such as nas.lab.example")?;
                (name, text.to_owned())
            }
        };
        name.set_fqdn(true);
        let shown = match shown.strip_suffix('.') {
            None | Some("") => shown,
            Some(bare) => bare.to_owned(),
        };
        Self::of(Query::query(name, kind.record_type()), kind, excerpt(&shown, 80))
            .ok_or_else(|| "is too long: a name has at most 255 bytes".to_owned())
    }

    pub(super) fn of(query: Query, kind: RecordKind, shown: String) -> Option<Self> {
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD).set_version(0);
        let mut message = Message::new();
        // As every host does; a server that does not recurse ignores it.
        message.set_recursion_desired(true);
        message.add_query(query.clone());
        let bare = message.to_vec().ok()?;
        message.set_edns(edns);
        Some(Self {
            query,
            kind,
            shown,
            bytes: message.to_vec().ok()?,
            bare,
        })
    }

    /// The message to send, with EDNS or without.
    pub(super) fn message(&self, id: u16, with_edns: bool) -> Vec<u8> {
        let mut bytes = match with_edns {
            true => self.bytes.clone(),
            false => self.bare.clone(),
        };
        bytes[..2].copy_from_slice(&id.to_be_bytes());
        bytes
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.query.name().to_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_kind_has_its_row() {
        for (kind, name, record_type) in KINDS {
            assert_eq!(kind.row().1, *name);
            assert_eq!(record_type.to_string(), *name);
            assert_eq!(format!("{kind:?}").to_uppercase(), *name);
        }
    }
}
