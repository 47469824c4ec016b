//! A store whose disk can be told to fail, and that remembers only what was
//! durable when the process ended.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{Clock, Commit, Mono, Snapshot, StateStore, StoreError, SystemClock};
use async_trait::async_trait;
use tokio::sync::Notify;

use crate::{
    reference::{Beliefs, Reference},
    setup::Setup,
    step::Disk,
};

/// A commit that takes so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Store {
    clock: Arc<SystemClock>,
    reference: Arc<Mutex<Reference>>,
    disk: Mutex<Disk>,
    changed: Notify,
    kept: Mutex<Snapshot>,
    trouble: Mutex<Trouble>,
}

/// What the engine could not count on since it was started.
#[derive(Default)]
struct Trouble {
    /// The commit under way: since when, with what, and what was believed.
    under_way: Option<(Mono, Commit, Beliefs)>,
    /// The last commit, if it failed.
    doubtful: Option<(Commit, Beliefs)>,
    /// Keys of entries that were in a commit that failed.
    failed: HashSet<String>,
    /// A commit was under way for too long until then.
    stalled_until: Option<Mono>,
}

impl Store {
    pub fn new(clock: &Arc<SystemClock>, reference: &Arc<Mutex<Reference>>) -> Self {
        Self {
            clock: Arc::clone(clock),
            reference: Arc::clone(reference),
            disk: Mutex::new(Disk::Works(0)),
            changed: Notify::new(),
            kept: Mutex::default(),
            trouble: Mutex::default(),
        }
    }

    pub fn set(&self, disk: Disk) {
        *self.disk.lock().unwrap() = disk;
        self.changed.notify_waiters();
    }

    fn now(&self) -> Mono {
        self.clock.now().mono
    }

    /// The process has ended; what it tried to write last is on disk, or not.
    pub fn cut(&self, written: bool) {
        let mut trouble = self.trouble.lock().unwrap();
        let under_way = trouble
            .under_way
            .take()
            .map(|(_, commit, beliefs)| (commit, beliefs));
        let last = under_way.or(trouble.doubtful.take());
        drop(trouble);
        if let Some((commit, beliefs)) = last.filter(|_| written) {
            self.write(&commit, beliefs);
        }
        let kept = self.kept.lock().unwrap();
        self.reference.lock().unwrap().ended(&kept.outbox);
    }

    /// A process starts with the site file `setup`.
    pub fn begin(&self, setup: &Setup) {
        *self.trouble.lock().unwrap() = Trouble::default();
        let mut kept = self.kept.lock().unwrap();
        kept.epoch += 1;
        self.reference.lock().unwrap().begin(setup.clone(), &kept.outbox);
    }

    pub fn keys(&self) -> Vec<String> {
        let kept = self.kept.lock().unwrap();
        kept.outbox.iter().map(|entry| entry.key()).collect()
    }

    /// Whether this entry, decided at `decided`, may be sent now.
    pub fn may_be_sent(&self, key: &str, decided: Mono) -> Permission {
        if self.keys().iter().any(|kept| kept == key) {
            return Permission::OnDisk;
        }
        let trouble = self.trouble.lock().unwrap();
        let stalls = matches!(&trouble.under_way, Some((since, ..)) if self.now().since(*since) >= PATIENCE);
        let stalled = trouble.stalled_until.is_some_and(|until| decided <= until);
        match trouble.failed.contains(key) || stalls || stalled {
            true => Permission::FromMemory,
            false => Permission::Forbidden,
        }
    }

    fn write(&self, commit: &Commit, beliefs: Beliefs) {
        let mut kept = self.kept.lock().unwrap();
        for (name, state) in &commit.states {
            kept.monitors.insert(name.clone(), Arc::clone(state));
        }
        for name in &commit.forget {
            kept.monitors.remove(name);
        }
        for entry in &commit.outbox {
            match kept.outbox.iter_mut().find(|old| old.key() == entry.key()) {
                Some(old) => *old = entry.clone(),
                None => kept.outbox.push(entry.clone()),
            }
        }
        kept.outbox.retain(|entry| !commit.settled.contains(&entry.key()));
        self.reference.lock().unwrap().written(beliefs, &kept.outbox);
    }

    /// Waits as long as the disk takes. Returns whether it writes.
    async fn turn(&self) -> bool {
        loop {
            let changed = self.changed.notified();
            let disk = *self.disk.lock().unwrap();
            match disk {
                Disk::Works(millis) => {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    return true;
                }
                Disk::Fails => return false,
                Disk::Hangs => changed.await,
            }
        }
    }
}

/// Whether a message may be handed to a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permission {
    OnDisk,
    /// The disk did not do its work.
    FromMemory,
    Forbidden,
}

#[async_trait]
impl StateStore for Store {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        let mut snapshot = self.kept.lock().unwrap().clone();
        for state in snapshot.monitors.values_mut() {
            Arc::make_mut(state).mono = Default::default();
        }
        Ok(snapshot)
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let newest = self.kept.lock().unwrap().epoch;
        assert_eq!(
            commit.epoch, newest,
            "each commit carries the epoch of its process"
        );
        let beliefs = self.reference.lock().unwrap().committing(commit);
        let started = self.now();
        self.trouble.lock().unwrap().under_way = Some((started, commit.clone(), beliefs));
        tokio::task::yield_now().await;
        let circles = self.reference.lock().unwrap().turns_in_circles();
        if circles {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let writes = self.turn().await;
        let mut trouble = self.trouble.lock().unwrap();
        let under_way = trouble.under_way.take();
        if self.now().since(started) >= PATIENCE {
            trouble.stalled_until = Some(self.now());
        }
        let under_way = under_way.map(|(_, commit, beliefs)| (commit, beliefs));
        if !writes {
            trouble
                .failed
                .extend(commit.outbox.iter().map(|entry| entry.key()));
            trouble.doubtful = under_way;
            return Err(StoreError::Stopped);
        }
        trouble.doubtful = None;
        drop(trouble);
        if let Some((commit, beliefs)) = under_way {
            self.write(&commit, beliefs);
        }
        Ok(())
    }
}
