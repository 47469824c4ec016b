//! One connection, from the hello to the goodbye.

use std::{io, mem};

use apmon_tls::legacy::wire::{Fault, Pinned, Reply, Request, State};
use openssl::ssl::{ErrorCode, HandshakeError, MidHandshakeSslStream, ShutdownResult, SslRef, SslStream};

use crate::{
    context::{self, Pins},
    sent_records::SentRecords,
    wire_stream::WireStream,
};

/// The first of OpenSSL's reasons that stand for a received alert (`SSL_AD_REASON_OFFSET`).
const ALERTS: i32 = 1000;
/// Reasons for which the server's bytes are not TLS (`sslerr.h`): a wrong version number,
/// an HTTP request, and a record that is none.
const NOT_TLS: &[i32] = &[267, 156, 155, 443];

/// A connection.
pub(crate) enum Connection {
    New,
    Handshake(MidHandshakeSslStream<WireStream>, Facts),
    Open(SslStream<WireStream>, Facts),
    Ended,
}

/// What is known of the server beside what OpenSSL knows.
pub(crate) struct Facts {
    pins: Pins,
    sent: SentRecords,
}

impl Connection {
    /// Carries out a request.
    pub(crate) fn answer(&mut self, request: &Request<'_>) -> Reply {
        match (mem::replace(self, Self::Ended), request) {
            (Self::New, Request::Open { name, pins }) => {
                let facts = Facts {
                    pins: Pins::new(pins),
                    sent: SentRecords::default(),
                };
                match context::client(name, &facts.pins) {
                    Ok(ssl) => self.handshake(ssl.connect(WireStream::default()), facts),
                    Err(_) => failed(Fault::Setup),
                }
            }
            (Self::Handshake(mut stream, facts), Request::Received(_) | Request::Ended) => {
                feed(stream.get_mut(), request);
                self.handshake(stream.handshake(), facts)
            }
            (Self::Open(mut stream, facts), request) => {
                let mut plain = Vec::new();
                let state = match request {
                    Request::Received(_) | Request::Ended => {
                        feed(stream.get_mut(), request);
                        read(&mut stream, &mut plain, &facts)
                    }
                    Request::Send(bytes) => write(&mut stream, bytes, &facts),
                    Request::Close => match stream.shutdown() {
                        Ok(ShutdownResult::Sent | ShutdownResult::Received) => State::GoesOn,
                        // Whether the goodbye arrives or not, the connection is over.
                        Err(_) => State::Closed,
                    },
                    Request::Open { .. } => State::Failed(Fault::Other),
                };
                let to_server = stream.get_mut().take_sent();
                if matches!(state, State::GoesOn) || matches!(state, State::Closed) {
                    *self = Self::Open(stream, facts);
                }
                Reply {
                    to_server,
                    plain,
                    state,
                }
            }
            // What comes after the end changes nothing.
            _ => failed(Fault::Other),
        }
    }

    fn handshake(
        &mut self,
        result: Result<SslStream<WireStream>, HandshakeError<WireStream>>,
        mut facts: Facts,
    ) -> Reply {
        match result {
            Ok(mut stream) => {
                let mut to_server = stream.get_mut().take_sent();
                facts.sent.add(&to_server);
                let state = opened(stream.ssl(), &facts);
                let mut plain = Vec::new();
                let state = match state {
                    // What came with the end of the handshake. A fault in it comes again.
                    State::Opened { .. } => {
                        let _ = read(&mut stream, &mut plain, &facts);
                        state
                    }
                    other => other,
                };
                to_server.extend(stream.get_mut().take_sent());
                if matches!(state, State::Opened { .. }) {
                    *self = Self::Open(stream, facts);
                }
                Reply {
                    to_server,
                    plain,
                    state,
                }
            }
            Err(HandshakeError::WouldBlock(mut stream)) => {
                let to_server = stream.get_mut().take_sent();
                facts.sent.add(&to_server);
                *self = Self::Handshake(stream, facts);
                Reply {
                    to_server,
                    ..Reply::default()
                }
            }
            Err(HandshakeError::Failure(mut stream)) => {
                let to_server = stream.get_mut().take_sent();
                Reply {
                    to_server,
                    plain: Vec::new(),
                    state: State::Failed(fault(stream.error(), &facts)),
                }
            }
            Err(HandshakeError::SetupFailure(_)) => failed(Fault::Setup),
        }
    }
}

fn failed(fault: Fault) -> Reply {
    Reply {
        state: State::Failed(fault),
        ..Reply::default()
    }
}

fn feed(wire: &mut WireStream, request: &Request<'_>) {
    match request {
        Request::Received(bytes) => wire.receive(bytes),
        _ => wire.end(),
    }
}

/// What was agreed. The suites that are offered have certificates; still, nothing is
/// sent to a server without one.
fn opened(ssl: &SslRef, Facts { pins, sent }: &Facts) -> State {
    let Some(leaf) = ssl.peer_certificate() else {
        return State::Failed(Fault::NoCertificate);
    };
    if !pins.accept(&leaf) {
        return State::Failed(
            pins.refused()
                .map_or(Fault::NoCertificate, |got| Fault::Pin(Pinned(got))),
        );
    }
    let mut chain: Vec<Vec<u8>> = ssl
        .peer_cert_chain()
        .map(|chain| {
            chain
                .iter()
                .filter_map(|certificate| certificate.to_der().ok())
                .collect()
        })
        .unwrap_or_default();
    match leaf.to_der() {
        Ok(leaf) if chain.first() != Some(&leaf) => chain.insert(0, leaf),
        Ok(_) => {}
        Err(_) => return State::Failed(Fault::NoCertificate),
    }
    State::Opened {
        version: ssl.version_str().to_owned(),
        suite: ssl
            .current_cipher()
            .map(|cipher| cipher.name().to_owned())
            .unwrap_or_default(),
        chain,
        asks_certificate: sent.was_asked(),
    }
}

/// Reads all that can be decrypted.
fn read(stream: &mut SslStream<WireStream>, plain: &mut Vec<u8>, facts: &Facts) -> State {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match stream.ssl_read(&mut buffer) {
            Ok(n) => plain.extend_from_slice(&buffer[..n]),
            Err(error) => {
                return match error.code() {
                    ErrorCode::WANT_READ | ErrorCode::WANT_WRITE => State::GoesOn,
                    ErrorCode::ZERO_RETURN => State::Closed,
                    _ => match fault(&error, facts) {
                        Fault::Closed => State::Closed,
                        fault => State::Failed(fault),
                    },
                };
            }
        }
    }
}

/// Encrypts all of `bytes`.
fn write(stream: &mut SslStream<WireStream>, bytes: &[u8], facts: &Facts) -> State {
    let mut rest = bytes;
    while !rest.is_empty() {
        match stream.ssl_write(rest) {
            Ok(n) => rest = &rest[n..],
            Err(error) => return State::Failed(fault(&error, facts)),
        }
    }
    State::GoesOn
}

/// Why OpenSSL gave up.
fn fault(error: &openssl::ssl::Error, Facts { pins, sent }: &Facts) -> Fault {
    if let Some(got) = pins.refused() {
        return Fault::Pin(Pinned(got));
    }
    let is_end = error.io_error().is_some_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::WouldBlock
        )
    });
    let reasons = error.ssl_error().map(|stack| stack.errors()).unwrap_or_default();
    if is_end || (reasons.is_empty() && matches!(error.code(), ErrorCode::SYSCALL | ErrorCode::ZERO_RETURN)) {
        return Fault::Closed;
    }
    for reason in reasons {
        let code = reason.reason_code();
        if let Ok(alert) = u8::try_from(code - ALERTS) {
            // Below TLS 1.3 there is no alert for it, so servers send one that seems to fit.
            return match sent.was_asked() {
                true => Fault::CertificateDemanded,
                false => Fault::Alert(alert),
            };
        }
        if NOT_TLS.contains(&code) {
            return Fault::NotTls;
        }
        // An unexpected end within the handshake (`SSL_R_UNEXPECTED_EOF_WHILE_READING`).
        if code == 294 {
            return Fault::Closed;
        }
    }
    Fault::Other
}
