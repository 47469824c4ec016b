//! The engine: runs checks when they are due, decides by the rules, commits, and then sends
//! notifications.
//!
//! One [`Engine`] runs one site. [`Engine::run`] is the daemon, [`Engine::pass`] a single pass
//! for cron; both use the same engine.

mod agenda;
mod alarm;
mod batch;
mod delivery;
mod dispatcher;
mod event;
mod handle;
mod heartbeats;
mod lateness;
mod monitor_heartbeat;
mod monitors;
mod outbox;
mod persistence;
mod plan;
mod recent;
mod retired;
mod runtime;
mod self_monitor;
mod sites;
mod stats;
mod status;
mod task;
mod update;

use std::{sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use self::{dispatcher::Dispatcher, handle::Command, update::Publisher};
pub use self::{
    event::{CheckRecord, Event, EventSink, MetricSink},
    handle::Handle,
    lateness::Lateness,
    plan::{Channel, Plan},
    recent::RecentChecks,
    sites::{SiteRun, Sites},
    status::{
        ChannelStatus, ChecksStatus, DeliveryCounts, MonitorStatus, NotificationStatus, OutboxStatus,
        SiteStatus,
    },
    task::run_check,
    update::{Received, Update, Updates},
};
pub use crate::rule::{condition::Condition, route::Fallback};
use crate::{
    store::{StateStore, StoreError},
    time::{Clock, SystemClock, local_zone},
};

/// How long a metric sink may take at the end of a run.
const METRICS_GRACE: Duration = Duration::from_secs(1);

/// The surroundings of an engine: everything it needs besides its plan.
#[derive(Clone)]
struct Shared {
    store: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
    zone: TimeZone,
    events: Arc<EventSink>,
    metrics: Option<Arc<dyn MetricSink>>,
    publisher: Publisher,
}

/// The engine of one site.
pub struct Engine {
    shared: Shared,
    plan: Plan,
    commands: mpsc::Receiver<Command>,
    handle: Handle,
}

/// The reason why an engine cannot run or cannot do what was requested.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Two monitors of the plan have the same name.
    #[error("two monitors are named {0:?}; give each its own name")]
    DuplicateName(String),
    /// The store cannot be read.
    #[error("state cannot be loaded")]
    Store(#[from] StoreError),
    /// The store cannot be written.
    #[error("state cannot be stored")]
    NotStored(#[source] StoreError),
    /// Another owner has taken over the state: this engine sends nothing any more.
    #[error("another process has taken over this site")]
    TakenOver(#[source] StoreError),
    /// The engine has ended.
    #[error("the engine has ended")]
    Ended,
    /// No channel of the plan has this id.
    #[error("no such channel: {channel}; {}", listed(.known))]
    UnknownChannel {
        /// The requested channel.
        channel: String,
        /// The channels of the plan.
        known: Vec<String>,
    },
    /// No monitor of the plan has this name.
    #[error("no such monitor: {0}")]
    UnknownMonitor(String),
    /// This monitor does not accept signals.
    #[error("monitor {0} does not accept signals")]
    NoSignals(String),
    /// The plan sends no notifications ([`Plan::no_notify`]).
    #[error("notifications are off in this run")]
    NotifyOff,
}

fn listed(ids: &[String]) -> String {
    match ids {
        [] => "the site has no channels".to_owned(),
        ids => format!("known channels: {}", ids.join(", ")),
    }
}

/// The result of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PassReport {
    /// The number of monitors, without their parts.
    pub watched: usize,
    /// Finished checks. Here and below, the results of parts are not counted.
    pub checks: usize,
    /// Finished checks with the verdict up.
    pub up: usize,
    /// Finished checks after which the monitor was down (hard state).
    pub down: usize,
    /// Finished checks with the verdict unknown.
    pub unknown: usize,
    /// Undelivered notifications on disk, for the next run.
    pub undelivered: usize,
    /// Notifications that were neither delivered nor saved.
    pub lost: usize,
    /// Whether all state is on disk.
    pub saved: bool,
    /// Monitors that were due at the start of a pass and whose retries it left to the next one.
    pub unsettled: usize,
    /// Regular checks that were skipped because the one before was still running.
    pub missed: u64,
    /// How late checks started.
    pub lateness: Lateness,
    /// How long the run took.
    pub took: Duration,
}

impl Engine {
    /// Creates an engine for `plan` that stores its state in `store`.
    #[must_use]
    pub fn new(plan: Plan, store: Arc<dyn StateStore>) -> Self {
        let (sender, commands) = mpsc::channel(16);
        let publisher = Publisher::default();
        Self {
            shared: Shared {
                store,
                clock: Arc::new(SystemClock::new()),
                zone: local_zone(),
                events: Arc::new(|_| {}),
                metrics: None,
                publisher: publisher.clone(),
            },
            handle: Handle::new(sender, publisher, plan.clone()),
            plan,
            commands,
        }
    }

    /// Reads the time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.shared.clock = clock;
        self
    }

    /// Displays times in `zone`; by default in the system's time zone.
    #[must_use]
    pub fn zone(mut self, zone: TimeZone) -> Self {
        self.shared.zone = zone;
        self
    }

    /// Reports events to `events`, which must not block.
    #[must_use]
    pub fn on_event(mut self, events: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.shared.events = Arc::new(events);
        self
    }

    /// Passes every finished check to `metrics`.
    #[must_use]
    pub fn metrics(mut self, metrics: Arc<dyn MetricSink>) -> Self {
        self.shared.metrics = Some(metrics);
        self
    }

    /// A handle for requests to this engine.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until [`Handle::shutdown`].
    ///
    /// # Errors
    /// If the engine cannot start, or if another owner takes over its state. It carries on
    /// through every other failure.
    pub async fn run(self) -> Result<PassReport, EngineError> {
        self.start(false).await
    }

    /// Runs until every monitor that is due at the start is up or down for certain (hard state),
    /// and its notifications have been sent or at least attempted. Meanwhile it does what falls
    /// due, as [`run`](Self::run) does: checks, heartbeats, reminders, another attempt to deliver. It takes no longer than
    /// [`Plan::longest_pass`].
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn pass(self) -> Result<PassReport, EngineError> {
        self.start(true).await
    }

    async fn start(self, is_pass: bool) -> Result<PassReport, EngineError> {
        self.plan.check_names()?;
        let snapshot = match self.shared.store.load().await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                self.handle.has_started(); // and has ended
                return Err(error.into());
            }
        };
        for warning in &snapshot.warnings {
            tracing::error!("{warning}");
        }
        let metrics = self.shared.metrics.clone();
        let dispatcher = Dispatcher::new(self.shared, self.plan, snapshot, is_pass);
        self.handle.has_started();
        let report = dispatcher.run(self.commands).await;
        if let Some(metrics) = metrics {
            let deadline = tokio::time::Instant::now() + METRICS_GRACE;
            let _ = tokio::time::timeout_at(deadline, metrics.finish(deadline)).await;
        }
        report
    }
}
