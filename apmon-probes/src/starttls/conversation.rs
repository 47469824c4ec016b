//! A conversation with a server before TLS: lines, replies and LDAP messages,
//! each bounded.

use std::io;

use apmon_core::text::excerpt;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::ldap;

/// The longest line, and the most bytes and lines that a server may send before TLS.
const MAX_LINE: usize = 8 * 1024;
const MAX_BYTES: usize = 64 * 1024;
const MAX_LINES: usize = 1000;

/// Why a dialogue did not lead to TLS.
pub(super) enum DialogueError {
    Io(io::Error),
    /// The server does not follow the protocol.
    Unexpected(String),
    /// The server follows the protocol and refuses TLS.
    Refused(String),
}

impl DialogueError {
    pub(super) fn not_ldap() -> Self {
        Self::Unexpected("the answer to StartTLS is not LDAP".into())
    }
}

impl From<io::Error> for DialogueError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// `line` is not the message of the protocol that `what` names.
pub(super) fn unexpected(what: &str, line: &str) -> DialogueError {
    DialogueError::Unexpected(format!("{what} does not fit the protocol: {}", excerpt(line, 80)))
}

/// The server answers `command` with something other than yes.
pub(super) fn refused(command: &str, line: &str) -> DialogueError {
    DialogueError::Refused(format!("the server answers {command} with {}", excerpt(line, 80)))
}

/// Whether `line` begins with `word`, in either case and as a whole word.
pub(super) fn is_word(line: &str, word: &str) -> bool {
    let has_word = line
        .get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word));
    has_word && !line[word.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// A conversation before TLS.
pub(super) struct Conversation<'a, S> {
    stream: &'a mut S,
    unread: Vec<u8>,
    received: usize,
    lines: usize,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Conversation<'a, S> {
    pub(super) fn new(stream: &'a mut S) -> Self {
        Self {
            stream,
            unread: Vec::new(),
            received: 0,
            lines: 0,
        }
    }

    /// The number of bytes received and not yet read.
    pub(super) fn unread(&self) -> usize {
        self.unread.len()
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), DialogueError> {
        // An answer that is there before its question was put in by somebody else.
        if !self.unread.is_empty() {
            return Err(DialogueError::Unexpected(
                "the server sent data before it was asked to".into(),
            ));
        }
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    async fn receive(&mut self) -> Result<(), DialogueError> {
        let mut buffer = [0; 512];
        let n = self.stream.read(&mut buffer).await?;
        if n == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.received += n;
        if self.received > MAX_BYTES {
            return Err(DialogueError::Unexpected(format!(
                "the server sent more than {MAX_BYTES} bytes before TLS began"
            )));
        }
        self.unread.extend_from_slice(&buffer[..n]);
        Ok(())
    }

    /// Reads a line, without its end.
    pub(super) async fn line(&mut self) -> Result<String, DialogueError> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                self.lines += 1;
                if self.lines > MAX_LINES {
                    return Err(DialogueError::Unexpected(format!(
                        "the server sent more than {MAX_LINES} lines before TLS began"
                    )));
                }
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.unread.len() > MAX_LINE {
                return Err(DialogueError::Unexpected(format!(
                    "the server sent a line of more than {MAX_LINE} bytes"
                )));
            }
            self.receive().await?;
        }
    }

    /// Reads a greeting of SMTP or FTP, which must have `code`.
    pub(super) async fn greeting(&mut self, code: &str) -> Result<(), DialogueError> {
        match self.lines("the greeting").await? {
            (found, _) if found == code => Ok(()),
            (_, lines) => Err(unexpected("the greeting", last(&lines))),
        }
    }

    /// Reads the reply to `command`, which must have `code`.
    pub(super) async fn reply(&mut self, code: &str, command: &str) -> Result<Vec<String>, DialogueError> {
        match self.lines(&format!("the answer to {command}")).await? {
            (found, lines) if found == code => Ok(lines),
            (_, lines) => Err(refused(command, last(&lines))),
        }
    }

    /// Reads a reply of SMTP or FTP (RFC 5321 section 4.2): lines of one code,
    /// with a blank behind the code of the last.
    async fn lines(&mut self, what: &str) -> Result<(String, Vec<String>), DialogueError> {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let line = self.line().await?;
            // A line of another code is text within (RFC 959 section 4.2).
            let first = lines.first().and_then(|first| first.get(..3));
            let code = line
                .get(..3)
                .filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()))
                .filter(|code| first.is_none_or(|first| first == *code));
            match (code, line.as_bytes().get(3)) {
                // FTP's further lines need no code (RFC 959 section 4.2).
                (None, _) if !lines.is_empty() => {}
                (Some(_), Some(b'-')) => {}
                (Some(code), Some(b' ') | None) => {
                    let code = code.to_owned();
                    lines.push(line);
                    return Ok((code, lines));
                }
                _ => return Err(unexpected(what, &line)),
            }
            lines.push(line);
        }
    }

    /// Reads a whole BER element (X.690 section 8.1).
    pub(super) async fn ldap_message(&mut self) -> Result<Vec<u8>, DialogueError> {
        loop {
            // A message is a SEQUENCE: a server that greets is not a directory.
            if self.unread.first().is_some_and(|tag| *tag != 0x30) {
                return Err(DialogueError::not_ldap());
            }
            match ldap::element_length(&self.unread) {
                Some(length) if length > MAX_LINE => return Err(DialogueError::not_ldap()),
                Some(length) if self.unread.len() >= length => {
                    return Ok(self.unread.drain(..length).collect());
                }
                _ if self.unread.len() > MAX_LINE => return Err(DialogueError::not_ldap()),
                _ => self.receive().await?,
            }
        }
    }
}

fn last(lines: &[String]) -> &str {
    lines.last().map_or("", String::as_str)
}
