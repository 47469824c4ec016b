//! Messages of SNMPv3.

use std::ops::Range;

use super::{Pdu, PduKind, Result};
use crate::ber::{self, Malformed, Reader, SEQUENCE, Writer};

/// A v3 message (RFC 3412, section 6) with the user-based security model (RFC 3414, section
/// 2.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct V3Message<'a> {
    /// The ID that matches an answer with its request.
    pub id: i32,
    /// The longest answer that the sender accepts, in octets.
    pub max_size: i32,
    /// Whether the message is signed.
    pub is_signed: bool,
    /// Whether the message is encrypted.
    pub is_encrypted: bool,
    /// Whether the receiver may send a report about the message.
    pub is_reportable: bool,
    /// The ID of the authoritative engine.
    pub engine_id: &'a [u8],
    /// The number of times that this engine was started.
    pub boots: u32,
    /// The seconds since this engine was last started.
    pub time: u32,
    /// The user name.
    pub user: &'a [u8],
    /// The position of the signature in the message.
    pub signature: Range<usize>,
    /// The privacy parameters, which decryption needs besides the key.
    pub salt: &'a [u8],
    /// The scoped PDU, which is encrypted if the message is.
    pub data: &'a [u8],
}

const SIGNED: u8 = 1;
const ENCRYPTED: u8 = 2;
const REPORTABLE: u8 = 4;

/// The number of the user-based security model (RFC 3411, section 5).
const USM: i32 = 3;

impl<'a> V3Message<'a> {
    /// Encodes the message with `mac_len` octets of zeros for the signature. Returns the message
    /// and the position of the signature.
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

    /// Decodes the message from after the version.
    pub(super) fn read(mut message: Reader<'a>) -> Result<Self> {
        let mut head = message.sequence()?;
        let (id, max_size) = (head.int32()?, head.int32()?);
        let at = head.position();
        let [flags] = *head.octets()? else {
            return Err(Malformed {
                what: "invalid flags",
                at,
            });
        };
        let at = head.position();
        if head.int32()? != USM {
            return Err(Malformed {
                what: "unsupported security model",
                at,
            });
        }
        let mut usm = message
            .expect(ber::OCTETS, "expected security parameters")?
            .sequence()?;
        let engine_id = usm.octets()?;
        let (boots, time) = (usm.counter()?, usm.counter()?);
        let user = usm.octets()?;
        let signature = {
            let place = usm.expect(ber::OCTETS, "expected authentication parameters")?;
            place.position()..place.position() + place.rest().len()
        };
        let salt = usm.octets()?;
        let is_encrypted = flags & ENCRYPTED != 0;
        let data = match is_encrypted {
            true => message.octets()?,
            false => message.rest(),
        };
        Ok(Self {
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
        })
    }
}

/// The content of a v3 message: a PDU, and its context.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scoped {
    /// The ID of the engine that has the context.
    pub engine_id: Vec<u8>,
    /// The name of the context.
    pub context: Vec<u8>,
    /// The PDU.
    pub pdu: Pdu,
}

impl Scoped {
    /// Encodes the scoped PDU, for a message or for encryption.
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

    /// Decodes a scoped PDU. Anything after it is padding.
    ///
    /// # Errors
    /// If the octets are not a scoped PDU, such as after decryption with a wrong key.
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
            None => Err(Malformed {
                what: "expected a PDU",
                at,
            }),
        }
    }
}
