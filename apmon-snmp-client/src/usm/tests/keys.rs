//! Deriving keys from passwords.

use md5::{Digest, Md5};
use sha1::Sha1;

use super::{
    super::{AuthKey, AuthProtocol, MasterKey, PrivKey, PrivProtocol},
    AUTH, AUTH_PASSWORD, ENGINE, PRIV, PRIV_PASSWORD, RFC_ENGINE, bytes, hex, rows,
};

#[test]
fn the_examples_of_rfc_3414_a_3_hold() {
    for (protocol, key) in [
        (AuthProtocol::Md5, "526f5eed9fcce26f8964c2930787d82b"),
        (AuthProtocol::Sha1, "6695febc9288e36282235fc7151f128497b38f3f"),
    ] {
        assert_eq!(
            hex(&MasterKey::of(protocol, b"maplesyrup").localized(&RFC_ENGINE)),
            key,
            "{protocol}"
        );
    }
}

/// Checks the published values, each the difference between a hash of the old key and the
/// new key, with zeros as its random part.
#[test]
fn the_key_changes_of_rfc_3414_a_5_hold() {
    let keys = |protocol| {
        [b"maplesyrup".as_slice(), b"newsyrup"]
            .map(|password| MasterKey::of(protocol, password).localized(&RFC_ENGINE))
    };
    let difference =
        |a: &[u8], b: &[u8]| -> String { hex(&a.iter().zip(b).map(|(a, b)| a ^ b).collect::<Vec<_>>()) };

    let [old, new] = keys(AuthProtocol::Md5);
    let hash = Md5::new().chain_update(&old).chain_update([0; 16]).finalize();
    assert_eq!(difference(&hash, &new), "8805615141676cc9196174e742a32551");

    let [old, new] = keys(AuthProtocol::Sha1);
    let hash = Sha1::new().chain_update(&old).chain_update([0; 20]).finalize();
    assert_eq!(
        difference(&hash, &new),
        "9c1017f4fd483d2de8d5fadbf84392cb06457051"
    );
}

#[test]
fn keys_are_the_same_as_those_of_net_snmp() {
    let mut auth_keys = 0;
    let mut priv_keys = 0;
    for row in rows(include_str!("net-snmp-keys.txt")) {
        let [user, expected] = row[..] else {
            panic!("{row:?}")
        };
        let key = match user.split_once('/') {
            None => {
                auth_keys += 1;
                MasterKey::of(user.parse().unwrap(), AUTH_PASSWORD)
                    .localized(ENGINE)
                    .into_vec()
            }
            Some((auth, privacy)) => {
                priv_keys += 1;
                let (auth, privacy) = (auth.parse().unwrap(), privacy.parse().unwrap());
                PrivKey::derive(privacy, auth, PRIV_PASSWORD, ENGINE).octets()
            }
        };
        assert_eq!(hex(&key), expected, "{user}");
    }
    assert_eq!((auth_keys, priv_keys), (AUTH.len(), AUTH.len() * PRIV.len()));
}

/// Compares with keys made by Python's hashlib: for a password longer than our blocks, one
/// longer than 1 MiB, one of a single octet, and for the shortest engine ID.
#[test]
fn a_password_of_any_length_makes_the_right_key() {
    let long = [[b'x'; 5000].as_slice(), &[b'y'; 37]].concat();
    let engine = bytes("80001f8803");
    assert_eq!(
        hex(&MasterKey::of(AuthProtocol::Sha256, &long).localized(&engine)),
        "ec2db59afc689b20c1f6b9b49a956a3f852d3d8b22663fa84c3fc7ac9c537335"
    );
    let longer: Vec<u8> = (0..=u8::MAX).cycle().take(256 * 4100).collect();
    assert_eq!(
        hex(&MasterKey::of(AuthProtocol::Md5, &longer).localized(&RFC_ENGINE)),
        "c70a7f8032d68769a2c70e0874a56f79"
    );
    assert_eq!(
        hex(&MasterKey::of(AuthProtocol::Md5, b"a").localized(&RFC_ENGINE)),
        "5081d6127eec4c48abfdc4cd01526838"
    );
}

#[test]
fn an_empty_password_or_engine_id_makes_a_key() {
    for auth in AUTH {
        let key = AuthKey::derive(auth, b"", b"");
        let mut message = [1; 60];
        key.sign(&mut message, 0..key.mac_len());
        assert!(key.verify(&message, 0..key.mac_len()), "{auth}");
    }
    for privacy in PRIV {
        let key = PrivKey::derive(privacy, AuthProtocol::Md5, b"", b"");
        let (cipher, parameters) = key.encrypt(b"12345678", 1, 2, 3);
        assert_eq!(
            key.decrypt(&cipher, &parameters, 1, 2).unwrap(),
            b"12345678",
            "{privacy}"
        );
    }
}

#[test]
fn keys_never_print() {
    let auth = AuthKey::derive(AuthProtocol::Md5, AUTH_PASSWORD, ENGINE);
    let privacy = PrivKey::derive(PrivProtocol::Des, AuthProtocol::Md5, PRIV_PASSWORD, ENGINE);
    assert_eq!(format!("{auth:?} {privacy:?}"), "*** ***");
}
