//! The errors of an SMTP dialogue, and whether they allow another attempt.

use std::{io, time::Duration};

use apmon_core::{DeliveryError, text::excerpt};

use crate::cause::cause;

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
    /// An error of the connection.
    pub(super) fn io(step: &'static str, error: &io::Error) -> Self {
        Self::Other(format!("{step}: {}", cause(error)))
    }

    /// The error for the outbox and the log; `shown` makes one line of a text, without the
    /// password.
    pub(super) fn into_delivery_error(
        self,
        origin: &str,
        timeout: Duration,
        shown: &dyn Fn(&str) -> String,
    ) -> DeliveryError {
        let (reason, is_refused) = match self {
            Self::Rejected { step, code, text } => {
                // RFC 5321 section 4.2.1: 4xx is temporary, 5xx is permanent.
                let is_refused = code.starts_with('5');
                let answer = format!("{code} {text}");
                (format!("{step}: answered {}", answer.trim_end()), is_refused)
            }
            Self::TimedOut { step } => (
                format!("{step}: no answer within {} secs", timeout.as_secs_f64()),
                false,
            ),
            Self::Other(reason) => (reason, false),
        };
        let reason = format!("{origin}: {}", excerpt(&shown(&reason), MAX_REASON));
        match is_refused {
            true => DeliveryError::permanent(reason),
            false => DeliveryError::retryable(reason),
        }
    }
}
