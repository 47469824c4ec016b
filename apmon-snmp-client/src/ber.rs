//! The encoding of SNMP messages: BER (X.690) as restricted by RFC 3417, section 8. The reader
//! is lenient with what agents send, such as lengths and numbers in more octets than needed,
//! and never panics.

use std::net::Ipv4Addr;

use crate::{
    oid::{MAX_LEN, Oid},
    value::{Value, Varbind},
};

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTETS: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const IP_ADDRESS: u8 = 0x40;
pub(crate) const COUNTER32: u8 = 0x41;
pub(crate) const GAUGE32: u8 = 0x42;
pub(crate) const TIME_TICKS: u8 = 0x43;
pub(crate) const OPAQUE: u8 = 0x44;
pub(crate) const COUNTER64: u8 = 0x46;
const NO_SUCH_OBJECT: u8 = 0x80;
const NO_SUCH_INSTANCE: u8 = 0x81;
const END_OF_MIB_VIEW: u8 = 0x82;

/// The error for a message that cannot be decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Malformed {
    /// The fault.
    pub what: &'static str,
    /// The position of the fault, in bytes from the beginning of the decoded text.
    pub at: usize,
}

type Result<T> = std::result::Result<T, Malformed>;

/// A reader of elements, one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    octets: &'a [u8],
    /// The position of `octets` in the message.
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self { octets, at: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// The position of the next octet in the message.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    fn wrong<T>(&self, what: &'static str) -> Result<T> {
        Err(Malformed { what, at: self.at })
    }

    fn octet(&mut self) -> Result<u8> {
        let Some((first, rest)) = self.octets.split_first() else {
            return self.wrong("truncated");
        };
        self.octets = rest;
        self.at += 1;
        Ok(*first)
    }

    /// The tag of the next element.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.octets.first().copied()
    }

    fn length(&mut self) -> Result<usize> {
        let first = self.octet()?;
        if first < 0x80 {
            return Ok(usize::from(first));
        }
        if first == 0x80 {
            return self.wrong("indefinite length");
        }
        let mut length = 0_usize;
        for _ in 0..first & 0x7f {
            let octet = self.octet()?;
            if length > usize::from(u16::MAX) {
                return self.wrong("length too large");
            }
            length = length << 8 | usize::from(octet);
        }
        Ok(length)
    }

    /// Reads the next element, and returns its tag and a reader of its content.
    pub(crate) fn any(&mut self) -> Result<(u8, Reader<'a>)> {
        let tag = self.octet()?;
        if tag & 0x1f == 0x1f {
            return self.wrong("tag of several bytes");
        }
        let length = self.length()?;
        if length > self.octets.len() {
            return self.wrong("element longer than the message");
        }
        let (inner, rest) = self.octets.split_at(length);
        let inner = Reader {
            octets: inner,
            at: self.at,
        };
        self.octets = rest;
        self.at += length;
        Ok((tag, inner))
    }

    /// Reads the next element, which must have this tag, and returns a reader of its content.
    pub(crate) fn expect(&mut self, tag: u8, what: &'static str) -> Result<Reader<'a>> {
        match self.peek() {
            Some(found) if found == tag => self.any().map(|(_, inner)| inner),
            _ => self.wrong(what),
        }
    }

    pub(crate) fn sequence(&mut self) -> Result<Reader<'a>> {
        self.expect(SEQUENCE, "expected a sequence")
    }

    pub(crate) fn octets(&mut self) -> Result<&'a [u8]> {
        Ok(self.expect(OCTETS, "expected an octet string")?.octets)
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.octets
    }

    pub(crate) fn integer(&mut self) -> Result<i64> {
        let inner = self.expect(INTEGER, "expected an integer")?;
        match signed(inner.octets) {
            Some(number) => Ok(number),
            None => inner.wrong("invalid integer"),
        }
    }

    /// Reads a number of 32 bits, as in the header of a message.
    pub(crate) fn int32(&mut self) -> Result<i32> {
        let at = *self;
        match i32::try_from(self.integer()?) {
            Ok(number) => Ok(number),
            Err(_) => at.wrong("number too large"),
        }
    }

    /// Reads a number of 32 bits that is not negative.
    pub(crate) fn counter(&mut self) -> Result<u32> {
        let at = *self;
        match u32::try_from(self.integer()?) {
            Ok(number) => Ok(number),
            Err(_) => at.wrong("number out of range"),
        }
    }

    pub(crate) fn oid(&mut self) -> Result<Oid> {
        let inner = self.expect(OID, "expected an OID")?;
        match oid(inner.octets) {
            Some(oid) => Ok(oid),
            None => inner.wrong("invalid OID"),
        }
    }

    /// Reads a value. An unreadable one becomes [`Value::Unreadable`] and does not affect others.
    pub(crate) fn value(&mut self) -> Result<Value> {
        let (tag, inner) = self.any()?;
        let octets = inner.octets;
        let unsigned = || signed(octets).and_then(|number| unsigned32(number, octets.len()));
        let value = match tag {
            INTEGER => signed(octets).map(Value::Integer),
            OCTETS => Some(Value::Octets(octets.to_vec())),
            NULL => Some(Value::Null),
            OID => oid(octets).map(Value::Oid),
            IP_ADDRESS => <[u8; 4]>::try_from(octets)
                .ok()
                .map(|ip| Value::IpAddress(Ipv4Addr::from(ip))),
            COUNTER32 => unsigned().map(Value::Counter32),
            GAUGE32 => unsigned().map(Value::Gauge32),
            TIME_TICKS => unsigned().map(Value::TimeTicks),
            OPAQUE => Some(Value::Opaque(octets.to_vec())),
            COUNTER64 => unsigned64(octets).map(Value::Counter64),
            NO_SUCH_OBJECT => Some(Value::NoSuchObject),
            NO_SUCH_INSTANCE => Some(Value::NoSuchInstance),
            END_OF_MIB_VIEW => Some(Value::EndOfMibView),
            _ => None,
        };
        Ok(value.unwrap_or(Value::Unreadable(tag)))
    }

    pub(crate) fn varbinds(&mut self) -> Result<Vec<Varbind>> {
        let mut list = self.sequence()?;
        // Most varbinds take at least 20 octets.
        let mut varbinds = Vec::with_capacity(list.octets.len() / 20);
        while !list.is_empty() {
            let mut pair = list.sequence()?;
            // An unreadable OID becomes an empty one; the varbinds after it are read.
            let (tag, name) = pair.any()?;
            let oid = if tag == OID { oid(name.octets) } else { None };
            varbinds.push(Varbind {
                oid: oid.unwrap_or_default(),
                value: pair.value()?,
            });
        }
        Ok(varbinds)
    }
}

/// Decodes a number in two's complement; `None` without octets, or with more than 64 bits.
fn signed(octets: &[u8]) -> Option<i64> {
    let first = *octets.first()?;
    let fill = if first & 0x80 == 0 { 0 } else { 0xff };
    let superfluous = octets.len().saturating_sub(8);
    let (pad, octets) = octets.split_at(superfluous);
    if pad.iter().any(|octet| *octet != fill) {
        return None;
    }
    let mut eight = [fill; 8];
    eight[8 - octets.len()..].copy_from_slice(octets);
    Some(i64::from_be_bytes(eight))
}

/// Decodes an unsigned number, which is encoded like a signed one. Some agents omit the zero
/// octet before a first bit that is set.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // that bit is not a sign
fn unsigned32(number: i64, octets: usize) -> Option<u32> {
    match number {
        0.. => u32::try_from(number).ok(),
        _ if octets <= 4 => Some(number as u32),
        _ => None,
    }
}

fn unsigned64(octets: &[u8]) -> Option<u64> {
    match octets {
        [0, rest @ ..] if rest.len() == 8 => Some(u64::from_be_bytes(rest.try_into().ok()?)),
        #[allow(clippy::cast_sign_loss)] // as with 32 bits
        _ if octets.len() <= 8 => Some(signed(octets)? as u64),
        _ => None,
    }
}

fn oid(octets: &[u8]) -> Option<Oid> {
    // X.690, section 8.19: each octet holds seven bits; its first bit is set in all octets of
    // a sub-identifier but the last.
    let mut parts = Vec::with_capacity(octets.len() + 1);
    let mut part = 0_u64;
    let mut is_open = false;
    for octet in octets {
        part = part << 7 | u64::from(octet & 0x7f);
        is_open = octet & 0x80 != 0;
        if part > u64::from(u32::MAX) + 80 || parts.len() > MAX_LEN {
            return None;
        }
        if is_open {
            continue;
        }
        if parts.is_empty() {
            let first = (part / 40).min(2);
            parts.push(u32::try_from(first).ok()?);
            part -= first * 40;
        }
        parts.push(u32::try_from(part).ok()?);
        part = 0;
    }
    (!octets.is_empty() && !is_open && parts.len() <= MAX_LEN).then(|| Oid::new(parts))
}

/// A writer that builds a message from its end to its beginning, so that each length is known
/// when it is written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// The message in reverse order.
    reversed: Vec<u8>,
}

impl Writer {
    pub(crate) fn len(&self) -> usize {
        self.reversed.len()
    }

    /// Returns the message.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.reversed.reverse();
        self.reversed
    }

    fn raw(&mut self, octets: &[u8]) {
        self.reversed.extend(octets.iter().rev());
    }

    #[allow(clippy::cast_possible_truncation)] // octet by octet
    fn head(&mut self, tag: u8, length: usize) {
        if length < 0x80 {
            self.reversed.push(length as u8);
        } else {
            let mut left = length;
            let mut octets = 0;
            while left > 0 {
                self.reversed.push(left as u8);
                left >>= 8;
                octets += 1;
            }
            self.reversed.push(0x80 | octets);
        }
        self.reversed.push(tag);
    }

    /// Writes an element whose content `write` writes, the last part first.
    pub(crate) fn within(&mut self, tag: u8, write: impl FnOnce(&mut Self)) {
        let before = self.len();
        write(self);
        self.head(tag, self.len() - before);
    }

    pub(crate) fn octets(&mut self, octets: &[u8]) {
        self.tagged(OCTETS, octets);
    }

    /// Writes an element that is already encoded.
    pub(crate) fn encoded(&mut self, element: &[u8]) {
        self.raw(element);
    }

    pub(crate) fn tagged(&mut self, tag: u8, octets: &[u8]) {
        self.raw(octets);
        self.head(tag, octets.len());
    }

    pub(crate) fn integer(&mut self, number: i64) {
        self.number(INTEGER, number);
    }

    fn number(&mut self, tag: u8, number: i64) {
        let octets = number.to_be_bytes();
        // The shortest form, without leading octets that only repeat the sign.
        let mut from = 0;
        while from < 7 {
            let (this, next) = (octets[from], octets[from + 1] & 0x80);
            match (this, next) {
                (0, 0) | (0xff, 0x80) => from += 1,
                _ => break,
            }
        }
        self.tagged(tag, &octets[from..]);
    }

    /// Writes an OID. An empty one, which stands for an unreadable OID, has no octets.
    pub(crate) fn oid(&mut self, oid: &[u32]) {
        let before = self.len();
        let (first, rest) = match oid {
            [first, second, rest @ ..] => (u64::from(*first) * 40 + u64::from(*second), rest),
            [first] => (u64::from(*first) * 40, [].as_slice()),
            [] => return self.head(OID, 0),
        };
        for part in rest.iter().rev() {
            self.base128(u64::from(*part));
        }
        self.base128(first);
        self.head(OID, self.len() - before);
    }

    #[allow(clippy::cast_possible_truncation)] // seven bits
    fn base128(&mut self, mut part: u64) {
        self.reversed.push((part & 0x7f) as u8);
        part >>= 7;
        while part > 0 {
            self.reversed.push((part & 0x7f) as u8 | 0x80);
            part >>= 7;
        }
    }

    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Integer(number) => self.integer(*number),
            Value::Octets(octets) => self.octets(octets),
            Value::Null => self.head(NULL, 0),
            Value::Oid(oid) => self.oid(oid),
            Value::IpAddress(ip) => self.tagged(IP_ADDRESS, &ip.octets()),
            Value::Counter32(number) => self.number(COUNTER32, (*number).into()),
            Value::Gauge32(number) => self.number(GAUGE32, (*number).into()),
            Value::TimeTicks(number) => self.number(TIME_TICKS, (*number).into()),
            Value::Opaque(octets) => self.tagged(OPAQUE, octets),
            Value::Counter64(number) => match i64::try_from(*number) {
                Ok(number) => self.number(COUNTER64, number),
                Err(_) => {
                    self.raw(&number.to_be_bytes());
                    self.raw(&[0]);
                    self.head(COUNTER64, 9);
                }
            },
            Value::NoSuchObject => self.head(NO_SUCH_OBJECT, 0),
            Value::NoSuchInstance => self.head(NO_SUCH_INSTANCE, 0),
            Value::EndOfMibView => self.head(END_OF_MIB_VIEW, 0),
            Value::Unreadable(tag) => self.head(*tag, 0),
        }
    }

    pub(crate) fn varbinds(&mut self, varbinds: &[Varbind]) {
        self.within(SEQUENCE, |list| {
            for varbind in varbinds.iter().rev() {
                list.within(SEQUENCE, |pair| {
                    pair.value(&varbind.value);
                    pair.oid(&varbind.oid);
                });
            }
        });
    }
}

#[cfg(test)]
pub(crate) mod tests;
