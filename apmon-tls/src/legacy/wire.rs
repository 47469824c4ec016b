//! What apmon and the helper say to each other, each as the bytes of one frame.

use std::fmt;

use crate::fingerprint::Fingerprint;

/// What the helper is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request<'a> {
    /// Begins the handshake. `name` is asked for, unless it is empty; `pins` are the
    /// accepted certificates, all if there are none.
    Open {
        /// The name of the server.
        name: &'a str,
        /// SHA-256 of certificates.
        pins: Vec<[u8; 32]>,
    },
    /// Bytes of the server.
    Received(&'a [u8]),
    /// The server has closed the connection.
    Ended,
    /// Encrypt these bytes.
    Send(&'a [u8]),
    /// Say goodbye.
    Close,
}

/// What the helper answers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reply {
    /// Bytes for the server.
    pub to_server: Vec<u8>,
    /// What the server has said.
    pub plain: Vec<u8>,
    /// What has become of the connection.
    pub state: State,
}

/// The state of a connection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum State {
    /// The handshake, or the connection, goes on.
    #[default]
    GoesOn,
    /// The handshake is complete.
    Opened {
        /// As OpenSSL names it.
        version: String,
        /// As OpenSSL names it.
        suite: String,
        /// In DER, the server's own first.
        chain: Vec<Vec<u8>>,
        /// Whether the server has asked for a certificate.
        asks_certificate: bool,
    },
    /// The server has said goodbye.
    Closed,
    /// The connection is of no more use.
    Failed(Fault),
}

/// Why a connection failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The certificate is not the pinned one but this.
    Pin(Pinned),
    /// The server has shown no certificate.
    NoCertificate,
    /// The server has refused, with this alert.
    Alert(u8),
    /// The server has asked for a certificate, got none, and refused.
    CertificateDemanded,
    /// The server has closed the connection within the handshake.
    Closed,
    /// What the server sends is not TLS.
    NotTls,
    /// The protocol was violated, or nothing was in common.
    Other,
    /// OpenSSL cannot be set up.
    Setup,
}

/// The fingerprint of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pinned(pub [u8; 32]);

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Fingerprint::from_bytes(self.0).fmt(f)
    }
}

impl Request<'_> {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Open { name, pins } => {
                out.push(0);
                put(&mut out, name.as_bytes());
                out.extend(pins.concat());
            }
            Self::Received(bytes) => {
                out.push(1);
                out.extend_from_slice(bytes);
            }
            Self::Ended => out.push(2),
            Self::Send(bytes) => {
                out.push(3);
                out.extend_from_slice(bytes);
            }
            Self::Close => out.push(4),
        }
        out
    }
}

impl<'a> Request<'a> {
    /// Reads bytes; `None` if they are not a request.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        match (tag, rest) {
            (0, _) => {
                let mut rest = rest;
                let name = str::from_utf8(take(&mut rest)?).ok()?;
                let (pins, surplus) = rest.as_chunks::<32>();
                surplus.is_empty().then(|| Self::Open {
                    name,
                    pins: pins.to_vec(),
                })
            }
            (1, _) => Some(Self::Received(rest)),
            (2, []) => Some(Self::Ended),
            (3, _) => Some(Self::Send(rest)),
            (4, []) => Some(Self::Close),
            _ => None,
        }
    }
}

impl Reply {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, &self.to_server);
        put(&mut out, &self.plain);
        match &self.state {
            State::GoesOn => out.push(0),
            State::Opened {
                version,
                suite,
                chain,
                asks_certificate,
            } => {
                out.push(1);
                out.push(u8::from(*asks_certificate));
                put(&mut out, version.as_bytes());
                put(&mut out, suite.as_bytes());
                for certificate in chain {
                    put(&mut out, certificate);
                }
            }
            State::Closed => out.push(2),
            State::Failed(fault) => {
                let (tag, content): (u8, &[u8]) = match fault {
                    Fault::Pin(got) => (3, &got.0),
                    Fault::NoCertificate => (4, &[]),
                    Fault::Alert(alert) => (5, &[*alert]),
                    Fault::Closed => (6, &[]),
                    Fault::NotTls => (7, &[]),
                    Fault::Other => (8, &[]),
                    Fault::Setup => (9, &[]),
                    Fault::CertificateDemanded => (10, &[]),
                };
                out.push(tag);
                out.extend_from_slice(content);
            }
        }
        out
    }

    /// Reads bytes; `None` if they are not a reply.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let to_server = take(&mut rest)?.to_vec();
        let plain = take(&mut rest)?.to_vec();
        let (tag, mut rest) = rest.split_first()?;
        let state = match (tag, rest) {
            (0, []) => State::GoesOn,
            (1, [asks_certificate @ (0 | 1), after @ ..]) => {
                rest = after;
                let mut text = || Some(str::from_utf8(take(&mut rest)?).ok()?.to_owned());
                let (version, suite) = (text()?, text()?);
                let mut chain = Vec::new();
                while !rest.is_empty() {
                    chain.push(take(&mut rest)?.to_vec());
                }
                State::Opened {
                    version,
                    suite,
                    chain,
                    asks_certificate: *asks_certificate == 1,
                }
            }
            (2, []) => State::Closed,
            (3, _) => State::Failed(Fault::Pin(Pinned(rest.try_into().ok()?))),
            (4, []) => State::Failed(Fault::NoCertificate),
            (5, [alert]) => State::Failed(Fault::Alert(*alert)),
            (6, []) => State::Failed(Fault::Closed),
            (7, []) => State::Failed(Fault::NotTls),
            (8, []) => State::Failed(Fault::Other),
            (9, []) => State::Failed(Fault::Setup),
            (10, []) => State::Failed(Fault::CertificateDemanded),
            _ => return None,
        };
        Some(Self {
            to_server,
            plain,
            state,
        })
    }
}

/// Appends bytes behind their number. More than 4 GiB never come together: a frame has
/// 16 MiB.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend(length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (taken, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_replies_are_read_as_they_were_written() {
        let pins = vec![[1; 32], [2; 32]];
        for request in [
            Request::Open {
                name: "nas.lan",
                pins,
            },
            Request::Open {
                name: "",
                pins: Vec::new(),
            },
            Request::Received(b"abc"),
            Request::Ended,
            Request::Send(b""),
            Request::Close,
        ] {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
        for state in [
            State::GoesOn,
            State::Opened {
                version: "TLSv1".to_owned(),
                suite: "AES128-SHA".to_owned(),
                chain: vec![b"leaf".to_vec(), Vec::new()],
                asks_certificate: true,
            },
            State::Closed,
            State::Failed(Fault::Pin(Pinned([7; 32]))),
            State::Failed(Fault::NoCertificate),
            State::Failed(Fault::Alert(40)),
            State::Failed(Fault::Closed),
            State::Failed(Fault::NotTls),
            State::Failed(Fault::Other),
            State::Failed(Fault::Setup),
            State::Failed(Fault::CertificateDemanded),
        ] {
            let reply = Reply {
                to_server: b"to".to_vec(),
                plain: b"said".to_vec(),
                state,
            };
            let bytes = reply.encode();
            // Cut short it is another reply at most, and never a crash.
            for end in 0..bytes.len() {
                assert_ne!(Reply::decode(&bytes[..end]).as_ref(), Some(&reply));
            }
            assert_eq!(Reply::decode(&bytes), Some(reply));
        }
    }
}
