//! The key exchange on P-521 (RFC 8422 section 5.1.1), which ring lacks.
//!
//! Below TLS 1.3 a server shows a certificate with a key on that curve only to a client
//! that also offers the key exchange on it.

use p521::{PublicKey, SecretKey, ecdh::diffie_hellman, elliptic_curve::sec1::ToEncodedPoint as _};
use rustls::{
    Error, NamedGroup, PeerMisbehaved,
    crypto::{ActiveKeyExchange, GetRandomFailed, SecureRandom, SharedSecret, SupportedKxGroup},
};

/// The key exchange, with a source of random bytes.
#[derive(Debug)]
pub(crate) struct P521(pub(crate) &'static dyn SecureRandom);

/// The most attempts to find a secret. Every second number of 521 bits is one, nearly.
const ATTEMPTS: usize = 64;

impl SupportedKxGroup for P521 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        for _ in 0..ATTEMPTS {
            let mut bytes = [0; 66];
            self.0.fill(&mut bytes)?;
            // 521 bits are a bit more than 65 bytes.
            bytes[0] &= 1;
            let Ok(secret) = SecretKey::from_slice(&bytes) else {
                continue;
            };
            // Without compression, which RFC 8422 section 5.1.2 has no other form than.
            let public = secret.public_key().to_encoded_point(false).as_bytes().to_vec();
            return Ok(Box::new(Exchange { secret, public }));
        }
        Err(GetRandomFailed.into())
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

/// A key exchange under way.
struct Exchange {
    secret: SecretKey,
    public: Vec<u8>,
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let invalid = || Error::from(PeerMisbehaved::InvalidKeyShare);
        // 4 is a point without compression (SEC 1 section 2.3.3).
        if peer.first() != Some(&4) {
            return Err(invalid());
        }
        let peer = PublicKey::from_sec1_bytes(peer).map_err(|_| invalid())?;
        let shared = diffie_hellman(self.secret.to_nonzero_scalar(), peer.as_affine());
        Ok(SharedSecret::from(shared.raw_secret_bytes().as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::provider;

    fn start() -> Box<dyn ActiveKeyExchange> {
        P521(provider().secure_random).start().unwrap()
    }

    #[test]
    fn both_sides_get_the_same_secret() {
        let (one, other) = (start(), start());
        let (of_one, of_other) = (one.pub_key().to_vec(), other.pub_key().to_vec());
        assert_ne!(of_one, of_other);
        let secret = one.complete(&of_other).unwrap();
        assert_eq!(
            secret.secret_bytes(),
            other.complete(&of_one).unwrap().secret_bytes()
        );
        assert_eq!(secret.secret_bytes().len(), 66);
    }

    #[test]
    fn a_share_that_is_not_a_point_is_refused() {
        let good = start().pub_key().to_vec();
        let mut off = good.clone();
        off[100] ^= 1;
        let compressed = [&[2][..], &good[1..67]].concat();
        for share in [&[][..], &[0], &off, &good[..132], &compressed, &[4; 133]] {
            assert!(start().complete(share).is_err());
        }
    }
}
