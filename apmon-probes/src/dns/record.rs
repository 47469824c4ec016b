//! Records as text, the way `dig +short` shows them.

use std::{fmt::Write as _, net::IpAddr};

use hickory_resolver::proto::rr::{RData, Record, rdata::TXT};

/// One record's data. It may hold whatever the server put there: what is shown
/// goes through `excerpt`.
pub(super) fn short(data: &RData) -> String {
    match data {
        // Names in ASCII, as they are sent; hickory would decode punycode.
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
            // Some have no text, and say so with an error that `to_string`
            // would panic at.
            let _ = write!(text, "{other}");
            text
        }
    }
}

/// The pieces of a text, each in quotes (RFC 1035 section 5.1).
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

/// Whether `expect` stands in a record's data.
pub(super) fn holds(data: &RData, expect: &str) -> bool {
    // An address is the whole of a record, or another one.
    if let (Some(ip), Ok(expected)) = (data.ip_addr(), expect.parse::<IpAddr>()) {
        return ip == expected;
    }
    match data {
        RData::TXT(txt) => {
            let joined = txt.txt_data().concat();
            String::from_utf8_lossy(&joined).contains(expect) || quoted(txt).contains(expect)
        }
        RData::CAA(_) => short(data).contains(expect),
        // Names and addresses have no case.
        other => {
            let text = short(other).to_ascii_lowercase();
            text.contains(&expect.to_ascii_lowercase())
        }
    }
}
