//! The entry point of the fuzz target: not part of the API.

use rustls::pki_types::{CertificateDer, ServerName};

use crate::{CertificateSummary, describe, verifier};

/// A server presents `bytes` as its certificate, which is judged and shown.
pub fn certificate(bytes: &[u8]) {
    let certificate = CertificateDer::from(bytes);
    let _ = (CertificateSummary::of(&certificate), describe(&certificate));
    let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
    verifier::fuzz(&certificate, &name);
}
