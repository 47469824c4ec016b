//! Names of DNS, as an operator writes them.

use hickory_proto::rr::Name;

/// `text` as a name that can be queried. ASCII is taken as it is: IDNA (RFC
/// 5891) does not know `_`, which LANs and SRV records have.
pub(crate) fn dns_name(text: &str) -> Option<Name> {
    let name = match text.is_ascii() {
        true => Name::from_ascii(text),
        false => Name::from_utf8(text),
    };
    name.ok()
}
