//! URLs: the part that may be shown, and the characters that must be encoded.

use apmon_core::text::printable;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use url::Url;

/// All characters except the unreserved ones of RFC 3986.
pub(crate) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The part of a URL that may be shown: scheme, host and port.
pub(crate) fn origin(url: &Url) -> String {
    let host = url.host_str().unwrap_or("");
    let shown = match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    };
    printable(&shown).into_owned()
}
