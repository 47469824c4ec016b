//! A store in memory that answers commits as a test says.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use super::script::{Script, locked};
use crate::{
    history::Records,
    memory::Memory,
    notification::OutboxEntry,
    state::{MonitorState, MonoTimes},
    store::{Commit, CommitId, RecentByMonitor, Snapshot, StateStore, StoreError, StoreLimits},
};

/// How a [`MemoryStore`] answers a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum StoreAnswer {
    /// It stores the commit.
    #[default]
    Stores,
    /// It does not store the commit: an I/O error.
    Fails,
    /// It does not store the commit: [`StoreError::Unavailable`].
    Unavailable,
    /// The answer is lost: [`StoreError::Unknown`], whether or not the commit is stored.
    Unknown {
        /// Whether it is stored.
        stored: bool,
    },
    /// Another owner has taken over: [`StoreError::Superseded`].
    Superseded,
    /// It never answers.
    Hangs,
    /// A bug in the store.
    Panics,
}

/// A store in memory, which keeps the contract of [`StateStore`]: an owner that loads supersedes
/// the one before, and a commit is applied once. Loading always works.
#[derive(Debug, Default)]
pub struct MemoryStore {
    answers: Script<StoreAnswer>,
    keeps_history: bool,
    is_exclusive: bool,
    limits: StoreLimits,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    snapshot: Snapshot,
    history: Records,
    /// The number of the last commit of this epoch.
    number: u64,
    /// Every commit that arrived, stored or not.
    arrived: Vec<CommitId>,
    commits: Vec<Commit>,
}

impl MemoryStore {
    /// Creates an empty store that keeps no history.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Creates an empty store that keeps a history.
    #[must_use]
    pub fn with_history() -> Arc<Self> {
        Arc::new(Self {
            keeps_history: true,
            ..Self::default()
        })
    }

    /// Creates an empty store that no other owner can take over.
    #[must_use]
    pub fn exclusive() -> Arc<Self> {
        Arc::new(Self {
            is_exclusive: true,
            ..Self::default()
        })
    }

    /// Creates an empty store that announces these limits, and fails a commit of more items.
    #[must_use]
    pub fn with_limits(limits: StoreLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            ..Self::default()
        })
    }

    /// Sets how the store answers commits from now on.
    pub fn set(&self, answer: StoreAnswer) {
        self.answers.set(answer);
    }

    /// Sets how the store answers the next commits, before it answers as [`set`](Self::set) says.
    pub fn set_next(&self, answers: impl IntoIterator<Item = StoreAnswer>) {
        self.answers.set_next(answers);
    }

    /// Sets how long a commit takes.
    pub fn set_delay(&self, delay: Duration) {
        self.answers.set_delay(delay);
    }

    /// The stored state of the site. Unlike [`StateStore::load`], this claims nothing.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        locked(&self.content).stored()
    }

    /// Changes what is stored, between two processes.
    pub fn edit(&self, edit: impl FnOnce(&mut Snapshot)) {
        edit(&mut locked(&self.content).snapshot);
    }

    /// The stored state of a monitor; a default one if none is stored.
    #[must_use]
    pub fn state(&self, monitor: &str) -> MonitorState {
        let content = locked(&self.content);
        let state = content.snapshot.monitors.get(monitor);
        state.map(|state| MonitorState::clone(state)).unwrap_or_default()
    }

    /// The stored undelivered notifications, oldest first.
    #[must_use]
    pub fn outbox(&self) -> Vec<OutboxEntry> {
        locked(&self.content).snapshot.outbox.clone()
    }

    /// The history so far: the last 50,000 results, and the last 10,000 of everything else.
    #[must_use]
    pub fn history(&self) -> Records {
        locked(&self.content).history.clone()
    }

    /// The stored commits, in order.
    #[must_use]
    pub fn commits(&self) -> Vec<Commit> {
        locked(&self.content).commits.clone()
    }

    /// The id of each attempt to commit, in order, whatever became of it.
    #[must_use]
    pub fn attempts(&self) -> Vec<CommitId> {
        locked(&self.content).arrived.clone()
    }

    fn check_limits(&self, commit: &Commit) -> Result<(), StoreError> {
        let items = commit.states.len()
            + commit.forget.len()
            + commit.outbox.len()
            + commit.settled.len()
            + commit.records.len();
        match self.limits.items {
            Some(most) if items > most => Err(failed(&format!("{items} items, more than {most}"))),
            _ => Ok(()),
        }
    }
}

/// The error of a write that failed.
fn failed(reason: &str) -> StoreError {
    StoreError::Io {
        step: "write",
        place: "the store in memory".to_owned(),
        source: io::Error::other(reason.to_owned()),
    }
}

impl Content {
    /// A copy of what is stored, without what belongs to one process.
    fn stored(&self) -> Snapshot {
        let mut snapshot = self.snapshot.clone();
        for state in snapshot.monitors.values_mut() {
            if state.mono != MonoTimes::default() {
                Arc::make_mut(state).mono = MonoTimes::default();
            }
        }
        snapshot
    }

    /// Applies a commit, unless it is of an older owner or has been applied already.
    fn store(&mut self, commit: &Commit) -> Result<(), StoreError> {
        if commit.epoch != self.snapshot.epoch {
            return Err(StoreError::Superseded {
                epoch: commit.epoch,
                newest: Some(self.snapshot.epoch),
            });
        }
        if commit.number == 0 || commit.number > self.number {
            self.number = self.number.max(commit.number);
            self.apply(commit);
        }
        Ok(())
    }

    fn apply(&mut self, commit: &Commit) {
        self.commits.push(commit.clone());
        let stored = &mut self.snapshot;
        for (name, state) in &commit.states {
            let mut state = Arc::clone(state);
            if !state.memory.is_empty() {
                // As on disk, what is not JSON is dropped.
                let state = Arc::make_mut(&mut state);
                (state.memory, _) = std::mem::take(&mut state.memory).keep_valid(&Memory::default());
            }
            stored.monitors.insert(name.clone(), state);
        }
        for name in &commit.forget {
            stored.monitors.remove(name);
        }
        for entry in &commit.outbox {
            match stored.outbox.iter_mut().find(|old| old.key() == entry.key()) {
                Some(old) => *old = entry.clone(),
                None => stored.outbox.push(entry.clone()),
            }
        }
        if !commit.settled.is_empty() {
            stored
                .outbox
                .retain(|entry| !commit.settled.contains(&entry.key()));
        }
        for (key, record) in &commit.records {
            match record {
                Some(record) => stored.records.insert(key.clone(), record.clone()),
                None => stored.records.remove(key),
            };
        }
        self.history.extend(Records::clone(&commit.history));
    }
}

#[async_trait]
impl StateStore for MemoryStore {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        // Under one lock: of two owners that load at once, each gets an epoch of its own.
        let mut content = locked(&self.content);
        content.snapshot.epoch += 1;
        content.number = 0;
        Ok(content.stored())
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        locked(&self.content).arrived.push(commit.id());
        let answer = self.answers.take();
        tokio::task::yield_now().await;
        self.answers.wait().await;
        let store = || {
            self.check_limits(commit)?;
            locked(&self.content).store(commit)
        };
        let unknown = || StoreError::Unknown {
            reason: "connection lost".to_owned(),
        };
        match answer {
            StoreAnswer::Stores => store(),
            StoreAnswer::Fails => Err(failed("no space left on device")),
            StoreAnswer::Unavailable => Err(StoreError::Unavailable {
                reason: "connection refused".to_owned(),
            }),
            StoreAnswer::Unknown { stored: true } => store().and(Err(unknown())),
            StoreAnswer::Unknown { stored: false } => Err(unknown()),
            StoreAnswer::Superseded => Err(StoreError::Superseded {
                epoch: commit.epoch,
                newest: None,
            }),
            StoreAnswer::Hangs => std::future::pending().await,
            StoreAnswer::Panics => panic!("a bug in the store"),
        }
    }

    async fn recent_results(&self, most: usize) -> Result<RecentByMonitor, StoreError> {
        let mut recent = RecentByMonitor::new();
        for result in &locked(&self.content).history.results {
            recent
                .entry(result.monitor.clone())
                .or_default()
                .push(result.clone());
        }
        for results in recent.values_mut() {
            let surplus = results.len().saturating_sub(most);
            results.drain(..surplus);
        }
        Ok(recent)
    }

    fn keeps_history(&self) -> bool {
        self.keeps_history
    }

    fn is_exclusive(&self) -> bool {
        self.is_exclusive
    }

    fn limits(&self) -> StoreLimits {
        self.limits
    }
}
