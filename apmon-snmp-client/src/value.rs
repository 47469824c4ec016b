//! The values of objects.

use std::{fmt, net::Ipv4Addr};

use crate::{oid::Oid, text::printable};

/// A value, as it stands in a varbind (RFC 3416, section 3).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Value {
    /// INTEGER.
    Integer(i64),
    /// OCTET STRING.
    Octets(Vec<u8>),
    /// NULL: what a request has in the place of values.
    Null,
    /// OBJECT IDENTIFIER.
    Oid(Oid),
    /// `IpAddress`.
    IpAddress(Ipv4Addr),
    /// `Counter32`.
    Counter32(u32),
    /// `Gauge32`, `Unsigned32`.
    Gauge32(u32),
    /// `TimeTicks`: hundredths of a second.
    TimeTicks(u32),
    /// `Opaque`.
    Opaque(Vec<u8>),
    /// `Counter64`.
    Counter64(u64),
    /// The agent knows no such object.
    NoSuchObject,
    /// The object has no such instance.
    NoSuchInstance,
    /// Nothing comes after it.
    EndOfMibView,
    /// The agent sent something that is no value of its type (a number without
    /// octets), or a type that nobody knows. Its BER tag.
    Unreadable(u8),
}

impl Value {
    /// An INTEGER or an unsigned number.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            other => other.unsigned().and_then(|number| i64::try_from(number).ok()),
        }
    }

    /// A number that is not negative.
    #[must_use]
    pub fn unsigned(&self) -> Option<u64> {
        match self {
            Self::Integer(number) => u64::try_from(*number).ok(),
            Self::Counter32(number) | Self::Gauge32(number) | Self::TimeTicks(number) => {
                Some((*number).into())
            }
            Self::Counter64(number) => Some(*number),
            _ => None,
        }
    }

    /// A number that cannot be negative. Agents put 32 unsigned bits into an
    /// INTEGER of 32 signed ones: a disk of 2^31 blocks is -2147483648 then.
    #[must_use]
    pub fn natural(&self) -> Option<u64> {
        match self {
            Self::Integer(number) if *number < 0 => i32::try_from(*number)
                .ok()
                .map(|number| number.cast_unsigned().into()),
            other => other.unsigned(),
        }
    }

    /// The octets of an OCTET STRING.
    #[must_use]
    pub fn octets(&self) -> Option<&[u8]> {
        match self {
            Self::Octets(octets) => Some(octets),
            _ => None,
        }
    }

    /// A text, without what stands around it and without zeros at its end; what
    /// is not UTF-8 is read as Latin-1, as old devices write it.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let octets = self.octets()?;
        let end = octets
            .iter()
            .rposition(|octet| *octet != 0)
            .map_or(0, |last| last + 1);
        let text = match std::str::from_utf8(&octets[..end]) {
            Ok(text) => text.to_owned(),
            Err(_) => octets[..end].iter().map(|octet| char::from(*octet)).collect(),
        };
        Some(text.trim().to_owned())
    }

    /// An OBJECT IDENTIFIER.
    #[must_use]
    pub fn oid(&self) -> Option<&Oid> {
        match self {
            Self::Oid(oid) => Some(oid),
            _ => None,
        }
    }

    /// There is something: none of the three ways to say that there is not.
    #[must_use]
    pub fn exists(&self) -> bool {
        !matches!(
            self,
            Self::NoSuchObject | Self::NoSuchInstance | Self::EndOfMibView | Self::Unreadable(_)
        )
    }

    /// The name of its type, as net-snmp prints it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Integer(_) => "INTEGER",
            Self::Octets(octets) if is_text(octets) => "STRING",
            Self::Octets(_) => "Hex-STRING",
            Self::Null => "NULL",
            Self::Oid(_) => "OID",
            Self::IpAddress(_) => "IpAddress",
            Self::Counter32(_) => "Counter32",
            Self::Gauge32(_) => "Gauge32",
            Self::TimeTicks(_) => "Timeticks",
            Self::Opaque(_) => "OPAQUE",
            Self::Counter64(_) => "Counter64",
            Self::NoSuchObject | Self::NoSuchInstance | Self::EndOfMibView | Self::Unreadable(_) => "",
        }
    }
}

/// Octets that a person can read.
fn is_text(octets: &[u8]) -> bool {
    std::str::from_utf8(octets).is_ok_and(|text| {
        text.chars()
            .all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
    })
}

/// The value alone, safe to show: a text as it is, other octets in hex.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Octets(octets) if is_text(octets) => {
                f.write_str(&printable(std::str::from_utf8(octets).unwrap_or_default()))
            }
            Self::Octets(octets) | Self::Opaque(octets) => hex(octets, f),
            Self::Null => f.write_str("NULL"),
            Self::Oid(oid) => fmt::Display::fmt(oid, f),
            Self::IpAddress(ip) => fmt::Display::fmt(ip, f),
            Self::Counter32(number) | Self::Gauge32(number) => write!(f, "{number}"),
            Self::TimeTicks(ticks) => {
                let (secs, hundredths) = (ticks / 100, ticks % 100);
                let (days, hours, mins) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60);
                write!(
                    f,
                    "({ticks}) {days}:{hours:02}:{mins:02}:{:02}.{hundredths:02}",
                    secs % 60
                )
            }
            Self::Counter64(number) => write!(f, "{number}"),
            Self::NoSuchObject => f.write_str("no such object"),
            Self::NoSuchInstance => f.write_str("no such instance"),
            Self::EndOfMibView => f.write_str("end of the MIB"),
            Self::Unreadable(tag) => write!(f, "unreadable, type 0x{tag:02x}"),
        }
    }
}

fn hex(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, octet) in octets.iter().enumerate() {
        let gap = if i == 0 { "" } else { " " };
        write!(f, "{gap}{octet:02X}")?;
    }
    Ok(())
}

/// A name and its value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Varbind {
    /// The object's instance; empty where the agent sent no name that can be
    /// read.
    pub oid: Oid,
    /// Its value.
    pub value: Value,
}

impl Varbind {
    /// A name and its value.
    pub fn new(oid: impl Into<Oid>, value: Value) -> Self {
        Self {
            oid: oid.into(),
            value,
        }
    }
}

/// `1.3.6.1.2.1.1.5.0 = STRING: office-switch`.
impl fmt::Display for Varbind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.type_name() {
            "" => write!(f, "{} = {}", self.oid, self.value),
            name => write!(f, "{} = {name}: {}", self.oid, self.value),
        }
    }
}
