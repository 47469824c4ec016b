//! What a kind may read of its site.

use super::value::{AddressFamily, Count, NameResolution, Text};

/// The site's options that are defaults of its monitors and that a kind reads
/// itself ([`Section::defaults`](super::Section::defaults)).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MonitorDefaults {
    /// `address_family`.
    pub address_family: Option<AddressFamily>,
    /// `resolver`.
    pub resolver: Option<NameResolution>,
    /// `ssl_verify`.
    pub ssl_verify: Option<bool>,
    /// `ssl_ca_file`.
    pub ssl_ca_file: Option<Text>,
    /// `ssl_expiry_warn_days`.
    pub ssl_expiry_warn_days: Option<Count>,
}
