//! An engine sends the same notifications with a store on disk as with one in
//! memory, whatever happens: observations, answers of receivers, crashes and
//! restarts.
//!
//! That no notification is lost is shown by the model test of `apmon-core`, with
//! a store in memory. Time is virtual, and commits take none of it.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{num::NonZeroU32, sync::Arc, thread, time::Duration};

use apmon_core::{
    Check, Commit, Engine, Monitor, Notice, Observation, Plan, Policy, Probe as _, Snapshot, StateStore,
    StoreError, Watch,
    testing::{Answer, Daemon, MemoryStore, Recorder, Response, Target, TestClock, secs, watch},
};
use apmon_store::{JsonStore, SqliteStore};
use async_trait::async_trait;
use jiff::tz::TimeZone;
use proptest::prelude::*;

/// One event of a random run.
#[derive(Clone, Debug)]
enum Step {
    Target(usize, Response),
    Receiver(usize, Answer),
    Wait(Duration),
    /// The process is killed and started again.
    Crash,
    /// The process is shut down and started again.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let response = prop_oneof![
        2 => Just(Response::Up),
        2 => Just(Response::down("connection refused")),
        1 => Just(Response::unknown("no route")),
    ];
    let answer = prop_oneof![
        3 => Just(Answer::Accepts),
        1 => Just(Answer::Refuses),
        1 => Just(Answer::Unavailable),
        1 => Just(Answer::Hangs),
        1 => Just(Answer::AcceptsAndFails),
    ];
    let wait = prop_oneof![1..20_000u64, 20_000..2_000_000u64];
    let step = prop_oneof![
        3 => (0..2usize, response).prop_map(|(target, response)| Step::Target(target, response)),
        2 => (0..2usize, answer).prop_map(|(receiver, answer)| Step::Receiver(receiver, answer)),
        4 => wait.prop_map(|millis| Step::Wait(Duration::from_millis(millis))),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..20)
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
        let mut observation = Observation::from(self.target.probe(check).await);
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

/// Everything outside the process.
struct World<'a> {
    open: &'a dyn Fn() -> Arc<dyn StateStore>,
    clock: Arc<TestClock>,
    targets: [Arc<Target>; 2],
    receivers: [Arc<Recorder>; 2],
}

impl World<'_> {
    fn engine(&self) -> Engine {
        let mut plan = Plan::new("HomeLab");
        for (name, target) in ["web", "db"].into_iter().zip(&self.targets) {
            let policy = Policy {
                check_every: secs(300),
                max_retries: NonZeroU32::new(2).unwrap(),
                retry_every: Some(secs(10)),
                notify_every: secs(300),
                ..Policy::default()
            };
            let (watch, target) = (watch(name, policy), Arc::clone(target));
            plan = plan.watch(Arc::new(Counting { watch, target }));
        }
        for (id, receiver) in ["hook", "pager"].into_iter().zip(&self.receivers) {
            plan = plan.notify(id, receiver.clone());
        }
        Engine::new(plan, (self.open)())
            .clock(self.clock.clone())
            .zone(TimeZone::UTC)
    }
}

/// The deliveries received: when, with which key, with which text.
type Received = Vec<(Duration, String, String)>;

/// What two receivers receive about two monitors during `steps`, and in the hour
/// after them, in which all receivers accept everything.
fn received(open: &dyn Fn() -> Arc<dyn StateStore>, steps: &[Step]) -> [Received; 2] {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World {
            open,
            clock: TestClock::new(),
            targets: [Target::new(), Target::new()],
            receivers: [Recorder::new(), Recorder::new()],
        };
        let mut daemon = Daemon::start(world.engine());
        for step in steps {
            match step {
                Step::Target(at, response) => world.targets[*at].set(response.clone()),
                Step::Receiver(at, answer) => world.receivers[*at].set(answer.clone()),
                Step::Wait(wait) => tokio::time::sleep(*wait).await,
                Step::Crash => {
                    daemon.kill().await;
                    daemon = Daemon::start(world.engine());
                }
                Step::Restart => {
                    daemon.stop().await;
                    daemon = Daemon::start(world.engine());
                }
            }
        }
        for receiver in &world.receivers {
            receiver.set(Answer::Accepts);
        }
        tokio::time::sleep(secs(3600)).await;
        daemon.stop().await;
        let delivered = |receiver: &Recorder| {
            let received = receiver.received().into_iter();
            received.map(|it| (it.at, it.key, it.notification.text)).collect()
        };
        world.receivers.map(|receiver| delivered(&receiver))
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
        let memory = MemoryStore::new();
        let expected = received(&|| memory.clone(), &steps);
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
