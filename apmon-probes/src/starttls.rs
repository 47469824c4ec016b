//! How a service that begins in the clear is asked for TLS.
//!
//! Each dialogue reads no more than it must: what a server says before TLS, and
//! what is still unread when TLS begins, anybody on the way may have said.

use std::io;

use apmon_core::{Check, Failure, FailureClass, errno, text::excerpt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest line, and the most a server may say before TLS.
const MAX_LINE: usize = 8 * 1024;
const MAX_TALK: usize = 64 * 1024;

/// The protocol in which TLS is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StartTls {
    /// Mail transport and submission (RFC 3207).
    Smtp,
    /// Mailboxes (RFC 9051 section 6.2.1).
    Imap,
    /// Mailboxes (RFC 2595 section 4).
    Pop3,
    /// Files (RFC 4217).
    Ftp,
    /// Directories (RFC 4511 section 4.14).
    Ldap,
}

impl StartTls {
    /// Speaks with the server until TLS may begin.
    pub(crate) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        stream: &mut S,
        check: &Check,
    ) -> Result<(), Failure> {
        let mut talk = Talk {
            stream,
            unread: Vec::new(),
            heard: 0,
        };
        let result = check.within("starttls", self.dialogue(&mut talk)).await?;
        let result = result.and_then(|()| match talk.unread.len() {
            0 => Ok(()),
            more => Err(Trouble::Wrong(format!(
                "{more} bytes more than its answer, before TLS has begun"
            ))),
        });
        let failure = match result {
            Ok(()) => {
                check.step("starttls", || "the server agrees".to_owned());
                return Ok(());
            }
            Err(Trouble::Io(error)) => errno::failure("starttls", &error),
            Err(Trouble::Wrong(words)) => Failure::new(FailureClass::Protocol, format!("starttls: {words}")),
            Err(Trouble::Refused(words)) => Failure::new(FailureClass::Tls, format!("starttls: {words}")),
        };
        check.step("starttls", || failure.reason.clone());
        Err(failure)
    }

    async fn dialogue<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        talk: &mut Talk<'_, S>,
    ) -> Result<(), Trouble> {
        match self {
            Self::Smtp => {
                talk.reply("220", "the greeting").await?;
                // An address literal needs no name (RFC 5321 section 4.1.3).
                talk.say(b"EHLO [127.0.0.1]\r\n").await?;
                let offers = talk.reply("250", "EHLO").await?;
                let is_tls = |line: &String| {
                    line.get(4..)
                        .is_some_and(|word| word.trim().eq_ignore_ascii_case("STARTTLS"))
                };
                if !offers.iter().any(is_tls) {
                    return Err(Trouble::Refused("the server does not offer STARTTLS".into()));
                }
                talk.say(b"STARTTLS\r\n").await?;
                talk.reply("220", "STARTTLS").await?;
            }
            Self::Imap => {
                let greeting = talk.line().await?;
                if !starts(&greeting, "* OK") {
                    return Err(wrong("the greeting", &greeting));
                }
                talk.say(b"a STARTTLS\r\n").await?;
                let answer = loop {
                    let line = talk.line().await?;
                    if !line.starts_with('*') {
                        break line;
                    }
                };
                if !starts(&answer, "a OK") {
                    return Err(refused("STARTTLS", &answer));
                }
            }
            Self::Pop3 => {
                let greeting = talk.line().await?;
                if !starts(&greeting, "+OK") {
                    return Err(wrong("the greeting", &greeting));
                }
                talk.say(b"STLS\r\n").await?;
                let answer = talk.line().await?;
                if !starts(&answer, "+OK") {
                    return Err(refused("STLS", &answer));
                }
            }
            Self::Ftp => {
                talk.reply("220", "the greeting").await?;
                talk.say(b"AUTH TLS\r\n").await?;
                talk.reply("234", "AUTH TLS").await?;
            }
            Self::Ldap => {
                talk.say(&ldap_request()).await?;
                let answer = talk.ldap_message().await?;
                match ldap_result(&answer) {
                    Some(0) => {}
                    Some(code) => {
                        return Err(Trouble::Refused(format!(
                            "the server answers StartTLS with result {code}"
                        )));
                    }
                    None => return Err(Trouble::Wrong("the answer to StartTLS is no LDAP".into())),
                }
            }
        }
        Ok(())
    }
}

enum Trouble {
    Io(io::Error),
    /// It does not speak the protocol.
    Wrong(String),
    /// It speaks it, and will not have TLS.
    Refused(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn wrong(to: &str, line: &str) -> Trouble {
    Trouble::Wrong(format!(
        "{to} is not that of such a server: {}",
        excerpt(line, 80)
    ))
}

fn refused(to: &str, line: &str) -> Trouble {
    Trouble::Refused(format!("the server answers {to} with {}", excerpt(line, 80)))
}

fn starts(line: &str, word: &str) -> bool {
    let of_line = line
        .get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word));
    of_line && !line[word.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// A conversation before TLS.
struct Talk<'a, S> {
    stream: &'a mut S,
    unread: Vec<u8>,
    heard: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<'_, S> {
    async fn say(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        // An answer that is here before its question was put there by somebody.
        if !self.unread.is_empty() {
            return Err(Trouble::Wrong("the server speaks out of turn".into()));
        }
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    async fn hear(&mut self) -> Result<(), Trouble> {
        let mut buffer = [0; 512];
        let n = self.stream.read(&mut buffer).await?;
        if n == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.heard += n;
        if self.heard > MAX_TALK {
            return Err(Trouble::Wrong(format!("more than {MAX_TALK} bytes before TLS")));
        }
        self.unread.extend_from_slice(&buffer[..n]);
        Ok(())
    }

    /// The next line, without its end.
    async fn line(&mut self) -> Result<String, Trouble> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.unread.len() > MAX_LINE {
                return Err(Trouble::Wrong(format!("a line of more than {MAX_LINE} bytes")));
            }
            self.hear().await?;
        }
    }

    /// A reply of SMTP or FTP (RFC 5321 section 4.2): lines of one code, the
    /// last with a blank behind it.
    async fn reply(&mut self, wanted: &str, to: &str) -> Result<Vec<String>, Trouble> {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let line = self.line().await?;
            // A line of another code is text within (RFC 959 section 4.2).
            let first = lines.first().and_then(|first| first.get(..3));
            let code = line
                .get(..3)
                .filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()))
                .filter(|code| first.is_none_or(|first| first == *code));
            let ends = match (code, line.as_bytes().get(3)) {
                // FTP's further lines need no code (RFC 959 section 4.2).
                (None, _) if !lines.is_empty() => false,
                (Some(_), Some(b'-')) => false,
                (Some(_), Some(b' ') | None) => true,
                _ => return Err(wrong(to, &line)),
            };
            if ends && code != Some(wanted) {
                return Err(match to {
                    "the greeting" => wrong(to, &line),
                    _ => refused(to, &line),
                });
            }
            lines.push(line);
            if ends {
                return Ok(lines);
            }
        }
    }

    /// A whole BER element (X.690 section 8.1).
    async fn ldap_message(&mut self) -> Result<Vec<u8>, Trouble> {
        loop {
            // A message is a SEQUENCE: whoever greets is no directory.
            if self.unread.first().is_some_and(|tag| *tag != 0x30) {
                return Err(Trouble::Wrong("the answer to StartTLS is no LDAP".into()));
            }
            match element_length(&self.unread) {
                Some(whole) if whole > MAX_LINE => {
                    return Err(Trouble::Wrong("the answer to StartTLS is no LDAP".into()));
                }
                Some(whole) if self.unread.len() >= whole => return Ok(self.unread.drain(..whole).collect()),
                _ if self.unread.len() > MAX_LINE => {
                    return Err(Trouble::Wrong("the answer to StartTLS is no LDAP".into()));
                }
                _ => self.hear().await?,
            }
        }
    }
}

/// `LDAPMessage { 1, extendedReq { 1.3.6.1.4.1.1466.20037 } }`
fn ldap_request() -> Vec<u8> {
    const OID: &[u8] = b"1.3.6.1.4.1.1466.20037";
    let mut request = vec![
        0x30,
        OID.len() as u8 + 7,
        0x02,
        1,
        1,
        0x77,
        OID.len() as u8 + 2,
        0x80,
        OID.len() as u8,
    ];
    request.extend_from_slice(OID);
    request
}

/// Header and content of the element that begins here; `None` while the header
/// is not whole.
fn element_length(bytes: &[u8]) -> Option<usize> {
    let (header, content) = header(bytes)?;
    Some(header.saturating_add(content))
}

/// The lengths of an element's header and content.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*bytes.get(1)?);
    if first < 0x80 {
        return Some((2, first));
    }
    let count = first & 0x7f;
    if count > 4 {
        return Some((2, usize::MAX)); // longer than anything
    }
    let digits = bytes.get(2..2 + count)?;
    let length = digits
        .iter()
        .fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    Some((2 + count, length))
}

/// An element's tag, content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, content) = header(bytes)?;
    let end = head.checked_add(content)?;
    Some((*bytes.first()?, bytes.get(head..end)?, &bytes[end..]))
}

/// The result code of an ExtendedResponse.
pub(crate) fn ldap_result(message: &[u8]) -> Option<u32> {
    let (0x30, content, _) = element(message)? else {
        return None;
    };
    let (0x02, _, rest) = element(content)? else {
        return None;
    };
    let (0x78, response, _) = element(rest)? else {
        return None;
    };
    let (0x0a, code, _) = element(response)? else {
        return None;
    };
    (1..=4)
        .contains(&code.len())
        .then(|| code.iter().fold(0, |code, byte| code << 8 | u32::from(*byte)))
}

/// A server that says `bytes`, whatever it hears.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((which, said)) = bytes.split_first() else {
        return;
    };
    let protocols = [
        StartTls::Smtp,
        StartTls::Imap,
        StartTls::Pop3,
        StartTls::Ftp,
        StartTls::Ldap,
    ];
    let protocol = protocols[usize::from(*which) % protocols.len()];
    let mut stream = tokio::io::join(said, tokio::io::sink());
    let mut talk = Talk {
        stream: &mut stream,
        unread: Vec::new(),
        heard: 0,
    };
    // Nothing of it waits for anybody, so that one poll is the whole of it.
    let mut dialogue = std::pin::pin!(protocol.dialogue(&mut talk));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let done = std::future::Future::poll(dialogue.as_mut(), &mut context).is_ready();
    assert!(done, "a dialogue waits for what is there");
    std::hint::black_box(ldap_result(said));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::io::duplex;

    use super::*;

    /// Plays a server that says `script`'s lines one after another, each once
    /// it has heard something (the first at once).
    async fn ask(protocol: StartTls, script: &[&[u8]]) -> Result<(), Failure> {
        let (mut ours, mut theirs) = duplex(64 * 1024);
        let script: Vec<Vec<u8>> = script.iter().map(|line| line.to_vec()).collect();
        let waits_first = protocol == StartTls::Ldap;
        let server = tokio::spawn(async move {
            let mut heard = [0; 1024];
            for (at, line) in script.iter().enumerate() {
                if at > 0 || waits_first {
                    let _ = theirs.read(&mut heard).await;
                }
                let _ = theirs.write_all(line).await;
            }
            let _ = theirs.shutdown().await;
            theirs
        });
        let check = crate::recorder::check(Duration::from_secs(5));
        let result = protocol.ask(&mut ours, &check).await;
        drop(server);
        result
    }

    const LDAP_YES: &[u8] = &[0x30, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, 0, 4, 0, 4, 0];

    #[tokio::test]
    async fn servers_agree() {
        for (protocol, script) in [
            (
                StartTls::Smtp,
                &[
                    &b"220-mail\r\n220 ESMTP\r\n"[..],
                    b"250-mail\r\n250-SIZE 1\r\n250 starttls\r\n",
                    b"220 go\r\n",
                ][..],
            ),
            (
                StartTls::Imap,
                &[
                    b"* OK [CAPABILITY IMAP4rev1] hello\r\n",
                    b"* CAPABILITY X\r\na OK go\r\n",
                ],
            ),
            (StartTls::Pop3, &[b"+OK hello\r\n", b"+OK\r\n"]),
            (
                StartTls::Ftp,
                &[b"220-Welcome\r\n to this\r\n220 server\r\n", b"234 go\r\n"],
            ),
            (StartTls::Ldap, &[LDAP_YES]),
        ] {
            ask(protocol, script)
                .await
                .unwrap_or_else(|failure| panic!("{protocol:?}: {failure}"));
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_named() {
        for (protocol, script, reason) in [
            (
                StartTls::Smtp,
                &[&b"220 mail\r\n"[..], b"250 mail\r\n"][..],
                "starttls: the server does not offer STARTTLS",
            ),
            (
                StartTls::Smtp,
                &[b"SSH-2.0-OpenSSH\r\n"],
                "starttls: the greeting is not that of such a server: SSH-2.0-OpenSSH",
            ),
            (
                StartTls::Smtp,
                &[
                    b"220 mail\r\n",
                    b"250-x\r\n250 STARTTLS\r\n",
                    b"454 no certificate\r\n",
                ],
                "starttls: the server answers STARTTLS with 454 no certificate",
            ),
            (
                StartTls::Pop3,
                &[b"+OK hello\r\n", b"-ERR unknown\r\n"],
                "starttls: the server answers STLS with -ERR unknown",
            ),
            (
                StartTls::Imap,
                &[b"* OK hello\r\n", b"a BAD what?\r\n"],
                "starttls: the server answers STARTTLS with a BAD what?",
            ),
            (
                StartTls::Ftp,
                &[b"220 hello\r\n"],
                "starttls: connection closed by the peer",
            ),
            (
                StartTls::Ldap,
                &[&[0x30, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, 52, 4, 0, 4, 0]],
                "starttls: the server answers StartTLS with result 52",
            ),
            (
                StartTls::Ldap,
                &[b"HTTP/1.1 400 Bad Request\r\n\r\n"],
                "starttls: the answer to StartTLS is no LDAP",
            ),
        ] {
            let failure = ask(protocol, script).await.unwrap_err();
            assert_eq!(failure.reason, reason);
        }
    }

    #[tokio::test]
    async fn what_was_said_before_tls_is_not_believed_within_it() {
        let injected = ask(
            StartTls::Smtp,
            &[
                b"220 mail\r\n",
                b"250 STARTTLS\r\n",
                b"220 go\r\n250 injected\r\n",
            ],
        );
        let failure = injected.await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Protocol);
        assert_eq!(
            failure.reason,
            "starttls: 14 bytes more than its answer, before TLS has begun"
        );
        let early = ask(StartTls::Pop3, &[b"+OK hello\r\n+OK\r\n"]).await.unwrap_err();
        assert_eq!(early.reason, "starttls: the server speaks out of turn");
    }

    #[tokio::test]
    async fn nobody_talks_without_end() {
        let long = vec![b'x'; 20_000];
        let failure = ask(StartTls::Pop3, &[&long]).await.unwrap_err();
        assert_eq!(failure.reason, "starttls: a line of more than 8192 bytes");
        let many = b"220-x\r\n".repeat(10_000);
        let failure = ask(StartTls::Smtp, &[&many]).await.unwrap_err();
        assert_eq!(failure.reason, "starttls: more than 65536 bytes before TLS");
    }

    proptest! {
        #[test]
        fn no_answer_of_a_directory_panics(bytes in any::<Vec<u8>>()) {
            let _ = (ldap_result(&bytes), element_length(&bytes));
        }

        #[test]
        fn nor_does_a_near_miss(at in 0..LDAP_YES.len(), byte in any::<u8>(), cut in 0..LDAP_YES.len()) {
            let mut bytes = LDAP_YES.to_vec();
            bytes[at] = byte;
            let _ = (ldap_result(&bytes), ldap_result(&bytes[..cut]));
        }
    }
}
