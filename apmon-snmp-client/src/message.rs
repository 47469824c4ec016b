//! Encoding and decoding SNMP messages: v1 (RFC 1157), v2c (RFC 1901) and v3 (RFC 3412), with
//! the PDUs of RFC 3416. Whether a message can be trusted is not checked here.

mod v3;

use std::{fmt, net::Ipv4Addr};

pub use self::v3::{Scoped, V3Message};
use crate::{
    ber::{IP_ADDRESS, Malformed, Reader, SEQUENCE, TIME_TICKS, Writer},
    oid::Oid,
    value::{Value, Varbind},
};

type Result<T> = std::result::Result<T, Malformed>;

/// The kind of a PDU.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum PduKind {
    /// A request for values.
    Get,
    /// A request for the next values.
    GetNext,
    /// The answer to a request.
    Response,
    /// A request to set values.
    Set,
    /// A request for many of the next values.
    GetBulk,
    /// A notification that must be acknowledged.
    Inform,
    /// A notification.
    Trap,
    /// A report of what is wrong with a v3 message.
    Report,
}

/// The tag of SNMPv1's trap, which has a PDU of its own.
const V1_TRAP: u8 = 0xa4;

impl PduKind {
    const ALL: [(u8, Self); 8] = [
        (0xa0, Self::Get),
        (0xa1, Self::GetNext),
        (0xa2, Self::Response),
        (0xa3, Self::Set),
        (0xa5, Self::GetBulk),
        (0xa6, Self::Inform),
        (0xa7, Self::Trap),
        (0xa8, Self::Report),
    ];

    fn tag(self) -> u8 {
        let mut all = Self::ALL.iter();
        all.find(|(_, kind)| *kind == self).map_or(0, |(tag, _)| *tag)
    }

    fn of(tag: u8) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(its, _)| *its == tag).map(|(_, kind)| *kind)
    }
}

/// A PDU of RFC 3416.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pdu {
    /// The kind of the PDU.
    pub kind: PduKind,
    /// The ID that matches an answer with its request.
    pub request_id: i32,
    /// The [`ErrorStatus`] as a number, 0 for success. In a GETBULK, non-repeaters: the number
    /// of leading OIDs of which only one instance is requested.
    pub error_status: i32,
    /// The position of the varbind at fault, counted from 1. In a GETBULK, max-repetitions: the
    /// number of instances requested of each other OID.
    pub error_index: i32,
    /// The OIDs and values.
    pub varbinds: Vec<Varbind>,
}

impl Pdu {
    /// Creates a request of this kind for `oids`.
    pub fn request<'a>(kind: PduKind, request_id: i32, oids: impl IntoIterator<Item = &'a Oid>) -> Self {
        let asked = |oid: &Oid| Varbind {
            oid: oid.clone(),
            value: Value::Null,
        };
        Self {
            kind,
            request_id,
            error_status: 0,
            error_index: 0,
            varbinds: oids.into_iter().map(asked).collect(),
        }
    }

    fn write(&self, to: &mut Writer) {
        to.within(self.kind.tag(), |pdu| {
            pdu.varbinds(&self.varbinds);
            pdu.integer(self.error_index.into());
            pdu.integer(self.error_status.into());
            pdu.integer(self.request_id.into());
        });
    }

    fn read(kind: PduKind, mut pdu: Reader<'_>) -> Result<Self> {
        Ok(Self {
            kind,
            request_id: pdu.int32()?,
            error_status: pdu.int32()?,
            error_index: pdu.int32()?,
            varbinds: pdu.varbinds()?,
        })
    }
}

/// The trap PDU of SNMPv1 (RFC 1157, section 4.1.6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct V1Trap {
    /// The enterprise that defines the trap.
    pub enterprise: Oid,
    /// The device that the trap is about.
    pub agent: Ipv4Addr,
    /// The generic trap, 0 to 5, or 6 for a trap of the enterprise.
    pub generic: i32,
    /// The number of the enterprise's trap.
    pub specific: i32,
    /// The agent's uptime, in hundredths of a second.
    pub uptime: u32,
    /// The OIDs and values.
    pub varbinds: Vec<Varbind>,
}

impl V1Trap {
    fn write(&self, to: &mut Writer) {
        to.within(V1_TRAP, |trap| {
            trap.varbinds(&self.varbinds);
            trap.value(&Value::TimeTicks(self.uptime));
            trap.integer(self.specific.into());
            trap.integer(self.generic.into());
            trap.value(&Value::IpAddress(self.agent));
            trap.oid(&self.enterprise);
        });
    }

    fn read(mut trap: Reader<'_>) -> Result<Self> {
        let enterprise = trap.oid()?;
        let at = trap.position();
        let wrong = |what| Malformed { what, at };
        let Some(IP_ADDRESS) = trap.peek() else {
            return Err(wrong("expected an agent address"));
        };
        let Value::IpAddress(agent) = trap.value()? else {
            return Err(wrong("expected an agent address"));
        };
        let (generic, specific) = (trap.int32()?, trap.int32()?);
        let uptime = match (trap.peek(), trap.value()?) {
            (Some(TIME_TICKS), Value::TimeTicks(uptime)) => uptime,
            _ => return Err(wrong("expected a time stamp")),
        };
        Ok(Self {
            enterprise,
            agent,
            generic,
            specific,
            uptime,
            varbinds: trap.varbinds()?,
        })
    }
}

/// The content of a v1 or v2c message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// A PDU of RFC 3416.
    Pdu(Pdu),
    /// The trap PDU of v1.
    V1Trap(V1Trap),
}

/// A v1 or v2c message.
#[derive(Clone, PartialEq, Eq)]
pub struct CommunityMessage {
    /// Whether the message is of v1 rather than v2c.
    pub is_v1: bool,
    /// The community, which serves as a password.
    pub community: Vec<u8>,
    /// The content of the message.
    pub body: Body,
}

/// Shows the message without its community, which is a secret.
impl fmt::Debug for CommunityMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommunityMessage")
            .field("is_v1", &self.is_v1)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

impl CommunityMessage {
    /// Encodes the message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.within(SEQUENCE, |message| {
            match &self.body {
                Body::Pdu(pdu) => pdu.write(message),
                Body::V1Trap(trap) => trap.write(message),
            }
            message.octets(&self.community);
            message.integer(i64::from(!self.is_v1));
        });
        writer.finish()
    }
}

/// A message of any version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// A v1 or v2c message.
    Community(CommunityMessage),
    /// A message of v3.
    V3(V3Message<'a>),
}

impl<'a> Message<'a> {
    /// Decodes a datagram.
    ///
    /// # Errors
    /// If the datagram is not an SNMP message. An unreadable value does not cause an error but
    /// becomes [`Value::Unreadable`].
    pub fn decode(datagram: &'a [u8]) -> Result<Self> {
        let mut message = Reader::new(datagram).sequence()?;
        let at = message.position();
        match message.integer()? {
            0 => Self::community(message, true),
            1 => Self::community(message, false),
            3 => V3Message::read(message).map(Self::V3),
            _ => Err(Malformed {
                what: "unknown SNMP version",
                at,
            }),
        }
    }

    fn community(mut message: Reader<'_>, is_v1: bool) -> Result<Self> {
        let community = message.octets()?.to_vec();
        let at = message.position();
        let (tag, pdu) = message.any()?;
        let body = match (tag, PduKind::of(tag)) {
            (V1_TRAP, _) => Body::V1Trap(V1Trap::read(pdu)?),
            (_, Some(kind)) => Body::Pdu(Pdu::read(kind, pdu)?),
            _ => {
                return Err(Malformed {
                    what: "expected a PDU",
                    at,
                });
            }
        };
        Ok(Self::Community(CommunityMessage {
            is_v1,
            community,
            body,
        }))
    }
}

/// The error status of an answer (RFC 3416, section 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorStatus(pub i32);

impl ErrorStatus {
    /// The answer does not fit into a message.
    pub const TOO_BIG: Self = Self(1);
    /// SNMPv1: there is no such object, or nothing follows it.
    pub const NO_SUCH_NAME: Self = Self(2);
    /// The agent failed for another reason.
    pub const GENERAL: Self = Self(5);
    /// The object cannot be read.
    pub const NO_ACCESS: Self = Self(6);
    /// The community or user may not read the object.
    pub const AUTHORIZATION: Self = Self(16);

    const NAMES: [&'static str; 19] = [
        "noError",
        "tooBig",
        "noSuchName",
        "badValue",
        "readOnly",
        "genErr",
        "noAccess",
        "wrongType",
        "wrongLength",
        "wrongEncoding",
        "wrongValue",
        "noCreation",
        "inconsistentValue",
        "resourceUnavailable",
        "commitFailed",
        "undoFailed",
        "authorizationError",
        "notWritable",
        "inconsistentName",
    ];
}

/// Shows the name of the status in the RFC, such as `genErr`.
impl fmt::Display for ErrorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match usize::try_from(self.0).ok().and_then(|n| Self::NAMES.get(n)) {
            Some(name) => f.write_str(name),
            None => write!(f, "error {}", self.0),
        }
    }
}

impl fmt::Debug for ErrorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
