//! The error of a poll.

use apmon_snmp_client::SnmpError;

/// The reason why a device could not be polled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PollError {
    /// The agent could not be read.
    #[error(transparent)]
    Snmp(#[from] SnmpError),
    /// The agent was restarted during the poll: its tables may be half empty.
    #[error("the agent was restarted during the poll")]
    Restarted,
}
