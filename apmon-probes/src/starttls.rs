//! The dialogues by which a service that begins in plaintext is asked for TLS.
//!
//! Each dialogue reads no more than it must: what a server sends before TLS, and
//! what is still unread when TLS begins, may come from anybody on the path.

mod conversation;
mod ldap;

use apmon_core::{Check, Failure, FailureClass, errno};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use self::conversation::{Conversation, DialogueError, is_word, refused, unexpected};

/// The protocol used to ask for TLS.
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
    /// Talks to the server until TLS may begin.
    pub(crate) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        stream: &mut S,
        check: &Check,
    ) -> Result<(), Failure> {
        let mut conversation = Conversation::new(stream);
        let result = check.within("starttls", self.dialogue(&mut conversation)).await?;
        let result = result.and_then(|()| match conversation.unread() {
            0 => Ok(()),
            1 => Err(DialogueError::Unexpected(
                "the server sent 1 byte after its answer, before TLS began".into(),
            )),
            bytes => Err(DialogueError::Unexpected(format!(
                "the server sent {bytes} bytes after its answer, before TLS began"
            ))),
        });
        let failure = match result {
            Ok(()) => {
                check.step("starttls", || "the server agrees".to_owned());
                return Ok(());
            }
            Err(DialogueError::Io(error)) => errno::failure("starttls", &error),
            Err(DialogueError::Unexpected(text)) => {
                Failure::new(FailureClass::Protocol, format!("starttls: {text}"))
            }
            Err(DialogueError::Refused(text)) => Failure::new(FailureClass::Tls, format!("starttls: {text}")),
        };
        check.step("starttls", || failure.reason.clone());
        Err(failure)
    }

    async fn dialogue<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        conversation: &mut Conversation<'_, S>,
    ) -> Result<(), DialogueError> {
        match self {
            Self::Smtp => {
                conversation.greeting("220").await?;
                // An address literal needs no name (RFC 5321 section 4.1.3).
                conversation.send(b"EHLO [127.0.0.1]\r\n").await?;
                let offers = conversation.reply("250", "EHLO").await?;
                let is_tls = |line: &String| {
                    line.get(4..)
                        .is_some_and(|word| word.trim().eq_ignore_ascii_case("STARTTLS"))
                };
                if !offers.iter().any(is_tls) {
                    return Err(DialogueError::Refused(
                        "the server does not offer STARTTLS".into(),
                    ));
                }
                conversation.send(b"STARTTLS\r\n").await?;
                conversation.reply("220", "STARTTLS").await?;
            }
            Self::Imap => {
                let greeting = conversation.line().await?;
                if !is_word(&greeting, "* OK") {
                    return Err(unexpected("the greeting", &greeting));
                }
                conversation.send(b"a STARTTLS\r\n").await?;
                let answer = loop {
                    let line = conversation.line().await?;
                    if !line.starts_with('*') {
                        break line;
                    }
                };
                if !is_word(&answer, "a OK") {
                    return Err(refused("STARTTLS", &answer));
                }
            }
            Self::Pop3 => {
                let greeting = conversation.line().await?;
                if !is_word(&greeting, "+OK") {
                    return Err(unexpected("the greeting", &greeting));
                }
                conversation.send(b"STLS\r\n").await?;
                let answer = conversation.line().await?;
                if !is_word(&answer, "+OK") {
                    return Err(refused("STLS", &answer));
                }
            }
            Self::Ftp => {
                conversation.greeting("220").await?;
                conversation.send(b"AUTH TLS\r\n").await?;
                conversation.reply("234", "AUTH TLS").await?;
            }
            Self::Ldap => {
                conversation.send(&ldap::request()).await?;
                let answer = conversation.ldap_message().await?;
                match ldap::result_code(&answer) {
                    Some(0) => {}
                    Some(code) => {
                        return Err(DialogueError::Refused(format!(
                            "the server answers StartTLS with result {code}"
                        )));
                    }
                    None => return Err(DialogueError::not_ldap()),
                }
            }
        }
        Ok(())
    }
}

/// Runs a dialogue with a server that sends `bytes`, whatever it receives, for
/// the fuzz target. The first byte chooses the protocol.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((which, sent)) = bytes.split_first() else {
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
    let mut stream = tokio::io::join(sent, tokio::io::sink());
    let mut conversation = Conversation::new(&mut stream);
    // Nothing in it waits, so one poll runs it to its end.
    let mut dialogue = std::pin::pin!(protocol.dialogue(&mut conversation));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let done = std::future::Future::poll(dialogue.as_mut(), &mut context).is_ready();
    assert!(done, "a dialogue waits for bytes that are there");
    std::hint::black_box(ldap::result_code(sent));
}

#[cfg(test)]
mod tests;
