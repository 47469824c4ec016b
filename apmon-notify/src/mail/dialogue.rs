//! The dialogue with a mail server: commands, and replies within limits.

use std::io;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    error::SmtpError,
    folded::{FOLD, enhanced_code},
};
use crate::tls::Encrypted;

/// The longest reply that is read, in bytes; a server's list of extensions has some 500.
const MAX_REPLY: usize = 16 * 1024;

/// The most lines of a reply; a server's list of extensions has some 20.
const MAX_LINES: usize = 100;

const TOO_LONG: &str = "the answer is longer than 16384 bytes";
const TOO_MANY_LINES: &str = "the answer has more than 100 lines";

/// What carries the dialogue.
enum Transport {
    Plain(TcpStream),
    Tls(Box<dyn Encrypted>),
}

impl Transport {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    async fn read(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(bytes).await,
            Self::Tls(stream) => stream.read_buf(bytes).await,
        }
    }
}

/// An open dialogue.
pub(super) struct Dialogue {
    transport: Transport,
    unread: Vec<u8>,
}

/// A reply of the server (RFC 5321, section 4.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reply {
    /// Three digits.
    pub(super) code: String,
    /// The texts of its lines.
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// Whether the code begins with `digit`.
    pub(super) fn is(&self, digit: char) -> bool {
        self.code.starts_with(digit)
    }

    /// The texts of all lines, with a [`FOLD`] between them; an enhanced status code that all
    /// lines begin with is there once.
    pub(super) fn text(&self) -> String {
        let (first, rest) = self
            .lines
            .split_first()
            .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let code = enhanced_code(first);
        let mut text = first.to_owned();
        for line in rest {
            let bare = code.and_then(|code| line.strip_prefix(code)?.strip_prefix(' '));
            text.push(FOLD);
            text.push_str(bare.unwrap_or(line));
        }
        text.trim().to_owned()
    }

    /// The error of a reply that is not the one that was hoped for.
    pub(super) fn rejects(self, step: &'static str) -> SmtpError {
        SmtpError::Rejected {
            step,
            text: self.text(),
            code: self.code,
        }
    }
}

impl Dialogue {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::over(Transport::Plain(stream))
    }

    pub(super) fn encrypted(stream: Box<dyn Encrypted>) -> Self {
        Self::over(Transport::Tls(stream))
    }

    fn over(transport: Transport) -> Self {
        Self {
            transport,
            unread: Vec::new(),
        }
    }

    /// Whether nobody on the path can read what is sent.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.transport, Transport::Tls(_))
    }

    /// The stream for the handshake that follows STARTTLS. No plaintext may be left unread when
    /// TLS begins: an attacker on the path could have inserted it.
    pub(super) fn into_stream(self) -> Result<TcpStream, SmtpError> {
        match self.transport {
            Transport::Plain(stream) if self.unread.is_empty() => Ok(stream),
            _ => Err(SmtpError::Other(
                "STARTTLS: unencrypted data followed the answer; someone may be tampering with the connection"
                    .into(),
            )),
        }
    }

    /// Sends a command, without its line end, and reads the reply.
    pub(super) async fn command(&mut self, step: &'static str, command: &str) -> Result<Reply, SmtpError> {
        self.send(step, format!("{command}\r\n").as_bytes()).await?;
        self.reply(step).await
    }

    /// Sends a command whose reply must be positive (2xx).
    pub(super) async fn succeed(&mut self, step: &'static str, command: &str) -> Result<Reply, SmtpError> {
        let reply = self.command(step, command).await?;
        match reply.is('2') {
            true => Ok(reply),
            false => Err(reply.rejects(step)),
        }
    }

    /// Sends the content of an e-mail and reads the reply to it.
    pub(super) async fn content(&mut self, step: &'static str, email: &[u8]) -> Result<Reply, SmtpError> {
        self.send(step, &stuffed(email)).await?;
        self.reply(step).await
    }

    async fn send(&mut self, step: &'static str, bytes: &[u8]) -> Result<(), SmtpError> {
        // An answer that nobody asked for would be taken for the answer to this command.
        if !self.unread.is_empty() {
            return Err(SmtpError::Other(format!(
                "{step}: the server sent more than one answer to the command before it"
            )));
        }
        let sent = self.transport.write(bytes).await;
        sent.map_err(|error| SmtpError::io(step, &error))
    }

    /// Reads a reply.
    pub(super) async fn reply(&mut self, step: &'static str) -> Result<Reply, SmtpError> {
        let mut lines = Vec::new();
        let mut length = 0;
        loop {
            let line = self.line(step).await?;
            length += line.len();
            let code = line
                .first_chunk::<3>()
                .filter(|code| code.iter().all(u8::is_ascii_digit));
            let Some(code) = code else {
                // It may repeat a secret, which is only recognised whole: it is masked before it is
                // cut.
                let shown = decoded(&line);
                return Err(SmtpError::Other(format!("{step}: not an SMTP server: {shown}")));
            };
            lines.push(decoded(line.get(4..).unwrap_or_default()));
            // A code alone is a reply too.
            if line.get(3) != Some(&b'-') {
                return Ok(Reply {
                    code: code.iter().copied().map(char::from).collect(),
                    lines,
                });
            }
            if lines.len() == MAX_LINES {
                return Err(SmtpError::Other(format!("{step}: {TOO_MANY_LINES}")));
            }
            if length > MAX_REPLY {
                return Err(SmtpError::Other(format!("{step}: {TOO_LONG}")));
            }
        }
    }

    /// The next line, without its end.
    async fn line(&mut self, step: &'static str) -> Result<Vec<u8>, SmtpError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.unread[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=searched + end).collect();
                line.truncate(line.trim_ascii_end().len());
                return Ok(line);
            }
            searched = self.unread.len();
            if searched > MAX_REPLY {
                return Err(SmtpError::Other(format!("{step}: {TOO_LONG}")));
            }
            match self.transport.read(&mut self.unread).await {
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

/// Text of a server: UTF-8, or else Latin-1, which old servers write.
fn decoded(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// An e-mail as it is sent after DATA: a dot at the beginning of a line is doubled, and a line
/// with a single dot ends it (RFC 5321, section 4.5.2).
fn stuffed(email: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(email.len() + 16);
    let mut is_line_start = true;
    for byte in email {
        if is_line_start && *byte == b'.' {
            sent.push(b'.');
        }
        sent.push(*byte);
        is_line_start = *byte == b'\n';
    }
    if !sent.ends_with(b"\r\n") {
        sent.extend_from_slice(b"\r\n");
    }
    sent.extend_from_slice(b".\r\n");
    sent
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::net::TcpListener;

    use super::*;

    async fn reply_of(bytes: &[u8]) -> Result<Reply, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        server.write_all(bytes).await.unwrap();
        drop(server);
        let reply = Dialogue::plain(stream).reply("greeting").await;
        reply.map_err(|error| format!("{error:?}"))
    }

    #[tokio::test]
    async fn replies_are_read_as_old_servers_write_them() {
        for (bytes, code, text) in [
            (&b"220 host ESMTP\r\n"[..], "220", "host ESMTP"),
            (b"220\r\n", "220", ""),
            (b"220 \n", "220", ""),
            (b"220-one\r\n220-two\n220 three\r\n", "220", "one\ntwo\nthree"),
            (b"220-\r\n220\r\n", "220", ""),
            (
                b"550-5.1.1 no such\r\n550-5.1.1\r\n550 5.1.1 mailbox\r\n",
                "550",
                "5.1.1 no such\n5.1.1\nmailbox",
            ),
            (b"250-1.2 a\r\n250 1.2 b\r\n", "250", "1.2 a\n1.2 b"),
            (b"220 Ger\xe4t ESMTP\r\n", "220", "Gerät ESMTP"),
            ("220 Gerät ESMTP\r\n".as_bytes(), "220", "Gerät ESMTP"),
        ] {
            let reply = reply_of(bytes).await.unwrap();
            assert_eq!((reply.code.as_str(), reply.text().as_str()), (code, text));
        }
        for (bytes, reason) in [
            (&b"SSH-2.0-OpenSSH\r\n"[..], "not an SMTP server: SSH-2.0-OpenSSH"),
            (b"\xff\xfe\r\n", "not an SMTP server: ÿþ"),
            (b"22\r\n", "not an SMTP server: 22"),
            (b"220-one\r\n", "the server closed the connection"),
            (b"220 unfinished", "the server closed the connection"),
        ] {
            let error = reply_of(bytes).await.unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[tokio::test]
    async fn a_line_that_is_not_a_reply_is_kept_whole_until_secrets_in_it_are_masked() {
        let echo = format!("AUTH PLAIN {}", "c2VjcmV0".repeat(20));
        let error = reply_of(format!("{echo}\r\n").as_bytes()).await.unwrap_err();
        assert!(error.contains(&echo), "{error}");
    }

    #[tokio::test]
    async fn a_reply_has_its_limits() {
        let lines = b"220-x\r\n".repeat(MAX_LINES);
        assert!(reply_of(&lines).await.unwrap_err().contains(TOO_MANY_LINES));
        let long = vec![b'x'; MAX_REPLY + 1];
        assert!(reply_of(&long).await.unwrap_err().contains(TOO_LONG));
        let line = [b"220-".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
        assert!(reply_of(&line.repeat(20)).await.unwrap_err().contains(TOO_LONG));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_cause_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), code in "[2-5][0-9]{2}[ -]?") {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                for bytes in [bytes.clone(), [code.as_bytes(), &bytes, b"\n"].concat()] {
                    let (stream, mut server) = tokio::io::duplex(4096);
                    server.write_all(&bytes).await.unwrap();
                    drop(server);
                    let mut dialogue = Dialogue::encrypted(Box::new(stream));
                    while let Ok(reply) = dialogue.reply("greeting").await {
                        assert_eq!(reply.code.len(), 3);
                        let _ = reply.text();
                    }
                }
            });
        }
    }

    #[test]
    fn dots_at_the_beginning_of_lines_are_doubled() {
        for (email, sent) in [
            (&b"a"[..], &b"a\r\n.\r\n"[..]),
            (b".", b"..\r\n.\r\n"),
            (b"a.\r\n.b\r\n..\r\n", b"a.\r\n..b\r\n...\r\n.\r\n"),
            (b"", b"\r\n.\r\n"),
        ] {
            assert_eq!(stuffed(email), sent);
        }
    }
}
