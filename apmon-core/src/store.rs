//! The seam to where state is stored.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{history::Records, notification::OutboxEntry, state::MonitorState};

/// Everything a store holds for one site.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Snapshot {
    /// The owner epoch granted to the caller that loaded this.
    pub epoch: u64,
    /// States by monitor name.
    pub monitors: BTreeMap<String, Arc<MonitorState>>,
    /// Undelivered notifications, oldest first.
    pub outbox: Vec<OutboxEntry>,
    /// What an operator must know about the loading, for example that a damaged file was set
    /// aside.
    pub warnings: Vec<String>,
}

/// One atomic, durable write.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Commit {
    /// The epoch of the [`Snapshot`] on which this is based.
    pub epoch: u64,
    /// States that changed. Shared, not copied: a store may keep them as they are.
    pub states: Vec<(String, Arc<MonitorState>)>,
    /// Names of monitors whose state is deleted.
    pub forget: Vec<String>,
    /// New or changed outbox entries.
    pub outbox: Vec<OutboxEntry>,
    /// Keys of outbox entries that are finished.
    pub settled: Vec<String>,
    /// When a pass ended, and how long it took.
    pub pass: Option<(Timestamp, Duration)>,
    /// Records of what happened; empty where the store keeps no history. Shared, so that
    /// passing them on costs nothing.
    pub history: Arc<Records>,
}

impl Commit {
    /// Whether there is nothing to write.
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

/// A place where state is stored.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Loads everything, and grants a new owner epoch.
    ///
    /// # Errors
    /// If the data cannot be read. A damaged file from which a recovery was possible gives a
    /// warning, not an error.
    async fn load(&self) -> Result<Snapshot, StoreError>;

    /// Makes all of `commit` durable, or none of it.
    ///
    /// # Errors
    /// If the commit cannot be written, or the epoch is not the newest.
    async fn commit(&self, commit: &Commit) -> Result<(), StoreError>;

    /// Whether the store keeps [`Commit::history`]. If not, the engine gathers none.
    fn keeps_history(&self) -> bool {
        false
    }
}

/// The reason why a store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Reading or writing failed.
    #[error("{step} {place}")]
    Io {
        /// The step that failed (`write`, `rename`).
        step: &'static str,
        /// The file.
        place: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The content is not valid.
    #[error("{place}: {reason}")]
    Damaged {
        /// The file.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// Another owner has taken over.
    #[error("state is owned by epoch {newest}, not by {epoch}")]
    Superseded {
        /// Our epoch.
        epoch: u64,
        /// The owner's epoch.
        newest: u64,
    },
    /// The store has stopped.
    #[error("the store has stopped")]
    Stopped,
}

impl StoreError {
    /// The error and its cause on one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}
