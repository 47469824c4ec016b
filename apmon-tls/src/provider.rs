//! The cryptography of TLS.

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, ring};

use crate::group::P521;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = ring::default_provider();
    static P521_BY_RING: LazyLock<P521> = LazyLock::new(|| P521(ring::default_provider().secure_random));
    // The last, so that only servers choose it that have no other.
    provider.kx_groups.push(&*P521_BY_RING);
    Arc::new(provider)
});

/// The cryptography provider of all TLS in apmon; also a source of random bytes.
#[must_use]
pub fn provider() -> &'static Arc<CryptoProvider> {
    &PROVIDER
}
