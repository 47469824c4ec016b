//! A connection whose TLS a child speaks.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use apmon_core::Failure;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::{
    Child, LegacyFailure, LegacySession, decode, explain, of_worker,
    wire::{Reply, Request, State},
};

/// How much is read of the server, and encrypted for it, at once: a record.
const PIECE: usize = 16 * 1024;

/// A connection over `S` whose TLS a child speaks.
pub struct LegacyStream<S> {
    stream: S,
    child: Child,
    session: LegacySession,
    /// The answer that the child owes.
    reply: Option<apmon_worker::Reply>,
    /// Bytes for the server, of which the first are written.
    out: Vec<u8>,
    written: usize,
    /// What the server has said, of which the first bytes are read.
    plain: Vec<u8>,
    read: usize,
    end: Option<End>,
    has_said_goodbye: bool,
}

/// The end of what the server says.
#[derive(Clone, Debug)]
enum End {
    /// As TLS wants it, or without a word, as old devices do.
    Closed,
    Failed(Failure),
}

impl<S> LegacyStream<S> {
    pub(super) fn new(child: Child, stream: S) -> Self {
        Self {
            stream,
            child,
            session: LegacySession {
                version: String::new(),
                suite: String::new(),
                chain: Vec::new(),
                asks_certificate: false,
            },
            reply: None,
            out: Vec::new(),
            written: 0,
            plain: Vec::new(),
            read: 0,
            end: None,
            has_said_goodbye: false,
        }
    }

    /// What was agreed.
    #[must_use]
    pub fn session(&self) -> &LegacySession {
        &self.session
    }

    /// The connection.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> LegacyStream<S> {
    /// Makes the handshake, which begins with what the child has to say first.
    pub(super) async fn handshake(&mut self, hello: Reply) -> Result<(), LegacyFailure> {
        let step = |error: &io::Error| LegacyFailure {
            failure: crate::failure("tls", error),
            is_of_offer: crate::is_of_offer(error),
        };
        let mut buffer = vec![0; PIECE];
        let mut reply = hello;
        loop {
            // A refusal is sent too: the server then knows why it sees nothing more.
            let sent = async {
                self.stream.write_all(&reply.to_server).await?;
                self.stream.flush().await
            };
            let sent = sent.await;
            match reply.state {
                State::Failed(fault) => return Err(explain(&fault)),
                State::Opened {
                    version,
                    suite,
                    chain,
                    asks_certificate,
                } => {
                    sent.map_err(|error| step(&error))?;
                    let chain = chain.into_iter().map(CertificateDer::from).collect();
                    self.session = LegacySession {
                        version,
                        suite,
                        chain,
                        asks_certificate,
                    };
                    self.plain = reply.plain;
                    return Ok(());
                }
                State::GoesOn | State::Closed => sent.map_err(|error| step(&error))?,
            }
            let n = self
                .stream
                .read(&mut buffer)
                .await
                .map_err(|error| step(&error))?;
            let request = match n {
                0 => Request::Ended,
                n => Request::Received(&buffer[..n]),
            };
            let answer = self.child.request(&request)?.await;
            reply = decode(&answer.map_err(|error| of_worker(&error))?)?;
        }
    }

    /// Waits for the answer that the child owes, if it owes one.
    fn poll_reply(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(reply) = &mut self.reply else {
            return Poll::Ready(());
        };
        let answer = ready!(Pin::new(reply).poll(context));
        self.reply = None;
        let answer = answer.map_err(|error| of_worker(&error));
        match answer.and_then(|answer| decode(&answer)) {
            Ok(Reply {
                to_server,
                plain,
                state,
            }) => {
                self.out.extend(to_server);
                if self.read == self.plain.len() {
                    self.plain.clear();
                    self.read = 0;
                }
                self.plain.extend(plain);
                match state {
                    State::GoesOn | State::Opened { .. } => {}
                    State::Closed => self.end = Some(End::Closed),
                    State::Failed(fault) => self.end = Some(End::Failed(explain(&fault).failure)),
                }
            }
            Err(failure) => self.end = Some(End::Failed(failure)),
        }
        Poll::Ready(())
    }

    /// Writes what is for the server.
    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            let rest = &self.out[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
        }
        self.out.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    fn ask(&mut self, request: &Request<'_>) {
        match self.child.request(request) {
            Ok(reply) => self.reply = Some(reply),
            Err(failure) => self.end = Some(End::Failed(failure)),
        }
    }
}

fn failed(failure: &Failure) -> io::Error {
    crate::failure::io_error(failure.clone())
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for LegacyStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let rest = &this.plain[this.read..];
            if !rest.is_empty() {
                let n = rest.len().min(buffer.remaining());
                buffer.put_slice(&rest[..n]);
                this.read += n;
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_reply(context));
            if this.read < this.plain.len() {
                continue;
            }
            match &this.end {
                Some(End::Closed) => return Poll::Ready(Ok(())),
                Some(End::Failed(failure)) => return Poll::Ready(Err(failed(failure))),
                None => {}
            }
            // The server may wait for it. If it takes nothing now, it may still speak.
            if let Poll::Ready(Err(error)) = this.poll_out(context) {
                return Poll::Ready(Err(error));
            }
            let mut bytes = [0; PIECE];
            let mut piece = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut piece))?;
            match piece.filled() {
                [] => this.ask(&Request::Ended),
                bytes => {
                    let request = Request::Received(bytes);
                    this.ask(&request);
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LegacyStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_reply(context));
        ready!(this.poll_out(context))?;
        if let Some(end) = &this.end {
            return Poll::Ready(Err(match end {
                End::Closed => io::ErrorKind::BrokenPipe.into(),
                End::Failed(failure) => failed(failure),
            }));
        }
        let piece = &bytes[..bytes.len().min(PIECE)];
        if !piece.is_empty() {
            this.ask(&Request::Send(piece));
        }
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.poll_reply(context));
        ready!(this.poll_out(context))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.poll_reply(context));
        if !this.has_said_goodbye && this.end.is_none() {
            this.has_said_goodbye = true;
            this.ask(&Request::Close);
            ready!(this.poll_reply(context));
        }
        ready!(this.poll_out(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

impl<S> fmt::Debug for LegacyStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LegacyStream")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
