//! Signing messages, and verifying signatures.

use std::{fmt, ops::Range, sync::Arc};

use hmac::{Hmac, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::{AuthProtocol, MasterKey};

/// The octets that stand for the signature while it is computed.
const ZEROS: [u8; 48] = [0; 48];

/// A user's key for signing, for one engine. It prints as `***` and is cheap to clone.
#[derive(Clone)]
pub struct AuthKey {
    mac_len: usize,
    signer: Arc<dyn Signer>,
}

impl AuthKey {
    /// Derives the key from a password (RFC 3414, A.2). This hashes 1 MiB, which takes some
    /// milliseconds, so keep the key. RFC 3414 demands passwords of at least 8 octets, which is
    /// not checked here: even an empty password makes a key.
    #[must_use]
    pub fn derive(protocol: AuthProtocol, password: &[u8], engine_id: &[u8]) -> Self {
        Self::localize(&MasterKey::of(protocol, password), engine_id)
    }

    /// Derives the key from a password that is already hashed.
    #[must_use]
    pub fn localize(master: &MasterKey, engine_id: &[u8]) -> Self {
        let (protocol, key) = (master.protocol(), master.localized(engine_id));
        let signer: Arc<dyn Signer> = match protocol {
            AuthProtocol::Md5 => Arc::new(keyed::<Hmac<Md5>>(&key)),
            AuthProtocol::Sha1 => Arc::new(keyed::<Hmac<Sha1>>(&key)),
            AuthProtocol::Sha224 => Arc::new(keyed::<Hmac<Sha224>>(&key)),
            AuthProtocol::Sha256 => Arc::new(keyed::<Hmac<Sha256>>(&key)),
            AuthProtocol::Sha384 => Arc::new(keyed::<Hmac<Sha384>>(&key)),
            AuthProtocol::Sha512 => Arc::new(keyed::<Hmac<Sha512>>(&key)),
        };
        Self {
            mac_len: protocol.mac_len(),
            signer,
        }
    }

    /// The length of a signature in octets: 12, 12, 16, 24, 32, 48 in the order of
    /// [`AuthProtocol`].
    #[must_use]
    pub fn mac_len(&self) -> usize {
        self.mac_len
    }

    /// Writes the signature of `message` to its `place`, overwriting its content.
    ///
    /// # Panics
    ///
    /// If `place` is not in `message`, or not [`mac_len`](Self::mac_len) long, which is a bug in
    /// building the message.
    pub fn sign(&self, message: &mut [u8], place: Range<usize>) {
        assert_eq!(
            place.len(),
            self.mac_len,
            "the place of a signature is as long as the signature"
        );
        let parts = self
            .parts(message, &place)
            .expect("the place of a signature is in the message");
        let code = self.signer.code(parts);
        message[place].copy_from_slice(&code[..self.mac_len]);
    }

    /// Whether the signature at `place` is valid, compared in constant time. Returns false if
    /// `place` is not in `message`, or not [`mac_len`](Self::mac_len) long.
    #[must_use]
    pub fn verify(&self, message: &[u8], place: Range<usize>) -> bool {
        place.len() == self.mac_len
            && self
                .parts(message, &place)
                .is_some_and(|parts| self.signer.matches(parts, &message[place]))
    }

    /// The parts of the signed text: the message with zeros at `place` (RFC 3414, 6.3.1).
    fn parts<'a>(&self, message: &'a [u8], place: &Range<usize>) -> Option<[&'a [u8]; 3]> {
        let before = message.get(..place.start)?;
        let after = message.get(place.end..)?;
        Some([before, &ZEROS[..self.mac_len], after])
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A keyed hash.
trait Signer: Send + Sync {
    /// The whole code, of which a message contains the beginning.
    fn code(&self, parts: [&[u8]; 3]) -> Vec<u8>;
    /// Whether the whole code begins with `code`.
    fn matches(&self, parts: [&[u8]; 3], code: &[u8]) -> bool;
}

impl<M: Mac + Clone + Send + Sync> Signer for M {
    fn code(&self, parts: [&[u8]; 3]) -> Vec<u8> {
        fed(self, parts).finalize().into_bytes().to_vec()
    }

    fn matches(&self, parts: [&[u8]; 3], code: &[u8]) -> bool {
        fed(self, parts).verify_truncated_left(code).is_ok()
    }
}

fn fed<M: Mac + Clone>(keyed: &M, parts: [&[u8]; 3]) -> M {
    parts
        .into_iter()
        .fold(keyed.clone(), |mac, part| mac.chain_update(part))
}

fn keyed<M: Mac + hmac::digest::KeyInit>(key: &[u8]) -> M {
    <M as Mac>::new_from_slice(key).expect("HMAC takes a key of any length")
}
