//! Client configurations for TCP and QUIC.

use std::sync::{Arc, LazyLock};

use rustls::{
    ClientConfig, SupportedProtocolVersion,
    client::Resumption,
    crypto::{CryptoProvider, ring},
};

use crate::verifier::Verifier;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));

/// The cryptography provider of all TLS in apmon; also a source of random bytes.
#[must_use]
pub fn provider() -> &'static Arc<CryptoProvider> {
    &PROVIDER
}

/// A client of TLS 1.2 and 1.3 that offers `protocols` by ALPN, in this order.
#[must_use]
pub fn client_config(verifier: Arc<Verifier>, protocols: &[&[u8]]) -> ClientConfig {
    config(verifier, rustls::DEFAULT_VERSIONS, protocols)
}

/// A client of TLS 1.3 alone, as QUIC needs it (RFC 9001 section 4.2). The
/// reason of a refusal does not come through QUIC: ask [`Verifier::refusal`].
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
