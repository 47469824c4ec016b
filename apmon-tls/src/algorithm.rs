//! The signatures that are accepted: those of ring, and those of devices and
//! authorities that ring refuses.
//!
//! Whatever ring can verify, ring verifies. The rest (P-521, RSA keys under 2048
//! bits, RSA-PSS keys, ECDSA with SHA-512, SHA-1 and SHA-224 in chains) is left to
//! RustCrypto, and costs nothing where it is not met.

mod ecdsa;
mod hash;
mod rsa;

use std::sync::LazyLock;

use rustls::{SignatureScheme, pki_types::SignatureVerificationAlgorithm};

use self::{
    ecdsa::{Curve, Ecdsa},
    hash::Hash,
    rsa::{Padding, Rsa},
};
use crate::provider::provider;

/// A way to verify signatures.
pub(crate) type Algorithm = &'static dyn SignatureVerificationAlgorithm;

pub(crate) use self::rsa::PSS_KEY;

const fn ecdsa(curve: Curve, hash: Hash) -> Ecdsa {
    Ecdsa { curve, hash }
}

const fn rsa(padding: Padding, hash: Hash) -> Rsa {
    Rsa {
        padding,
        hash,
        is_for_pss_alone: false,
    }
}

const fn rsa_pss_key(hash: Hash) -> Rsa {
    Rsa {
        padding: Padding::Pss,
        hash,
        is_for_pss_alone: true,
    }
}

static P256_SHA512: Ecdsa = ecdsa(Curve::P256, Hash::Sha512);
static P384_SHA512: Ecdsa = ecdsa(Curve::P384, Hash::Sha512);
static P521_SHA256: Ecdsa = ecdsa(Curve::P521, Hash::Sha256);
static P521_SHA384: Ecdsa = ecdsa(Curve::P521, Hash::Sha384);
static P521_SHA512: Ecdsa = ecdsa(Curve::P521, Hash::Sha512);
static P256_SHA1: Ecdsa = ecdsa(Curve::P256, Hash::Sha1);
static P384_SHA1: Ecdsa = ecdsa(Curve::P384, Hash::Sha1);
static P521_SHA1: Ecdsa = ecdsa(Curve::P521, Hash::Sha1);
static P256_SHA224: Ecdsa = ecdsa(Curve::P256, Hash::Sha224);
static P384_SHA224: Ecdsa = ecdsa(Curve::P384, Hash::Sha224);
static P521_SHA224: Ecdsa = ecdsa(Curve::P521, Hash::Sha224);
static PKCS1_SHA1: Rsa = rsa(Padding::Pkcs1, Hash::Sha1);
static PKCS1_SHA224: Rsa = rsa(Padding::Pkcs1, Hash::Sha224);
static PKCS1_SHA256: Rsa = rsa(Padding::Pkcs1, Hash::Sha256);
static PKCS1_SHA384: Rsa = rsa(Padding::Pkcs1, Hash::Sha384);
static PKCS1_SHA512: Rsa = rsa(Padding::Pkcs1, Hash::Sha512);
static PSS_SHA256: Rsa = rsa(Padding::Pss, Hash::Sha256);
static PSS_SHA384: Rsa = rsa(Padding::Pss, Hash::Sha384);
static PSS_SHA512: Rsa = rsa(Padding::Pss, Hash::Sha512);
static PSS_KEY_SHA256: Rsa = rsa_pss_key(Hash::Sha256);
static PSS_KEY_SHA384: Rsa = rsa_pss_key(Hash::Sha384);
static PSS_KEY_SHA512: Rsa = rsa_pss_key(Hash::Sha512);

/// What ring lacks and no policy refuses.
const STRONG: [Algorithm; 5] = [
    &P256_SHA512,
    &P384_SHA512,
    &P521_SHA256,
    &P521_SHA384,
    &P521_SHA512,
];

/// SHA-1, SHA-224, and RSA keys of any size. webpki asks the first algorithm that has
/// the two identifiers of a signature and no other, so these stand before ring's.
const WEAK: [Algorithm; 14] = [
    &PKCS1_SHA256,
    &PKCS1_SHA384,
    &PKCS1_SHA512,
    &PSS_SHA256,
    &PSS_SHA384,
    &PSS_SHA512,
    &PKCS1_SHA1,
    &PKCS1_SHA224,
    &P256_SHA1,
    &P384_SHA1,
    &P521_SHA1,
    &P256_SHA224,
    &P384_SHA224,
    &P521_SHA224,
];

/// Those of certificates below an authority of this machine.
static OF_SYSTEM: LazyLock<Vec<Algorithm>> = LazyLock::new(|| {
    let of_ring = provider().signature_verification_algorithms.all;
    [of_ring, &STRONG].concat()
});

/// Those of certificates below an authority that the operator named.
static OF_FILE: LazyLock<Vec<Algorithm>> = LazyLock::new(|| [&WEAK[..], &OF_SYSTEM].concat());

/// The algorithms for the signatures of a chain. SHA-1, SHA-224 and RSA keys under
/// 2048 bits count only if the authority is the operator's own.
pub(crate) fn of_chains(is_own_authority: bool) -> &'static [Algorithm] {
    match is_own_authority {
        true => &OF_FILE,
        false => &OF_SYSTEM,
    }
}

/// A scheme of TLS and the algorithms that it may stand for.
struct Scheme {
    scheme: SignatureScheme,
    algorithms: Vec<Algorithm>,
}

/// RSA-PSS with a key for that alone (RFC 8446 section 4.2.3), which rustls does not name.
const PSS_PSS_SHA256: SignatureScheme = SignatureScheme::Unknown(0x0809);
const PSS_PSS_SHA384: SignatureScheme = SignatureScheme::Unknown(0x080a);
const PSS_PSS_SHA512: SignatureScheme = SignatureScheme::Unknown(0x080b);

/// The schemes by preference: ring's own first, so that little changes for servers that
/// ring suffices for. Among those of RSA the shortest hash comes first: servers with a
/// short key choose by our order, and fail if the hash is longer than the key.
static SCHEMES: LazyLock<Vec<Scheme>> = LazyLock::new(|| {
    let mut schemes: Vec<Scheme> = provider()
        .signature_verification_algorithms
        .mapping
        .iter()
        .map(|(scheme, algorithms)| Scheme {
            scheme: *scheme,
            algorithms: algorithms.to_vec(),
        })
        .collect();
    let more: [(SignatureScheme, &[Algorithm]); 12] = [
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[&P521_SHA256]),
        (SignatureScheme::ECDSA_NISTP384_SHA384, &[&P521_SHA384]),
        // The first is that of TLS 1.3, as in ring's.
        (
            SignatureScheme::ECDSA_NISTP521_SHA512,
            &[&P521_SHA512, &P384_SHA512, &P256_SHA512],
        ),
        (PSS_PSS_SHA256, &[&PSS_KEY_SHA256]),
        (PSS_PSS_SHA384, &[&PSS_KEY_SHA384]),
        (PSS_PSS_SHA512, &[&PSS_KEY_SHA512]),
        (SignatureScheme::RSA_PSS_SHA256, &[&PSS_SHA256]),
        (SignatureScheme::RSA_PSS_SHA384, &[&PSS_SHA384]),
        (SignatureScheme::RSA_PSS_SHA512, &[&PSS_SHA512]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[&PKCS1_SHA256]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[&PKCS1_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[&PKCS1_SHA512]),
    ];
    for (scheme, algorithms) in more {
        match schemes.iter_mut().find(|known| known.scheme == scheme) {
            Some(known) => known.algorithms.extend_from_slice(algorithms),
            None => schemes.push(Scheme {
                scheme,
                algorithms: algorithms.to_vec(),
            }),
        }
    }
    schemes.sort_by_key(|known| match known.scheme {
        SignatureScheme::RSA_PSS_SHA256 => 1,
        SignatureScheme::RSA_PSS_SHA384 => 2,
        SignatureScheme::RSA_PSS_SHA512 => 3,
        SignatureScheme::RSA_PKCS1_SHA256 => 4,
        SignatureScheme::RSA_PKCS1_SHA384 => 5,
        SignatureScheme::RSA_PKCS1_SHA512 => 6,
        SignatureScheme::ECDSA_NISTP521_SHA512 | SignatureScheme::Unknown(_) => 7,
        _ => 0,
    });
    schemes
});

/// The schemes that a handshake offers.
pub(crate) fn schemes() -> Vec<SignatureScheme> {
    SCHEMES.iter().map(|known| known.scheme).collect()
}

/// The version of TLS whose rules a handshake's signature follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rules {
    Tls12,
    Tls13,
}

/// The algorithms that `scheme` stands for in a handshake.
pub(crate) fn of_handshakes(scheme: SignatureScheme, rules: Rules) -> &'static [Algorithm] {
    let known = SCHEMES.iter().find(|known| known.scheme == scheme);
    let algorithms = known.map(|known| known.algorithms.as_slice()).unwrap_or_default();
    // In TLS 1.3 a scheme of ECDSA names the curve, and PKCS #1 is not for handshakes
    // (RFC 8446 section 4.2.3).
    match (rules, scheme) {
        (
            Rules::Tls13,
            SignatureScheme::RSA_PKCS1_SHA256
            | SignatureScheme::RSA_PKCS1_SHA384
            | SignatureScheme::RSA_PKCS1_SHA512,
        ) => &[],
        (
            Rules::Tls13,
            SignatureScheme::ECDSA_NISTP256_SHA256
            | SignatureScheme::ECDSA_NISTP384_SHA384
            | SignatureScheme::ECDSA_NISTP521_SHA512,
        ) => algorithms.get(..1).unwrap_or_default(),
        _ => algorithms,
    }
}

#[cfg(test)]
mod tests;
