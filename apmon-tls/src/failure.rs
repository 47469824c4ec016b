//! The meaning of a rustls error, in an operator's words.

use std::{error, fmt, io};

use apmon_core::{Failure, FailureClass, errno};
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible, PeerMisbehaved};

use crate::{
    certificate::UNREADABLE,
    verifier::{NO_KEY, Refused},
    words::words,
};

/// The failure of a handshake, or of a connection after it; `step` leads the
/// reason unless the certificate was refused.
#[must_use]
pub fn failure(step: &str, error: &io::Error) -> Failure {
    let inner = error.get_ref();
    if let Some(Known(failure)) = inner.and_then(|inner| inner.downcast_ref()) {
        return failure.clone();
    }
    let Some(error) = inner.and_then(|inner| inner.downcast_ref::<Error>()) else {
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

/// A failure that is already known, on its way through an [`io::Error`].
#[derive(Debug)]
struct Known(Failure);

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.reason)
    }
}

impl error::Error for Known {}

/// An error from which [`failure`] returns this failure, with its class.
pub(crate) fn io_error(failure: Failure) -> io::Error {
    io::Error::other(Known(failure))
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
        Error::PeerMisbehaved(why) => misbehaved(why),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the server violates the TLS protocol: its message was not expected".to_owned()
        }
        Error::InvalidCertificate(CertificateError::BadSignature) => NO_KEY.to_owned(),
        Error::InvalidCertificate(CertificateError::BadEncoding) => UNREADABLE.to_owned(),
        Error::InvalidCertificate(_) => "the certificate is not accepted".to_owned(),
        Error::NoCertificatesPresented => "the server shows no certificate".to_owned(),
        Error::DecryptError => "what the server sends cannot be decrypted".to_owned(),
        Error::PeerSentOversizedRecord => "the server sends a record that is too long".to_owned(),
        Error::NoApplicationProtocol => {
            "the server speaks none of the protocols that were offered".to_owned()
        }
        Error::FailedToGetCurrentTime => "the time of this machine is not known".to_owned(),
        Error::FailedToGetRandomBytes => "this machine gives no random bytes".to_owned(),
        // What else there is concerns servers, or settings that apmon does not have.
        _ => "the handshake failed".to_owned(),
    };
    Failure::new(FailureClass::Tls, reason)
}

/// Whether what a server [offers](crate::ServerOffer) may explain why a handshake with it
/// failed: it spoke TLS, or closed the connection, before it had shown a certificate that
/// was refused.
#[must_use]
pub fn is_of_offer(error: &io::Error) -> bool {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        );
    };
    match error {
        Error::AlertReceived(alert) => !matches!(
            alert,
            AlertDescription::UnrecognisedName
                | AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::NoApplicationProtocol
        ),
        Error::PeerIncompatible(_) | Error::PeerMisbehaved(_) => true,
        Error::InvalidCertificate(CertificateError::Other(other)) => other
            .0
            .downcast_ref::<Refused>()
            .is_some_and(|refused| refused.is_of_kind),
        _ => false,
    }
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

fn misbehaved(why: &PeerMisbehaved) -> String {
    let what = match why {
        PeerMisbehaved::SelectedUnofferedCipherSuite
        | PeerMisbehaved::IllegalHelloRetryRequestWithUnofferedCipherSuite
        | PeerMisbehaved::SelectedUnusableCipherSuiteForVersion => {
            "it chose a cipher suite that was not offered"
        }
        PeerMisbehaved::SelectedUnofferedKxGroup
        | PeerMisbehaved::IllegalHelloRetryRequestWithUnofferedNamedGroup => {
            "it chose a key exchange that was not offered"
        }
        PeerMisbehaved::SelectedUnofferedApplicationProtocol => "it chose a protocol that was not offered",
        PeerMisbehaved::SelectedUnofferedCompression => "it compresses, which was not offered",
        PeerMisbehaved::SignedKxWithWrongAlgorithm
        | PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme => {
            "it signed in a way that was not offered, or that does not fit its key"
        }
        PeerMisbehaved::AttemptedDowngradeToTls12WhenTls13IsSupported => {
            "it has TLS 1.3, and something on the way prevents that"
        }
        PeerMisbehaved::InvalidKeyShare | PeerMisbehaved::MissingKeyShare => "its key exchange is invalid",
        PeerMisbehaved::TooManyEmptyFragments
        | PeerMisbehaved::TooManyKeyUpdateRequests
        | PeerMisbehaved::TooManyRenegotiationRequests
        | PeerMisbehaved::TooManyWarningAlertsReceived => "it repeats itself without end",
        _ => return "the server violates the TLS protocol".to_owned(),
    };
    format!("the server violates the TLS protocol: {what}")
}

fn incompatible(why: &PeerIncompatible) -> String {
    match why {
        PeerIncompatible::ServerDoesNotSupportTls12Or13 => {
            "the server supports neither TLS 1.2 nor TLS 1.3".to_owned()
        }
        PeerIncompatible::Tls13RequiredForQuic => {
            "the server does not support TLS 1.3, which QUIC requires".to_owned()
        }
        PeerIncompatible::NoCipherSuitesInCommon => {
            "the server has no cipher suite in common with apmon".to_owned()
        }
        PeerIncompatible::NoKxGroupsInCommon => {
            "the server has no key exchange in common with apmon".to_owned()
        }
        PeerIncompatible::NoSignatureSchemesInCommon => {
            "the server has no kind of signature in common with apmon".to_owned()
        }
        PeerIncompatible::NoEcPointFormatsInCommon | PeerIncompatible::UncompressedEcPointsRequired => {
            "the server writes its key exchange in a form that apmon does not read".to_owned()
        }
        PeerIncompatible::NullCompressionRequired => "the server requires compression".to_owned(),
        _ => "the server's TLS is incompatible with apmon's".to_owned(),
    }
}

/// Why our own verifier refused the certificate, if it did.
fn refusal(error: &Error) -> Option<&Failure> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.0.downcast_ref::<Refused>().map(|refused| &refused.failure)
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

    /// A stream that fails for a reason of the server's must not look like a shortage of ours.
    #[test]
    fn a_known_failure_keeps_its_class_on_its_way_through_a_stream() {
        let known = Failure::new(FailureClass::Tls, "tls: the server refused");
        let found = failure("request", &io_error(known.clone()));
        assert_eq!((found.class, found.reason), (known.class, known.reason));
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
            "the server has no key exchange in common with apmon"
        );
        let version = rustls::PeerMisbehaved::SelectedUnofferedCipherSuite;
        assert_eq!(
            reason(version.into()),
            "the server violates the TLS protocol: it chose a cipher suite that was not offered"
        );
        let message = Error::InappropriateMessage {
            expect_types: Vec::new(),
            got_type: rustls::ContentType::Alert,
        };
        assert_eq!(
            reason(message),
            "the server violates the TLS protocol: its message was not expected"
        );
    }

    #[test]
    fn a_rustls_error_is_found_behind_io_errors() {
        let twice = io::Error::other(wrapped(Error::DecryptError));
        assert_eq!(rustls_error(&twice), Some(&Error::DecryptError));
        assert_eq!(rustls_error(&io::Error::other("no TLS")), None);
    }
}
