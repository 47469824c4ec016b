//! Reading X.509 certificates.

use apmon_core::{Failure, FailureClass, text::excerpt};
use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use crate::algorithm::PSS_KEY;

pub(crate) const UNREADABLE: &str = "the certificate cannot be read";

/// Reads a certificate.
pub(crate) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Failure> {
    match X509Certificate::from_der(certificate) {
        Ok((_, certificate)) => Ok(certificate),
        Err(_) => Err(Failure::new(FailureClass::Tls, UNREADABLE)),
    }
}

/// The kind and size of a certificate's key, as a person names it: `RSA key of 1024
/// bits`.
pub(crate) fn key_words(certificate: &X509Certificate<'_>) -> String {
    let key = certificate.public_key();
    let bits = rsa_bits(certificate).map_or_else(String::new, |bits| format!(" of {bits} bits"));
    match key.algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.1" => format!("RSA key{bits}"),
        "1.2.840.113549.1.1.10" => format!("RSA-PSS key{bits}"),
        "1.2.840.10040.4.1" => "DSA key".to_owned(),
        "1.3.101.112" => "Ed25519 key".to_owned(),
        "1.3.101.113" => "Ed448 key".to_owned(),
        "1.2.840.10045.2.1" => {
            let curve = key.algorithm.parameters.as_ref().and_then(|it| it.as_oid().ok());
            let curve = curve.map(|curve| curve.to_id_string());
            match curve.as_deref() {
                Some("1.2.840.10045.3.1.7") => "P-256 key".to_owned(),
                Some("1.3.132.0.34") => "P-384 key".to_owned(),
                Some("1.3.132.0.35") => "P-521 key".to_owned(),
                Some("1.3.36.3.3.2.8.1.1.7") => "brainpoolP256r1 key".to_owned(),
                Some("1.3.36.3.3.2.8.1.1.11") => "brainpoolP384r1 key".to_owned(),
                Some("1.3.36.3.3.2.8.1.1.13") => "brainpoolP512r1 key".to_owned(),
                Some(other) => format!("key on the curve {other}"),
                None => "key on a curve of its own".to_owned(),
            }
        }
        other => format!("key of the kind {}", excerpt(other, 40)),
    }
}

/// The size of an RSA key; `None` if the key is of another kind.
pub(crate) fn rsa_bits(certificate: &X509Certificate<'_>) -> Option<usize> {
    let key = certificate.public_key();
    let id = key.algorithm.algorithm.to_id_string();
    if !matches!(id.as_str(), "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10") {
        return None;
    }
    let key = rsa::pkcs1::RsaPublicKey::try_from(&*key.subject_public_key.data).ok()?;
    let modulus = key.modulus.as_bytes();
    let first = modulus.first()?;
    Some(modulus.len() * 8 - first.leading_zeros() as usize)
}

/// The name of a signature algorithm, given as the content of its AlgorithmIdentifier.
pub(crate) fn signature_words(identifier: &[u8]) -> Option<&'static str> {
    const NAMES: &[(&[u8], &str)] = &[
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", "RSA with MD5"),
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", "RSA with SHA-1"),
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", "RSA-PSS"),
        (
            b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b",
            "RSA with SHA-256",
        ),
        (
            b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c",
            "RSA with SHA-384",
        ),
        (
            b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d",
            "RSA with SHA-512",
        ),
        (
            b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0e",
            "RSA with SHA-224",
        ),
        (b"\x06\x07\x2a\x86\x48\xce\x3d\x04\x01", "ECDSA with SHA-1"),
        (b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x01", "ECDSA with SHA-224"),
        (b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", "ECDSA with SHA-256"),
        (b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03", "ECDSA with SHA-384"),
        (b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04", "ECDSA with SHA-512"),
        (b"\x06\x07\x2a\x86\x48\xce\x38\x04\x03", "DSA with SHA-1"),
        (b"\x06\x03\x2b\x65\x70", "Ed25519"),
        (b"\x06\x03\x2b\x65\x71", "Ed448"),
    ];
    let found = NAMES.iter().find(|(id, _)| identifier.starts_with(id));
    found.map(|(_, name)| *name)
}

/// Whether a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) is for the
/// algorithm `id`: the content of its first element, which is a sequence too. A key for
/// RSA-PSS alone may say which hashes it is for (RFC 4055 section 3.1).
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
    let Some(found) = content(spki).and_then(content) else {
        return false;
    };
    found == id || (id == PSS_KEY.as_ref() && found.starts_with(id))
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
