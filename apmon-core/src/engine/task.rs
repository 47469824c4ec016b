//! The tasks that an engine starts: checks, deliveries, heartbeats, commits. Each has a panic
//! barrier and a deadline of its own.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;

use super::{batch::Batch, runtime::MonitorRef};
use crate::{
    mask::Mask,
    memory::Memory,
    monitor::{Monitor, Observation},
    notification::{DeliveryError, Heartbeat, HeartbeatSender, Notification, Notifier},
    outcome::{Failure, FailureClass, Outcome},
    probe::{Check, Step},
    read::RECENT_RESULTS,
    store::{RecentByMonitor, StateStore, StoreError},
    time::{Clock, Mono, Now},
};

/// A task that ignores its own deadline is cut off after this extra time.
pub(super) const GRACE: Duration = Duration::from_millis(250);

/// The result of a task.
pub(super) enum TaskResult {
    Check(Box<CompletedCheck>),
    Delivery {
        channel: String,
        key: String,
        result: Result<(), DeliveryError>,
    },
    Heartbeat {
        source: HeartbeatSource,
        sent: Now,
        result: Result<(), DeliveryError>,
    },
    Commit {
        batch: Box<Batch>,
        result: Result<(), StoreError>,
    },
    /// The last results that the store held at the start.
    Recent(Result<RecentByMonitor, StoreError>),
}

/// A check that ended.
pub(super) struct CompletedCheck {
    pub(super) monitor: MonitorRef,
    pub(super) check: Check,
    /// What it found; `None` until it has ended.
    pub(super) observation: Option<Observation>,
    /// What the check did, if it did not end as up.
    pub(super) failed_steps: Option<Arc<[Step]>>,
    pub(super) ended: Now,
    /// Whether it was a signal from outside that caused the observation.
    pub(super) is_signal: bool,
}

/// The source of a heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HeartbeatSource {
    /// A monitor.
    Monitor(MonitorRef),
    /// The engine itself, with the heartbeat of this generation.
    Engine(u64),
}

/// A check to run.
pub(super) struct CheckTask {
    pub(super) reference: MonitorRef,
    pub(super) monitor: Arc<dyn Monitor>,
    pub(super) memory: Memory,
    pub(super) due: Mono,
}

impl CheckTask {
    pub(super) async fn run(self, clock: Arc<dyn Clock>) -> TaskResult {
        let timeout = self.monitor.watch().policy.max_try;
        let started = clock.now();
        // One allocation from the start of a check to its end: ten thousand may run at once.
        let mut completed = Box::new(CompletedCheck {
            monitor: self.reference,
            check: Check::new(self.due, started, timeout)
                .with_memory(self.memory)
                .with_mask(self.monitor.watch().mask.clone())
                .with_last_steps(),
            observation: None,
            failed_steps: None,
            ended: started,
            is_signal: false,
        });
        let CompletedCheck {
            check, observation, ..
        } = &mut *completed;
        observe(self.monitor.as_ref(), check, observation).await;
        let failed = observation.as_ref().and_then(|it| it.outcome.failure());
        completed.failed_steps = failed.and_then(|_| check.last_steps()).map(Arc::from);
        completed.ended = clock.now();
        TaskResult::Check(completed)
    }
}

/// Runs one check behind a panic barrier and with a deadline that it cannot ignore. A panic
/// becomes `Unknown`, with the panic's message as the reason.
pub async fn run_check(monitor: &dyn Monitor, check: &Check) -> Observation {
    let mut observation = None;
    observe(monitor, check, &mut observation).await;
    observation.unwrap_or_else(|| Outcome::failed(check.timed_out("check")).into())
}

/// Like [`run_check`]. The observation is left in place, where each of the wrappers around the
/// check would move it once more.
async fn observe(monitor: &dyn Monitor, check: &Check, observation: &mut Option<Observation>) {
    observe_unmasked(monitor, check, observation).await;
    if let Some(observation) = observation {
        observation.hide(&monitor.watch().mask);
    }
}

async fn observe_unmasked(monitor: &dyn Monitor, check: &Check, observation: &mut Option<Observation>) {
    let running = AssertUnwindSafe(async { *observation = Some(monitor.check(check).await) }).catch_unwind();
    let ended = tokio::time::timeout_at(check.deadline() + GRACE, running).await;
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => {
            let reason = format!("the check panicked: {}", panic_text(&*panic));
            *observation = Some(Outcome::failed(Failure::new(FailureClass::Panic, reason)).into());
        }
        Err(_) => *observation = Some(Outcome::failed(check.timed_out("check")).into()),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// An attempt to deliver a notification.
pub(super) struct DeliveryTask {
    pub(super) channel: String,
    pub(super) key: String,
    pub(super) notifier: Arc<dyn Notifier>,
    pub(super) notification: Notification,
    pub(super) timeout: Duration,
}

impl DeliveryTask {
    pub(super) async fn run(self) -> TaskResult {
        let attempt = AssertUnwindSafe(async { self.notifier.deliver(&self.notification, &self.key).await })
            .catch_unwind();
        let result = attempt_result(tokio::time::timeout(self.timeout + GRACE, attempt).await);
        TaskResult::Delivery {
            channel: self.channel,
            key: self.key,
            result,
        }
    }
}

/// A heartbeat to send.
pub(super) struct HeartbeatTask {
    pub(super) source: HeartbeatSource,
    pub(super) heartbeat: Heartbeat,
    pub(super) sender: Arc<dyn HeartbeatSender>,
    pub(super) timeout: Duration,
    pub(super) now: Now,
}

impl HeartbeatTask {
    pub(super) async fn run(self) -> TaskResult {
        let attempt =
            AssertUnwindSafe(async { self.sender.send(&self.heartbeat, self.timeout).await }).catch_unwind();
        let result = attempt_result(tokio::time::timeout(self.timeout + GRACE, attempt).await);
        let result = result.map_err(|error| {
            let mut mask = Mask::default();
            mask.add_url(self.heartbeat.url.reveal());
            mask.hide_error(error)
        });
        TaskResult::Heartbeat {
            source: self.source,
            sent: self.now,
            result,
        }
    }
}

/// The result of an attempt behind its panic barrier and timeout.
fn attempt_result<P>(
    result: Result<Result<Result<(), DeliveryError>, P>, tokio::time::error::Elapsed>,
) -> Result<(), DeliveryError> {
    match result {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(DeliveryError::retryable("the channel panicked (this is a bug)")),
        Err(_) => Err(DeliveryError::retryable("no answer in time")),
    }
}

/// Reads the last results of a previous run.
pub(super) async fn recent(store: Arc<dyn StateStore>) -> TaskResult {
    let results = AssertUnwindSafe(async { store.recent_results(RECENT_RESULTS).await }).catch_unwind();
    TaskResult::Recent(results.await.unwrap_or(Err(StoreError::Stopped)))
}

/// Passes a batch to the store. After a panic nobody knows what the store has done.
pub(super) async fn commit(store: Arc<dyn StateStore>, batch: Batch) -> TaskResult {
    let commit = AssertUnwindSafe(async { store.commit(&batch.commit).await }).catch_unwind();
    let result = commit.await.unwrap_or_else(|panic| {
        Err(StoreError::Unknown {
            reason: format!("the store panicked: {}", panic_text(&*panic)),
        })
    });
    TaskResult::Commit {
        batch: Box::new(batch),
        result,
    }
}
