//! What reads bytes from outside, for the fuzz targets: no part of the API.

/// Reads `bytes` in every way a packet of ICMP is read.
pub fn icmp(bytes: &[u8]) {
    crate::ping::fuzz(bytes);
}

/// An answer of a name server.
pub fn dns(bytes: &[u8]) {
    crate::dns::fuzz(bytes);
}

/// What a server says before TLS, in the dialogue that the first byte names.
pub fn starttls(bytes: &[u8]) {
    crate::starttls::fuzz(bytes);
}

/// What a proxy answers, and a body that may be packed.
pub fn http(bytes: &[u8]) {
    crate::http::fuzz(bytes);
}
