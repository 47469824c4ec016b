//! ICMP packets as bytes: echo requests, their replies, and errors about them.
//! Pure functions over bytes that anyone may have sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// RFC 792 and RFC 4443: type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;
/// RFC 791 section 3.1, without options.
const IPV4_HEADER: usize = 20;
/// RFC 8200 section 3.
const IPV6_HEADER: usize = 40;

const PROTOCOL_V4: u8 = 1;
const PROTOCOL_V6: u8 = 58;

/// The payload of a request: random, so that only someone who has seen the
/// request can answer it, and no answer counts for another request.
pub(super) type Nonce = [u8; 24];

/// A complete request.
pub(super) type EchoRequest = [u8; HEADER + size_of::<Nonce>()];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    fn request(self) -> u8 {
        match self {
            Self::V4 => 8,
            Self::V6 => 128,
        }
    }

    fn reply(self) -> u8 {
        match self {
            Self::V4 => 0,
            Self::V6 => 129,
        }
    }

    /// Whether an ICMP type is an error, which quotes the packet it is about.
    fn is_error(self, kind: u8) -> bool {
        match self {
            // unreachable, source quench, redirect, time exceeded, parameter problem
            Self::V4 => matches!(kind, 3 | 4 | 5 | 11 | 12),
            // RFC 4443 section 2.1: errors have the high bit clear
            Self::V6 => kind < 128,
        }
    }
}

/// The identifying part of an echo request or reply. A quoted one may be cut short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Echo<'a> {
    pub(super) identifier: u16,
    pub(super) sequence: u16,
    pub(super) payload: &'a [u8],
}

/// Type and code of an ICMP error, which another machine sends about a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct IcmpError {
    pub(super) family: Family,
    pub(super) kind: u8,
    pub(super) code: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Message<'a> {
    Reply(Echo<'a>),
    /// An error about an echo request that went to `to`.
    Error {
        error: IcmpError,
        to: IpAddr,
        echo: Echo<'a>,
    },
}

/// An echo request as handed to the kernel, which fills in the checksum on
/// ICMPv6 and on datagram sockets (and there the identifier as well).
pub(super) fn request(family: Family, identifier: u16, sequence: u16, nonce: &Nonce) -> EchoRequest {
    let mut packet = [0; size_of::<EchoRequest>()];
    packet[0] = family.request();
    packet[4..6].copy_from_slice(&identifier.to_be_bytes());
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    packet[HEADER..].copy_from_slice(nonce);
    if family == Family::V4 {
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// The checksum of RFC 1071; zero over a packet that contains its own checksum.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        sum += u32::from(word);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Parses what a raw socket returns: IPv4 with its header, IPv6 without.
pub(super) fn parse_raw(family: Family, bytes: &[u8]) -> Option<Message<'_>> {
    match family {
        Family::V4 => {
            let (_, icmp) = parse_ipv4(bytes)?;
            parse_icmp(family, icmp)
        }
        Family::V6 => parse_icmp(family, bytes),
    }
}

/// Parses an ICMP packet, if it concerns echo requests.
pub(super) fn parse_icmp(family: Family, bytes: &[u8]) -> Option<Message<'_>> {
    let (kind, code) = (*bytes.first()?, *bytes.get(1)?);
    if kind == family.reply() && code == 0 {
        return parse_echo(bytes).map(Message::Reply);
    }
    if !family.is_error(kind) {
        return None;
    }
    let (to, inner) = match family {
        Family::V4 => parse_ipv4(bytes.get(HEADER..)?)?,
        Family::V6 => parse_ipv6(bytes.get(HEADER..)?)?,
    };
    Some(Message::Error {
        error: IcmpError { family, kind, code },
        to,
        echo: parse_quoted(family, inner)?,
    })
}

/// Parses the echo request that an error quotes, starting at its ICMP header,
/// as the error queue of a datagram socket returns it.
pub(super) fn parse_quoted(family: Family, bytes: &[u8]) -> Option<Echo<'_>> {
    (*bytes.first()? == family.request()).then(|| parse_echo(bytes))?
}

fn parse_echo(bytes: &[u8]) -> Option<Echo<'_>> {
    let (header, payload) = bytes.split_first_chunk::<HEADER>()?;
    Some(Echo {
        identifier: u16::from_be_bytes([header[4], header[5]]),
        sequence: u16::from_be_bytes([header[6], header[7]]),
        payload,
    })
}

/// The destination and the ICMP part of an IPv4 packet.
fn parse_ipv4(bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    let header = bytes.first_chunk::<IPV4_HEADER>()?;
    let length = usize::from(header[0] & 0x0f) * 4;
    // A later fragment begins in the middle of the payload.
    let offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
    if header[0] >> 4 != 4 || length < IPV4_HEADER || offset != 0 || header[9] != PROTOCOL_V4 {
        return None;
    }
    let to = Ipv4Addr::new(header[16], header[17], header[18], header[19]);
    Some((to.into(), bytes.get(length..)?))
}

/// The destination and the ICMP part of an IPv6 packet. Our requests have no
/// extension headers.
fn parse_ipv6(bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<IPV6_HEADER>()?;
    if header[0] >> 4 != 6 || header[6] != PROTOCOL_V6 {
        return None;
    }
    let to = <[u8; 16]>::try_from(&header[24..]).ok()?;
    Some((Ipv6Addr::from(to).into(), rest))
}

#[cfg(test)]
mod tests;
