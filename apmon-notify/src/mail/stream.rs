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

use super::trouble::Trouble;

/// No answer is longer; a server's list of what it can do has some 500 bytes.
/// lettre reads a line to its end, however far that is, and parses what it has
/// again with each line of an answer.
const MAX_REPLY: usize = 16 * 1024;

/// What lettre reads first on every connection. After STARTTLS a server greets
/// nobody again (RFC 3207 section 4.2), so we do.
const GREETING: &[u8] = b"220 TLS\r\n";

/// What the dialogue goes over. It ends with an answer that is too long.
#[derive(Debug)]
pub(super) struct Stream {
    wire: Wire,
    /// What is left of the greeting that we say ourselves.
    greeting: &'static [u8],
    /// Bytes read since something was last said.
    answered: usize,
}

#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::over(Wire::Plain(stream), &[])
    }

    pub(super) fn tls(stream: Box<TlsStream<TcpStream>>) -> Self {
        Self::over(Wire::Tls(stream), &[])
    }

    /// After STARTTLS.
    pub(super) fn upgraded(stream: Box<TlsStream<TcpStream>>) -> Self {
        Self::over(Wire::Tls(stream), GREETING)
    }

    fn over(wire: Wire, greeting: &'static [u8]) -> Self {
        Self {
            wire,
            greeting,
            answered: 0,
        }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream),
            Wire::Tls(stream) => Pin::new(&mut **stream),
        }
    }
}

impl AsyncTokioStream for Stream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.wire {
            Wire::Plain(stream) => stream.peer_addr(),
            Wire::Tls(stream) => stream.get_ref().0.peer_addr(),
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
            let (now, later) = this.greeting.split_at(this.greeting.len().min(buf.remaining()));
            buf.put_slice(now);
            this.greeting = later;
            return Poll::Ready(Ok(()));
        }
        if this.answered > MAX_REPLY {
            return Poll::Ready(Err(io::Error::other("the answer has no end")));
        }
        let before = buf.filled().len();
        let read = match &mut this.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
        };
        this.answered += buf.filled().len() - before;
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.answered = 0;
        self.writer().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_shutdown(cx)
    }
}

/// The dialogue up to STARTTLS. It is ours because nothing that was said in
/// clear may be left when TLS begins: somebody on the way could have said it.
pub(super) struct Clear {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Clear {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Asks for TLS; gives the stream back on which it begins.
    pub(super) async fn starttls(mut self, hello: &str) -> Result<TcpStream, Trouble> {
        self.reply("greeting").await?;
        self.say(&format!("EHLO {hello}\r\n")).await?;
        let offers = self.reply("EHLO").await?;
        // The first line is the server's name.
        if !offers
            .lines()
            .skip(1)
            .any(|line| line.trim().eq_ignore_ascii_case("STARTTLS"))
        {
            return Err(Trouble::Other(
                "STARTTLS is not offered, and nothing is sent in clear unless use_tls: no".into(),
            ));
        }
        self.say("STARTTLS\r\n").await?;
        self.reply("STARTTLS").await?;
        if !self.unread.is_empty() {
            return Err(Trouble::Other(
                "STARTTLS: more was said in clear after it, somebody on the way interferes".into(),
            ));
        }
        Ok(self.stream)
    }

    async fn say(&mut self, line: &str) -> Result<(), Trouble> {
        let said = self.stream.write_all(line.as_bytes()).await;
        said.map_err(|error| Trouble::io("send", &error))
    }

    /// The text of a good answer, line by line; another one is an error.
    async fn reply(&mut self, step: &'static str) -> Result<String, Trouble> {
        let mut text = String::new();
        loop {
            let line = self.line(step).await?;
            let code = line
                .get(..3)
                .filter(|code| code.bytes().all(|c| c.is_ascii_digit()));
            let Some(code) = code else {
                let shown = apmon_core::text::excerpt(&line, 60);
                return Err(Trouble::Other(format!("{step}: no SMTP server: {shown}")));
            };
            text.push_str(line.get(4..).unwrap_or_default());
            if line.as_bytes().get(3) == Some(&b'-') {
                text.push('\n');
                if text.len() > MAX_REPLY {
                    return Err(Trouble::Other(format!("{step}: the answer has no end")));
                }
                continue;
            }
            return match code.starts_with('2') {
                true => Ok(text),
                false => Err(Trouble::Answer {
                    step,
                    code: code.to_owned(),
                    text: text.replace('\n', " "),
                }),
            };
        }
    }

    async fn line(&mut self, step: &'static str) -> Result<String, Trouble> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.unread.len() > MAX_REPLY {
                return Err(Trouble::Other(format!("{step}: the answer has no end")));
            }
            match self.stream.read_buf(&mut self.unread).await {
                Ok(0) => return Err(Trouble::Other(format!("{step}: the server hung up"))),
                Ok(_) => {}
                Err(error) => return Err(Trouble::io(step, &error)),
            }
        }
    }
}
