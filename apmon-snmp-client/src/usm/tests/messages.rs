//! Messages sent by net-snmp and its agent.

use std::{ops::Range, sync::LazyLock};

use super::{
    super::{AuthKey, PrivKey},
    AUTH_PASSWORD, ENGINE, PRIV_PASSWORD, bytes, hex, rows,
};

/// A message, and the keys of its user.
struct Sample {
    user: &'static str,
    auth: AuthKey,
    privacy: PrivKey,
    message: Vec<u8>,
    boots: u32,
    time: u32,
    code: Range<usize>,
    parameters: Range<usize>,
    cipher: Range<usize>,
    plain: Vec<u8>,
}

static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let samples: Vec<_> = rows(include_str!("net-snmp-messages.txt")).map(sample).collect();
    assert_eq!(samples.len(), 22);
    samples
});

fn sample(row: Vec<&'static str>) -> Sample {
    let [user, message, plain] = row[..] else {
        panic!("{row:?}")
    };
    let (auth, privacy) = user.split_once('/').unwrap();
    let (auth, privacy) = (auth.parse().unwrap(), privacy.parse().unwrap());
    let message = bytes(message);
    // RFC 3412, 6: version, global data, security parameters, scoped PDU;
    // RFC 3414, 2.4: engine id, boots, time, user, code, privacy parameters.
    let whole = content(&message, 0);
    let version = content(&message, whole.start);
    let global = content(&message, version.end);
    let security = content(&message, global.end);
    let cipher = content(&message, security.end);
    let engine = content(&message, content(&message, global.end).start + 2);
    assert_eq!(&message[engine.clone()], ENGINE);
    let boots = content(&message, engine.end);
    let time = content(&message, boots.end);
    let name = content(&message, time.end);
    let code = content(&message, name.end);
    let parameters = content(&message, code.end);
    Sample {
        user,
        auth: AuthKey::derive(auth, AUTH_PASSWORD, ENGINE),
        privacy: PrivKey::derive(privacy, auth, PRIV_PASSWORD, ENGINE),
        boots: number(&message[boots]),
        time: number(&message[time]),
        code,
        parameters,
        cipher,
        plain: bytes(plain),
        message,
    }
}

/// The position of the content of the element at `at`, in well-formed BER.
fn content(message: &[u8], at: usize) -> Range<usize> {
    let (start, length) = match message[at + 1] {
        0x81 => (at + 3, message[at + 2]),
        short => (at + 2, short),
    };
    assert!(message[at + 1] <= 0x81);
    start..start + usize::from(length)
}

fn number(octets: &[u8]) -> u32 {
    octets
        .iter()
        .fold(0, |number, octet| number << 8 | u32::from(*octet))
}

#[test]
fn messages_of_net_snmp_are_verified() {
    for sample in SAMPLES.iter() {
        assert!(
            sample.auth.verify(&sample.message, sample.code.clone()),
            "{}",
            sample.user
        );
    }
}

#[test]
fn signing_a_message_of_net_snmp_gives_its_own_code() {
    for sample in SAMPLES.iter() {
        let mut message = sample.message.clone();
        message[sample.code.clone()].fill(0xee);
        sample.auth.sign(&mut message, sample.code.clone());
        assert_eq!(hex(&message), hex(&sample.message), "{}", sample.user);
    }
}

#[test]
fn messages_of_net_snmp_are_decrypted() {
    for sample in SAMPLES.iter() {
        let plain = sample.privacy.decrypt(
            &sample.message[sample.cipher.clone()],
            &sample.message[sample.parameters.clone()],
            sample.boots,
            sample.time,
        );
        assert_eq!(hex(&plain.unwrap()), hex(&sample.plain), "{}", sample.user);
    }
}

#[test]
fn encrypting_a_pdu_of_net_snmp_gives_its_own_octets() {
    for sample in SAMPLES.iter() {
        let salt = sample.message[sample.parameters.clone()].try_into().unwrap();
        let (cipher, parameters) =
            sample
                .privacy
                .encrypt(&sample.plain, sample.boots, sample.time, u64::from_be_bytes(salt));
        assert_eq!(parameters, salt, "{}", sample.user);
        assert_eq!(
            hex(&cipher),
            hex(&sample.message[sample.cipher.clone()]),
            "{}",
            sample.user
        );
    }
}

#[test]
fn a_single_flipped_bit_is_noticed() {
    let sample = &SAMPLES[0];
    for at in 0..sample.message.len() {
        for bit in 0..8 {
            let mut message = sample.message.clone();
            message[at] ^= 1 << bit;
            assert!(
                !sample.auth.verify(&message, sample.code.clone()),
                "octet {at}, bit {bit}"
            );
        }
    }
}

#[test]
fn another_password_protocol_or_engine_is_noticed() {
    let sample = &SAMPLES[0];
    let (auth, privacy) = sample.user.split_once('/').unwrap();
    let (auth, privacy) = (auth.parse().unwrap(), privacy.parse().unwrap());
    for (password, engine) in [(b"Maplesyrup", ENGINE), (b"maplesyrup", &ENGINE[1..])] {
        let key = AuthKey::derive(auth, password, engine);
        assert!(!key.verify(&sample.message, sample.code.clone()));
    }
    let sha = AuthKey::derive("sha".parse().unwrap(), AUTH_PASSWORD, ENGINE);
    assert!(!sha.verify(&sample.message, sample.code.clone()));
    let other = PrivKey::derive(privacy, auth, b"Maple pancake", ENGINE);
    let (cipher, parameters) = (
        &sample.message[sample.cipher.clone()],
        &sample.message[sample.parameters.clone()],
    );
    let plain = other.decrypt(cipher, parameters, sample.boots, sample.time);
    assert_ne!(plain.unwrap(), sample.plain);
}
