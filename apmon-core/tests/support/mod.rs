//! A site in virtual time: scripted targets, a store in memory, a recorder.
#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used)] // a test may end where it stands

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use apmon_core::{
    Check, Clock, Commit, DeliveryError, Engine, FailureClass, HeartbeatSender, MonitorState, Mono,
    Notification, Notifier, Outcome, PassReport, Policy, Probe, ProbeMonitor, Secret, Snapshot, StateStore,
    StoreError, SystemClock, Watch,
};
use async_trait::async_trait;
use jiff::Timestamp;

/// The moment at which every virtual site starts.
pub const START: &str = "2026-02-11T12:00:00Z";

pub fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock::starting_at(START.parse().unwrap()))
}

/// A target whose condition a test sets.
#[derive(Default)]
pub struct Target {
    pub condition: Mutex<Condition>,
    pub checks: Mutex<Vec<Mono>>,
}

#[derive(Clone, Default)]
pub enum Condition {
    #[default]
    Up,
    Down(String),
    Unknown(String),
    /// Never answers.
    Silent,
    /// Answers after so long.
    Slow(Duration),
    Panics,
}

impl Target {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn set(&self, condition: Condition) {
        *self.condition.lock().unwrap() = condition;
    }

    pub fn checks(&self) -> usize {
        self.checks.lock().unwrap().len()
    }

    pub fn monitor(self: &Arc<Self>, watch: Watch) -> Arc<ProbeMonitor<Self>> {
        Arc::new(ProbeMonitor::new(watch, Arc::clone(self)))
    }
}

#[async_trait]
impl Probe for Target {
    async fn probe(&self, check: &Check) -> Outcome {
        self.checks.lock().unwrap().push(check.started.mono);
        let condition = self.condition.lock().unwrap().clone();
        match condition {
            Condition::Up => Outcome::up(Duration::from_millis(5)),
            Condition::Down(reason) => Outcome::fail(FailureClass::Refused, reason),
            Condition::Unknown(reason) => Outcome::fail(FailureClass::NoRoute, reason),
            Condition::Silent => match check.within("connect", std::future::pending::<()>()).await {
                Ok(()) => unreachable!("pending"),
                Err(failure) => failure.into(),
            },
            Condition::Slow(time) => {
                tokio::time::sleep(time).await;
                Outcome::up(time)
            }
            Condition::Panics => panic!("index out of bounds"),
        }
    }
}

/// A store in memory that can be told to fail.
#[derive(Default)]
pub struct Memory {
    pub kept: Mutex<Snapshot>,
    pub commits: Mutex<Vec<usize>>,
    pub fails: Mutex<bool>,
    /// Never answers.
    pub hangs: Mutex<bool>,
    pub panics: Mutex<bool>,
}

impl Memory {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn state(&self, name: &str) -> MonitorState {
        self.kept
            .lock()
            .unwrap()
            .monitors
            .get(name)
            .map(|state| MonitorState::clone(state))
            .unwrap_or_default()
    }
}

#[async_trait]
impl StateStore for Memory {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        let mut snapshot = self.kept.lock().unwrap().clone();
        for state in snapshot.monitors.values_mut() {
            Arc::make_mut(state).mono = Default::default();
        }
        Ok(snapshot)
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        let hangs = *self.hangs.lock().unwrap();
        if hangs {
            std::future::pending::<()>().await;
        }
        assert!(!*self.panics.lock().unwrap(), "a bug in the store");
        if *self.fails.lock().unwrap() {
            return Err(StoreError::Stopped);
        }
        self.commits.lock().unwrap().push(commit.states.len());
        let mut kept = self.kept.lock().unwrap();
        for (name, state) in &commit.states {
            kept.monitors.insert(name.clone(), state.clone());
        }
        for name in &commit.forget {
            kept.monitors.remove(name);
        }
        for entry in &commit.outbox {
            kept.outbox.retain(|old| old.key() != entry.key());
            kept.outbox.push(entry.clone());
        }
        kept.outbox.retain(|entry| !commit.settled.contains(&entry.key()));
        Ok(())
    }
}

/// A channel and a heartbeat receiver that write down what they get.
#[derive(Default)]
pub struct Recorder {
    clock: Option<Arc<SystemClock>>,
    pub heard: Mutex<Vec<(Mono, Notification, String)>>,
    pub beats: Mutex<Vec<Mono>>,
    /// Answers for the next deliveries; `Ok` when empty.
    pub answers: Mutex<VecDeque<Result<(), DeliveryError>>>,
    /// Never answers.
    pub hangs: Mutex<bool>,
}

impl Recorder {
    pub fn new(clock: &Arc<SystemClock>) -> Arc<Self> {
        Arc::new(Self {
            clock: Some(Arc::clone(clock)),
            ..Self::default()
        })
    }

    fn now(&self) -> Mono {
        self.clock.as_ref().unwrap().now().mono
    }

    pub fn labels(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .map(|(_, message, _)| message.kind.label().to_owned())
            .collect()
    }

    pub fn texts(&self) -> Vec<String> {
        self.heard
            .lock()
            .unwrap()
            .iter()
            .map(|(_, message, _)| message.text.clone())
            .collect()
    }
}

#[async_trait]
impl Notifier for Recorder {
    async fn deliver(&self, message: &Notification, key: &str) -> Result<(), DeliveryError> {
        let hangs = *self.hangs.lock().unwrap();
        if hangs {
            std::future::pending::<()>().await;
        }
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(()));
        if answer.is_ok() {
            self.heard
                .lock()
                .unwrap()
                .push((self.now(), message.clone(), key.to_owned()));
        }
        answer
    }
}

#[async_trait]
impl HeartbeatSender for Recorder {
    async fn send(&self, _: &Secret, _: Duration) -> Result<(), DeliveryError> {
        self.beats.lock().unwrap().push(self.now());
        Ok(())
    }
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub fn watch(name: &str, policy: Policy) -> Watch {
    Watch {
        policy,
        checksum: "1".into(),
        ..Watch::new(name, "test", "192.0.2.1")
    }
}

pub fn every(secs_: u64) -> Policy {
    Policy {
        check_every: secs(secs_),
        max_retries: NonZeroU32::MIN,
        ..Policy::default()
    }
}

/// A daemon that is told to end after `run`.
pub async fn run_for(engine: Engine, run: Duration) -> PassReport {
    let handle = engine.handle();
    let (report, ()) = tokio::join!(engine.run(), async {
        tokio::time::sleep(run).await;
        handle.shutdown().await;
    });
    report.unwrap()
}

pub fn written(seconds_before_start: i64) -> Option<Timestamp> {
    let start: Timestamp = START.parse().unwrap();
    Some(start - jiff::SignedDuration::from_secs(seconds_before_start))
}
