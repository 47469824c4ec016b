//! What a server offers in TLS, found out by hellos that offer everything.
//!
//! A library says that a handshake failed, and at best that nothing was in common. The
//! answer to a hello that offers everything says what the server has instead: in TLS 1.2
//! and below its version, its cipher suite, the size of its Diffie-Hellman group and its
//! certificate are in the clear (RFC 5246 section 7.4). In TLS 1.3 the rest is
//! encrypted, but a server that answers a hello with one family of signatures has a key
//! of that family.
//!
//! No handshake is completed, and nothing is sent but hellos.

mod answer;
mod hello;
mod known;
mod suite;

use std::fmt;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

pub use self::known::{KnownOffers, Peer};
use self::{
    answer::{AnswerReader, Progress},
    hello::{Family, Hello},
    suite::{Cipher, Exchange, Suite},
};

/// What a server offers at best.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerOffer {
    version: u16,
    suite: Suite,
    /// The bits of the Diffie-Hellman group.
    dh_bits: Option<usize>,
    /// The elliptic curve of the key exchange, or the group of TLS 1.3.
    group: Option<u16>,
    key: Option<Key>,
}

/// The server's key, as far as it is known.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Key {
    words: String,
    /// What signs with such a key, whatever else the server has.
    reach: Reach,
}

/// What reaches a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// No option is needed.
    Always,
    /// [`legacy`](crate::legacy).
    Legacy,
    /// Nothing that apmon has.
    Never,
}

const SSL_3: u16 = 0x0300;
const TLS_1_0: u16 = 0x0301;
const TLS_1_1: u16 = 0x0302;
const TLS_1_2: u16 = 0x0303;
const TLS_1_3: u16 = 0x0304;

impl ServerOffer {
    /// The offer as a reason goes on with it, and which option reaches the server. `option` is
    /// the one for [`legacy`](crate::legacy), and `is_set` whether the handshake had it.
    #[must_use]
    pub fn in_words(&self, option: &str, is_set: bool) -> String {
        let hint = match (self.reach(), is_set) {
            (Reach::Legacy, false) => format!("; set {option}: yes to reach it"),
            (Reach::Never, _) => "; apmon speaks nothing of that kind".to_owned(),
            (Reach::Legacy, true) | (Reach::Always, _) => String::new(),
        };
        format!("the server offers {self}{hint}")
    }

    /// What reaches this server.
    #[must_use]
    pub fn reach(&self) -> Reach {
        let has_known_key = self.key.as_ref().is_none_or(|key| key.reach == Reach::Always);
        let has_known_group = self.group.is_none_or(|group| hello::OWN_GROUPS.contains(&group));
        match (self.version, self.suite.exchange, self.suite.cipher) {
            (TLS_1_2 | TLS_1_3, Exchange::Ecdhe | Exchange::OfTls13, Cipher::Aead)
                if has_known_key && has_known_group && self.suite.is_of_ring() =>
            {
                Reach::Always
            }
            (TLS_1_3, ..) => match &self.key {
                Some(key) if key.reach == Reach::Never => Reach::Never,
                _ => Reach::Legacy,
            },
            (
                TLS_1_0 | TLS_1_1 | TLS_1_2,
                Exchange::Ecdhe | Exchange::Dhe | Exchange::Rsa,
                Cipher::Aead | Cipher::Cbc,
            ) => Reach::Legacy,
            _ => Reach::Never,
        }
    }
}

/// In the order of a handshake: `TLS 1.0 at most, RSA key exchange, a CBC cipher, an RSA
/// key of 1024 bits`.
impl fmt::Display for ServerOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            SSL_3 => f.write_str("SSL 3.0 at most")?,
            TLS_1_0 => f.write_str("TLS 1.0 at most")?,
            TLS_1_1 => f.write_str("TLS 1.1 at most")?,
            TLS_1_2 => f.write_str("TLS 1.2")?,
            TLS_1_3 => f.write_str("TLS 1.3")?,
            other => write!(f, "version {other:#06x} of TLS")?,
        }
        match (self.suite.exchange, self.group) {
            (Exchange::Ecdhe, Some(group)) => write!(f, ", ECDHE on {}", hello::group_words(group))?,
            (Exchange::Ecdhe, None) => f.write_str(", ECDHE")?,
            (Exchange::Dhe, _) => match self.dh_bits {
                Some(bits) => write!(f, ", DHE with {bits} bits")?,
                None => f.write_str(", DHE")?,
            },
            (Exchange::Rsa, _) => f.write_str(", RSA key exchange")?,
            (Exchange::StaticEcdh, _) => f.write_str(", ECDH with the key of the certificate")?,
            (Exchange::Anonymous, _) => f.write_str(", no certificate")?,
            (Exchange::OfTls13, Some(group)) => {
                write!(f, ", a key exchange on {}", hello::group_words(group))?;
            }
            (Exchange::OfTls13 | Exchange::Unknown, _) => {}
        }
        match self.suite.cipher {
            Cipher::Aead if self.version == TLS_1_3 => {}
            Cipher::Aead => f.write_str(", an authenticated cipher")?,
            Cipher::Cbc => f.write_str(", a CBC cipher")?,
            Cipher::TripleDes => f.write_str(", the cipher 3DES")?,
            Cipher::Rc4 => f.write_str(", the cipher RC4")?,
            Cipher::Broken => f.write_str(", a cipher that protects nothing")?,
            Cipher::Unknown => write!(f, ", the unknown cipher suite {:#06x}", self.suite.id)?,
        }
        match &self.key {
            Some(key) => write!(f, ", {} {}", article(&key.words), key.words),
            None => Ok(()),
        }
    }
}

fn article(words: &str) -> &'static str {
    // "an RSA key", "an Ed448 key", "an ML-DSA key"
    match words.starts_with(['E', 'M', 'R']) {
        true => "an",
        false => "a",
    }
}

/// What a server did upon a hello.
enum Answer {
    Offer(ServerOffer),
    /// It refused, or closed the connection.
    Refusal,
    /// It does not speak TLS, or says nothing that can be read.
    Nothing,
}

/// Finds out what a server offers; `name` is the one that the handshake asked for.
/// `connect` opens a connection over which TLS may begin, up to five times. `None` if
/// that is not known. It takes as long as the server lets it: limit its time.
pub async fn ask<S, C>(name: &ServerName<'_>, mut connect: C) -> Option<ServerOffer>
where
    S: AsyncRead + AsyncWrite + Unpin,
    C: AsyncConnect<Stream = S>,
{
    match exchange(&mut connect, name, Hello::UpToTls12).await? {
        Answer::Offer(offer) => return Some(offer),
        Answer::Nothing => return None,
        Answer::Refusal => {}
    }
    let Answer::Offer(offer) = exchange(&mut connect, name, Hello::Tls13(Family::All)).await? else {
        return None;
    };
    if offer.version != TLS_1_3 || offer.reach() != Reach::Always {
        return Some(offer);
    }
    // It is the key that does not fit.
    for family in [Family::Ed448, Family::Brainpool, Family::MlDsa] {
        if let Answer::Offer(mut offer) = exchange(&mut connect, name, Hello::Tls13(family)).await? {
            offer.key = Some(Key {
                words: family.words().to_owned(),
                reach: family.reach(),
            });
            return Some(offer);
        }
    }
    Some(offer)
}

/// Opens connections to a server for [`ask`].
pub trait AsyncConnect {
    /// A connection.
    type Stream;

    /// Opens a connection over which TLS may begin; `None` if that fails.
    fn connect(&mut self) -> impl Future<Output = Option<Self::Stream>> + Send;
}

/// Sends a hello over a connection of its own. `None` if there is no connection.
async fn exchange<S, C>(connect: &mut C, name: &ServerName<'_>, hello: Hello) -> Option<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin,
    C: AsyncConnect<Stream = S>,
{
    let mut stream = connect.connect().await?;
    let sent = async {
        stream.write_all(&hello.encode(name)).await?;
        stream.flush().await
    };
    if sent.await.is_err() {
        return Some(Answer::Refusal);
    }
    let mut reader = AnswerReader::default();
    let mut buffer = [0; 2048];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(n) => match reader.push(&buffer[..n]) {
                Progress::More => {}
                Progress::Complete => break,
            },
        }
    }
    Some(reader.answer())
}

/// Reads `bytes` as a server's answer, for the fuzz target.
pub(crate) fn fuzz(bytes: &[u8]) {
    let mut reader = AnswerReader::default();
    for piece in bytes.chunks(700) {
        reader.push(piece);
    }
    if let Answer::Offer(offer) = reader.answer() {
        std::hint::black_box((offer.reach(), offer.to_string()));
    }
}

#[cfg(test)]
mod tests;
