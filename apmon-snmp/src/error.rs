//! Why an agent was not read.

use crate::{ber::Malformed, message::ErrorStatus, oid::Oid};

/// Why an agent was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnmpError {
    /// Nothing came back before the deadline.
    #[error("no answer ({asked})")]
    NoAnswer {
        /// What it was asked.
        asked: String,
    },
    /// Nothing came back to what is encrypted, though it answers what is signed.
    #[error("no answer to what is encrypted: a wrong privacy password or protocol")]
    NoAnswerEncrypted,
    /// ICMP: nobody listens on that port.
    #[error("nobody listens on that port")]
    Refused,
    /// Sending or receiving failed.
    #[error("{step}: {source}")]
    Io {
        /// What was tried (`socket`, `connect`, `send`, `receive`).
        step: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// What came back is no SNMP message.
    #[error("its answer cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// The agent says that it cannot.
    #[error("it answers {status} to {asked}")]
    Status {
        /// What it says.
        status: ErrorStatus,
        /// What it was asked.
        asked: String,
    },
    /// The agent was restarted while it was being read.
    #[error("it was restarted while it was read")]
    Restarted,
    /// SNMPv3: it knows no such user.
    #[error("unknown user")]
    UnknownUser,
    /// SNMPv3: the signature is not right.
    #[error("wrong key: the authentication password or protocol is not the agent's")]
    WrongKey,
    /// SNMPv3: it could not decrypt.
    #[error("wrong privacy key: the privacy password or protocol is not the agent's")]
    WrongPrivacyKey,
    /// SNMPv3: not in time, though its own time was used.
    #[error("not in the time window: the agent's boots or time go back and forth")]
    TimeWindow,
    /// SNMPv3: it says who it is, and then that it is somebody else.
    #[error("it does not know the engine id that it tells")]
    UnknownEngine,
    /// SNMPv3: a user who encrypts must sign.
    #[error("encryption needs authentication")]
    ClearText,
    /// SNMPv3: the user may not come at this level.
    #[error("this user may not ask {level}")]
    Level {
        /// The level asked at (`without signing`, `without encryption`, ...).
        level: &'static str,
    },
    /// SNMPv3: it has no such context.
    #[error("unknown context")]
    UnknownContext,
    /// SNMPv3: another report.
    #[error("it reports {0}")]
    Report(Oid),
}
