//! RSA (RFC 8017) where ring refuses the key's size, its kind or the hash.
//!
//! Only public keys are used here, with numbers that everybody may know: how long a
//! verification takes says nothing.

use rsa::{BigUint, Pkcs1v15Sign, Pss, RsaPublicKey};
use rustls::{
    SignatureScheme,
    pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id},
};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::hash::Hash;
use crate::provider::provider;

/// The sizes of keys in bits. Shorter ones hold no signature that TLS knows, longer ones
/// would cost a check its time.
const MIN_BITS: usize = 512;
const MAX_BITS: usize = 8192;
/// From here on ring verifies what it has a hash for.
const BITS_OF_RING: usize = 2048;

/// RSA with one padding and one hash.
#[derive(Debug)]
pub(super) struct Rsa {
    pub(super) padding: Padding,
    pub(super) hash: Hash,
    /// Whether the key says that it is for RSA-PSS (RFC 4055 section 1.2).
    pub(super) is_for_pss_alone: bool,
}

/// How a digest becomes a number (RFC 8017 section 9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Padding {
    Pkcs1,
    Pss,
}

/// id-RSASSA-PSS without parameters (RFC 4055 section 3.1).
pub(crate) const PSS_KEY: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a");
/// sha1WithRSAEncryption (RFC 3279 section 2.2.1).
const RSA_PKCS1_SHA1: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05\x05\x00");
/// sha224WithRSAEncryption (RFC 4055 section 5).
const RSA_PKCS1_SHA224: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0e\x05\x00");

impl Rsa {
    /// The algorithm of ring for large keys.
    fn of_ring(&self) -> Option<&'static dyn SignatureVerificationAlgorithm> {
        let scheme = match (self.padding, self.hash) {
            (Padding::Pkcs1, Hash::Sha256) => SignatureScheme::RSA_PKCS1_SHA256,
            (Padding::Pkcs1, Hash::Sha384) => SignatureScheme::RSA_PKCS1_SHA384,
            (Padding::Pkcs1, Hash::Sha512) => SignatureScheme::RSA_PKCS1_SHA512,
            (Padding::Pss, Hash::Sha256) => SignatureScheme::RSA_PSS_SHA256,
            (Padding::Pss, Hash::Sha384) => SignatureScheme::RSA_PSS_SHA384,
            (Padding::Pss, Hash::Sha512) => SignatureScheme::RSA_PSS_SHA512,
            (_, Hash::Sha1 | Hash::Sha224) => return None,
        };
        let mapping = provider().signature_verification_algorithms.mapping;
        let (_, algorithms) = mapping.iter().find(|(known, _)| *known == scheme)?;
        algorithms.first().copied()
    }
}

impl SignatureVerificationAlgorithm for Rsa {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = rsa::pkcs1::RsaPublicKey::try_from(public_key).map_err(|_| InvalidSignature)?;
        let modulus = BigUint::from_bytes_be(key.modulus.as_bytes());
        let bits = modulus.bits();
        if bits >= BITS_OF_RING
            && let Some(ring) = self.of_ring()
        {
            return ring.verify_signature(public_key, message, signature);
        }
        // An even modulus is not a product of odd primes.
        if !(MIN_BITS..=MAX_BITS).contains(&bits)
            || modulus.to_bytes_le().first().is_none_or(|low| low % 2 == 0)
        {
            return Err(InvalidSignature);
        }
        let exponent = BigUint::from_bytes_be(key.public_exponent.as_bytes());
        let key =
            RsaPublicKey::new_with_max_size(modulus, exponent, MAX_BITS).map_err(|_| InvalidSignature)?;
        let digest = self.hash.digest(message);
        let valid = match self.padding {
            Padding::Pkcs1 => key.verify(pkcs1(self.hash), &digest, signature),
            Padding::Pss => key.verify(pss(self.hash), &digest, signature),
        };
        valid.map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        match self.is_for_pss_alone {
            true => PSS_KEY,
            false => alg_id::RSA_ENCRYPTION,
        }
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        match (self.padding, self.hash) {
            (Padding::Pkcs1, Hash::Sha1) => RSA_PKCS1_SHA1,
            (Padding::Pkcs1, Hash::Sha224) => RSA_PKCS1_SHA224,
            (Padding::Pkcs1, Hash::Sha256) => alg_id::RSA_PKCS1_SHA256,
            (Padding::Pkcs1, Hash::Sha384) => alg_id::RSA_PKCS1_SHA384,
            (Padding::Pkcs1, Hash::Sha512) => alg_id::RSA_PKCS1_SHA512,
            (Padding::Pss, Hash::Sha384) => alg_id::RSA_PSS_SHA384,
            (Padding::Pss, Hash::Sha512) => alg_id::RSA_PSS_SHA512,
            // No RSA-PSS with a shorter hash is in the tables.
            (Padding::Pss, _) => alg_id::RSA_PSS_SHA256,
        }
    }
}

fn pkcs1(hash: Hash) -> Pkcs1v15Sign {
    match hash {
        Hash::Sha1 => Pkcs1v15Sign::new::<Sha1>(),
        Hash::Sha224 => Pkcs1v15Sign::new::<Sha224>(),
        Hash::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
        Hash::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
        Hash::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
    }
}

/// With a salt as long as the hash, as TLS requires it.
fn pss(hash: Hash) -> Pss {
    match hash {
        Hash::Sha1 => Pss::new_with_salt::<Sha1>(20),
        Hash::Sha224 => Pss::new_with_salt::<Sha224>(28),
        Hash::Sha256 => Pss::new_with_salt::<Sha256>(32),
        Hash::Sha384 => Pss::new_with_salt::<Sha384>(48),
        Hash::Sha512 => Pss::new_with_salt::<Sha512>(64),
    }
}
