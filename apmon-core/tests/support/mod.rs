//! A site in virtual time: scripted targets, a store in memory, a recorder of
//! notifications and heartbeats.
#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used)] // what fails here is a test

pub mod fallback;

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use apmon_core::{
    Check, Clock, Commit, DeliveryError, Engine, EngineError, FailureClass, Handle, HeartbeatSender,
    MonitorState, Mono, Notification, Notifier, Now, OutboxEntry, Outcome, PassReport, Plan, Policy, Probe,
    ProbeMonitor, Records, Secret, Snapshot, StateStore, StoreError, SystemClock, Watch,
};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;

/// The moment at which every virtual site starts.
pub const START: &str = "2026-02-11T12:00:00Z";

pub fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock::starting_at(START.parse().unwrap()))
}

/// A clock whose wall time can be set; its monotonic time goes on.
pub struct SettableClock {
    clock: SystemClock,
    offset_secs: AtomicI64,
}

impl SettableClock {
    pub fn new(clock: SystemClock) -> Arc<Self> {
        let offset_secs = AtomicI64::new(0);
        Arc::new(Self { clock, offset_secs })
    }

    /// Sets the wall time `secs` seconds ahead of the true time.
    pub fn set_offset(&self, secs: i64) {
        self.offset_secs.store(secs, Ordering::Relaxed);
    }
}

impl Clock for SettableClock {
    fn now(&self) -> Now {
        let now = self.clock.now();
        let offset = SignedDuration::from_secs(self.offset_secs.load(Ordering::Relaxed));
        Now {
            wall: now.wall + offset,
            ..now
        }
    }
}

/// A switch that a test turns on and off.
#[derive(Default)]
pub struct Flag(AtomicBool);

impl Flag {
    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A target whose condition a test sets.
#[derive(Default)]
pub struct Target {
    pub condition: Mutex<Condition>,
    /// When each check started.
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
    /// Answers after this time.
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

/// A store in memory that can fail, hang or panic.
#[derive(Default)]
pub struct MemoryStore {
    /// What is durable.
    pub stored: Mutex<Snapshot>,
    /// The history of all commits, in order.
    pub records: Mutex<Records>,
    /// The number of states in each commit.
    pub commits: Mutex<Vec<usize>>,
    pub fails: Flag,
    /// Commits never end.
    pub hangs: Flag,
    pub panics: Flag,
    pub keeps_history: bool,
    /// How long a commit takes.
    pub delay: Duration,
}

impl MemoryStore {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn with_history() -> Arc<Self> {
        Arc::new(Self {
            keeps_history: true,
            ..Self::default()
        })
    }

    pub fn state(&self, name: &str) -> MonitorState {
        let stored = self.stored.lock().unwrap();
        let state = stored.monitors.get(name);
        state.map(|state| MonitorState::clone(state)).unwrap_or_default()
    }

    /// Undelivered messages, oldest first.
    pub fn outbox(&self) -> Vec<OutboxEntry> {
        self.stored.lock().unwrap().outbox.clone()
    }
}

#[async_trait]
impl StateStore for MemoryStore {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        let mut snapshot = self.stored.lock().unwrap().clone();
        for state in snapshot.monitors.values_mut() {
            Arc::make_mut(state).mono = Default::default();
        }
        Ok(snapshot)
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        if self.hangs.is_set() {
            std::future::pending::<()>().await;
        }
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        assert!(!self.panics.is_set(), "a bug in the store");
        if self.fails.is_set() {
            return Err(StoreError::Stopped);
        }
        self.commits.lock().unwrap().push(commit.states.len());
        let mut stored = self.stored.lock().unwrap();
        for (name, state) in &commit.states {
            stored.monitors.insert(name.clone(), state.clone());
        }
        for name in &commit.forget {
            stored.monitors.remove(name);
        }
        for entry in &commit.outbox {
            stored.outbox.retain(|old| old.key() != entry.key());
            stored.outbox.push(entry.clone());
        }
        stored
            .outbox
            .retain(|entry| !commit.settled.contains(&entry.key()));
        let history = Records::clone(&commit.history);
        let mut records = self.records.lock().unwrap();
        records.results.extend(history.results);
        records.incidents.extend(history.incidents);
        records.deliveries.extend(history.deliveries);
        records.stretches.extend(history.stretches);
        records.port_changes.extend(history.port_changes);
        Ok(())
    }

    fn keeps_history(&self) -> bool {
        self.keeps_history
    }
}

/// A notification that a [`Recorder`] accepted.
pub struct Received {
    pub at: Mono,
    pub notification: Notification,
    pub key: String,
}

/// A receiver of notifications and heartbeats that records what it accepts.
#[derive(Default)]
pub struct Recorder {
    clock: Option<Arc<SystemClock>>,
    pub received: Mutex<Vec<Received>>,
    pub heartbeats: Mutex<Vec<Mono>>,
    /// Answers to the next deliveries; `Ok` when empty.
    pub answers: Mutex<VecDeque<Result<(), DeliveryError>>>,
    /// Deliveries never end.
    pub hangs: Flag,
}

impl Recorder {
    pub fn new(clock: &Arc<SystemClock>) -> Arc<Self> {
        Arc::new(Self {
            clock: Some(Arc::clone(clock)),
            ..Self::default()
        })
    }

    /// A recorder that hangs from the start.
    pub fn hanging(clock: &Arc<SystemClock>) -> Arc<Self> {
        let recorder = Self::new(clock);
        recorder.hangs.set(true);
        recorder
    }

    /// Fails the next deliveries.
    pub fn fail_next(&self, times: usize, error: DeliveryError) {
        self.answers.lock().unwrap().extend(vec![Err(error); times]);
    }

    fn now(&self) -> Mono {
        self.clock.as_ref().unwrap().now().mono
    }

    pub fn labels(&self) -> Vec<String> {
        let received = self.received.lock().unwrap();
        received
            .iter()
            .map(|received| received.notification.kind.label().to_owned())
            .collect()
    }

    pub fn texts(&self) -> Vec<String> {
        let received = self.received.lock().unwrap();
        received
            .iter()
            .map(|received| received.notification.text.clone())
            .collect()
    }
}

#[async_trait]
impl Notifier for Recorder {
    async fn deliver(&self, message: &Notification, key: &str) -> Result<(), DeliveryError> {
        if self.hangs.is_set() {
            std::future::pending::<()>().await;
        }
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(()));
        if answer.is_ok() {
            self.received.lock().unwrap().push(Received {
                at: self.now(),
                notification: message.clone(),
                key: key.to_owned(),
            });
        }
        answer
    }
}

#[async_trait]
impl HeartbeatSender for Recorder {
    async fn send(&self, _: &Secret, _: Duration) -> Result<(), DeliveryError> {
        self.heartbeats.lock().unwrap().push(self.now());
        Ok(())
    }
}

/// A site with one target and one channel: all that outlives a process.
pub struct Site {
    pub clock: Arc<SystemClock>,
    pub target: Arc<Target>,
    pub store: Arc<MemoryStore>,
    pub recorder: Arc<Recorder>,
}

impl Site {
    /// A site whose target is up.
    pub fn new() -> Self {
        Self::with_store(MemoryStore::new())
    }

    /// A site whose target is down.
    pub fn down() -> Self {
        let site = Self::new();
        site.target.set(Condition::Down("no".into()));
        site
    }

    pub fn with_store(store: Arc<MemoryStore>) -> Self {
        let clock = clock();
        Self {
            target: Target::new(),
            store,
            recorder: Recorder::new(&clock),
            clock,
        }
    }

    /// A plan with the target as monitor `a` and the recorder as channel `c`.
    pub fn plan(&self, policy: Policy) -> Plan {
        Plan::new("s")
            .watch(self.target.monitor(watch("a", policy)))
            .notify("c", self.recorder.clone())
    }

    pub fn engine(&self, plan: Plan) -> Engine {
        Engine::new(plan, self.store.clone()).clock(self.clock.clone())
    }

    /// Starts a daemon.
    pub fn start(&self, plan: Plan) -> Running {
        Running::start(self.engine(plan))
    }
}

/// A daemon that runs.
pub struct Running {
    pub handle: Handle,
    task: JoinHandle<Result<PassReport, EngineError>>,
}

impl Running {
    pub fn start(engine: Engine) -> Self {
        Self {
            handle: engine.handle(),
            task: tokio::spawn(engine.run()),
        }
    }

    pub async fn reload(&self, plan: Plan) {
        self.handle.reload(plan).await.unwrap();
    }

    /// Shuts the daemon down.
    pub async fn stop(self) -> PassReport {
        self.handle.shutdown().await;
        self.task.await.unwrap().unwrap()
    }

    /// Kills the daemon.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Runs a daemon for some time and shuts it down.
pub async fn run_for(engine: Engine, time: Duration) -> PassReport {
    let running = Running::start(engine);
    tokio::time::sleep(time).await;
    running.stop().await
}

pub async fn sleep(seconds: u64) {
    tokio::time::sleep(secs(seconds)).await;
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

/// A policy of one check every `seconds`; the first failure is an outage.
pub fn every(seconds: u64) -> Policy {
    Policy {
        check_every: secs(seconds),
        max_retries: NonZeroU32::MIN,
        ..Policy::default()
    }
}

/// The moment `secs` seconds before the start, as written in a state.
pub fn before_start(secs: i64) -> Option<Timestamp> {
    let start: Timestamp = START.parse().unwrap();
    Some(start - SignedDuration::from_secs(secs))
}
