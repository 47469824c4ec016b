//! Why an agent could not be read.

use crate::{ber::Malformed, message::ErrorStatus, oid::Oid};

/// Why an agent could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnmpError {
    /// No answer before the deadline.
    #[error("no answer ({request})")]
    NoAnswer {
        /// The request without an answer.
        request: String,
    },
    /// No answer to encrypted requests, though signed ones are answered.
    #[error("no answer to encrypted requests: wrong privacy password or protocol")]
    NoAnswerEncrypted,
    /// ICMP: no process listens on that port.
    #[error("no SNMP agent listens on that port")]
    Refused,
    /// Sending or receiving failed.
    #[error("{step}: {source}")]
    Io {
        /// The step that failed (`socket`, `connect`, `send`, `receive`).
        step: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// The answer is not an SNMP message.
    #[error("unreadable answer: {0}")]
    Malformed(#[from] Malformed),
    /// The agent answered with an error.
    #[error("the agent answers {status} to {request}")]
    Status {
        /// The error.
        status: ErrorStatus,
        /// The request.
        request: String,
    },
    /// SNMPv3: the agent does not know the user.
    #[error("unknown user")]
    UnknownUser,
    /// SNMPv3: the signature is wrong.
    #[error("wrong key: the authentication password or protocol does not match the agent's")]
    WrongKey,
    /// SNMPv3: the agent, or this side, could not decrypt.
    #[error("wrong privacy key: the privacy password or protocol does not match the agent's")]
    WrongPrivacyKey,
    /// SNMPv3: the agent calls its own clock outdated.
    #[error("outside the time window: the agent's boot counter or clock jumps back and forth")]
    TimeWindow,
    /// SNMPv3: the agent names an engine ID and then does not know it.
    #[error("the agent does not know the engine ID that it announces")]
    UnknownEngine,
    /// SNMPv3: a user who encrypts must sign.
    #[error("encryption requires authentication")]
    ClearText,
    /// SNMPv3: the agent does not allow the user this security level.
    #[error("this user is not allowed to send requests {level}")]
    Level {
        /// The level (`without signing`, `without encryption`, ...).
        level: &'static str,
    },
    /// SNMPv3: the agent does not have the context.
    #[error("unknown context")]
    UnknownContext,
    /// SNMPv3: any other report.
    #[error("the agent reports {0}")]
    Report(Oid),
}
