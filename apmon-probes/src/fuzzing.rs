//! The entry points of the fuzz targets: not part of the API.

/// Reads `bytes` in every way in which an ICMP packet is read.
pub fn icmp(bytes: &[u8]) {
    crate::ping::fuzz(bytes);
}

/// Reads `bytes` as the answer of a name server.
pub fn dns(bytes: &[u8]) {
    crate::dns::fuzz(bytes);
}

/// Reads `bytes` as a server's part of a dialogue before TLS; the first byte
/// chooses the protocol.
pub fn starttls(bytes: &[u8]) {
    crate::starttls::fuzz(bytes);
}

/// Reads `bytes` as the answer of a proxy, and as a body that may be compressed.
pub fn http(bytes: &[u8]) {
    crate::http::fuzz(bytes);
}
