//! Reading X.509 certificates.

use apmon_core::{Failure, FailureClass};
use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

pub(crate) const UNREADABLE: &str = "the certificate cannot be read";

/// Reads a certificate.
pub(crate) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Failure> {
    match X509Certificate::from_der(certificate) {
        Ok((_, certificate)) => Ok(certificate),
        Err(_) => Err(Failure::new(FailureClass::Tls, UNREADABLE)),
    }
}

/// Whether a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) is for the
/// algorithm `id`: the content of its first element, which is a sequence too.
pub(crate) fn has_algorithm(spki: &[u8], id: &[u8]) -> bool {
    // SEQUENCE { SEQUENCE { id } BIT STRING }; headers have 2 to 5 bytes.
    fn content(der: &[u8]) -> Option<&[u8]> {
        let (first, rest) = der.strip_prefix(&[0x30])?.split_first()?;
        if *first < 0x80 {
            return rest.get(..usize::from(*first));
        }
        let count = usize::from(first & 0x7f);
        let (length, rest) = rest.split_at_checked(count)?;
        let length = length.iter().try_fold(0_usize, |sum, byte| {
            sum.checked_mul(256)?.checked_add(usize::from(*byte))
        })?;
        rest.get(..length)
    }
    content(spki).and_then(content) == Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_not_a_public_key() {
        for der in [
            &[][..],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 0xff, 1, 2],
            &[0x30, 2, 0x30, 9],
            &[0x31, 0],
        ] {
            assert!(!has_algorithm(der, &[1]), "{der:?}");
        }
        assert!(has_algorithm(&[0x30, 5, 0x30, 1, 7, 3, 0], &[7]));
        assert!(has_algorithm(&[0x30, 0x81, 3, 0x30, 1, 7], &[7]));
    }
}
