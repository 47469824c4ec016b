//! TLS as a probe needs it: the certificate is judged within the handshake, so
//! that nothing of a request reaches a server that is not the pinned one.
//!
//! There is no chain verification: on a LAN most certificates are self-signed,
//! and what vouches for them is the pin. The handshake's signature is always
//! verified, else anybody could show somebody else's certificate.

use std::{
    fmt, io,
    sync::{Arc, LazyLock},
};

use apmon_core::{Failure, FailureClass};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use crate::errno;

/// SHA-256 of a certificate (its DER form), as a pin. Written as 64 hex
/// digits in either case, with or without colons.
#[derive(Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct Fingerprint(
    #[schemars(with = "String", regex(pattern = "^([0-9A-Fa-f]:?){63}[0-9A-Fa-f]$"))] [u8; 32],
);

impl Fingerprint {
    /// That of a certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    fn parse(text: &str) -> Result<Self, String> {
        const WANTED: &str = "must be a SHA-256 fingerprint: 64 hex digits, with or without colons";
        let mut bytes = [0; 32];
        let mut digits = 0;
        for (at, found) in text.chars().enumerate() {
            match found.to_digit(16) {
                Some(digit) => {
                    if let Some(byte) = bytes.get_mut(digits / 2) {
                        *byte = *byte << 4 | digit as u8;
                    }
                    digits += 1;
                }
                None if found == ':' => {}
                None => {
                    let found = found.escape_debug();
                    return Err(format!("{WANTED}; '{found}' at character {} is neither", at + 1));
                }
            }
        }
        match digits {
            64 => Ok(Self(bytes)),
            40 => Err(format!("{WANTED}; these are 40 digits, a SHA-1")),
            _ => Err(format!("{WANTED}; these are {digits} digits")),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));

/// The one cryptography provider of this crate.
pub(crate) fn provider() -> &'static Arc<CryptoProvider> {
    &PROVIDER
}

/// TLS settings under which only a certificate with one of `pins` (any, where
/// there are none) is spoken to, and, unless told otherwise, none that is
/// outside its dates.
pub(crate) fn client(pins: Vec<Fingerprint>, ignore_expiry: bool) -> Arc<ClientConfig> {
    let verifier = Verifier {
        pins,
        ignore_expiry,
        algorithms: provider().signature_verification_algorithms,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // A resumed session shows no certificate.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// What a host is called in a handshake. Names that TLS does not know (some
/// LANs have them) are left out of it.
pub(crate) fn server_name(host: &apmon_core::config::Host) -> ServerName<'static> {
    use apmon_core::config::Host;
    match host {
        Host::Address(ip) => ServerName::IpAddress((*ip).into()),
        Host::Name(name) => {
            let name = name.strip_suffix('.').unwrap_or(name).to_owned();
            ServerName::try_from(name)
                .unwrap_or_else(|_| ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into()))
        }
    }
}

/// Why a certificate was refused, in words for people.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
struct Rejected {
    class: FailureClass,
    reason: String,
}

impl Rejected {
    fn error(class: FailureClass, reason: String) -> Error {
        let rejected = Arc::new(Self { class, reason });
        CertificateError::Other(rustls::OtherError(rejected)).into()
    }
}

#[derive(Debug)]
struct Verifier {
    pins: Vec<Fingerprint>,
    ignore_expiry: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let got = Fingerprint::of(certificate);
        if !self.pins.is_empty() && !self.pins.contains(&got) {
            return Err(Rejected::error(
                FailureClass::Pin,
                format!("certificate is not the pinned one (got {got})"),
            ));
        }
        if !self.ignore_expiry {
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            check_dates(&parse(certificate)?, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    /// By hand, where rustls offers no way around webpki's parser: that one
    /// refuses X.509 version 1, which `openssl x509 -signkey` makes to this day.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = parse(certificate)?;
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
        let certificate = parse(certificate)?;
        let key = SubjectPublicKeyInfoDer::from(certificate.public_key().raw);
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    match X509Certificate::from_der(certificate) {
        Ok((_, certificate)) => Ok(certificate),
        Err(_) => Err(CertificateError::BadEncoding.into()),
    }
}

/// Whether a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) is of the
/// algorithm `id`: the content of its first element, a sequence as well.
fn holds_algorithm(spki: &[u8], id: &[u8]) -> bool {
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

fn check_dates(certificate: &X509Certificate<'_>, now: i64) -> Result<(), Error> {
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
    Err(Rejected::error(FailureClass::Expiry, reason))
}

/// The failure of a handshake, or of a connection after it.
pub(crate) fn failure(step: &str, error: &io::Error) -> Failure {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return errno::failure(step, error);
    };
    if let Error::InvalidCertificate(CertificateError::Other(other)) = error
        && let Some(rejected) = other.0.downcast_ref::<Rejected>()
    {
        return Failure::new(rejected.class, rejected.reason.clone());
    }
    let words = match error {
        Error::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        Error::AlertReceived(alert) => format!("refused by the server ({alert:?})"),
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "the server does not hold the certificate's key, or uses one of an unknown kind".to_owned()
        }
        Error::InvalidCertificate(CertificateError::BadEncoding) => {
            "the certificate cannot be read".to_owned()
        }
        other => other.to_string(),
    };
    Failure::new(FailureClass::Tls, format!("{step}: {words}"))
}

/// A certificate as `--explain` shows it.
pub(crate) fn describe(certificate: &CertificateDer<'_>) -> String {
    let until = match parse(certificate) {
        Ok(parsed) => format!(
            ", valid until {}",
            parsed.validity().not_after.to_datetime().date()
        ),
        Err(_) => String::new(),
    };
    format!("certificate sha-256 {}{until}", Fingerprint::of(certificate))
}

#[cfg(test)]
mod tests;
