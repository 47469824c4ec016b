//! Cipher suites below TLS 1.3, taken apart.

/// A cipher suite.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Suite {
    pub(super) id: u16,
    pub(super) exchange: Exchange,
    pub(super) cipher: Cipher,
}

/// How the keys of a connection are agreed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Exchange {
    Ecdhe,
    Dhe,
    Rsa,
    StaticEcdh,
    Anonymous,
    /// The suite does not say.
    OfTls13,
    Unknown,
}

/// How data is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cipher {
    Aead,
    Cbc,
    TripleDes,
    Rc4,
    /// None, DES, or keys of 40 bits.
    Broken,
    Unknown,
}

impl Suite {
    /// The suite with this number.
    pub(super) fn of(id: u16) -> Self {
        if id >> 8 == 0x13 {
            return Self {
                id,
                exchange: Exchange::OfTls13,
                cipher: Cipher::Aead,
            };
        }
        let row = SUITES.iter().find(|(ids, ..)| ids.contains(&id));
        let (exchange, cipher) = row.map_or((Exchange::Unknown, Cipher::Unknown), |(_, exchange, cipher)| {
            (*exchange, *cipher)
        });
        Self { id, exchange, cipher }
    }

    /// Whether rustls with ring has it.
    pub(super) fn is_of_ring(self) -> bool {
        matches!(
            self.id,
            0x1301..=0x1303 | 0xc02b | 0xc02c | 0xc02f | 0xc030 | 0xcca8 | 0xcca9
        )
    }

    /// All that are known below TLS 1.3, the best first.
    pub(super) fn all() -> impl Iterator<Item = u16> {
        SUITES.iter().flat_map(|(ids, ..)| ids.iter().copied())
    }
}

/// By the numbers that IANA has given them, the best first.
const SUITES: &[(&[u16], Exchange, Cipher)] = &[
    (
        &[
            0xc02c, 0xc02b, 0xc030, 0xc02f, 0xcca9, 0xcca8, 0xc0ad, 0xc0ac, 0xc0af, 0xc0ae, 0xc05d, 0xc05c,
            0xc061, 0xc060, 0xc087, 0xc086, 0xc08b, 0xc08a,
        ],
        Exchange::Ecdhe,
        Cipher::Aead,
    ),
    (
        &[
            0x009f, 0x009e, 0xccaa, 0xc09f, 0xc09e, 0xc0a3, 0xc0a2, 0x00a3, 0x00a2, 0xc053, 0xc052, 0xc07d,
            0xc07c,
        ],
        Exchange::Dhe,
        Cipher::Aead,
    ),
    (
        &[
            0x009d, 0x009c, 0xc09d, 0xc09c, 0xc0a1, 0xc0a0, 0xc051, 0xc050, 0xc07b, 0xc07a,
        ],
        Exchange::Rsa,
        Cipher::Aead,
    ),
    (
        &[
            0xc024, 0xc023, 0xc028, 0xc027, 0xc00a, 0xc009, 0xc014, 0xc013, 0xc073, 0xc072, 0xc077, 0xc076,
        ],
        Exchange::Ecdhe,
        Cipher::Cbc,
    ),
    (
        &[
            0x006b, 0x0067, 0x0039, 0x0033, 0x00c4, 0x00be, 0x0088, 0x0045, 0x009a, 0x006a, 0x0040, 0x0038,
            0x0032, 0x00c3, 0x00bd, 0x0087, 0x0044, 0x0099,
        ],
        Exchange::Dhe,
        Cipher::Cbc,
    ),
    (
        &[
            0x003d, 0x003c, 0x0035, 0x002f, 0x00c0, 0x00ba, 0x0084, 0x0041, 0x0096, 0x0007,
        ],
        Exchange::Rsa,
        Cipher::Cbc,
    ),
    (
        &[0xc02e, 0xc02d, 0xc032, 0xc031],
        Exchange::StaticEcdh,
        Cipher::Aead,
    ),
    (
        &[0xc026, 0xc025, 0xc02a, 0xc029, 0xc005, 0xc004, 0xc00f, 0xc00e],
        Exchange::StaticEcdh,
        Cipher::Cbc,
    ),
    (&[0xc008, 0xc012], Exchange::Ecdhe, Cipher::TripleDes),
    (&[0x0016, 0x0013], Exchange::Dhe, Cipher::TripleDes),
    (&[0x000a], Exchange::Rsa, Cipher::TripleDes),
    (&[0xc007, 0xc011], Exchange::Ecdhe, Cipher::Rc4),
    (&[0x0005, 0x0004], Exchange::Rsa, Cipher::Rc4),
    (
        &[0xc019, 0xc018, 0x00a7, 0x00a6, 0x006d, 0x006c, 0x003a, 0x0034],
        Exchange::Anonymous,
        Cipher::Cbc,
    ),
    (&[0xc017, 0x001b], Exchange::Anonymous, Cipher::TripleDes),
    (&[0xc016, 0x0018], Exchange::Anonymous, Cipher::Rc4),
    (&[0x0015, 0x0012, 0x0014, 0x0011], Exchange::Dhe, Cipher::Broken),
    (
        &[0x0009, 0x0008, 0x0006, 0x0003, 0x003b, 0x0002, 0x0001],
        Exchange::Rsa,
        Cipher::Broken,
    ),
    (&[0xc006, 0xc010], Exchange::Ecdhe, Cipher::Broken),
];
