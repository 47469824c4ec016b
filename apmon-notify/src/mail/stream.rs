//! A connection to a mail server, before and after TLS.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::error::SmtpError;

/// The longest answer that is read, in bytes; a server's list of extensions has
/// some 500. lettre reads a line to its end, however long it is, and parses the
/// whole answer again with each of its lines.
const MAX_REPLY: usize = 16 * 1024;

/// The most lines of an answer; a server's list of extensions has some 20. Each line
/// makes lettre parse all lines before it again.
const MAX_LINES: usize = 100;

const TOO_LONG: &str = "the answer is longer than 16384 bytes";
const TOO_MANY_LINES: &str = "the answer has more than 100 lines";

/// The greeting that lettre expects first on every connection. After STARTTLS the
/// server does not send one (RFC 3207 section 4.2), so this takes its place.
const GREETING: &[u8] = b"220 TLS\r\n";

/// The stream of an SMTP dialogue. It fails at an answer that is too long.
#[derive(Debug)]
pub(super) struct Stream {
    transport: Transport,
    /// The unread part of the greeting that replaces the server's.
    greeting: &'static [u8],
    /// Bytes read since the last write.
    reply_length: usize,
    /// Lines read since the last write.
    reply_lines: usize,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::over(Transport::Plain(stream), &[])
    }

    pub(super) fn tls(stream: Box<TlsStream<TcpStream>>) -> Self {
        Self::over(Transport::Tls(stream), &[])
    }

    /// A stream after STARTTLS.
    pub(super) fn upgraded(stream: Box<TlsStream<TcpStream>>) -> Self {
        Self::over(Transport::Tls(stream), GREETING)
    }

    fn over(transport: Transport, greeting: &'static [u8]) -> Self {
        Self {
            transport,
            greeting,
            reply_length: 0,
            reply_lines: 0,
        }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream),
            Transport::Tls(stream) => Pin::new(&mut **stream),
        }
    }
}

impl AsyncTokioStream for Stream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.transport {
            Transport::Plain(stream) => stream.peer_addr(),
            Transport::Tls(stream) => stream.get_ref().0.peer_addr(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.greeting.is_empty() {
            let (head, rest) = this.greeting.split_at(this.greeting.len().min(buf.remaining()));
            buf.put_slice(head);
            this.greeting = rest;
            return Poll::Ready(Ok(()));
        }
        if this.reply_length > MAX_REPLY {
            return Poll::Ready(Err(io::Error::other(TOO_LONG)));
        }
        let before = buf.filled().len();
        let read = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
        };
        let bytes = &buf.filled()[before..];
        this.reply_length += bytes.len();
        this.reply_lines += bytes.iter().filter(|byte| **byte == b'\n').count();
        match this.reply_lines > MAX_LINES {
            true => Poll::Ready(Err(io::Error::other(TOO_MANY_LINES))),
            false => read,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        (self.reply_length, self.reply_lines) = (0, 0);
        self.writer().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_shutdown(cx)
    }
}

/// The dialogue up to STARTTLS. It is not lettre's, because no plaintext may be
/// left unread when TLS begins: an attacker on the path could have inserted it.
pub(super) struct PlaintextDialogue {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl PlaintextDialogue {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Asks for TLS. Returns the stream for the handshake.
    pub(super) async fn starttls(mut self, hello: &str) -> Result<TcpStream, SmtpError> {
        self.reply("greeting").await?;
        self.send(&format!("EHLO {hello}\r\n")).await?;
        let offers = self.reply("EHLO").await?;
        // The first line is the name of the server.
        if !offers
            .lines()
            .skip(1)
            .any(|line| line.trim().eq_ignore_ascii_case("STARTTLS"))
        {
            return Err(SmtpError::Other(
                "the server does not offer STARTTLS; nothing is sent unencrypted unless use_tls: no is set"
                    .into(),
            ));
        }
        self.send("STARTTLS\r\n").await?;
        self.reply("STARTTLS").await?;
        if !self.unread.is_empty() {
            return Err(SmtpError::Other(
                "STARTTLS: unencrypted data followed the answer; someone may be tampering with the connection".into(),
            ));
        }
        Ok(self.stream)
    }

    async fn send(&mut self, line: &str) -> Result<(), SmtpError> {
        let sent = self.stream.write_all(line.as_bytes()).await;
        sent.map_err(|error| SmtpError::io("send", &error))
    }

    /// The text of a positive answer, line by line; any other answer is an error.
    async fn reply(&mut self, step: &'static str) -> Result<String, SmtpError> {
        let mut text = String::new();
        let mut lines = 0;
        loop {
            let line = self.line(step).await?;
            lines += 1;
            if lines > MAX_LINES {
                return Err(SmtpError::Other(format!("{step}: {TOO_MANY_LINES}")));
            }
            let code = line
                .get(..3)
                .filter(|code| code.bytes().all(|c| c.is_ascii_digit()));
            let Some(code) = code else {
                let shown = apmon_core::text::excerpt(&line, 60);
                return Err(SmtpError::Other(format!("{step}: not an SMTP server: {shown}")));
            };
            text.push_str(line.get(4..).unwrap_or_default());
            if line.as_bytes().get(3) == Some(&b'-') {
                text.push('\n');
                if text.len() > MAX_REPLY {
                    return Err(SmtpError::Other(format!("{step}: {TOO_LONG}")));
                }
                continue;
            }
            return match code.starts_with('2') {
                true => Ok(text),
                false => Err(SmtpError::Rejected {
                    step,
                    code: code.to_owned(),
                    text: text.replace('\n', " "),
                }),
            };
        }
    }

    async fn line(&mut self, step: &'static str) -> Result<String, SmtpError> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.unread.len() > MAX_REPLY {
                return Err(SmtpError::Other(format!("{step}: {TOO_LONG}")));
            }
            match self.stream.read_buf(&mut self.unread).await {
                Ok(0) => {
                    return Err(SmtpError::Other(format!(
                        "{step}: the server closed the connection"
                    )));
                }
                Ok(_) => {}
                Err(error) => return Err(SmtpError::io(step, &error)),
            }
        }
    }
}
