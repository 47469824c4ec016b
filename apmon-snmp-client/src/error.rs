//! The errors of a session.

use crate::{ber::Malformed, message::ErrorStatus, oid::Oid};

/// The reason why an agent could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnmpError {
    /// No answer came before the deadline.
    #[error("no answer ({request})")]
    NoAnswer {
        /// The unanswered request.
        request: String,
    },
    /// No answer came to encrypted requests, though signed ones are answered.
    #[error("no answer to encrypted requests: wrong privacy password or protocol")]
    NoAnswerEncrypted,
    /// An ICMP message says that no process listens on the port.
    #[error("no SNMP agent listens on that port")]
    Refused,
    /// Sending or receiving failed.
    #[error("{step}: {source}")]
    Io {
        /// The step that failed (`socket`, `connect`, `send`, `receive`).
        step: &'static str,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// More than this number of datagrams arrived that answer no request.
    #[error("more than {0} datagrams do not answer any request")]
    Flood(usize),
    /// More than this number of octets arrived in datagrams that answer no request.
    #[error("more than {0} octets do not answer any request")]
    FloodOfOctets(usize),
    /// The answer is not an SNMP message.
    #[error("unreadable answer: {0}")]
    Malformed(#[from] Malformed),
    /// The agent answered with an error.
    #[error("the agent answers {status} to {request}")]
    Status {
        /// The error status.
        status: ErrorStatus,
        /// The request that it answers.
        request: String,
    },
    /// SNMPv3: the agent does not know the user.
    #[error("unknown user")]
    UnknownUser,
    /// SNMPv3: the signature is wrong.
    #[error("wrong key: the authentication password or protocol does not match the agent's")]
    WrongKey,
    /// SNMPv3: the agent could not decrypt the request, or the session the answer.
    #[error("wrong privacy key: the privacy password or protocol does not match the agent's")]
    WrongPrivacyKey,
    /// SNMPv3: the agent rejects the clock that it has just reported.
    #[error("outside the time window: the agent's boot counter or clock jumps back and forth")]
    TimeWindow,
    /// SNMPv3: the agent rejects the engine ID that it announces.
    #[error("the agent does not know the engine ID that it announces")]
    UnknownEngine,
    /// SNMPv3: the user has a privacy password but no authentication password.
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
    /// SNMPv3: the agent sent any other report.
    #[error("the agent reports {0}")]
    Report(Oid),
}
