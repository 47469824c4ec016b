//! What an error of a library comes down to, in an operator's words.

use std::{error::Error, io};

use apmon_core::text::excerpt;

/// The innermost cause of an error; the outer ones only say that a request failed.
pub(crate) fn cause(error: &(dyn Error + 'static)) -> String {
    if let Some(error) = apmon_tls::rustls_error(error) {
        return excerpt(&apmon_tls::explain(error).reason, 200);
    }
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    // The libraries have words of their own for it: "tls handshake eof".
    let closed = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
    if innermost.downcast_ref::<io::Error>().is_some_and(closed) {
        return "connection closed by the peer".to_owned();
    }
    excerpt(&innermost.to_string(), 200)
}
