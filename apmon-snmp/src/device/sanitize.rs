//! Making the texts of an agent safe to display: they may contain anything.

use apmon_core::{Mac, text::excerpt};
use apmon_snmp_client::Value;

/// The most characters of a name. Names in use are far shorter, though DisplayString
/// allows 255.
pub(crate) const NAME: usize = 128;

/// The most characters of a description, which may have several lines.
pub(crate) const DESCRIPTION: usize = 512;

/// Returns a text as one line of at most `max` characters; `None` if it is empty.
pub(crate) fn sanitized(value: &Value, max: usize) -> Option<String> {
    let text = value.text()?;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then(|| excerpt(&line, max))
}

/// Parses a MAC address, given as six octets or as text; `None` if it is all zeros.
pub(crate) fn mac(value: &Value) -> Option<Mac> {
    let octets = value.octets()?;
    let mac = match <[u8; 6]>::try_from(octets) {
        Ok(bytes) => Mac::new(bytes),
        Err(_) => std::str::from_utf8(octets).ok()?.parse().ok()?,
    };
    (mac.bytes() != [0; 6]).then_some(mac)
}

/// The ID of a port or a device for display: a text, or a MAC address if `is_mac` or if
/// the octets are not text. The text `Eth1/1` has six octets as well.
pub(crate) fn id(value: &Value, is_mac: bool) -> Option<String> {
    let octets = value.octets()?;
    let is_text = octets
        .iter()
        .all(|octet| octet.is_ascii_graphic() || *octet == b' ');
    match mac(value) {
        Some(mac) if is_mac || !is_text => Some(mac.to_string()),
        _ => sanitized(value, NAME),
    }
}

/// Whether the address belongs to a single station rather than to a group.
pub(crate) fn is_station(mac: Mac) -> bool {
    mac.bytes()[0] & 1 == 0 && mac.bytes() != [0; 6]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(octets: &[u8]) -> Value {
        Value::Octets(octets.to_vec())
    }

    #[test]
    fn a_text_becomes_one_safe_line() {
        assert_eq!(
            sanitized(&octets(b"Cisco IOS\r\nVersion 12 \0"), 80).as_deref(),
            Some("Cisco IOS Version 12")
        );
        assert_eq!(
            sanitized(&octets(b"a\x1b[2J"), 80).as_deref(),
            Some("a\\u{1b}[2J")
        );
        assert_eq!(sanitized(&octets(b"aaaa"), 3).as_deref(), Some("aaa..."));
        assert_eq!(sanitized(&octets(b" \0\0"), 80), None);
        assert_eq!(sanitized(&Value::Integer(1), 80), None);
    }

    #[test]
    fn a_port_s_name_of_six_octets_is_a_mac_unless_it_is_text() {
        let mac = octets(&[0x18, 0xe8, 0x29, 0x45, 0xf8, 0xf7]);
        assert_eq!(id(&mac, false).as_deref(), Some("18:E8:29:45:F8:F7"));
        assert_eq!(id(&octets(b"Eth1/1"), false).as_deref(), Some("Eth1/1"));
        assert_eq!(id(&octets(b"Eth1/1"), true).as_deref(), Some("45:74:68:31:2F:31"));
        assert_eq!(id(&octets(b""), true), None);
    }

    #[test]
    fn group_and_zero_addresses_are_not_stations() {
        for (text, is) in [
            ("18:E8:29:45:F8:F7", true),
            ("02:00:00:00:00:01", true),
            ("01:00:5E:00:00:01", false),
            ("FF:FF:FF:FF:FF:FF", false),
            ("00:00:00:00:00:00", false),
        ] {
            assert_eq!(is_station(text.parse().unwrap()), is, "{text}");
        }
    }
}
