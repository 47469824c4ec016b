//! The cryptography of TLS.

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, ring};

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));

/// The cryptography provider of all TLS in apmon; also a source of random bytes.
#[must_use]
pub fn provider() -> &'static Arc<CryptoProvider> {
    &PROVIDER
}
