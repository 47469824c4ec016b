//! What a rustls error means, in an operator's words.

use std::{error, io};

use apmon_core::{Failure, FailureClass, errno};
use rustls::{CertificateError, Error};

use crate::{
    certificate::UNREADABLE,
    verifier::{NO_KEY, Refused},
};

/// The failure of a handshake, or of a connection after it; `step` leads the
/// reason unless the certificate was refused.
#[must_use]
pub fn failure(step: &str, error: &io::Error) -> Failure {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return errno::failure(step, error);
    };
    match refusal(error) {
        Some(refusal) => refusal.clone(),
        None => {
            let Failure { class, reason } = explain(error);
            Failure::new(class, format!("{step}: {reason}"))
        }
    }
}

/// A rustls error as a failure, without the step in which it happened.
#[must_use]
pub fn explain(error: &Error) -> Failure {
    if let Some(refusal) = refusal(error) {
        return refusal.clone();
    }
    let reason = match error {
        Error::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        Error::AlertReceived(alert) => format!("refused by the server ({alert:?})"),
        Error::InvalidCertificate(CertificateError::BadSignature) => NO_KEY.to_owned(),
        Error::InvalidCertificate(CertificateError::BadEncoding) => UNREADABLE.to_owned(),
        other => other.to_string(),
    };
    Failure::new(FailureClass::Tls, reason)
}

/// Why our own verifier refused the certificate, if it did.
fn refusal(error: &Error) -> Option<&Failure> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.0.downcast_ref::<Refused>().map(|refused| &refused.0)
        }
        _ => None,
    }
}

/// The rustls error behind `error`, however deep it is wrapped.
#[must_use]
pub fn rustls_error<'a>(error: &'a (dyn error::Error + 'static)) -> Option<&'a Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An I/O error's `source` skips the error that it wraps.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(error: Error) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    #[test]
    fn a_failed_handshake_is_explained_in_an_operators_words() {
        let alert = Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        let alert = failure("tls", &wrapped(alert));
        assert_eq!(alert.reason, "tls: refused by the server (HandshakeFailure)");
        assert_eq!(alert.class, FailureClass::Tls);
        let closed = failure("tls", &io::ErrorKind::UnexpectedEof.into());
        assert_eq!(closed.reason, "tls: connection closed by the peer");
        assert_eq!(closed.class, FailureClass::Closed);
    }

    #[test]
    fn a_rustls_error_is_found_behind_io_errors() {
        let twice = io::Error::other(wrapped(Error::DecryptError));
        assert_eq!(rustls_error(&twice), Some(&Error::DecryptError));
        assert_eq!(rustls_error(&io::Error::other("no TLS")), None);
    }
}
