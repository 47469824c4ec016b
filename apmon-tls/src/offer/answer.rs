//! A server's answer to a hello (RFC 5246 section 7.3), read as far as it is in the clear.

use rustls::pki_types::CertificateDer;

use super::{
    Answer, Key, Reach, ServerOffer, TLS_1_2, TLS_1_3,
    suite::{Exchange, Suite},
};
use crate::certificate::{key_words, parse, rsa_bits};

/// How much is read of what a server sends: a long chain has 20 KB.
const MAX_BYTES: usize = 128 * 1024;

/// Reads an answer as it arrives.
#[derive(Default)]
pub(super) struct AnswerReader {
    /// What has arrived and is not a whole record yet.
    raw: Vec<u8>,
    /// Handshake messages out of records.
    messages: Vec<u8>,
    total: usize,
    has_alert: bool,
    is_other: bool,
    is_complete: bool,
    offer: Option<ServerOffer>,
}

/// Whether more must be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    More,
    Complete,
}

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
const SERVER_HELLO_DONE: u8 = 14;

impl AnswerReader {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Progress {
        self.total += bytes.len();
        self.raw.extend_from_slice(bytes);
        while !self.is_complete
            && let Some((kind, content)) = self.next_record()
        {
            match kind {
                HANDSHAKE => {
                    self.messages.extend(content);
                    while !self.is_complete && self.next_message().is_some() {}
                }
                ALERT => {
                    // A warning, such as one about the name, does not refuse (RFC 5246
                    // section 7.2).
                    let is_fatal = content.first() == Some(&2);
                    self.has_alert |= is_fatal;
                    self.is_complete |= is_fatal;
                }
                _ => self.is_complete = true,
            }
        }
        match self.is_complete || self.total > MAX_BYTES {
            true => Progress::Complete,
            false => Progress::More,
        }
    }

    pub(super) fn answer(self) -> Answer {
        match self.offer {
            Some(offer) => Answer::Offer(offer),
            None if self.is_other => Answer::Nothing,
            // A server that closes without an alert refuses as well.
            None if self.has_alert || self.total == 0 => Answer::Refusal,
            None => Answer::Nothing,
        }
    }

    /// Takes the next whole record: its type and its content.
    fn next_record(&mut self) -> Option<(u8, Vec<u8>)> {
        let [kind, major, _, high, low, ..] = self.raw[..] else {
            return None;
        };
        if !matches!(kind, 20..=23) || major != 3 {
            (self.is_other, self.is_complete) = (true, true);
            return None;
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        let content = self.raw.get(5..5 + length)?.to_vec();
        self.raw.drain(..5 + length);
        Some((kind, content))
    }

    /// Takes and reads the next whole message.
    fn next_message(&mut self) -> Option<()> {
        let [kind, a, b, c, ..] = self.messages[..] else {
            return None;
        };
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        if length > MAX_BYTES {
            self.is_complete = true;
            return None;
        }
        let body = self.messages.get(4..4 + length)?.to_vec();
        self.messages.drain(..4 + length);
        match (kind, &mut self.offer) {
            (SERVER_HELLO, offer) => {
                *offer = server_hello(&body);
                // The rest of TLS 1.3 is encrypted.
                self.is_complete = offer.as_ref().is_none_or(|offer| offer.version >= TLS_1_3);
            }
            (CERTIFICATE, Some(offer)) => offer.key = key(&body),
            (SERVER_KEY_EXCHANGE, Some(offer)) => key_exchange(&body, offer),
            (SERVER_HELLO_DONE, _) => self.is_complete = true,
            _ => {}
        }
        Some(())
    }
}

fn server_hello(body: &[u8]) -> Option<ServerOffer> {
    let mut rest = Reader(body);
    let mut version = rest.number()?;
    rest.take(32)?;
    let session = rest.byte()?;
    rest.take(usize::from(session))?;
    let suite = Suite::of(rest.number()?);
    rest.byte()?;
    let mut group = None;
    // Without extensions the message ends here.
    if let Some(length) = rest.number() {
        let mut extensions = Reader(rest.take(usize::from(length))?);
        while let Some(id) = extensions.number() {
            let length = extensions.number()?;
            let mut content = Reader(extensions.take(usize::from(length))?);
            match id {
                43 => version = content.number()?,
                // The group of the answer, or the one that is asked for instead.
                51 => group = content.number(),
                _ => {}
            }
        }
    }
    Some(ServerOffer {
        version,
        suite,
        dh_bits: None,
        group,
        key: None,
    })
}

fn key(body: &[u8]) -> Option<Key> {
    let mut rest = Reader(body);
    rest.take(3)?;
    let length = rest.long()?;
    let certificate = CertificateDer::from(rest.take(length)?);
    let certificate = parse(&certificate).ok()?;
    let words = key_words(&certificate);
    // A key for RSA-PSS alone is not accepted below TLS 1.3.
    let is_known = rsa_bits(&certificate).is_some_and(|bits| bits >= 512 && !words.starts_with("RSA-PSS"))
        || ["P-256", "P-384", "P-521", "Ed25519"]
            .iter()
            .any(|known| words.starts_with(known));
    let reach = match is_known {
        true => Reach::Always,
        false => Reach::Legacy,
    };
    Some(Key { words, reach })
}

/// Reads the parameters of the key exchange (RFC 5246 section 7.4.3, RFC 8422 section 5.4).
fn key_exchange(body: &[u8], offer: &mut ServerOffer) {
    let mut rest = Reader(body);
    match offer.suite.exchange {
        Exchange::Ecdhe if rest.byte() == Some(3) => offer.group = rest.number(),
        Exchange::Dhe if offer.version <= TLS_1_2 => {
            let prime = rest.number().and_then(|length| rest.take(usize::from(length)));
            let prime = prime.map(|prime| {
                let zeros = prime.iter().take_while(|byte| **byte == 0).count();
                &prime[zeros..]
            });
            offer.dh_bits = prime.and_then(|prime| {
                let first = prime.first()?;
                Some(prime.len() * 8 - first.leading_zeros() as usize)
            });
        }
        _ => {}
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A number of three bytes.
    fn long(&mut self) -> Option<usize> {
        let bytes = self.take(3)?;
        Some(usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]))
    }
}
