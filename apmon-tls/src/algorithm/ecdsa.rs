//! ECDSA (FIPS 186-5) where ring lacks the curve or the hash.

use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

use super::hash::Hash;

/// ECDSA with one curve and one hash.
#[derive(Debug)]
pub(super) struct Ecdsa {
    pub(super) curve: Curve,
    pub(super) hash: Hash,
}

/// A curve of NIST.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    /// The length of a coordinate.
    fn bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// ecdsa-with-SHA1 (RFC 3279 section 2.2.3).
const ECDSA_SHA1: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(b"\x06\x07\x2a\x86\x48\xce\x3d\x04\x01");
/// ecdsa-with-SHA224 (RFC 5758 section 3.2).
const ECDSA_SHA224: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x01");

macro_rules! verify {
    ($curve:ident, $key:expr, $digest:expr, $signature:expr) => {{
        use $curve::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier as _};
        let key = VerifyingKey::from_sec1_bytes($key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der($signature).map_err(|_| InvalidSignature)?;
        key.verify_prehash($digest, &signature)
            .map_err(|_| InvalidSignature)
    }};
}

impl SignatureVerificationAlgorithm for Ecdsa {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let digest = padded(self.hash.digest(message), self.curve.bytes());
        match self.curve {
            Curve::P256 => verify!(p256, public_key, &digest, signature),
            Curve::P384 => verify!(p384, public_key, &digest, signature),
            Curve::P521 => verify!(p521, public_key, &digest, signature),
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        match self.curve {
            Curve::P256 => alg_id::ECDSA_P256,
            Curve::P384 => alg_id::ECDSA_P384,
            Curve::P521 => alg_id::ECDSA_P521,
        }
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        match self.hash {
            Hash::Sha1 => ECDSA_SHA1,
            Hash::Sha224 => ECDSA_SHA224,
            Hash::Sha256 => alg_id::ECDSA_SHA256,
            Hash::Sha384 => alg_id::ECDSA_SHA384,
            Hash::Sha512 => alg_id::ECDSA_SHA512,
        }
    }
}

/// The digest as a number of at least `bytes` bytes: RustCrypto refuses one of less than
/// half a coordinate, which leading zeros do not change.
fn padded(digest: Vec<u8>, bytes: usize) -> Vec<u8> {
    let mut number = vec![0; bytes.saturating_sub(digest.len())];
    number.extend(digest);
    number
}
