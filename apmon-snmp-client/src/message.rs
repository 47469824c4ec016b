//! SNMP messages: v1 (RFC 1157), v2c (RFC 1901) and v3 (RFC 3412), with the
//! PDUs of RFC 3416. What a message says, not whether it may be believed.

use std::{fmt, net::Ipv4Addr, ops::Range};

use crate::{
    ber::{self, IP_ADDRESS, Malformed, Reader, SEQUENCE, TIME_TICKS, Writer},
    oid::Oid,
    value::{Value, Varbind},
};

type Result<T> = std::result::Result<T, Malformed>;

/// What a PDU is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum PduKind {
    /// Asks for values.
    Get,
    /// Asks for what comes next.
    GetNext,
    /// Answers.
    Response,
    /// Sets values.
    Set,
    /// Asks for much of what comes next.
    GetBulk,
    /// Tells, and wants an answer.
    Inform,
    /// Tells.
    Trap,
    /// Says what is wrong with a message of v3.
    Report,
}

/// SNMPv1's trap has a PDU of its own.
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
    /// What it is.
    pub kind: PduKind,
    /// Ties an answer to its request.
    pub request_id: i32,
    /// What went wrong, 0 for nothing ([`ErrorStatus`]). In a GETBULK: how many
    /// of the first names are asked for once only.
    pub error_status: i32,
    /// At which varbind, from 1. In a GETBULK: how often the others are asked
    /// for.
    pub error_index: i32,
    /// Names and values.
    pub varbinds: Vec<Varbind>,
}

impl Pdu {
    /// A request for `oids`.
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
    /// Whose trap it is.
    pub enterprise: Oid,
    /// Whom it is about.
    pub agent: Ipv4Addr,
    /// 0 to 5 for those all devices have, 6 for one of the enterprise's.
    pub generic: i32,
    /// Which of the enterprise's.
    pub specific: i32,
    /// The agent's uptime, hundredths of a second.
    pub uptime: u32,
    /// What it tells.
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
            return Err(wrong("no agent address"));
        };
        let Value::IpAddress(agent) = trap.value()? else {
            return Err(wrong("no agent address"));
        };
        let (generic, specific) = (trap.int32()?, trap.int32()?);
        let uptime = match (trap.peek(), trap.value()?) {
            (Some(TIME_TICKS), Value::TimeTicks(uptime)) => uptime,
            _ => return Err(wrong("no time stamp")),
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

/// What a message of v1 or v2c carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// A PDU as of RFC 3416.
    Pdu(Pdu),
    /// A trap of v1.
    V1Trap(V1Trap),
}

/// A message of v1 or v2c.
#[derive(Clone, PartialEq, Eq)]
pub struct CommunityMessage {
    /// It is v1, not v2c.
    pub is_v1: bool,
    /// The password.
    pub community: Vec<u8>,
    /// What is said.
    pub body: Body,
}

/// Without the community, which is a secret.
impl fmt::Debug for CommunityMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommunityMessage")
            .field("is_v1", &self.is_v1)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

impl CommunityMessage {
    /// As it goes over the wire.
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

/// A message of v3 (RFC 3412, section 6), secured by users (RFC 3414, section
/// 2.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct V3Message<'a> {
    /// Ties an answer to its request.
    pub id: i32,
    /// The longest answer that can be taken, octets.
    pub max_size: i32,
    /// It is signed.
    pub is_signed: bool,
    /// It is encrypted.
    pub is_encrypted: bool,
    /// Trouble with it may be reported.
    pub is_reportable: bool,
    /// Whose boots and time these are.
    pub engine_id: &'a [u8],
    /// How often that engine was started.
    pub boots: u32,
    /// Seconds since it was started last.
    pub time: u32,
    /// The user.
    pub user: &'a [u8],
    /// Where the signature stands in the message.
    pub signature: Range<usize>,
    /// What decrypting needs beside the key.
    pub salt: &'a [u8],
    /// A scoped PDU; encrypted where the message says so.
    pub data: &'a [u8],
}

const SIGNED: u8 = 1;
const ENCRYPTED: u8 = 2;
const REPORTABLE: u8 = 4;

/// RFC 3411, section 5: the user-based security model.
const USM: i32 = 3;

impl V3Message<'_> {
    /// As it goes over the wire; where `signature` is to be is in the second
    /// part, `mac_len` octets of zeros.
    #[must_use]
    pub fn encode(&self, mac_len: usize) -> (Vec<u8>, Range<usize>) {
        let mut writer = Writer::default();
        let mut behind = 0;
        writer.within(SEQUENCE, |message| {
            match self.is_encrypted {
                true => message.octets(self.data),
                false => message.encoded(self.data),
            }
            message.within(ber::OCTETS, |parameters| {
                parameters.within(SEQUENCE, |usm| {
                    usm.octets(self.salt);
                    behind = usm.len();
                    usm.octets(&vec![0; mac_len]);
                    usm.octets(self.user);
                    usm.integer(self.time.into());
                    usm.integer(self.boots.into());
                    usm.octets(self.engine_id);
                });
            });
            message.within(SEQUENCE, |head| {
                head.integer(USM.into());
                let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
                let flags = flag(self.is_signed, SIGNED)
                    | flag(self.is_encrypted, ENCRYPTED)
                    | flag(self.is_reportable, REPORTABLE);
                head.octets(&[flags]);
                head.integer(self.max_size.into());
                head.integer(self.id.into());
            });
            message.integer(3);
        });
        let end = writer.len() - behind;
        (writer.finish(), end - mac_len..end)
    }
}

/// What a v3 message is about, and in which context.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scoped {
    /// The engine that has the context.
    pub engine_id: Vec<u8>,
    /// The context.
    pub context: Vec<u8>,
    /// What is said.
    pub pdu: Pdu,
}

impl Scoped {
    /// As it stands in a message, or is encrypted there.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.within(SEQUENCE, |scoped| {
            self.pdu.write(scoped);
            scoped.octets(&self.context);
            scoped.octets(&self.engine_id);
        });
        writer.finish()
    }

    /// Reads one; what stands behind it is padding.
    ///
    /// # Errors
    /// When it makes no sense: after decryption by a wrong key it does not.
    pub fn decode(octets: &[u8]) -> Result<Self> {
        let mut scoped = Reader::new(octets).sequence()?;
        let engine_id = scoped.octets()?.to_vec();
        let context = scoped.octets()?.to_vec();
        let at = scoped.position();
        let (tag, pdu) = scoped.any()?;
        match PduKind::of(tag) {
            Some(kind) => Ok(Self {
                engine_id,
                context,
                pdu: Pdu::read(kind, pdu)?,
            }),
            None => Err(Malformed { what: "no PDU", at }),
        }
    }
}

/// A message that came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// v1 or v2c.
    Community(CommunityMessage),
    /// v3.
    V3(V3Message<'a>),
}

impl<'a> Message<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// When it is no SNMP message. A value that makes no sense is none: it is
    /// [`Value::Unreadable`].
    pub fn decode(datagram: &'a [u8]) -> Result<Self> {
        let mut message = Reader::new(datagram).sequence()?;
        let at = message.position();
        match message.integer()? {
            0 => Self::community(message, true),
            1 => Self::community(message, false),
            3 => Self::v3(message),
            _ => Err(Malformed {
                what: "no version of SNMP",
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
            _ => return Err(Malformed { what: "no PDU", at }),
        };
        Ok(Self::Community(CommunityMessage {
            is_v1,
            community,
            body,
        }))
    }

    fn v3(mut message: Reader<'a>) -> Result<Self> {
        let mut head = message.sequence()?;
        let (id, max_size) = (head.int32()?, head.int32()?);
        let at = head.position();
        let [flags] = *head.octets()? else {
            return Err(Malformed { what: "no flags", at });
        };
        let at = head.position();
        if head.int32()? != USM {
            return Err(Malformed {
                what: "not the user-based security model",
                at,
            });
        }
        let mut usm = message
            .expect(ber::OCTETS, "no security parameters")?
            .sequence()?;
        let engine_id = usm.octets()?;
        let (boots, time) = (usm.counter()?, usm.counter()?);
        let user = usm.octets()?;
        let signature = {
            let place = usm.expect(ber::OCTETS, "no authentication parameters")?;
            place.position()..place.position() + place.rest().len()
        };
        let salt = usm.octets()?;
        let is_encrypted = flags & ENCRYPTED != 0;
        let data = match is_encrypted {
            true => message.octets()?,
            false => message.rest(),
        };
        Ok(Self::V3(V3Message {
            id,
            max_size,
            is_signed: flags & SIGNED != 0,
            is_encrypted,
            is_reportable: flags & REPORTABLE != 0,
            engine_id,
            boots,
            time,
            user,
            signature,
            salt,
            data,
        }))
    }
}

/// RFC 3416, section 3: why a request was not answered as asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorStatus(pub i32);

impl ErrorStatus {
    /// The answer would not fit into a message.
    pub const TOO_BIG: Self = Self(1);
    /// SNMPv1: there is no such object, or nothing comes after it.
    pub const NO_SUCH_NAME: Self = Self(2);
    /// The agent failed.
    pub const GENERAL: Self = Self(5);
    /// The object may not be read.
    pub const NO_ACCESS: Self = Self(6);
    /// Whoever asks may not read it.
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

/// Its name in the RFC: `genErr`.
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
