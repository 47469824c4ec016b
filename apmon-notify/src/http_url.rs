//! URLs: what may be shown of them, and how text becomes part of one.

use apmon_core::text::printable;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use url::Url;

/// Everything but RFC 3986's unreserved characters.
pub(crate) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What may be shown of a URL: scheme, host and port.
pub(crate) fn origin(url: &Url) -> String {
    let host = url.host_str().unwrap_or("");
    let shown = match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    };
    printable(&shown).into_owned()
}
