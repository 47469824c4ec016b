//! TLS as a probe needs it: the certificate is judged within the handshake, so
//! that nothing of a request reaches a server that is not the right one.
//!
//! Chains are verified where somebody asks for it: on a LAN most certificates
//! are self-signed, and what vouches for them is the pin. The handshake's
//! signature is always verified, else anybody could show somebody else's
//! certificate.

mod authority;
mod fingerprint;
mod options;
mod verifier;

use std::{
    io,
    net::IpAddr,
    sync::{Arc, LazyLock},
};

use apmon_core::{Check, Failure, FailureClass, Phase, errno};
use rustls::{
    CertificateError, ClientConfig, Error,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};
use x509_parser::extensions::GeneralName;

pub(crate) use self::verifier::{Trust, Verifier};
pub use self::{fingerprint::Fingerprint, options::TlsOptions};
use crate::{course::Course, pin::Shown};

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));

/// The one cryptography provider of this crate.
pub(crate) fn provider() -> &'static Arc<CryptoProvider> {
    &PROVIDER
}

const DAY: i64 = 24 * 60 * 60;

/// How a monitor speaks TLS.
#[derive(Debug)]
pub(crate) struct Tls {
    trust: Arc<Trust>,
    warn_days: Option<u32>,
    client: Arc<ClientConfig>,
}

impl Tls {
    pub(crate) fn new(trust: Trust, warn_days: Option<u32>, protocols: &[&[u8]]) -> Self {
        let trust = Arc::new(trust);
        let mut client = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Verifier::new(Arc::clone(&trust)))
            .with_no_client_auth();
        // A resumed session shows no certificate.
        client.resumption = Resumption::disabled();
        client.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Self {
            trust,
            warn_days,
            client: Arc::new(client),
        }
    }

    /// Whether not everybody is believed.
    pub(crate) fn is_vouched(&self) -> bool {
        !self.trust.pins.is_empty() || self.trust.authorities.is_some()
    }

    /// Settings for one connection by QUIC, and the judge whose reasons would
    /// not come through it.
    pub(crate) fn for_quic(&self, protocol: &[u8]) -> (ClientConfig, Arc<Verifier>) {
        let verifier = Verifier::new(Arc::clone(&self.trust));
        let mut client = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring speaks TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
            .with_no_client_auth();
        client.resumption = Resumption::disabled();
        client.alpn_protocols = vec![protocol.to_vec()];
        (client, verifier)
    }

    /// The handshake over a connection that is there.
    pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        name: ServerName<'static>,
        stream: S,
        check: &Check,
        course: &mut Course,
    ) -> Result<TlsStream<S>, Failure> {
        let connector = TlsConnector::from(Arc::clone(&self.client));
        let stream = check
            .within("tls", connector.connect(name, stream))
            .await?
            .map_err(|error| {
                let failure = failure("tls", &error);
                check.step("tls", || failure.reason.clone());
                failure
            })?;
        course.done(Phase::Tls);
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        check.step("tls", || {
            let version = session.protocol_version();
            format!(
                "{}, {}",
                version.and_then(|version| version.as_str()).unwrap_or("TLS"),
                certificate.map(describe).unwrap_or_default()
            )
        });
        if let Some(certificate) = certificate {
            self.note_expiry(certificate, check, course);
        }
        Ok(stream)
    }

    /// How long the certificate will hold.
    pub(crate) fn note_expiry(&self, certificate: &CertificateDer<'_>, check: &Check, course: &mut Course) {
        let Ok(parsed) = verifier::parse(certificate) else {
            return;
        };
        let end = parsed.validity().not_after;
        let now = check.started.wall.as_second();
        // Whole days, as people count them; so long a time is exact.
        let days = (end.timestamp() - now).div_euclid(DAY);
        #[allow(clippy::cast_precision_loss)]
        course.measured_least("ssl_expiry_days", days as f64);
        if self.warn_days.is_some_and(|warn| days < i64::from(warn)) {
            let date = end.to_datetime().date();
            course.warn(match days {
                ..0 => format!("certificate has expired ({date})"),
                0 => format!("certificate expires within a day ({date})"),
                1 => format!("certificate expires in 1 day ({date})"),
                _ => format!("certificate expires in {days} days ({date})"),
            });
        }
    }
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

/// The failure of a handshake, or of a connection after it.
pub(crate) fn failure(step: &str, error: &io::Error) -> Failure {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return errno::failure(step, error);
    };
    if let Error::InvalidCertificate(CertificateError::Other(other)) = error
        && let Some(refused) = other.0.downcast_ref::<verifier::Refused>()
    {
        return refused.0.clone();
    }
    let words = match error {
        Error::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        Error::AlertReceived(alert) => format!("refused by the server ({alert:?})"),
        Error::InvalidCertificate(CertificateError::BadSignature) => verifier::NO_KEY.to_owned(),
        Error::InvalidCertificate(CertificateError::BadEncoding) => {
            "the certificate cannot be read".to_owned()
        }
        other => other.to_string(),
    };
    Failure::new(FailureClass::Tls, format!("{step}: {words}"))
}

/// A certificate for a person.
pub(crate) fn shown(certificate: &CertificateDer<'_>) -> Result<Shown, Failure> {
    let parsed = verifier::parse(certificate)?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names
        .map(|names| names.value.general_names.as_slice())
        .unwrap_or_default();
    Ok(Shown {
        fingerprint: Fingerprint::of(certificate),
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        names: names.iter().filter_map(host_of).collect(),
        valid: (
            parsed.validity().not_before.timestamp(),
            parsed.validity().not_after.timestamp(),
        ),
    })
}

fn host_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or(v6).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

/// A certificate as `--explain` shows it.
pub(crate) fn describe(certificate: &CertificateDer<'_>) -> String {
    let until = match verifier::parse(certificate) {
        Ok(parsed) => format!(
            ", valid until {}",
            parsed.validity().not_after.to_datetime().date()
        ),
        Err(_) => String::new(),
    };
    format!("certificate sha-256 {}{until}", Fingerprint::of(certificate))
}

/// A server that shows `bytes` as its certificate.
pub(crate) fn fuzz(bytes: &[u8]) {
    let certificate = CertificateDer::from(bytes);
    let _ = (shown(&certificate), describe(&certificate));
    let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
    verifier::fuzz(&certificate, &name);
}

#[cfg(test)]
mod tests;
