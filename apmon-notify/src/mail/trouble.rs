//! Why a mail did not get through, and what that means for another try.

use std::{error::Error, io, time::Duration};

use apmon_core::{DeliveryError, Secret, text::excerpt};
use lettre::transport::smtp;

use crate::{answer::cause, mask};

/// Of a server's words so much is shown.
const MAX_WORDS: usize = 300;

/// What went wrong.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It said no.
    Answer {
        step: &'static str,
        code: String,
        text: String,
    },
    /// It said nothing.
    Silence { step: &'static str },
    /// It could not be asked.
    Other(String),
}

impl Trouble {
    /// An error of the dialogue.
    pub(super) fn at(step: &'static str, error: smtp::Error) -> Self {
        match error.status() {
            Some(code) => Self::Answer {
                step,
                code: code.to_string(),
                text: error.source().map(ToString::to_string).unwrap_or_default(),
            },
            None => Self::Other(format!("{step}: {}", cause(&error))),
        }
    }

    /// The connection failed.
    pub(super) fn io(step: &'static str, error: &io::Error) -> Self {
        Self::Other(format!("{step}: {}", cause(error)))
    }

    /// For the outbox and the log; the password is in none of it.
    pub(super) fn into_delivery_error(
        self,
        origin: &str,
        timeout: Duration,
        login: Option<&(String, Secret)>,
    ) -> DeliveryError {
        let (reason, refused) = match self {
            Self::Answer { step, code, text } => {
                // RFC 5321 section 4.2.1: 4 is for now, 5 for good.
                let refused = code.starts_with('5');
                (format!("{step}: answered {code} {text}"), refused)
            }
            Self::Silence { step } => (
                format!("{step}: no answer within {} secs", timeout.as_secs_f64()),
                false,
            ),
            Self::Other(reason) => (reason, false),
        };
        let reason = masked(&reason, login);
        let reason = format!("{origin}: {}", excerpt(&reason, MAX_WORDS));
        match refused {
            true => DeliveryError::permanent(reason),
            false => DeliveryError::retryable(reason),
        }
    }
}

/// A server may repeat what it was told, also as it was told: in Base64.
pub(super) fn masked(text: &str, login: Option<&(String, Secret)>) -> String {
    let Some((name, password)) = login.map(|(name, password)| (name, password.reveal())) else {
        return text.to_owned();
    };
    // RFC 4616, and one by one as with LOGIN.
    let plain = mask::base64(format!("\0{name}\0{password}").as_bytes());
    let alone = mask::base64(password.as_bytes());
    let secrets = plain.into_iter().chain(alone).chain([password.to_owned()]);
    secrets.fold(text.to_owned(), |text, secret| {
        mask::without(&text, &secret).into_owned()
    })
}
