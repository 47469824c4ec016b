//! From a password to a key that is good for one engine.

use std::array;

use md5::Md5;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512, digest::DynDigest};

use super::AuthProtocol;

/// How much of a password's repetition is hashed, in octets (RFC 3414, A.2).
const REPEATED: usize = 1024 * 1024;

/// How a hash that is too short for a cipher's key is made longer.
#[derive(Clone, Copy)]
pub(super) enum Extension {
    /// By the hash of the key (draft-blumenthal-aes-usm-04, 3.1.2.1).
    Blumenthal,
    /// By the key of which the key is the password
    /// (draft-reeder-snmpv3-usm-3desede-00, 2.1).
    Reeder,
}

/// The key of `password` on one engine (RFC 3414, A.2), as long as the
/// protocol's hash.
pub(super) fn localized(protocol: AuthProtocol, password: &[u8], engine_id: &[u8]) -> Box<[u8]> {
    let mut hash = hash(protocol);
    if !password.is_empty() {
        // Whole repetitions, so that the next block goes on where this one ended.
        let block = password.repeat(4096_usize.div_ceil(password.len()));
        let mut left = REPEATED;
        while left > 0 {
            let taken = left.min(block.len());
            hash.update(&block[..taken]);
            left -= taken;
        }
    }
    let everywhere = hash.finalize_reset();
    for part in [&everywhere, engine_id, &everywhere] {
        hash.update(part);
    }
    hash.finalize()
}

/// As [`localized`], cut or made longer to `N` octets, at most 32.
pub(super) fn of_length<const N: usize>(
    protocol: AuthProtocol,
    password: &[u8],
    engine_id: &[u8],
    extension: Extension,
) -> [u8; N] {
    const { assert!(N <= 32, "one extension of the shortest hash, 16 octets, gives 32") };
    let mut key = localized(protocol, password, engine_id).into_vec();
    if key.len() < N {
        let more = match extension {
            Extension::Blumenthal => {
                let mut hash = hash(protocol);
                hash.update(&key);
                hash.finalize()
            }
            Extension::Reeder => localized(protocol, &key, engine_id),
        };
        key.extend_from_slice(&more);
    }
    array::from_fn(|at| key[at])
}

fn hash(protocol: AuthProtocol) -> Box<dyn DynDigest> {
    match protocol {
        AuthProtocol::Md5 => Box::<Md5>::default(),
        AuthProtocol::Sha1 => Box::<Sha1>::default(),
        AuthProtocol::Sha224 => Box::<Sha224>::default(),
        AuthProtocol::Sha256 => Box::<Sha256>::default(),
        AuthProtocol::Sha384 => Box::<Sha384>::default(),
        AuthProtocol::Sha512 => Box::<Sha512>::default(),
    }
}
