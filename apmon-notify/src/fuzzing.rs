//! Parsers of received bytes, for the fuzz targets. Not part of the API.

/// Reads `bytes` as a mail server's part of a whole dialogue, and shows what it said without the
/// password.
#[cfg(feature = "mail")]
pub fn mail(bytes: &[u8]) {
    crate::mail::fuzz(bytes);
}

/// Judges `bytes` as a receiver's answer: the value of `Retry-After` in the first line, then the
/// body.
pub fn answer(bytes: &[u8]) {
    crate::answer::fuzz(bytes);
    crate::webhook::fuzz(bytes);
}
