//! The engine inside another program: its own probe, notifier and store.
#![allow(clippy::print_stdout)] // it is the output
use apmon_core::{
    Check, Commit, DeliveryError, Engine, FailureClass, Notification, Notifier, Outcome, Plan, Probe,
    ProbeMonitor, Snapshot, StateStore, StoreError, Watch,
};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};

/// Checks whether a print spool is empty enough; here it is full for a second.
struct Spool;

#[async_trait]
impl Probe for Spool {
    async fn probe(&self, check: &Check) -> Outcome {
        match check.started.mono.nanos() {
            500_000_000..1_500_000_000 => Outcome::fail(FailureClass::Content, "400 files waiting"),
            _ => Outcome::up(Duration::from_millis(1)),
        }
    }
}

struct Pager;

#[async_trait]
impl Notifier for Pager {
    async fn deliver(&self, notification: &Notification, _key: &str) -> Result<(), DeliveryError> {
        println!("{}: {}", notification.kind.label(), notification.text);
        Ok(())
    }
}

struct Forgetful;

#[async_trait]
impl StateStore for Forgetful {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::default())
    }
    async fn commit(&self, _: &Commit) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), apmon_core::EngineError> {
    let mut watch = Watch::new("spool", "spool", "/var/spool/print");
    watch.policy.check_every = Duration::from_millis(200);
    let plan = Plan::new("Office")
        .watch(Arc::new(ProbeMonitor::new(watch, Arc::new(Spool))))
        .notify("pager", Arc::new(Pager));
    let engine = Engine::new(plan, Arc::new(Forgetful));
    let handle = engine.handle();
    let (report, ()) = tokio::join!(engine.run(), async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        handle.shutdown().await;
    });
    println!("{:?}", report?);
    Ok(())
}
