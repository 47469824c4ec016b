//! Encrypting and decrypting the content of messages.

use std::fmt;

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::{AsyncStreamCipher, BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use des::Des;

use super::{
    AuthProtocol, PrivProtocol,
    key::{Extension, MasterKey},
};

/// The block size of DES, in octets.
const DES_BLOCK: usize = 8;

/// A user's key for encryption, for one engine. It prints as `***`.
#[derive(Clone)]
pub struct PrivKey(Key);

#[derive(Clone)]
enum Key {
    Des { key: [u8; 8], pre_iv: [u8; 8] },
    Aes128([u8; 16]),
    Aes192([u8; 24]),
    Aes256([u8; 32]),
}

/// The error for octets that cannot have been encrypted with the protocol. A wrong key does
/// not cause an error but yields other octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Undecipherable {
    /// The msgPrivacyParameters do not have 8 octets.
    #[error("the privacy parameters have {0} bytes, not 8")]
    Parameters(usize),
    /// The length is not a multiple of DES's block size.
    #[error("the encrypted part has {0} bytes, not a multiple of 8 as DES requires")]
    Length(usize),
}

impl PrivKey {
    /// Derives the key from a password, with the hash of the user's `auth` protocol. This hashes
    /// 1 MiB, for Cisco's longer keys up to 2 MiB, so keep the key.
    ///
    /// A hash that is too short is extended as in draft-blumenthal-aes-usm-04 or, for Cisco's
    /// protocols, as in draft-reeder-snmpv3-usm-3desede-00. If the hash is long enough, both
    /// give the same key.
    #[must_use]
    pub fn derive(protocol: PrivProtocol, auth: AuthProtocol, password: &[u8], engine_id: &[u8]) -> Self {
        Self::localize(protocol, &MasterKey::of(auth, password), engine_id)
    }

    /// Derives the key from a password that is already hashed. For Cisco's longer keys, this
    /// still hashes 1 MiB if the hash is too short.
    #[must_use]
    pub fn localize(protocol: PrivProtocol, master: &MasterKey, engine_id: &[u8]) -> Self {
        use Extension::{Blumenthal, Reeder};
        Self(match protocol {
            PrivProtocol::Des => {
                let both = master.of_length::<16>(engine_id, Blumenthal);
                let (mut key, mut pre_iv) = ([0; 8], [0; 8]);
                key.copy_from_slice(&both[..8]);
                pre_iv.copy_from_slice(&both[8..]);
                Key::Des { key, pre_iv }
            }
            PrivProtocol::Aes128 => Key::Aes128(master.of_length(engine_id, Blumenthal)),
            PrivProtocol::Aes192 => Key::Aes192(master.of_length(engine_id, Blumenthal)),
            PrivProtocol::Aes256 => Key::Aes256(master.of_length(engine_id, Blumenthal)),
            PrivProtocol::Aes192Cisco => Key::Aes192(master.of_length(engine_id, Reeder)),
            PrivProtocol::Aes256Cisco => Key::Aes256(master.of_length(engine_id, Reeder)),
        })
    }

    /// Encrypts a scoped PDU, and returns the cipher text and the msgPrivacyParameters.
    ///
    /// `boots` and `time` are the authoritative engine's, as the message states them. `salt`
    /// must differ for each message with this key, even after a restart of this process: with
    /// AES, two messages with the same salt, boots and time reveal their difference. DES uses
    /// the lower 32 bits of the salt, and pads the last block with zeros.
    #[must_use]
    pub fn encrypt(&self, plain: &[u8], boots: u32, time: u32, salt: u64) -> (Vec<u8>, [u8; 8]) {
        let mut octets = plain.to_vec();
        let parameters = match &self.0 {
            // RFC 3414, 8.1.1.1: boots, then the salt.
            Key::Des { .. } => (u64::from(boots) << 32 | (salt & u64::from(u32::MAX))).to_be_bytes(),
            _ => salt.to_be_bytes(),
        };
        let aes_iv = aes_iv(boots, time, parameters);
        match &self.0 {
            Key::Des { key, pre_iv } => {
                octets.resize(plain.len().next_multiple_of(DES_BLOCK), 0);
                let iv = xor(*pre_iv, parameters);
                let mut des = cbc::Encryptor::<Des>::new(key.into(), &iv.into());
                for block in octets.chunks_exact_mut(DES_BLOCK) {
                    des.encrypt_block_mut(block.into());
                }
            }
            Key::Aes128(key) => {
                cfb_mode::Encryptor::<Aes128>::new(key.into(), &aes_iv.into()).encrypt(&mut octets);
            }
            Key::Aes192(key) => {
                cfb_mode::Encryptor::<Aes192>::new(key.into(), &aes_iv.into()).encrypt(&mut octets);
            }
            Key::Aes256(key) => {
                cfb_mode::Encryptor::<Aes256>::new(key.into(), &aes_iv.into()).encrypt(&mut octets);
            }
        }
        (octets, parameters)
    }

    /// Decrypts a scoped PDU, given the `parameters`, `boots` and `time` of its message. The
    /// result still contains the padding of DES, and a wrong key yields other octets; the length
    /// in the scoped PDU reveals both.
    ///
    /// # Errors
    ///
    /// [`Undecipherable`] for an impossible length.
    pub fn decrypt(
        &self,
        cipher: &[u8],
        parameters: &[u8],
        boots: u32,
        time: u32,
    ) -> Result<Vec<u8>, Undecipherable> {
        let parameters: [u8; 8] = parameters
            .try_into()
            .map_err(|_| Undecipherable::Parameters(parameters.len()))?;
        let mut octets = cipher.to_vec();
        let aes_iv = aes_iv(boots, time, parameters);
        match &self.0 {
            Key::Des { key, pre_iv } => {
                if !cipher.len().is_multiple_of(DES_BLOCK) {
                    return Err(Undecipherable::Length(cipher.len()));
                }
                let iv = xor(*pre_iv, parameters);
                let mut des = cbc::Decryptor::<Des>::new(key.into(), &iv.into());
                for block in octets.chunks_exact_mut(DES_BLOCK) {
                    des.decrypt_block_mut(block.into());
                }
            }
            Key::Aes128(key) => {
                cfb_mode::Decryptor::<Aes128>::new(key.into(), &aes_iv.into()).decrypt(&mut octets);
            }
            Key::Aes192(key) => {
                cfb_mode::Decryptor::<Aes192>::new(key.into(), &aes_iv.into()).decrypt(&mut octets);
            }
            Key::Aes256(key) => {
                cfb_mode::Decryptor::<Aes256>::new(key.into(), &aes_iv.into()).decrypt(&mut octets);
            }
        }
        Ok(octets)
    }

    /// The octets of the key; with DES, its pre-IV as well.
    #[cfg(test)]
    pub(super) fn octets(&self) -> Vec<u8> {
        match &self.0 {
            Key::Des { key, pre_iv } => [*key, *pre_iv].concat(),
            Key::Aes128(key) => key.to_vec(),
            Key::Aes192(key) => key.to_vec(),
            Key::Aes256(key) => key.to_vec(),
        }
    }
}

impl fmt::Debug for PrivKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The initialisation vector of AES (RFC 3826, 3.1.2.1): boots, time, salt.
fn aes_iv(boots: u32, time: u32, salt: [u8; 8]) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..4].copy_from_slice(&boots.to_be_bytes());
    iv[4..8].copy_from_slice(&time.to_be_bytes());
    iv[8..].copy_from_slice(&salt);
    iv
}

/// The initialisation vector of DES (RFC 3414, 8.1.1.1): pre-IV xor salt.
fn xor(pre_iv: [u8; 8], salt: [u8; 8]) -> [u8; 8] {
    (u64::from_be_bytes(pre_iv) ^ u64::from_be_bytes(salt)).to_be_bytes()
}
