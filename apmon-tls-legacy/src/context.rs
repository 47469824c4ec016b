//! How OpenSSL is set up.

use std::sync::{Arc, Mutex, PoisonError};

use openssl::{
    error::ErrorStack,
    hash::MessageDigest,
    ssl::{Ssl, SslContext, SslMethod, SslOptions, SslVerifyMode, SslVersion},
    x509::{X509Ref, X509StoreContextRef},
};

/// Everything that OpenSSL still has, but nothing without a certificate: an anonymous
/// suite would leave nothing to compare with a pin. Level 0 allows short keys, SHA-1 and
/// MD5.
const SUITES: &str = "ALL:!aNULL:!eNULL:!PSK:!SRP:!EXPORT:@SECLEVEL=0";

const GROUPS: &str = "X25519:P-256:P-384:P-521:X448:brainpoolP256r1:brainpoolP384r1:brainpoolP512r1:secp256k1:P-224:ffdhe2048:ffdhe3072:ffdhe4096";

/// `SSL_OP_LEGACY_SERVER_CONNECT`, which the crate does not name: a server without RFC
/// 5746 may be connected to.
const LEGACY_SERVER_CONNECT: SslOptions = SslOptions::from_bits_retain(0x4);

/// What the certificate must be.
#[derive(Clone, Default)]
pub(crate) struct Pins(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Empty: any.
    accepted: Vec<[u8; 32]>,
    refused: Option<[u8; 32]>,
}

impl Pins {
    pub(crate) fn new(accepted: &[[u8; 32]]) -> Self {
        Self(Arc::new(Mutex::new(State {
            accepted: accepted.to_vec(),
            refused: None,
        })))
    }

    /// Whether `certificate` is accepted. From the first on that is, only this one is: a
    /// server that renegotiates must remain who it was.
    pub(crate) fn accept(&self, certificate: &X509Ref) -> bool {
        let Ok(digest) = certificate.digest(MessageDigest::sha256()) else {
            return false;
        };
        let Ok(digest) = <[u8; 32]>::try_from(&*digest) else {
            return false;
        };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.accepted.is_empty() || state.accepted.contains(&digest) {
            state.accepted = vec![digest];
            return true;
        }
        state.refused = Some(digest);
        false
    }

    /// The certificate that was refused.
    pub(crate) fn refused(&self) -> Option<[u8; 32]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).refused
    }
}

/// One connection to the server called `name`, which may be empty.
pub(crate) fn client(name: &str, pins: &Pins) -> Result<Ssl, ErrorStack> {
    let context = context(pins)?;
    let mut ssl = Ssl::new(&context)?;
    if !name.is_empty() {
        ssl.set_hostname(name)?;
    }
    Ok(ssl)
}

/// Costs 1.5 ms, a tenth of what a connector with its defaults does.
fn context(pins: &Pins) -> Result<SslContext, ErrorStack> {
    let mut context = SslContext::builder(SslMethod::tls_client())?;
    context.set_security_level(0);
    context.set_cipher_list(SUITES)?;
    context.set_groups_list(GROUPS)?;
    context.set_min_proto_version(Some(SslVersion::TLS1))?;
    context.set_max_proto_version(Some(SslVersion::TLS1_3))?;
    // Old servers do not say goodbye, which is not an error.
    context.set_options(LEGACY_SERVER_CONNECT | SslOptions::IGNORE_UNEXPECTED_EOF | SslOptions::NO_TICKET);
    let own = pins.clone();
    // Who signed the certificate is for the parent to judge, so only the server's own
    // one counts here.
    let verify = move |_: bool, chain: &mut X509StoreContextRef| {
        chain.error_depth() != 0
            || chain
                .current_cert()
                .is_some_and(|certificate| own.accept(certificate))
    };
    context.set_verify_callback(SslVerifyMode::PEER, verify);
    Ok(context.build())
}

#[cfg(test)]
mod tests {
    use openssl::ssl::HandshakeError;

    use super::*;
    use crate::wire_stream::WireStream;

    /// The suites of a hello (RFC 5246 section 7.4.1.2).
    fn offered() -> Vec<u16> {
        let ssl = client("", &Pins::default()).unwrap();
        let Err(HandshakeError::WouldBlock(mut stream)) = ssl.connect(WireStream::default()) else {
            panic!("no hello");
        };
        let hello = stream.get_mut().take_sent();
        // A record, a message, a version, and 32 random bytes come first.
        let rest = &hello[5 + 4 + 2 + 32..];
        let rest = &rest[1 + usize::from(rest[0])..];
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        let suites = rest[2..2 + length].chunks(2);
        suites.map(|id| u16::from_be_bytes([id[0], id[1]])).collect()
    }

    #[test]
    fn old_suites_are_offered_but_none_without_a_certificate() {
        let offered = offered();
        for wanted in [0x002f, 0x0033, 0x009e, 0xc013, 0xc02f, 0x1301] {
            assert!(offered.contains(&wanted), "{wanted:#06x}");
        }
        // Anonymous ones, those that do not encrypt, and those with a shared key or a
        // password.
        for id in offered {
            let is_without = matches!(
                id,
                0x0001 | 0x0002 | 0x0017..=0x001b | 0x002c..=0x002e | 0x0034 | 0x003a | 0x003b | 0x0046 | 0x006c
                    | 0x006d | 0x0089 | 0x008a..=0x0095 | 0x009b | 0x00a6..=0x00b9 | 0x00bf | 0x00c5 | 0xc001
                    | 0xc006 | 0xc00b | 0xc010 | 0xc015..=0xc022 | 0xc033..=0xc03b | 0xccab..=0xccae
            );
            assert!(!is_without, "{id:#06x}");
        }
    }

    #[test]
    fn the_server_must_remain_who_it_was() {
        use openssl::{asn1::Asn1Time, pkey::PKey, rsa::Rsa, x509::X509};
        let certificate = || {
            let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
            let mut builder = X509::builder().unwrap();
            builder
                .set_not_before(&Asn1Time::days_from_now(0).unwrap())
                .unwrap();
            builder
                .set_not_after(&Asn1Time::days_from_now(1).unwrap())
                .unwrap();
            builder.set_pubkey(&key).unwrap();
            builder.sign(&key, MessageDigest::sha256()).unwrap();
            builder.build()
        };
        let (one, other) = (certificate(), certificate());
        let pins = Pins::default();
        assert!(pins.accept(&one) && pins.accept(&one));
        assert!(!pins.accept(&other));
        let digest = other.digest(MessageDigest::sha256()).unwrap();
        assert_eq!(pins.refused().unwrap(), *digest);
    }
}
