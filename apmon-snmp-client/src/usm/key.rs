//! Deriving keys from passwords, each for one engine.

use std::{
    array,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512, digest::DynDigest};

use super::AuthProtocol;

/// The octets of the repeated password that are hashed (RFC 3414, A.2).
const REPEATED: usize = 1024 * 1024;

/// The method to extend a hash that is too short for a cipher's key.
#[derive(Clone, Copy)]
pub(super) enum Extension {
    /// Appends the hash of the key (draft-blumenthal-aes-usm-04, 3.1.2.1).
    Blumenthal,
    /// Appends another key, derived with the key as its password
    /// (draft-reeder-snmpv3-usm-3desede-00, 2.1).
    Reeder,
}

/// A hashed password, valid for all engines (RFC 3414, A.2), which is the slow part of a
/// key. It prints as `***` and is cheap to clone.
#[derive(Clone)]
pub struct MasterKey {
    protocol: AuthProtocol,
    octets: Arc<[u8]>,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl MasterKey {
    /// Hashes a password. This hashes 1 MiB, which takes some milliseconds, so keep the key. RFC
    /// 3414 demands passwords of at least 8 octets, which is not checked here: even an empty
    /// password makes a key.
    #[must_use]
    pub fn of(protocol: AuthProtocol, password: &[u8]) -> Self {
        let mut hash = hash(protocol);
        if !password.is_empty() {
            // Whole repetitions, so that each block continues the one before.
            let block = password.repeat(4096_usize.div_ceil(password.len()));
            let mut left = REPEATED;
            while left > 0 {
                let taken = left.min(block.len());
                hash.update(&block[..taken]);
                left -= taken;
            }
        }
        Self {
            protocol,
            octets: hash.finalize().into(),
        }
    }

    pub(super) fn protocol(&self) -> AuthProtocol {
        self.protocol
    }

    /// The key for one engine, as long as the protocol's hash.
    pub(super) fn localized(&self, engine_id: &[u8]) -> Box<[u8]> {
        let mut hash = hash(self.protocol);
        for part in [&self.octets, engine_id, &self.octets] {
            hash.update(part);
        }
        hash.finalize()
    }

    /// The key for one engine, cut or extended to `N` octets, at most 32.
    pub(super) fn of_length<const N: usize>(&self, engine_id: &[u8], extension: Extension) -> [u8; N] {
        const { assert!(N <= 32, "one extension of the shortest hash, 16 octets, gives 32") };
        let mut key = self.localized(engine_id).into_vec();
        if key.len() < N {
            let more = match extension {
                Extension::Blumenthal => {
                    let mut hash = hash(self.protocol);
                    hash.update(&key);
                    hash.finalize()
                }
                Extension::Reeder => Self::of(self.protocol, &key).localized(engine_id),
            };
            key.extend_from_slice(&more);
        }
        array::from_fn(|at| key[at])
    }
}

/// A cache of hashed passwords, so that each is hashed once: a thousand devices share a few.
#[derive(Debug, Default)]
pub struct Keyring(Mutex<HashMap<(AuthProtocol, [u8; 32]), MasterKey>>);

impl Keyring {
    /// Returns the key of a password. The first call for a password takes some milliseconds.
    #[must_use]
    pub fn key(&self, protocol: AuthProtocol, password: &[u8]) -> MasterKey {
        let name = (protocol, Sha256::digest(password).into());
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = keys
            .entry(name)
            .or_insert_with(|| MasterKey::of(protocol, password));
        key.clone()
    }
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
