//! The errors of an SMTP dialogue, and whether they allow another attempt.

use std::{borrow::Cow, error::Error, io, time::Duration};

use apmon_core::{DeliveryError, Secret, mask::base64, text::excerpt};
use lettre::transport::smtp;

use crate::answer::cause;

/// How many characters of a reason are shown.
const MAX_REASON: usize = 300;

/// An error of an SMTP dialogue. `step` names the command or phase.
#[derive(Debug)]
pub(super) enum SmtpError {
    /// The server answered with an error code.
    Rejected {
        step: &'static str,
        code: String,
        text: String,
    },
    /// The server did not answer in time.
    TimedOut { step: &'static str },
    /// Any other error, such as a failed connection.
    Other(String),
}

impl SmtpError {
    /// An error of the dialogue, as lettre reports it.
    pub(super) fn at(step: &'static str, error: smtp::Error) -> Self {
        match error.status() {
            Some(code) => Self::Rejected {
                step,
                code: code.to_string(),
                text: error.source().map(ToString::to_string).unwrap_or_default(),
            },
            None => Self::Other(format!("{step}: {}", cause(&error))),
        }
    }

    /// An error of the connection.
    pub(super) fn io(step: &'static str, error: &io::Error) -> Self {
        Self::Other(format!("{step}: {}", cause(error)))
    }

    /// The error for the outbox and the log, without the password.
    pub(super) fn into_delivery_error(
        self,
        origin: &str,
        timeout: Duration,
        login: Option<&(String, Secret)>,
    ) -> DeliveryError {
        let (reason, is_refused) = match self {
            Self::Rejected { step, code, text } => {
                // RFC 5321 section 4.2.1: 4xx is temporary, 5xx is permanent.
                let is_refused = code.starts_with('5');
                (format!("{step}: answered {code} {text}"), is_refused)
            }
            Self::TimedOut { step } => (
                format!("{step}: no answer within {} secs", timeout.as_secs_f64()),
                false,
            ),
            Self::Other(reason) => (reason, false),
        };
        let reason = masked(&reason, login);
        let reason = format!("{origin}: {}", excerpt(&reason, MAX_REASON));
        match is_refused {
            true => DeliveryError::permanent(reason),
            false => DeliveryError::retryable(reason),
        }
    }
}

/// Masks the password in the text of a server, which may repeat it, also in the
/// Base64 in which it was sent.
pub(super) fn masked(text: &str, login: Option<&(String, Secret)>) -> String {
    let Some((name, password)) = login.map(|(name, password)| (name, password.reveal())) else {
        return text.to_owned();
    };
    // As PLAIN sends it (RFC 4616), and by itself as LOGIN does.
    let plain = base64(format!("\0{name}\0{password}").as_bytes());
    let alone = base64(password.as_bytes());
    let secrets = plain.into_iter().chain(alone).chain([password.to_owned()]);
    secrets.fold(text.to_owned(), |text, secret| {
        without(&text, &secret).into_owned()
    })
}

/// Replaces `secret` in `text`, however short it is.
fn without<'a>(text: &'a str, secret: &str) -> Cow<'a, str> {
    match !secret.is_empty() && text.contains(secret) {
        true => text.replace(secret, "***").into(),
        false => text.into(),
    }
}
