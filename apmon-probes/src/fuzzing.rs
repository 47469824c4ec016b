//! Parsers of received bytes, for the fuzz targets. Not part of the API.

/// Parses `bytes` as an ICMP packet in every form in which one is received.
pub fn icmp(bytes: &[u8]) {
    crate::ping::fuzz(bytes);
}

/// Parses `bytes` as an answer of a name server.
#[cfg(feature = "dns")]
pub fn dns(bytes: &[u8]) {
    crate::dns::fuzz(bytes);
}

/// Reads `bytes` as a server's part of the dialogue before TLS, in the protocol
/// that the first byte selects.
pub fn starttls(bytes: &[u8]) {
    crate::starttls::fuzz(bytes);
}

/// Reads `bytes` as the answer of a proxy, and as a body that may be compressed.
pub fn http(bytes: &[u8]) {
    crate::http::fuzz(bytes);
}

/// Rewrites `bytes` as an answer in HTTP/1 that may break its rules.
pub fn http_answer(bytes: &[u8]) {
    crate::http::fuzz_answer(bytes);
}

/// Follows the redirects in `bytes`: each line is the `Location` of the next one, or a cookie that
/// is set on the way if it begins with a blank.
pub fn redirects(bytes: &[u8]) {
    crate::http::fuzz_redirects(bytes);
}

/// Decodes `bytes` as a page: the value of its Content-Type, and the rest.
pub fn page(bytes: &[u8]) {
    crate::expect::fuzz(bytes);
}
