//! A certificate as a person reads it.

use std::net::IpAddr;

use apmon_core::Failure;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

use crate::{certificate::parse, fingerprint::Fingerprint};

/// The parts of a certificate that matter to a person.
#[derive(Clone, Debug)]
pub struct CertificateSummary {
    /// Its SHA-256.
    pub fingerprint: Fingerprint,
    /// The subject it names.
    pub subject: String,
    /// The issuer that signed it.
    pub issuer: String,
    /// The hosts it is for.
    pub names: Vec<String>,
    /// The first and the last second of its validity, in seconds since 1970.
    pub valid: (i64, i64),
}

impl CertificateSummary {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When it is not an X.509 certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, Failure> {
        let parsed = parse(certificate)?;
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names
            .map(|names| names.value.general_names.as_slice())
            .unwrap_or_default();
        Ok(Self {
            fingerprint: Fingerprint::of(certificate),
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            names: names.iter().filter_map(host).collect(),
            valid: (
                parsed.validity().not_before.timestamp(),
                parsed.validity().not_after.timestamp(),
            ),
        })
    }
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or(v6).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

/// The end of a certificate's validity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expiry {
    /// In seconds since 1970.
    pub second: i64,
    /// The day in UTC, such as `2027-01-31`.
    pub date: String,
}

impl Expiry {
    /// The end of `certificate`'s validity; `None` if it cannot be read.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = parse(certificate).ok()?;
        let end = parsed.validity().not_after;
        Some(Self {
            second: end.timestamp(),
            date: end.to_datetime().date().to_string(),
        })
    }

    /// Whole days left at `now` (in seconds since 1970), as people count them;
    /// negative once the certificate has expired.
    #[must_use]
    pub fn days_left(&self, now: i64) -> i64 {
        const DAY: i64 = 24 * 60 * 60;
        (self.second - now).div_euclid(DAY)
    }
}

/// A certificate in one line: `certificate sha-256 <hex>, valid until <date>`.
#[must_use]
pub fn describe(certificate: &CertificateDer<'_>) -> String {
    let until = Expiry::of(certificate)
        .map(|expiry| format!(", valid until {}", expiry.date))
        .unwrap_or_default();
    format!("certificate sha-256 {}{until}", Fingerprint::of(certificate))
}
