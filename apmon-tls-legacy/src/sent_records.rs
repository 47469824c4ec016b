//! Whether the server has asked for a certificate, which OpenSSL does not say: it is seen
//! in what is sent in the handshake, since a client that has none answers with an empty one
//! (RFC 5246 section 7.4.6, RFC 8446 section 4.4.2).

const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
/// Encrypted, in TLS 1.3.
const APPLICATION_DATA: u8 = 23;

/// The type of the message with a certificate.
const CERTIFICATE: u8 = 11;

/// The records that were sent in a handshake.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SentRecords {
    has_certificate: bool,
    /// Below TLS 1.3, what follows is encrypted.
    has_changed_cipher: bool,
    /// In TLS 1.3, that of the Finished message, and that of a certificate before it: OpenSSL
    /// sends each message as a record of its own.
    encrypted: u32,
}

impl SentRecords {
    /// Adds whole records.
    pub(crate) fn add(&mut self, mut sent: &[u8]) {
        while let [kind, _, _, high, low, rest @ ..] = sent {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some((content, after)) = rest.split_at_checked(length) else {
                return;
            };
            match *kind {
                CHANGE_CIPHER_SPEC => self.has_changed_cipher = true,
                HANDSHAKE if !self.has_changed_cipher => {
                    self.has_certificate |= content.first() == Some(&CERTIFICATE);
                }
                APPLICATION_DATA => self.encrypted += 1,
                _ => {}
            }
            sent = after;
        }
    }

    /// Whether the server has asked for a certificate.
    pub(crate) fn was_asked(self) -> bool {
        self.has_certificate || self.encrypted > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, first: u8) -> Vec<u8> {
        vec![kind, 3, 3, 0, 2, first, 0]
    }

    fn was_asked(records: &[(u8, u8)]) -> bool {
        let mut sent = SentRecords::default();
        for (kind, first) in records {
            sent.add(&record(*kind, *first));
        }
        let mut whole = SentRecords::default();
        let all: Vec<_> = records
            .iter()
            .map(|(kind, first)| record(*kind, *first))
            .collect();
        whole.add(&all.concat());
        assert_eq!(whole.was_asked(), sent.was_asked());
        sent.was_asked()
    }

    #[test]
    fn a_client_without_a_certificate_answers_a_request_with_an_empty_one() {
        // TLS 1.2: hello, certificate, key exchange, change of cipher, finished.
        assert!(was_asked(&[(22, 1), (22, 11), (22, 16), (20, 1), (22, 99)]));
        assert!(
            !was_asked(&[(22, 1), (22, 16), (20, 1), (22, 11)]),
            "it is encrypted"
        );
        // TLS 1.3, after a second hello.
        assert!(was_asked(&[(22, 1), (20, 1), (22, 1), (23, 0), (23, 0)]));
        assert!(!was_asked(&[(22, 1), (20, 1), (22, 1), (23, 0)]));
        let mut sent = SentRecords::default();
        sent.add(&[22, 3, 3, 0, 9, 11]);
        assert!(!sent.was_asked(), "it is cut");
    }
}
