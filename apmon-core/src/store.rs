//! The seam to where state is stored.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    history::{CheckResult, Records},
    notification::OutboxEntry,
    state::MonitorState,
};

/// Everything a store holds for one site.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Snapshot {
    /// The part of the store that the caller owns now; 0 where a store has one owner.
    pub shard: u32,
    /// The owner epoch granted to the caller that loaded this.
    pub epoch: u64,
    /// States by monitor name, those of parts by `monitor/part`.
    pub monitors: BTreeMap<String, Arc<MonitorState>>,
    /// Undelivered notifications, in the order in which commits brought them: that of their
    /// decisions, whatever their channels. A commit that was split brings them by monitor.
    pub outbox: Vec<OutboxEntry>,
    /// State that belongs to no monitor, by key.
    pub records: BTreeMap<String, StateRecord>,
    /// What an operator must know about the loading, for example that a damaged file was set
    /// aside.
    pub warnings: Vec<String>,
}

/// State that belongs to no monitor: JSON of a known version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateRecord {
    /// The version of the content, so that a later apmon can bring it up to date.
    pub version: u32,
    /// The content. It may come back as a different text with the same meaning.
    pub json: Arc<str>,
}

/// Names a commit: the same on every attempt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CommitId {
    /// The shard of the [`Snapshot`] on which the commit is based.
    pub shard: u32,
    /// Its epoch.
    pub epoch: u64,
    /// Counts the owner's commits from 1.
    pub number: u64,
}

/// The largest commits that a store accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct StoreLimits {
    /// The most bytes of text in a commit, history apart; `None` means no limit.
    pub bytes: Option<usize>,
    /// The most states, outbox entries and records that a commit writes or deletes.
    pub items: Option<usize>,
}

/// One atomic, durable write. States are written before `forget` deletes. The history is not
/// part of the atomic unit: its rows are written at least once, and each has an identity: an
/// incident its id; a delivery its notification and channel; any other row its monitor, kind and
/// moment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Commit {
    /// The shard of the [`Snapshot`] on which this is based.
    pub shard: u32,
    /// The epoch of the [`Snapshot`] on which this is based.
    pub epoch: u64,
    /// The number of this commit among those of its epoch, from 1. A store applies each number
    /// once. Commits with the number 0 are not recognised, and are applied each time.
    pub number: u64,
    /// States that changed. Shared, not copied: a store may keep them as they are.
    pub states: Vec<(String, Arc<MonitorState>)>,
    /// Names of monitors whose state is deleted.
    pub forget: Vec<String>,
    /// New or changed outbox entries, in the order of their decisions. A changed one keeps its
    /// place in the store.
    pub outbox: Vec<OutboxEntry>,
    /// Keys of outbox entries that are finished.
    pub settled: Vec<String>,
    /// Records that changed, by key; `None` deletes one.
    pub records: Vec<(String, Option<StateRecord>)>,
    /// When a pass ended, and how long it took.
    pub pass: Option<(Timestamp, Duration)>,
    /// Records of what happened; empty where the store keeps no history. Shared, so that
    /// passing them on costs nothing.
    pub history: Arc<Records>,
}

impl Commit {
    /// The id of the commit.
    #[must_use]
    pub fn id(&self) -> CommitId {
        CommitId {
            shard: self.shard,
            epoch: self.epoch,
            number: self.number,
        }
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
            && self.forget.is_empty()
            && self.outbox.is_empty()
            && self.settled.is_empty()
            && self.records.is_empty()
            && self.pass.is_none()
            && self.history.is_empty()
    }
}

/// The last results of monitors, by name.
pub type RecentByMonitor = BTreeMap<String, Vec<CheckResult>>;

/// A place where state is stored.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Loads everything, and claims it: grants a new owner epoch. Once this has returned, no
    /// commit of an older epoch becomes durable any more.
    ///
    /// # Errors
    /// If the data cannot be read. A damaged file from which a recovery was possible gives a
    /// warning, not an error.
    async fn load(&self) -> Result<Snapshot, StoreError>;

    /// Makes all of `commit` durable, or none of it. A commit that is durable already (its
    /// answer was lost) is not applied again.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] if the epoch is not the newest, [`StoreError::Unknown`] if
    /// the commit may or may not be durable: the same commit is then tried again, and meanwhile
    /// nothing is sent and no other commit follows. A panic counts as `Unknown`. Any other error
    /// means that the commit is not durable, and alerting continues from memory.
    async fn commit(&self, commit: &Commit) -> Result<(), StoreError>;

    /// The last results of each monitor, oldest first and at most `most` of each: for a
    /// dashboard after a restart. Reasons, and the name in each result, may be left
    /// out. It must not hold up commits.
    ///
    /// # Errors
    /// If they cannot be read.
    async fn recent_results(&self, most: usize) -> Result<RecentByMonitor, StoreError> {
        let _ = most; // a store without results
        Ok(RecentByMonitor::new())
    }

    /// Whether the store keeps [`Commit::history`]. If not, the engine gathers none.
    fn keeps_history(&self) -> bool {
        false
    }

    /// Whether no other owner can take over as long as this one runs, for example because a
    /// lock keeps others out. If so, notifications wait only some seconds for a commit that is
    /// in doubt ([`StoreError::Unknown`]); otherwise they wait until the store answers.
    fn is_exclusive(&self) -> bool {
        false
    }

    /// The largest commits that the store accepts. The engine splits larger ones, so that the
    /// state of a monitor and its notifications stay together. Where these alone are too large,
    /// they are not stored until they fit: the engine reports that, withholds its own heartbeat,
    /// and sends the notifications from memory after five seconds.
    fn limits(&self) -> StoreLimits {
        StoreLimits::default()
    }
}

/// The reason why a store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Reading or writing failed.
    #[error("cannot {step} {place}")]
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
    #[error("state is owned by {}, not by epoch {epoch}", owner(.newest))]
    Superseded {
        /// Our epoch.
        epoch: u64,
        /// The owner's epoch, if it is known.
        newest: Option<u64>,
    },
    /// The commit may be stored or not: there was no answer. The same commit is to be tried
    /// again.
    #[error("it is not known whether state was stored ({reason})")]
    Unknown {
        /// What happened.
        reason: String,
    },
    /// The store cannot be reached; the commit is not stored.
    #[error("the store cannot be reached ({reason})")]
    Unavailable {
        /// What happened.
        reason: String,
    },
    /// The store has stopped.
    #[error("the store has stopped")]
    Stopped,
}

fn owner(newest: &Option<u64>) -> String {
    match newest {
        Some(epoch) => format!("epoch {epoch}"),
        None => "a newer epoch".to_owned(),
    }
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
