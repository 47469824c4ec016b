//! Notifications that wait for the checks of other monitors.

#![allow(clippy::unwrap_used)] // what fails here is a test

use std::{sync::Arc, time::Duration};

use apmon_core::{
    Check, Engine, FailureClass, Monitor, Observation, Outcome, Plan, SystemClock, Watch,
    testing::{MemoryStore, Recorder, START, secs},
};
use async_trait::async_trait;

fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock::starting_at(START))
}

fn watch(name: &str) -> Watch {
    let mut watch = Watch::new(name, "test", "nowhere");
    watch.policy.check_every = secs(3600);
    watch.policy.max_retries = std::num::NonZeroU32::MIN;
    watch.checksum = "1".into();
    watch
}

/// A switch that is found down when it is checked, after a while.
struct Switch {
    watch: Watch,
    takes: Duration,
}

#[async_trait]
impl Monitor for Switch {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    async fn check(&self, _: &Check) -> Observation {
        tokio::time::sleep(self.takes).await;
        Outcome::fail(FailureClass::TimedOut, "no answer").into()
    }
}

/// A door that is locked.
struct Door(Watch);

#[async_trait]
impl Monitor for Door {
    fn watch(&self) -> &Watch {
        &self.0
    }

    async fn check(&self, _: &Check) -> Observation {
        Outcome::fail(FailureClass::Content, "locked").into()
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_announced_after_the_checks_that_it_waits_for() {
    // It waits for the end of the check, or no longer than the switch's max_try.
    for (takes, announced) in [(2, 3), (3_000, 9)] {
        let mut switch = Switch {
            watch: watch("switch"),
            takes: secs(takes),
        };
        switch.watch.policy.max_try = secs(8);
        let phone = Recorder::new();
        let plan = Plan::new("HomeLab").notify("phone", Arc::clone(&phone) as _);
        let engine = Engine::new(plan, MemoryStore::new()).clock(clock());
        let handle = engine.handle();
        tokio::spawn(engine.run());
        handle.add_monitor(Arc::new(switch)).await.unwrap();
        tokio::time::sleep(secs(30)).await;
        phone.take();
        let mut door = Door(watch("door"));
        door.0.policy.check_before_notify = vec!["switch".into(), "not there".into()];
        handle.add_monitor(Arc::new(door)).await.unwrap();
        tokio::time::sleep(secs(announced - 1)).await;
        assert!(phone.labels().is_empty(), "held while the switch is checked");
        assert_eq!(handle.status().await.unwrap().outbox.waiting, 1);
        tokio::time::sleep(secs(2)).await;
        assert_eq!(phone.labels(), ["NEW OUTAGE"]);
    }
}
