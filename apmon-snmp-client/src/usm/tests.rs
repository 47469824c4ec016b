mod keys;
mod messages;
mod round_trips;

use super::{AuthProtocol, PrivProtocol};

const AUTH: [AuthProtocol; 6] = [
    AuthProtocol::Md5,
    AuthProtocol::Sha1,
    AuthProtocol::Sha224,
    AuthProtocol::Sha256,
    AuthProtocol::Sha384,
    AuthProtocol::Sha512,
];

const PRIV: [PrivProtocol; 6] = [
    PrivProtocol::Des,
    PrivProtocol::Aes128,
    PrivProtocol::Aes192,
    PrivProtocol::Aes256,
    PrivProtocol::Aes192Cisco,
    PrivProtocol::Aes256Cisco,
];

/// The engine of RFC 3414, A.3.
const RFC_ENGINE: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

/// The engine and the passwords of the files in `tests/`.
const ENGINE: &[u8] = b"\x80\x00\x1f\x88\x80apmon\x00\x01";
const AUTH_PASSWORD: &[u8] = b"maplesyrup";
const PRIV_PASSWORD: &[u8] = b"maple pancake";

/// The words of each line of a file, without comments.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(' ').collect())
}

fn bytes(hex: &str) -> Vec<u8> {
    assert_eq!(hex.len() % 2, 0, "{hex}");
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
