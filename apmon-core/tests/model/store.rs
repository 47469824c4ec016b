//! A store whose disk can fail or hang, and that keeps only what was durable when
//! the process ended.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{Clock, Commit, Mono, Snapshot, StateStore, StoreError, testing::TestClock};
use async_trait::async_trait;
use tokio::sync::Notify;

use crate::{
    reference::{Expectations, Permission, Reference},
    setup::Setup,
    step::Disk,
};

/// How long the engine waits for a commit before it sends from memory.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

pub struct FaultyStore {
    clock: Arc<TestClock>,
    reference: Arc<Mutex<Reference>>,
    disk: Mutex<Disk>,
    changed: Notify,
    stored: Mutex<Snapshot>,
    faults: Mutex<Faults>,
}

/// What the store failed to do since the process started.
#[derive(Default)]
struct Faults {
    /// The commit under way: since when, its content, and the expectations it records.
    under_way: Option<(Mono, Commit, Expectations)>,
    /// The last commit, if it failed: it may be on disk or not.
    doubtful: Option<(Commit, Expectations)>,
    /// Keys of entries in commits that failed.
    failed: HashSet<String>,
    /// A commit was under way for too long until then.
    stalled_until: Option<Mono>,
}

impl FaultyStore {
    pub fn new(clock: &Arc<TestClock>, reference: &Arc<Mutex<Reference>>) -> Self {
        Self {
            clock: Arc::clone(clock),
            reference: Arc::clone(reference),
            disk: Mutex::new(Disk::Works(0)),
            changed: Notify::new(),
            stored: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    pub fn set(&self, disk: Disk) {
        *self.disk.lock().unwrap() = disk;
        self.changed.notify_waiters();
    }

    fn now(&self) -> Mono {
        self.clock.now().mono
    }

    /// The process has ended; its last, unfinished write is on disk if `written`.
    pub fn process_ended(&self, written: bool) {
        let mut faults = self.faults.lock().unwrap();
        let under_way = faults
            .under_way
            .take()
            .map(|(_, commit, expectations)| (commit, expectations));
        let last = under_way.or(faults.doubtful.take());
        drop(faults);
        if let Some((commit, expectations)) = last.filter(|_| written) {
            self.write(&commit, expectations);
        }
        let stored = self.stored.lock().unwrap();
        self.reference.lock().unwrap().process_ended(&stored.outbox);
    }

    /// A process starts with the site file `setup`.
    pub fn process_starts(&self, setup: &Setup) {
        *self.faults.lock().unwrap() = Faults::default();
        let mut stored = self.stored.lock().unwrap();
        stored.epoch += 1;
        let mut reference = self.reference.lock().unwrap();
        reference.process_starts(setup.clone(), &stored.outbox);
    }

    pub fn keys(&self) -> Vec<String> {
        let stored = self.stored.lock().unwrap();
        stored.outbox.iter().map(|entry| entry.key()).collect()
    }

    /// Whether this entry, decided at `decided`, may be sent now.
    pub fn may_be_sent(&self, key: &str, decided: Mono) -> Permission {
        if self.keys().iter().any(|stored| stored == key) {
            return Permission::OnDisk;
        }
        let faults = self.faults.lock().unwrap();
        let stalls =
            matches!(&faults.under_way, Some((since, ..)) if self.now().since(*since) >= COMMIT_TIMEOUT);
        let stalled = faults.stalled_until.is_some_and(|until| decided <= until);
        match faults.failed.contains(key) || stalls || stalled {
            true => Permission::FromMemory,
            false => Permission::Forbidden,
        }
    }

    fn write(&self, commit: &Commit, expectations: Expectations) {
        let mut stored = self.stored.lock().unwrap();
        for (name, state) in &commit.states {
            stored.monitors.insert(name.clone(), Arc::clone(state));
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
        stored
            .outbox
            .retain(|entry| !commit.settled.contains(&entry.key()));
        self.reference
            .lock()
            .unwrap()
            .written(expectations, &stored.outbox);
    }

    /// Waits as long as the disk takes. Returns whether it writes.
    async fn wait_for_disk(&self) -> bool {
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

#[async_trait]
impl StateStore for FaultyStore {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        let mut snapshot = self.stored.lock().unwrap().clone();
        for state in snapshot.monitors.values_mut() {
            Arc::make_mut(state).mono = Default::default();
        }
        Ok(snapshot)
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let newest = self.stored.lock().unwrap().epoch;
        assert_eq!(
            commit.epoch, newest,
            "each commit carries the epoch of its process"
        );
        let expectations = self.reference.lock().unwrap().committing(commit);
        let started = self.now();
        self.faults.lock().unwrap().under_way = Some((started, commit.clone(), expectations));
        tokio::task::yield_now().await;
        let is_looping = self.reference.lock().unwrap().is_looping();
        if is_looping {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let writes = self.wait_for_disk().await;
        let mut faults = self.faults.lock().unwrap();
        let under_way = faults.under_way.take();
        if self.now().since(started) >= COMMIT_TIMEOUT {
            faults.stalled_until = Some(self.now());
        }
        let under_way = under_way.map(|(_, commit, expectations)| (commit, expectations));
        if !writes {
            faults
                .failed
                .extend(commit.outbox.iter().map(|entry| entry.key()));
            faults.doubtful = under_way;
            return Err(StoreError::Stopped);
        }
        faults.doubtful = None;
        drop(faults);
        if let Some((commit, expectations)) = under_way {
            self.write(&commit, expectations);
        }
        Ok(())
    }
}
