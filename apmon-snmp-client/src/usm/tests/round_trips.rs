//! Messages that are signed and encrypted here, and impossible messages.

use std::sync::LazyLock;

use proptest::{collection::vec, prelude::*};

use super::{
    super::{AuthKey, AuthProtocol, PrivKey, PrivProtocol, Undecipherable},
    AUTH, PRIV, RFC_ENGINE, hex,
};

static AUTH_KEYS: LazyLock<Vec<AuthKey>> = LazyLock::new(|| {
    AUTH.map(|auth| AuthKey::derive(auth, b"maplesyrup", &RFC_ENGINE))
        .into()
});

static PRIV_KEYS: LazyLock<Vec<PrivKey>> = LazyLock::new(|| PRIV.map(priv_key).into());

fn priv_key(protocol: PrivProtocol) -> PrivKey {
    PrivKey::derive(protocol, AuthProtocol::Sha1, b"maplesyrup", &RFC_ENGINE)
}

proptest! {
    #[test]
    fn an_encrypted_pdu_is_decrypted_again(
        plain in vec(any::<u8>(), 0..300), boots: u32, time: u32, salt: u64,
    ) {
        for (key, protocol) in PRIV_KEYS.iter().zip(PRIV) {
            let (cipher, parameters) = key.encrypt(&plain, boots, time, salt);
            let again = key.decrypt(&cipher, &parameters, boots, time).unwrap();
            let padding = again.strip_prefix(&plain[..]);
            prop_assert!(padding.is_some(), "{}", protocol);
            let most = if protocol == PrivProtocol::Des { 7 } else { 0 };
            prop_assert!(padding.is_some_and(|rest| rest.len() <= most && rest.iter().all(|octet| *octet == 0)));
        }
    }

    #[test]
    fn a_signed_message_is_verified(message in vec(any::<u8>(), 48..300), at: prop::sample::Index) {
        for key in AUTH_KEYS.iter() {
            let start = at.index(message.len() - key.mac_len() + 1);
            let place = start..start + key.mac_len();
            let mut signed = message.clone();
            key.sign(&mut signed, place.clone());
            prop_assert!(key.verify(&signed, place.clone()));
            prop_assert_eq!(&signed[..place.start], &message[..place.start]);
            prop_assert_eq!(&signed[place.end..], &message[place.end..]);
            signed[place.end - 1] ^= 1;
            prop_assert!(!key.verify(&signed, place));
        }
    }

    #[test]
    fn no_received_octets_cause_a_panic(
        message in vec(any::<u8>(), 0..100), parameters in vec(any::<u8>(), 0..20),
        start: prop::sample::Index, end: prop::sample::Index, boots: u32, time: u32,
    ) {
        for key in AUTH_KEYS.iter() {
            prop_assert!(!key.verify(&message, start.index(120)..end.index(120)));
        }
        for (key, protocol) in PRIV_KEYS.iter().zip(PRIV) {
            let read = key.decrypt(&message, &parameters, boots, time);
            let blocks = protocol != PrivProtocol::Des || message.len() % 8 == 0;
            prop_assert_eq!(read.is_ok(), parameters.len() == 8 && blocks);
        }
    }
}

/// Compares with cipher texts made by OpenSSL, with keys and padding made by a script.
#[test]
fn encryption_gives_the_cipher_text_of_openssl() {
    // allow-word: the cipher texts below are of this sentence
    let plain = b"forty-three octets are no multiple of eight";
    for (protocol, parameters, cipher) in [
        (
            PrivProtocol::Des,
            "0102030476543210",
            "312b10e78380168d58653aeacd3d663efd39495504db537dde724118499a7db1ba37f3ab95842423301199d82ae7d7e8",
        ),
        (
            PrivProtocol::Aes128,
            "fedcba9876543210",
            "2855b2d70f4e307d7896aabbaf8841c7dcafa57da269a264db7025a12d47060b2e0157a1f715d59b9badb7",
        ),
        (
            PrivProtocol::Aes192,
            "fedcba9876543210",
            "8962218977ba689c3714857e30946a05e619fee0d6ba7dbff9dd5461bf19d80e7b7230833460ca16339780",
        ),
        (
            PrivProtocol::Aes256,
            "fedcba9876543210",
            "da3b521e646086758e1a45f58a3c28d23ab95a49214a6cb0ffb54193ff77b371750cdcfc2566bf1a4f8015",
        ),
        (
            PrivProtocol::Aes192Cisco,
            "fedcba9876543210",
            "9a5be50db319a87fdf73ddfec6250acb9d4b1e3bd0df6b7a9a116366dcc24796d540e930130d935ba0a0c7",
        ),
        (
            PrivProtocol::Aes256Cisco,
            "fedcba9876543210",
            "774ba3df8bd4fe742ecb7c0e2901f63dc8792ba2b6b425f05318903dedc798ac23d5f171ce0c34ce4d495d",
        ),
    ] {
        let given = priv_key(protocol).encrypt(plain, 0x0102_0304, 0x7fff_ffff, 0xfedc_ba98_7654_3210);
        assert_eq!(hex(&given.0), cipher, "{protocol}");
        assert_eq!(hex(&given.1), parameters, "{protocol}");
    }
}

#[test]
fn an_impossible_length_is_an_error_that_names_it() {
    let [des, aes] = [PrivProtocol::Des, PrivProtocol::Aes128].map(priv_key);
    let error = |read: Result<Vec<u8>, Undecipherable>| read.unwrap_err().to_string();
    assert_eq!(
        error(des.decrypt(&[0; 15], &[0; 8], 1, 2)),
        "the encrypted part has 15 bytes, not a multiple of 8 as DES requires"
    );
    for key in [&des, &aes] {
        assert_eq!(
            error(key.decrypt(&[0; 16], &[], 1, 2)),
            "the privacy parameters have 0 bytes, not 8"
        );
    }
    assert_eq!(aes.decrypt(&[0; 15], &[0; 8], 1, 2).unwrap().len(), 15);
}

#[test]
fn no_signature_is_valid_at_an_impossible_position() {
    for (key, auth) in AUTH_KEYS.iter().zip(AUTH) {
        let length = key.mac_len();
        assert_eq!(length, auth.mac_len());
        let mut message = vec![3; 100];
        key.sign(&mut message, 20..20 + length);
        assert!(key.verify(&message, 20..20 + length));
        #[allow(clippy::reversed_empty_ranges)] // one of the impossible places
        for place in [
            20..20,
            20..20 + length - 1,
            20..20 + length + 1,
            100..100 + length,
            101 - length..101,
            usize::MAX - length..usize::MAX,
            20 + length..20,
        ] {
            assert!(!key.verify(&message, place.clone()), "{auth} {place:?}");
        }
    }
}

#[test]
#[should_panic(expected = "the place of a signature is as long as the signature")]
fn signing_a_place_of_another_length_panics() {
    AUTH_KEYS[0].sign(&mut [0; 100], 0..13);
}

#[test]
#[should_panic(expected = "the place of a signature is in the message")]
fn signing_a_place_outside_the_message_panics() {
    AUTH_KEYS[0].sign(&mut [0; 100], 95..107);
}
