//! Records as text, as `dig +short` prints them.

use std::{fmt::Write as _, net::IpAddr};

use hickory_proto::rr::{RData, Record, rdata::TXT};

/// The data of a record. It may contain anything that the server put there:
/// pass it through `excerpt` before showing it.
pub(super) fn short(data: &RData) -> String {
    match data {
        // Names in ASCII, as sent; hickory would decode punycode.
        RData::CNAME(name) => name.0.to_ascii(),
        RData::NS(name) => name.0.to_ascii(),
        RData::PTR(name) => name.0.to_ascii(),
        RData::MX(mx) => format!("{} {}", mx.preference(), mx.exchange().to_ascii()),
        RData::SRV(srv) => format!(
            "{} {} {} {}",
            srv.priority(),
            srv.weight(),
            srv.port(),
            srv.target().to_ascii()
        ),
        RData::SOA(soa) => format!(
            "{} {} {} {} {} {} {}",
            soa.mname().to_ascii(),
            soa.rname().to_ascii(),
            soa.serial(),
            soa.refresh(),
            soa.retry(),
            soa.expire(),
            soa.minimum()
        ),
        RData::TXT(txt) => quoted(txt),
        other => {
            let mut text = String::new();
            // Some types have no text form and return an error, on which
            // `to_string` would panic.
            let _ = write!(text, "{other}");
            text
        }
    }
}

/// The parts of a TXT record, each in quotes (RFC 1035 section 5.1).
fn quoted(txt: &TXT) -> String {
    let pieces: Vec<_> = txt
        .iter()
        .map(|piece| {
            let mut text = String::from("\"");
            for byte in piece {
                match byte {
                    b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
                    b' '..=b'~' => text.push(char::from(*byte)),
                    other => _ = write!(text, "\\{other:03}"),
                }
            }
            text + "\""
        })
        .collect();
    pieces.join(" ")
}

/// One record with its name, for `--explain`.
pub(super) fn line(record: &Record) -> String {
    format!(
        "{} {} {} {} {}",
        record.name().to_ascii(),
        record.ttl(),
        record.dns_class(),
        record.record_type(),
        short(record.data())
    )
}

/// Whether the data of a record is what `expect` says: an address, a network, a pattern with
/// `*`, or a text in it.
pub(super) fn contains(data: &RData, expect: &str) -> bool {
    if let Some(ip) = data.ip_addr() {
        // An address must match the whole record.
        if let Ok(expected) = expect.parse::<IpAddr>() {
            return ip == expected;
        }
        if let Some((network, length)) = network(expect) {
            return is_in(ip, network, length);
        }
    }
    let matches = |text: &str, expect: &str| text.contains(expect) || is_like(text, expect);
    match data {
        RData::TXT(txt) => {
            let joined = txt.txt_data().concat();
            matches(&String::from_utf8_lossy(&joined), expect) || matches(&quoted(txt), expect)
        }
        RData::CAA(_) => matches(&short(data), expect),
        // Names and addresses are case-insensitive.
        other => {
            let text = short(other).to_ascii_lowercase();
            matches(&text, &expect.to_ascii_lowercase())
        }
    }
}

/// A network: `10.0.0.0/24`, `2001:db8::/32`.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (network, length) = text.split_once('/')?;
    let network: IpAddr = network.parse().ok()?;
    let most = if network.is_ipv4() { 32 } else { 128 };
    let length = length.parse().ok().filter(|length| *length <= most)?;
    Some((network, length))
}

/// Whether an address is in a network.
fn is_in(ip: IpAddr, network: IpAddr, length: u32) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)), 32),
        IpAddr::V6(ip) => (u128::from(ip), 128),
    };
    let ((ip, size), (network, network_size)) = (bits(ip), bits(network));
    // A shift by all bits would be an overflow: everything is in a network of length 0.
    size == network_size && (length == 0 || (ip ^ network) >> (size - length) == 0)
}

/// Whether `text` as a whole is like `pattern`, in which `*` stands for any text. A pattern has at
/// least one `*`.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return false;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*');
    let last = parts.next_back().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}
