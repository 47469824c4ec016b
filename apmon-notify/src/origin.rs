//! The part of a URL that holds no secret.

use apmon_core::text::printable;
use url::Url;

/// Scheme, host and port of a URL.
pub(crate) fn origin(url: &Url) -> String {
    let host = url.host_str().unwrap_or("");
    let shown = match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    };
    printable(&shown).into_owned()
}
