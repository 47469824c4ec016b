//! ClientHellos (RFC 5246 section 7.4.1.2, RFC 8446 section 4.1.2) that offer more than
//! apmon speaks.

use rustls::pki_types::ServerName;

use super::{Reach, suite::Suite};
use crate::provider::provider;

/// A hello.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hello {
    /// Everything up to TLS 1.2.
    UpToTls12,
    /// TLS 1.3 alone, with one family of signatures.
    Tls13(Family),
}

/// Signatures that keys of one kind make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    All,
    Ed448,
    Brainpool,
    MlDsa,
}

/// Every scheme of RFC 8446 section 4.2.3, those of brainpool (RFC 8734) and of ML-DSA,
/// and the pairs of hash and signature of TLS 1.2 down to MD5.
const SCHEMES: &[u16] = &[
    0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0807, 0x0808, 0x0809, 0x080a, 0x080b, 0x081a, 0x081b,
    0x081c, 0x0904, 0x0905, 0x0906, 0x0401, 0x0501, 0x0601, 0x0303, 0x0301, 0x0203, 0x0201, 0x0402, 0x0302,
    0x0202, 0x0101,
];

impl Family {
    fn schemes(self) -> &'static [u16] {
        match self {
            Self::All => SCHEMES,
            Self::Ed448 => &[0x0808],
            Self::Brainpool => &[0x081a, 0x081b, 0x081c],
            Self::MlDsa => &[0x0904, 0x0905, 0x0906],
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::All => "key",
            Self::Ed448 => "Ed448 key",
            Self::Brainpool => "brainpool key",
            Self::MlDsa => "ML-DSA key",
        }
    }

    /// What signs with such a key.
    pub(super) fn reach(self) -> Reach {
        match self {
            Self::All => Reach::Always,
            Self::Ed448 => Reach::Legacy,
            // Not in TLS 1.3.
            Self::Brainpool | Self::MlDsa => Reach::Never,
        }
    }
}

const X25519: u16 = 29;

/// The groups that apmon itself speaks.
pub(super) const OWN_GROUPS: [u16; 4] = [X25519, 23, 24, 25];

/// The groups by their numbers (RFC 8422 section 5.1.1, RFC 7027, RFC 7919), our own
/// first.
const GROUPS: &[(u16, &str)] = &[
    (X25519, "X25519"),
    (23, "P-256"),
    (24, "P-384"),
    (25, "P-521"),
    (30, "X448"),
    (26, "brainpoolP256r1"),
    (27, "brainpoolP384r1"),
    (28, "brainpoolP512r1"),
    (31, "brainpoolP256r1"),
    (32, "brainpoolP384r1"),
    (33, "brainpoolP512r1"),
    (256, "ffdhe2048"),
    (257, "ffdhe3072"),
    (258, "ffdhe4096"),
    (259, "ffdhe6144"),
    (260, "ffdhe8192"),
    (22, "secp256k1"),
    (21, "P-224"),
    (19, "P-192"),
    (14, "sect571r1"),
    (13, "sect571k1"),
    (11, "sect409k1"),
    (12, "sect409r1"),
    (9, "sect283k1"),
    (10, "sect283r1"),
    (4588, "X25519MLKEM768"),
    (4587, "SecP256r1MLKEM768"),
];

pub(super) fn group_words(group: u16) -> String {
    match GROUPS.iter().find(|(known, _)| *known == group) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("the unknown group {group}"),
    }
}

impl Hello {
    /// The hello as a record.
    pub(super) fn encode(self, name: &ServerName<'_>) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend(random());
        body.push(0); // no session
        let suites: Vec<u16> = match self {
            // The last says that renegotiation is safe (RFC 5746 section 3.3).
            Self::UpToTls12 => Suite::all().chain([0x00ff]).collect(),
            Self::Tls13(_) => vec![0x1301, 0x1302, 0x1303, 0x1304, 0x1305],
        };
        put(&mut body, 2, &numbers(&suites));
        body.extend([1, 0]); // no compression
        put(&mut body, 2, &self.extensions(name));
        let mut message = vec![1];
        put(&mut message, 3, &body);
        // The version of the record is the oldest: some servers judge by it.
        let mut record = vec![22, 3, 1];
        put(&mut record, 2, &message);
        record
    }

    fn extensions(self, name: &ServerName<'_>) -> Vec<u8> {
        let mut all = Vec::new();
        let mut extension = |id: u16, content: &[u8]| {
            all.extend(id.to_be_bytes());
            put(&mut all, 2, content);
        };
        if let ServerName::DnsName(name) = name {
            let mut entry = vec![0];
            put(&mut entry, 2, name.as_ref().as_bytes());
            extension(0, &prefixed(2, &entry));
        }
        let groups: Vec<u16> = GROUPS.iter().map(|(group, _)| *group).collect();
        extension(10, &prefixed(2, &numbers(&groups)));
        extension(11, &[3, 0, 1, 2]);
        let schemes = match self {
            Self::UpToTls12 => SCHEMES,
            Self::Tls13(family) => family.schemes(),
        };
        extension(13, &prefixed(2, &numbers(schemes)));
        if let Self::Tls13(_) = self {
            extension(43, &[2, 3, 4]);
            // Any 32 bytes are a point of X25519. The handshake ends before it is used.
            let mut share = X25519.to_be_bytes().to_vec();
            put(&mut share, 2, &random());
            extension(51, &prefixed(2, &share));
        }
        all
    }
}

fn random() -> [u8; 32] {
    let mut bytes = [0x5a; 32];
    // Without random bytes these will do: no secret depends on them.
    let _ = provider().secure_random.fill(&mut bytes);
    bytes
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Appends `content` behind its length of `bytes` bytes.
fn put(out: &mut Vec<u8>, bytes: usize, content: &[u8]) {
    let length = content.len().to_be_bytes();
    out.extend_from_slice(&length[length.len() - bytes..]);
    out.extend_from_slice(content);
}

fn prefixed(bytes: usize, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, bytes, content);
    out
}
