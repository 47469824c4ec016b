//! The cryptography of SNMPv3's user-based security model (RFC 3414), as pure functions
//! over bytes: deriving a key for one engine from a password, and signing messages or
//! encrypting their content with a key.
//!
//! The caller is responsible for the position of the signature in a message, the time window
//! and unique salts.
//!
//! | algorithm | standard |
//! |---|---|
//! | HMAC-MD5-96, HMAC-SHA-96, DES-CBC | RFC 3414 |
//! | AES-128 (CFB) | RFC 3826 |
//! | HMAC-SHA-2 | RFC 7860 |
//! | AES-192, AES-256 | draft-blumenthal-aes-usm-04; with Cisco's keys draft-reeder-snmpv3-usm-3desede-00 |
//!
//! ```
//! use apmon_snmp_client::usm::{AuthKey, AuthProtocol, PrivKey, PrivProtocol};
//!
//! let engine = b"\x80\x00\x1f\x88\x80apmon";
//! let auth = AuthKey::derive(AuthProtocol::Sha256, b"maplesyrup", engine);
//! let mut message = vec![7; 100];
//! auth.sign(&mut message, 40..40 + auth.mac_len());
//! assert!(auth.verify(&message, 40..64));
//!
//! let privacy = PrivKey::derive(PrivProtocol::Aes128, AuthProtocol::Sha256, b"pancakes", engine);
//! let (cipher, parameters) = privacy.encrypt(b"a scoped PDU", 1, 300, 42);
//! assert_eq!(privacy.decrypt(&cipher, &parameters, 1, 300)?, b"a scoped PDU");
//! # Ok::<(), apmon_snmp_client::usm::Undecipherable>(())
//! ```

mod auth;
mod key;
mod privacy;
mod protocol;
#[cfg(test)]
mod tests;

pub use auth::AuthKey;
pub use key::{Keyring, MasterKey};
pub use privacy::{PrivKey, Undecipherable};
pub use protocol::{AuthProtocol, PrivProtocol, UnknownProtocol};
