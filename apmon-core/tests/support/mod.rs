//! Sites for the tests of the engine, made from the test kit.
#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used)] // what fails here is a test

pub mod fallback;

use std::{sync::Arc, time::Duration};

use apmon_core::{
    Engine, PassReport, Plan, Policy,
    testing::{Daemon, HeartbeatRecorder, MemoryStore, Recorder, START, Target, TestClock, secs, watch},
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// A site with one target and one channel: all that outlives a process.
pub struct Site {
    pub clock: Arc<TestClock>,
    pub target: Arc<Target>,
    pub store: Arc<MemoryStore>,
    pub recorder: Arc<Recorder>,
    pub heartbeats: Arc<HeartbeatRecorder>,
}

impl Site {
    /// A site whose target is up.
    pub fn new() -> Self {
        Self::with_store(MemoryStore::new())
    }

    /// A site whose target is down.
    pub fn down() -> Self {
        Self {
            target: Target::down("no"),
            ..Self::new()
        }
    }

    pub fn with_store(store: Arc<MemoryStore>) -> Self {
        Self {
            clock: TestClock::new(),
            target: Target::new(),
            store,
            recorder: Recorder::new(),
            heartbeats: HeartbeatRecorder::new(),
        }
    }

    /// A plan with the target as monitor `a` and the recorder as channel `c`.
    pub fn plan(&self, policy: Policy) -> Plan {
        Plan::new("s")
            .watch(self.target.monitor(watch("a", policy)))
            .notify("c", self.recorder.clone())
    }

    pub fn engine(&self, plan: Plan) -> Engine {
        Engine::new(plan, self.store.clone())
            .clock(self.clock.clone())
            .zone(TimeZone::UTC)
    }

    /// Starts a daemon.
    pub fn start(&self, plan: Plan) -> Daemon {
        Daemon::start(self.engine(plan))
    }
}

/// Runs a daemon for some time and shuts it down.
pub async fn run_for(engine: Engine, time: Duration) -> PassReport {
    let daemon = Daemon::start(engine);
    tokio::time::sleep(time).await;
    daemon.stop().await
}

pub async fn sleep(seconds: u64) {
    tokio::time::sleep(secs(seconds)).await;
}

/// The moment `secs` seconds before the start, as written in a state.
pub fn before_start(secs: i64) -> Option<Timestamp> {
    Some(START - SignedDuration::from_secs(secs))
}
