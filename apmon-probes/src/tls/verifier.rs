//! The judgement on a certificate, within the handshake.

use std::sync::{Arc, Mutex, PoisonError};

use apmon_core::{Failure, FailureClass};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{Fingerprint, authority::Authorities, provider};

/// What must hold of a server's certificate.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    pub(crate) pins: Vec<Fingerprint>,
    pub(crate) ignore_expiry: bool,
    /// Who must have signed it, where that matters.
    pub(crate) authorities: Option<Arc<Authorities>>,
}

impl Trust {
    fn judge(
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

    /// Signed by one of `authorities`, and for the host that was asked.
    fn verify(
        &self,
        authorities: &Authorities,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Failure> {
        let words = |error: Error| match error {
            Error::InvalidCertificate(error) => unverified(&error, certificate),
            other => tls(format!("certificate cannot be verified: {other}")),
        };
        let leaf = ParsedCertificate::try_from(certificate).map_err(words)?;
        // A device's own certificate may stand in the file itself.
        if !authorities.holds(certificate) {
            let now = match parse(certificate) {
                // Whoever ignores the end of this certificate asks as if it
                // were yet to come.
                Ok(parsed) if self.ignore_expiry => within(&parsed, now),
                _ => now,
            };
            verify_server_cert_signed_by_trust_anchor(
                &leaf,
                &authorities.roots,
                intermediates,
                now,
                provider().signature_verification_algorithms.all,
            )
            .map_err(words)?;
        }
        verify_server_name(&leaf, name).map_err(words)
    }
}

fn within(certificate: &X509Certificate<'_>, now: UnixTime) -> UnixTime {
    let dates = certificate.validity();
    let second = |at: i64| u64::try_from(at).unwrap_or(0);
    let (first, last) = (
        second(dates.not_before.timestamp()),
        second(dates.not_after.timestamp()),
    );
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.as_secs().min(last).max(first)))
}

fn tls(reason: String) -> Failure {
    Failure::new(FailureClass::Tls, reason)
}

/// Why a chain does not verify, in words for people.
fn unverified(error: &CertificateError, certificate: &CertificateDer<'_>) -> Failure {
    let parsed = parse(certificate).ok();
    tls(match error {
        // The latter: an authority of the same name, with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            let issuer = parsed.map(|parsed| shown(&parsed.issuer().to_string())).unwrap_or_default();
            format!("certificate is signed by nobody who is trusted here (issuer {issuer})")
        }
        CertificateError::NotValidForName => "certificate is not for this host".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = match presented.len() {
                0 => "no host".to_owned(),
                _ => presented.iter().take(5).map(|name| shown(bare(name))).collect::<Vec<_>>().join(", "),
            };
            format!("certificate is not for {} but for {names}", expected.to_str())
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            return Failure::new(FailureClass::Expiry, "a certificate of the chain has expired");
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            return Failure::new(FailureClass::Expiry, "a certificate of the chain is not valid yet");
        }
        CertificateError::BadEncoding => "certificate cannot be verified: it is malformed".to_owned(),
        // What rustls has no word for, it hands through from webpki, whose words
        // are names: `CaUsedAsEndEntity` is a certificate of `openssl req -x509`.
        CertificateError::Other(other) => match other.0.to_string().as_str() {
            "CaUsedAsEndEntity" => {
                "certificate cannot be verified: it is an authority's own (self-signed?); pin it, or put it into ssl_ca_file"
                    .to_owned()
            }
            "UnsupportedCertVersion" => VERSION_1.to_owned(),
            "EndEntityUsedAsCa" => "certificate is signed by one that is no authority".to_owned(),
            name => format!("certificate cannot be verified: {}", shown(name)),
        },
        other => format!("certificate cannot be verified: {other}"),
    })
}

const VERSION_1: &str = "certificate cannot be verified: it is of X.509 version 1 (pin it instead)";

pub(super) const NO_KEY: &str =
    "the server does not hold the certificate's key, or uses one of an unknown kind";

/// `nas.lan` of `DnsName("nas.lan")`, as rustls has it.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

fn shown(text: &str) -> String {
    apmon_core::text::excerpt(text, 80)
}

/// Judges for one configuration, or for one connection whose refusal somebody
/// wants to read ([`Verifier::refusal`]).
#[derive(Debug)]
pub(crate) struct Verifier {
    trust: Arc<Trust>,
    algorithms: WebPkiSupportedAlgorithms,
    refused: Mutex<Option<Failure>>,
}

impl Verifier {
    pub(crate) fn new(trust: Arc<Trust>) -> Arc<Self> {
        Arc::new(Self {
            trust,
            algorithms: provider().signature_verification_algorithms,
            refused: Mutex::default(),
        })
    }

    /// Why the last certificate was refused.
    pub(crate) fn refusal(&self) -> Option<Failure> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, refusal: Failure) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }
}

/// Why a certificate was refused, on its way through rustls.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.reason)]
pub(super) struct Refused(pub(super) Failure);

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
                let refused = Arc::new(Refused(failure));
                Err(CertificateError::Other(rustls::OtherError(refused)).into())
            }
        }
    }

    /// By hand, where rustls offers no way around webpki's parser: that one
    /// refuses X.509 version 1, which `openssl x509 -signkey` makes to this day.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = parse(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let key = certificate.public_key();
        let of_scheme = self
            .algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == signed.scheme)
            .flat_map(|(_, algorithms)| algorithms.iter());
        let bits = &key.subject_public_key.data;
        // One scheme of TLS 1.2 stands for several curves: those that do not
        // fit the key refuse it.
        let valid = of_scheme
            .filter(|algorithm| holds_algorithm(key.raw, algorithm.public_key_alg_id().as_ref()))
            .any(|algorithm| {
                algorithm
                    .verify_signature(bits, message, signed.signature())
                    .is_ok()
            });
        match valid {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(CertificateError::BadSignature.into()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = parse(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let key = SubjectPublicKeyInfoDer::from(certificate.public_key().raw);
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
            .inspect_err(|_| self.note(tls(NO_KEY.to_owned())))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Reads a certificate.
pub(super) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Failure> {
    match X509Certificate::from_der(certificate) {
        Ok((_, certificate)) => Ok(certificate),
        Err(_) => Err(tls("the certificate cannot be read".to_owned())),
    }
}

/// Whether a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) is of the
/// algorithm `id`: the content of its first element, a sequence as well.
pub(super) fn holds_algorithm(spki: &[u8], id: &[u8]) -> bool {
    // SEQUENCE { SEQUENCE { id } BIT STRING }; headers have 2 to 5 bytes.
    fn content(der: &[u8]) -> Option<&[u8]> {
        let (first, rest) = der.strip_prefix(&[0x30])?.split_first()?;
        if *first < 0x80 {
            return rest.get(..usize::from(*first));
        }
        let count = usize::from(first & 0x7f);
        let (length, rest) = rest.split_at_checked(count)?;
        let length = length.iter().try_fold(0_usize, |sum, byte| {
            sum.checked_mul(256)?.checked_add(usize::from(*byte))
        })?;
        rest.get(..length)
    }
    content(spki).and_then(content) == Some(id)
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

/// Judges a certificate by all that can be asked of it.
pub(super) fn fuzz(certificate: &CertificateDer<'_>, name: &ServerName<'_>) {
    let trust = Trust {
        authorities: Some(Arc::new(Authorities::of_nobody())),
        ..Trust::default()
    };
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000));
    let _ = trust.judge(certificate, &[], name, now);
    let _ = trust.judge(certificate, std::slice::from_ref(certificate), name, now);
}
