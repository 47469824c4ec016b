//! The seam to where state is kept.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{history::Records, notification::OutboxEntry, state::MonitorState};

/// Everything a store knows of one site.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Snapshot {
    /// The owner epoch granted to whoever loaded this.
    pub epoch: u64,
    /// State by monitor name.
    pub monitors: BTreeMap<String, Arc<MonitorState>>,
    /// Messages on their way, oldest first.
    pub outbox: Vec<OutboxEntry>,
    /// What an operator must know about how this was loaded (a damaged file
    /// was set aside).
    pub warnings: Vec<String>,
}

/// One atomic, durable step.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Commit {
    /// The epoch of the [`Snapshot`] this follows.
    pub epoch: u64,
    /// States that changed. Shared, not copied: a store may keep them as they are.
    pub states: Vec<(String, Arc<MonitorState>)>,
    /// Monitors to forget.
    pub forget: Vec<String>,
    /// Outbox entries, new or changed.
    pub outbox: Vec<OutboxEntry>,
    /// Keys of outbox entries that are over.
    pub settled: Vec<String>,
    /// When a pass ended, and how long it took.
    pub pass: Option<(Timestamp, Duration)>,
    /// What happened; empty where the store keeps no history. Shared, so that
    /// handing it on costs nothing.
    pub history: Arc<Records>,
}

impl Commit {
    /// Nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
            && self.forget.is_empty()
            && self.outbox.is_empty()
            && self.settled.is_empty()
            && self.pass.is_none()
            && self.history.is_empty()
    }
}

/// Where state is kept.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Everything there is, and a new owner epoch.
    ///
    /// # Errors
    /// When it cannot be read. A damaged file that could be recovered from is
    /// no error but a warning.
    async fn load(&self) -> Result<Snapshot, StoreError>;

    /// Makes all of `commit` durable, or none of it.
    ///
    /// # Errors
    /// When it cannot be written, or the epoch is not the newest.
    async fn commit(&self, commit: &Commit) -> Result<(), StoreError>;

    /// Whether it keeps what stands under [`Commit::history`]. If not, nothing
    /// is gathered there.
    fn keeps_history(&self) -> bool {
        false
    }
}

/// Why a store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Reading or writing failed.
    #[error("{step} {place}")]
    Io {
        /// What was tried (`write`, `rename`).
        step: &'static str,
        /// Which file.
        place: String,
        /// Why.
        source: std::io::Error,
    },
    /// The content makes no sense.
    #[error("{place}: {reason}")]
    Damaged {
        /// Which file.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// Somebody else has taken over.
    #[error("state is owned by epoch {newest}, not by {epoch}")]
    Superseded {
        /// Ours.
        epoch: u64,
        /// The owner's.
        newest: u64,
    },
    /// The store is gone.
    #[error("the store has stopped")]
    Stopped,
}

impl StoreError {
    /// The error with its cause, as one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}
