//! What reads bytes from outside, for the fuzz targets: no part of the API.

/// Reads `bytes` in every way a packet of ICMP is read.
pub fn icmp(bytes: &[u8]) {
    crate::ping::fuzz(bytes);
}
