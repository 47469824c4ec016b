//! The verdict on a certificate, within the handshake.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use apmon_core::{Failure, FailureClass, text::excerpt};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::certificate::X509Certificate;

use crate::{
    algorithm::{self, Rules},
    authority::Authorities,
    certificate::{has_algorithm, key_words, parse, rsa_bits, signature_words},
    fingerprint::Fingerprint,
};

/// The conditions that a server's certificate must meet. The default accepts
/// every certificate within its dates.
#[derive(Debug, Default)]
pub struct Trust {
    /// The accepted certificates; empty: not pinned.
    pub pins: Vec<Fingerprint>,
    /// Whether a certificate outside its dates is accepted.
    pub ignore_expiry: bool,
    /// The authorities, one of which must have signed it for the host that was
    /// asked; `None`: the server's identity is not verified.
    pub authorities: Option<Arc<Authorities>>,
    /// Whether reasons may suggest `ssl_fingerprint` and `ssl_ca_file`, which
    /// monitors have and channels do not.
    pub suggests_pin: bool,
}

impl Trust {
    /// Accepts every certificate, also outside its dates.
    #[must_use]
    pub fn any() -> Self {
        Self {
            ignore_expiry: true,
            ..Self::default()
        }
    }

    /// Accepts what `authorities` have signed for the host that was asked.
    #[must_use]
    pub fn signed_by(authorities: Arc<Authorities>) -> Self {
        Self {
            authorities: Some(authorities),
            ..Self::default()
        }
    }

    /// Whether the server's identity is checked, by pin or by authorities.
    #[must_use]
    pub fn identifies(&self) -> bool {
        !self.pins.is_empty() || self.authorities.is_some()
    }

    /// Judges what a server has shown.
    pub(crate) fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Failure> {
        let got = Fingerprint::of(certificate);
        if !self.pins.is_empty() && !self.pins.contains(&got) {
            return Err(Failure::new(
                FailureClass::Pin,
                format!("certificate is not the pinned one (got {got})"),
            ));
        }
        if !self.ignore_expiry {
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            check_dates(&parse(certificate)?, now)?;
        }
        match &self.authorities {
            None => Ok(()),
            Some(authorities) => self.verify(authorities, certificate, intermediates, name, now),
        }
    }

    /// Verifies that one of `authorities` signed it, for the host that was asked.
    fn verify(
        &self,
        authorities: &Authorities,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Failure> {
        let failed = |error: Error| match error {
            Error::InvalidCertificate(error) => self.unverified(&error, certificate),
            _ => tls("certificate cannot be verified".to_owned()),
        };
        let leaf = ParsedCertificate::try_from(certificate).map_err(failed)?;
        // A device's own certificate may be in the file itself.
        if !authorities.holds(certificate) {
            if !authorities.is_own()
                && let Ok(parsed) = parse(certificate)
                && rsa_bits(&parsed).is_some_and(|bits| bits < STRONG_RSA)
            {
                let key = key_words(&parsed);
                return Err(tls(format!(
                    "certificate cannot be verified: an {key} counts only beneath an authority of ssl_ca_file"
                )));
            }
            let now = match parse(certificate) {
                // With expiry ignored the chain is verified at a moment at which
                // this certificate is valid.
                Ok(parsed) if self.ignore_expiry => clamp_to_validity(&parsed, now),
                _ => now,
            };
            verify_server_cert_signed_by_trust_anchor(
                &leaf,
                &authorities.roots,
                intermediates,
                now,
                algorithm::of_chains(authorities.is_own()),
            )
            .map_err(failed)?;
        }
        verify_server_name(&leaf, name).map_err(failed)
    }

    /// Why a chain does not verify, in an operator's words.
    fn unverified(&self, error: &CertificateError, certificate: &CertificateDer<'_>) -> Failure {
        tls(match error {
            // A bad signature: an authority of the same name, with another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                let issuer = parse(certificate)
                    .map(|parsed| shown(&parsed.issuer().to_string()))
                    .unwrap_or_default();
                format!("certificate is not signed by a trusted authority (issuer {issuer})")
            }
            CertificateError::NotValidForName => "certificate is not for this host".to_owned(),
            CertificateError::NotValidForNameContext { expected, presented } => {
                let names: Vec<_> = presented.iter().take(5).map(|name| shown(bare(name))).collect();
                let names = match names.is_empty() {
                    true => "no host".to_owned(),
                    false => names.join(", "),
                };
                format!("certificate is not for {} but for {names}", expected.to_str())
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                return Failure::new(FailureClass::Expiry, "a certificate of the chain has expired");
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                return Failure::new(
                    FailureClass::Expiry,
                    "a certificate of the chain is not valid yet",
                );
            }
            CertificateError::BadEncoding => "certificate cannot be verified: it is malformed".to_owned(),
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id,
                ..
            } => unsupported(signature_algorithm_id),
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id,
                ..
            } => format!(
                "certificate cannot be verified: it is signed with {} by a key of another kind",
                signature_words(signature_algorithm_id).unwrap_or("an unknown algorithm")
            ),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "certificate is not for servers".to_owned()
            }
            CertificateError::UnhandledCriticalExtension => UNKNOWN_EXTENSION.to_owned(),
            // rustls passes on what it has no word for. webpki's words are the
            // names of its variants: a certificate of `openssl req -x509` is
            // `CaUsedAsEndEntity`.
            CertificateError::Other(other) => match other.0.to_string().as_str() {
                "CaUsedAsEndEntity" => {
                    let suggestion = self.suggestion("; pin it, or add it to ssl_ca_file");
                    format!(
                        "certificate cannot be verified: it is a CA certificate (self-signed?){suggestion}"
                    )
                }
                "UnsupportedCertVersion" => {
                    let suggestion = self.suggestion(" (pin it instead)");
                    format!("certificate cannot be verified: it is X.509 version 1{suggestion}")
                }
                "EndEntityUsedAsCa" => {
                    "certificate is signed by a certificate that is not an authority".to_owned()
                }
                "PathLenConstraintViolated" => {
                    "certificate cannot be verified: its chain is longer than an authority in it allows"
                        .to_owned()
                }
                "NameConstraintViolation" => {
                    "certificate cannot be verified: an authority of its chain may not sign for this host"
                        .to_owned()
                }
                "MaximumSignatureChecksExceeded"
                | "MaximumPathBuildCallsExceeded"
                | "MaximumPathDepthExceeded"
                | "MaximumNameConstraintComparisonsExceeded" => {
                    "certificate cannot be verified: its chain takes too much work".to_owned()
                }
                "UnsupportedCriticalExtension" => UNKNOWN_EXTENSION.to_owned(),
                "SignatureAlgorithmMismatch" => {
                    "certificate cannot be verified: it names two signature algorithms".to_owned()
                }
                _ => "certificate cannot be verified: it or its chain breaks a rule of X.509".to_owned(),
            },
            _ => "certificate cannot be verified".to_owned(),
        })
    }

    fn suggestion(&self, text: &'static str) -> &'static str {
        if self.suggests_pin { text } else { "" }
    }
}

/// `now`, or the nearest moment at which `certificate` is valid.
fn clamp_to_validity(certificate: &X509Certificate<'_>, now: UnixTime) -> UnixTime {
    let dates = certificate.validity();
    let second = |at: i64| u64::try_from(at).unwrap_or(0);
    let (first, last) = (
        second(dates.not_before.timestamp()),
        second(dates.not_after.timestamp()),
    );
    UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs().min(last).max(first)))
}

fn tls(reason: String) -> Failure {
    Failure::new(FailureClass::Tls, reason)
}

/// The fewest bits of an RSA key that the authorities of this machine sign.
const STRONG_RSA: usize = 2048;

pub(crate) const NO_KEY: &str = "the server does not hold the certificate's private key";

const UNKNOWN_EXTENSION: &str =
    "certificate cannot be verified: it or its chain has a critical extension that apmon does not know";

/// Why a chain with a signature of this algorithm does not verify.
fn unsupported(identifier: &[u8]) -> String {
    match signature_words(identifier) {
        Some(name) if name.ends_with("SHA-1") || name.ends_with("SHA-224") => format!(
            "certificate cannot be verified: its chain is signed with {name}, which counts only beneath an authority of ssl_ca_file"
        ),
        Some(name) => format!(
            "certificate cannot be verified: its chain is signed with {name}, which apmon does not support"
        ),
        None => "certificate cannot be verified: its chain is signed with an algorithm that apmon does not support"
            .to_owned(),
    }
}

/// `nas.lan` of `DnsName("nas.lan")`, as rustls has it.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

fn shown(text: &str) -> String {
    excerpt(text, 80)
}

/// Judges certificates in the handshakes of one client configuration, or of one
/// connection whose refusal is wanted afterwards ([`Verifier::refusal`]).
#[derive(Debug)]
pub struct Verifier {
    trust: Arc<Trust>,
    refused: Mutex<Option<Failure>>,
}

impl Verifier {
    /// A verifier that accepts what `trust` accepts.
    #[must_use]
    pub fn new(trust: impl Into<Arc<Trust>>) -> Arc<Self> {
        Arc::new(Self {
            trust: trust.into(),
            refused: Mutex::default(),
        })
    }

    /// Takes the reason why the last certificate was refused.
    #[must_use]
    pub fn refusal(&self) -> Option<Failure> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, refusal: Failure) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }
}

/// Why a certificate was refused, on its way through rustls.
#[derive(Debug, thiserror::Error)]
#[error("{}", .failure.reason)]
pub(crate) struct Refused {
    pub(crate) failure: Failure,
    /// Whether it is the kind of the key that is refused, and not the certificate.
    pub(crate) is_of_kind: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.trust.judge(certificate, intermediates, name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(failure) => {
                self.note(failure.clone());
                Err(refused(failure, false))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, certificate, signed, Rules::Tls12)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, certificate, signed, Rules::Tls13)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithm::schemes()
    }
}

impl Verifier {
    /// Written by hand, because rustls offers no way around webpki's parser,
    /// which refuses X.509 version 1: `openssl x509 -signkey` makes it to this day.
    fn verify_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        rules: Rules,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = parse(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let key = certificate.public_key();
        let bits = &key.subject_public_key.data;
        let fitting: Vec<_> = algorithm::of_handshakes(signed.scheme, rules)
            .iter()
            .filter(|algorithm| has_algorithm(key.raw, algorithm.public_key_alg_id().as_ref()))
            .collect();
        let valid = fitting.iter().any(|algorithm| {
            algorithm
                .verify_signature(bits, message, signed.signature())
                .is_ok()
        });
        if valid {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let reason = match fitting.is_empty() {
            true => format!(
                "the server signs in a way that does not fit its {}",
                key_words(&certificate)
            ),
            false => NO_KEY.to_owned(),
        };
        self.note(tls(reason.clone()));
        Err(match fitting.is_empty() {
            true => refused(tls(format!("tls: {reason}")), true),
            false => CertificateError::BadSignature.into(),
        })
    }
}

/// A refusal on its way through rustls.
fn refused(failure: Failure, is_of_kind: bool) -> Error {
    let refused = Refused { failure, is_of_kind };
    CertificateError::Other(rustls::OtherError(Arc::new(refused))).into()
}

fn check_dates(certificate: &X509Certificate<'_>, now: i64) -> Result<(), Failure> {
    const DAY: i64 = 24 * 60 * 60;
    let dates = certificate.validity();
    let reason = if now > dates.not_after.timestamp() {
        let date = dates.not_after.to_datetime().date();
        match (now - dates.not_after.timestamp()) / DAY {
            0 => format!("certificate expired less than a day ago ({date})"),
            1 => format!("certificate expired 1 day ago ({date})"),
            days => format!("certificate expired {days} days ago ({date})"),
        }
    } else if now < dates.not_before.timestamp() {
        let date = dates.not_before.to_datetime().date();
        format!("certificate is not valid before {date}")
    } else {
        return Ok(());
    };
    Err(Failure::new(FailureClass::Expiry, reason))
}

/// Judges a certificate in every way, for the fuzz target.
pub(crate) fn fuzz(certificate: &CertificateDer<'_>, name: &ServerName<'_>) {
    let trust = Trust::signed_by(Arc::new(Authorities::none()));
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
    let _ = trust.judge(certificate, &[], name, now);
    let _ = trust.judge(certificate, std::slice::from_ref(certificate), name, now);
}
