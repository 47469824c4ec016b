//! The engine inside another program: its own probe, notifier and store.
use apmon_core::{
    Commit, DeliveryError, Engine, FailureClass, Look, Notification, Notifier, Outcome, Plan, Policy, Probe,
    ProbeMonitor, Snapshot, StateStore, StoreError, Watch,
};
use async_trait::async_trait;
use std::{sync::Arc, sync::Mutex, time::Duration};

/// Is the spool directory empty enough?
struct Spool(Mutex<u32>);

#[async_trait]
impl Probe for Spool {
    async fn probe(&self, _: &Look) -> Outcome {
        let mut looks = self.0.lock().expect("nobody panics while counting");
        *looks += 1;
        match *looks {
            2..=4 => Outcome::fail(FailureClass::Content, format!("{} files waiting", *looks * 100)),
            _ => Outcome::up(Duration::from_millis(1)),
        }
    }
}

struct Pager;

#[async_trait]
impl Notifier for Pager {
    async fn deliver(&self, message: &Notification, key: &str) -> Result<(), DeliveryError> {
        println!(
            "{} {}: {}",
            &key[key.len() - 7..],
            message.kind.label(),
            message.text
        );
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
    watch.policy = Policy {
        check_every: Duration::from_millis(200),
        ..Policy::default()
    };
    let monitor = ProbeMonitor::new(watch, Arc::new(Spool(Mutex::new(0))));
    let plan = Plan::new("Office")
        .watch(Arc::new(monitor))
        .tell("pager", Arc::new(Pager));
    let engine = Engine::new(plan, Arc::new(Forgetful));
    let handle = engine.handle();
    let (report, ()) = tokio::join!(engine.run(), async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        handle.shutdown().await;
    });
    println!("{:?}", report?);
    Ok(())
}
