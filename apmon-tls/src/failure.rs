//! The meaning of a rustls error, in an operator's words.

use std::{error, io};

use apmon_core::{Failure, FailureClass, errno};
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::{
    certificate::UNREADABLE,
    verifier::{NO_KEY, Refused},
    words::words,
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
        Error::AlertReceived(alert) => alert_reason(*alert),
        Error::PeerIncompatible(why) => incompatible(why),
        Error::PeerMisbehaved(why) => {
            format!(
                "the server violates the TLS protocol ({})",
                words(&format!("{why:?}"))
            )
        }
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the server violates the TLS protocol (unexpected message)".to_owned()
        }
        Error::InvalidCertificate(CertificateError::BadSignature) => NO_KEY.to_owned(),
        Error::InvalidCertificate(CertificateError::BadEncoding) => UNREADABLE.to_owned(),
        other => other.to_string(),
    };
    Failure::new(FailureClass::Tls, reason)
}

/// The reason of a connection that the server ended for want of a certificate.
pub const NO_CERTIFICATE: &str = "the server demands a client certificate, and apmon has none";

/// The reason of a handshake that the server ended with `alert`.
#[must_use]
pub fn alert_reason(alert: AlertDescription) -> String {
    if alert == AlertDescription::CertificateRequired {
        return NO_CERTIFICATE.to_owned();
    }
    let name = match alert.as_str() {
        Some(name) => words(name),
        None => format!("alert {}", u8::from(alert)),
    };
    format!("refused by the server ({name})")
}

fn incompatible(why: &PeerIncompatible) -> String {
    match why {
        PeerIncompatible::ServerDoesNotSupportTls12Or13 => {
            "the server supports neither TLS 1.2 nor TLS 1.3".to_owned()
        }
        PeerIncompatible::Tls13RequiredForQuic => {
            "the server does not support TLS 1.3, which QUIC requires".to_owned()
        }
        why => {
            let why = words(&format!("{why:?}"));
            format!("the server's TLS is incompatible with apmon's ({why})")
        }
    }
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
        assert_eq!(alert.reason, "tls: refused by the server (handshake failure)");
        assert_eq!(alert.class, FailureClass::Tls);
        assert_eq!(alert_reason(200.into()), "refused by the server (alert 200)");
        let closed = failure("tls", &io::ErrorKind::UnexpectedEof.into());
        assert_eq!(closed.reason, "tls: connection closed by the peer");
        assert_eq!(closed.class, FailureClass::Closed);
    }

    #[test]
    fn an_incompatible_or_wrong_server_is_described_in_words() {
        let reason = |error| explain(&error).reason;
        let old = PeerIncompatible::ServerDoesNotSupportTls12Or13;
        assert_eq!(
            reason(old.into()),
            "the server supports neither TLS 1.2 nor TLS 1.3"
        );
        let groups = PeerIncompatible::NoKxGroupsInCommon;
        assert_eq!(
            reason(groups.into()),
            "the server's TLS is incompatible with apmon's (no kx groups in common)"
        );
        let version = rustls::PeerMisbehaved::SelectedUnofferedCipherSuite;
        assert_eq!(
            reason(version.into()),
            "the server violates the TLS protocol (selected unoffered cipher suite)"
        );
        let message = Error::InappropriateMessage {
            expect_types: Vec::new(),
            got_type: rustls::ContentType::Alert,
        };
        assert_eq!(
            reason(message),
            "the server violates the TLS protocol (unexpected message)"
        );
    }

    #[test]
    fn a_rustls_error_is_found_behind_io_errors() {
        let twice = io::Error::other(wrapped(Error::DecryptError));
        assert_eq!(rustls_error(&twice), Some(&Error::DecryptError));
        assert_eq!(rustls_error(&io::Error::other("no TLS")), None);
    }
}
