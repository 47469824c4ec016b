//! Values and varbinds.

use std::{fmt, net::Ipv4Addr};

use crate::{oid::Oid, text::printable};

/// The value of a varbind (RFC 3416, section 3).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Value {
    /// INTEGER.
    Integer(i64),
    /// OCTET STRING.
    Octets(Vec<u8>),
    /// NULL, which requests contain instead of values.
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
    /// An exception: the agent does not have the object.
    NoSuchObject,
    /// An exception: the object does not have that instance.
    NoSuchInstance,
    /// An exception: nothing follows, as this is the end of the agent's objects.
    EndOfMibView,
    /// A value that cannot be read (a number without octets), or one of an unknown type,
    /// with its BER tag.
    Unreadable(u8),
}

impl Value {
    /// The number, if this is an INTEGER or of an unsigned type.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            other => other.unsigned().and_then(|number| i64::try_from(number).ok()),
        }
    }

    /// The number, if it is not negative.
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

    /// The number of an object that cannot be negative. Agents put 32 unsigned bits into a
    /// signed INTEGER: a disk of 2^31 blocks is then reported as -2147483648.
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

    /// The text of an OCTET STRING, without surrounding white space and trailing zeros.
    /// Octets that are not UTF-8 are read as Latin-1, which old devices use.
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

    /// The OID of an OBJECT IDENTIFIER.
    #[must_use]
    pub fn oid(&self) -> Option<&Oid> {
        match self {
            Self::Oid(oid) => Some(oid),
            _ => None,
        }
    }

    /// Whether this is a readable value and not one of the exceptions.
    #[must_use]
    pub fn exists(&self) -> bool {
        !matches!(
            self,
            Self::NoSuchObject | Self::NoSuchInstance | Self::EndOfMibView | Self::Unreadable(_)
        )
    }

    /// The name of the value's type, as net-snmp prints it.
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

/// Whether the octets are readable text.
fn is_text(octets: &[u8]) -> bool {
    std::str::from_utf8(octets).is_ok_and(|text| {
        text.chars()
            .all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
    })
}

/// Shows the value without its type, safe for a terminal: text as it is, other octets in
/// hexadecimal digits.
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

/// A varbind: the OID of an instance, and its value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Varbind {
    /// The OID of the instance; empty if the agent sent one that cannot be read.
    pub oid: Oid,
    /// The value of the instance.
    pub value: Value,
}

impl Varbind {
    /// Creates a varbind.
    pub fn new(oid: impl Into<Oid>, value: Value) -> Self {
        Self {
            oid: oid.into(),
            value,
        }
    }
}

/// Shows OID, type and value: `1.3.6.1.2.1.1.5.0 = STRING: office-switch`.
impl fmt::Display for Varbind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.type_name() {
            "" => write!(f, "{} = {}", self.oid, self.value),
            name => write!(f, "{} = {name}: {}", self.oid, self.value),
        }
    }
}
