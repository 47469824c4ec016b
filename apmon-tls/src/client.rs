//! Client configurations for TCP and QUIC.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rustls::{
    ClientConfig, SignatureScheme, SupportedProtocolVersion,
    client::{ResolvesClientCert, Resumption},
    sign::CertifiedKey,
};

use crate::{provider::provider, verifier::Verifier};

/// The configuration of a client of TLS 1.2 and 1.3 that offers `protocols` by
/// ALPN, in this order.
#[must_use]
pub fn client_config(verifier: Arc<Verifier>, protocols: &[&[u8]]) -> ClientConfig {
    config(verifier, rustls::DEFAULT_VERSIONS, protocols)
}

/// The configuration of a client of TLS 1.3 alone, as QUIC requires it (RFC 9001
/// section 4.2). QUIC does not pass on the reason of a refusal: ask
/// [`Verifier::refusal`].
#[must_use]
pub fn quic_client_config(verifier: Arc<Verifier>, protocol: &[u8]) -> ClientConfig {
    config(verifier, &[&rustls::version::TLS13], &[protocol])
}

fn config(
    verifier: Arc<Verifier>,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_protocol_versions(versions)
        .expect("ring speaks TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // A resumed session shows no certificate, so there would be nothing to judge.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config
}

/// Whether a server has asked for a certificate.
#[derive(Clone, Default, Debug)]
pub struct CertificateRequests(Arc<AtomicBool>);

impl CertificateRequests {
    /// Whether there was a request.
    #[must_use]
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for CertificateRequests {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// The same configuration for one connection, and whether its server asks for a
/// certificate. It gets none: if it demands one, it ends the connection with an
/// alert, in TLS 1.3 after the handshake.
#[must_use]
pub fn watching_requests(config: &ClientConfig) -> (Arc<ClientConfig>, CertificateRequests) {
    let requests = CertificateRequests::default();
    let mut config = config.clone();
    config.client_auth_cert_resolver = Arc::new(requests.clone());
    (Arc::new(config), requests)
}
