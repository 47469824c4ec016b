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

/// Whether the data of a record contains `expect`.
pub(super) fn contains(data: &RData, expect: &str) -> bool {
    // An address must match the whole record.
    if let (Some(ip), Ok(expected)) = (data.ip_addr(), expect.parse::<IpAddr>()) {
        return ip == expected;
    }
    match data {
        RData::TXT(txt) => {
            let joined = txt.txt_data().concat();
            String::from_utf8_lossy(&joined).contains(expect) || quoted(txt).contains(expect)
        }
        RData::CAA(_) => short(data).contains(expect),
        // Names and addresses are case-insensitive.
        other => {
            let text = short(other).to_ascii_lowercase();
            text.contains(&expect.to_ascii_lowercase())
        }
    }
}
