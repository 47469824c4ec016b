//! An engine sends the same notifications with a store on disk as with one in
//! memory, whatever happens: observations, answers of receivers, crashes and
//! restarts.
//!
//! That no notification is lost is shown by the model test of `apmon-core`, with
//! a store in memory. Time is virtual, and commits take none of it.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use apmon_core::{
    Check, Clock, Commit, DeliveryError, Engine, FailureClass, Monitor, Notice, Notification, Notifier,
    Observation, Outcome, Plan, Policy, Snapshot, StateStore, StoreError, SystemClock, Watch,
};
use apmon_store::{JsonStore, SqliteStore};
use async_trait::async_trait;
use jiff::tz::TimeZone;
use proptest::prelude::*;

/// One event of a random run.
#[derive(Clone, Debug)]
enum Step {
    Target(usize, Condition),
    Receiver(usize, Answer),
    Wait(Duration),
    /// The process is killed and started again.
    Crash,
    /// The process is shut down and started again.
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum Condition {
    Up,
    Down,
    Unknown,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Accepts,
    Refuses,
    Busy,
    Hangs,
    /// Accepts the notification, and the answer is lost.
    Lost,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use {Answer::*, Condition::*};
    let condition = prop_oneof![2 => Just(Up), 2 => Just(Down), 1 => Just(Unknown)];
    let answer = prop_oneof![
        3 => Just(Accepts),
        1 => Just(Refuses),
        1 => Just(Busy),
        1 => Just(Hangs),
        1 => Just(Lost),
    ];
    let wait = prop_oneof![1..20_000u64, 20_000..2_000_000u64];
    let step = prop_oneof![
        3 => (0..2usize, condition).prop_map(|(target, condition)| Step::Target(target, condition)),
        2 => (0..2usize, answer).prop_map(|(receiver, answer)| Step::Receiver(receiver, answer)),
        4 => wait.prop_map(|millis| Step::Wait(Duration::from_millis(millis))),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..20)
}

struct Target(Mutex<Condition>);

impl Target {
    fn outcome(&self) -> Outcome {
        match *self.0.lock().unwrap() {
            Condition::Up => Outcome::up(Duration::from_millis(5)),
            Condition::Down => Outcome::fail(FailureClass::Refused, "connection refused"),
            Condition::Unknown => Outcome::fail(FailureClass::NoRoute, "no route"),
        }
    }
}

/// A monitor that counts its checks in its memory and reports every third one.
struct Counting {
    watch: Watch,
    target: Arc<Target>,
}

#[async_trait]
impl Monitor for Counting {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    async fn check(&self, check: &Check) -> Observation {
        let mut memory = check.memory.clone();
        let checks = memory.kept.get("checks").map_or(0, |text| text.parse().unwrap()) + 1;
        memory.kept.insert("checks".into(), checks.to_string().into());
        memory.counts = Some(format!("[{checks}]").into());
        let mut observation = Observation::from(self.target.outcome());
        if checks % 3 == 0 {
            observation.notices.push(Notice {
                label: "CHECK".into(),
                text: format!("check {checks}"),
            });
        }
        observation.memory = Some(memory);
        observation
    }
}

/// The deliveries received: when, with which key, with which text.
type Received = Arc<Mutex<Vec<(i64, String, String)>>>;

struct Receiver {
    clock: Arc<SystemClock>,
    answer: Mutex<Answer>,
    received: Received,
}

#[async_trait]
impl Notifier for Receiver {
    async fn deliver(&self, notification: &Notification, key: &str) -> Result<(), DeliveryError> {
        let answer = *self.answer.lock().unwrap();
        if matches!(answer, Answer::Accepts | Answer::Lost) {
            let at = self.clock.now().mono.nanos();
            let delivery = (at, key.to_owned(), notification.text.clone());
            self.received.lock().unwrap().push(delivery);
        }
        match answer {
            Answer::Accepts => Ok(()),
            Answer::Refuses => Err(DeliveryError::permanent("400")),
            Answer::Busy | Answer::Lost => Err(DeliveryError::retryable("503")),
            Answer::Hangs => std::future::pending().await,
        }
    }
}

/// A store on disk whose steps end before virtual time goes on.
struct Immediate(Box<dyn StateStore>);

fn wait_for<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let wait = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(work)
    };
    thread::scope(|scope| scope.spawn(wait).join().unwrap())
}

#[async_trait]
impl StateStore for Immediate {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        wait_for(self.0.load())
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        wait_for(self.0.commit(commit))
    }

    fn keeps_history(&self) -> bool {
        self.0.keeps_history()
    }
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Snapshot>>);

#[async_trait]
impl StateStore for Memory {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        let mut snapshot = self.0.lock().unwrap().clone();
        for state in snapshot.monitors.values_mut() {
            Arc::make_mut(state).mono = Default::default();
        }
        Ok(snapshot)
    }

    async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let mut kept = self.0.lock().unwrap();
        kept.monitors.extend(commit.states.iter().cloned());
        for entry in &commit.outbox {
            match kept.outbox.iter_mut().find(|old| old.key() == entry.key()) {
                Some(old) => *old = entry.clone(),
                None => kept.outbox.push(entry.clone()),
            }
        }
        kept.outbox.retain(|entry| !commit.settled.contains(&entry.key()));
        Ok(())
    }
}

/// Everything outside the process.
struct World<'a> {
    open: &'a dyn Fn() -> Arc<dyn StateStore>,
    clock: Arc<SystemClock>,
    targets: [Arc<Target>; 2],
    receivers: [Arc<Receiver>; 2],
}

impl World<'_> {
    fn engine(&self) -> Engine {
        let mut plan = Plan::new("HomeLab");
        for (name, target) in ["web", "db"].into_iter().zip(&self.targets) {
            let policy = Policy {
                check_every: Duration::from_secs(300),
                max_retries: NonZeroU32::new(2).unwrap(),
                retry_every: Some(Duration::from_secs(10)),
                notify_every: Duration::from_secs(300),
                ..Policy::default()
            };
            let watch = Watch {
                policy,
                checksum: "1".into(),
                ..Watch::new(name, "test", "192.0.2.1")
            };
            let target = Arc::clone(target);
            plan = plan.watch(Arc::new(Counting { watch, target }));
        }
        for (id, receiver) in ["hook", "pager"].into_iter().zip(&self.receivers) {
            plan = plan.notify(id, Arc::clone(receiver) as Arc<dyn Notifier>);
        }
        Engine::new(plan, (self.open)())
            .clock(self.clock.clone())
            .zone(TimeZone::UTC)
    }
}

/// What two receivers receive about two monitors during `steps`, and in the hour
/// after them, in which all receivers accept everything.
fn received(open: &dyn Fn() -> Arc<dyn StateStore>, steps: &[Step]) -> Vec<(i64, String, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let clock = Arc::new(SystemClock::starting_at("2026-02-11T12:00:00Z".parse().unwrap()));
        let received = Received::default();
        let receiver = || Receiver {
            clock: Arc::clone(&clock),
            answer: Mutex::new(Answer::Accepts),
            received: Arc::clone(&received),
        };
        let world = World {
            open,
            clock: Arc::clone(&clock),
            targets: std::array::from_fn(|_| Arc::new(Target(Mutex::new(Condition::Up)))),
            receivers: std::array::from_fn(|_| Arc::new(receiver())),
        };
        let mut engine = world.engine();
        let mut handle = engine.handle();
        let mut running = tokio::spawn(engine.run());
        for step in steps {
            match step {
                Step::Target(at, condition) => *world.targets[*at].0.lock().unwrap() = *condition,
                Step::Receiver(at, answer) => *world.receivers[*at].answer.lock().unwrap() = *answer,
                Step::Wait(wait) => tokio::time::sleep(*wait).await,
                Step::Crash | Step::Restart => {
                    match step {
                        Step::Crash => running.abort(),
                        _ => handle.shutdown().await,
                    }
                    let _ = running.await;
                    engine = world.engine();
                    handle = engine.handle();
                    running = tokio::spawn(engine.run());
                }
            }
        }
        for receiver in &world.receivers {
            *receiver.answer.lock().unwrap() = Answer::Accepts;
        }
        tokio::time::sleep(Duration::from_secs(3600)).await;
        handle.shutdown().await;
        running.await.unwrap().unwrap();
        std::mem::take(&mut *received.lock().unwrap())
    })
}

/// A directory in memory where possible: a disk would be waited for at every
/// check, and durability over a power failure is not tested here.
fn directory() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let place = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    tempfile::tempdir_in(place).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_engine_notifies_the_same_on_disk_as_in_memory(steps in steps()) {
        let directory = directory();
        let memory = Memory::default();
        let expected = received(&|| Arc::new(memory.clone()), &steps);
        let path = directory.path().join("s.statefile.json");
        let json = || JsonStore::open(&path, TimeZone::UTC, None).unwrap();
        let actual = received(&|| Arc::new(Immediate(Box::new(json()))), &steps);
        prop_assert_eq!(&actual, &expected, "in a JSON file");
        // Another name, because a database imports the JSON file beside it.
        let path = directory.path().join("t.statefile.db");
        let sqlite = || SqliteStore::open(&path, TimeZone::UTC, None).unwrap();
        let actual = received(&|| Arc::new(Immediate(Box::new(sqlite()))), &steps);
        prop_assert_eq!(&actual, &expected, "in a database");
    }
}
