//! The options of the site that a kind of monitor reads.

use super::value::{AddressFamily, Count, NameResolution, Text};

/// Options of the site that are defaults for its monitors and that a kind reads
/// itself, from [`Section::defaults`](super::Section::defaults).
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
