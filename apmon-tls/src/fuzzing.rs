//! The entry points of the fuzz targets: not part of the API.

use rustls::pki_types::{CertificateDer, ServerName};

use crate::{CertificateSummary, describe, legacy::wire, offer, verifier};

/// A server presents `bytes` as its certificate, which is judged and shown.
pub fn certificate(bytes: &[u8]) {
    let certificate = CertificateDer::from(bytes);
    let _ = (CertificateSummary::of(&certificate), describe(&certificate));
    let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
    verifier::fuzz(&certificate, &name);
}

/// A server answers a hello with `bytes`; or the helper a request, or it gets one.
pub fn hello(bytes: &[u8]) {
    offer::fuzz(bytes);
    let _ = (wire::Reply::decode(bytes), wire::Request::decode(bytes));
}
