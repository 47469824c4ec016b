//! The engine: runs checks when they are due, decides by the rules, commits, and then sends
//! notifications.
//!
//! One [`Engine`] runs one site. [`Engine::run`] is the daemon, [`Engine::pass`] a single pass
//! for cron; both use the same engine.

mod agenda;
mod delivery;
mod dispatcher;
mod event;
mod heartbeats;
mod lateness;
mod monitors;
mod outbox;
mod persistence;
mod plan;
mod runtime;
mod self_monitor;
mod stats;
mod status;
mod task;

use std::{sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use tokio::sync::{mpsc, oneshot};

use self::{dispatcher::Dispatcher, status::StatusSnapshot};
pub use self::{
    event::{Event, EventSink},
    lateness::Lateness,
    plan::{Channel, Plan},
    status::{
        ChannelStatus, ChecksStatus, Condition, DeliveryCounts, MessageStatus, MonitorStatus, OutboxStatus,
        SiteStatus,
    },
    task::run_check,
};
pub use crate::rule::route::Fallback;
use crate::{
    store::{StateStore, StoreError},
    time::{Clock, SystemClock},
};

/// The surroundings of an engine: everything it needs besides its plan.
#[derive(Clone)]
struct Shared {
    store: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
    zone: TimeZone,
    events: Arc<EventSink>,
}

/// The engine of one site.
pub struct Engine {
    shared: Shared,
    plan: Plan,
    commands: mpsc::Receiver<Command>,
    handle: Handle,
}

/// Sends requests to a running engine. Cheap to clone.
#[derive(Clone)]
pub struct Handle(mpsc::Sender<Command>);

enum Command {
    Reload(Plan, oneshot::Sender<()>),
    Ping(oneshot::Sender<()>),
    Status(oneshot::Sender<StatusSnapshot>),
    Retry(Option<String>, oneshot::Sender<Result<usize, EngineError>>),
    Shutdown,
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
    /// The engine has ended.
    #[error("the engine has ended")]
    Ended,
    /// No channel of the plan has this id.
    #[error("no such channel: {channel}; there {}", listed(.known))]
    UnknownChannel {
        /// The requested channel.
        channel: String,
        /// The channels of the plan.
        known: Vec<String>,
    },
    /// The plan sends no notifications ([`Plan::no_notify`]).
    #[error("notifications are off in this run")]
    NotifyOff,
}

fn listed(ids: &[String]) -> String {
    match ids {
        [] => "are none".to_owned(),
        [only] => format!("is {only}"),
        ids => format!("are {}", ids.join(", ")),
    }
}

/// The result of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PassReport {
    /// The number of monitors.
    pub watched: usize,
    /// Finished checks.
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
        Self {
            shared: Shared {
                store,
                clock: Arc::new(SystemClock::new()),
                zone: TimeZone::system(),
                events: Arc::new(|_| {}),
            },
            plan,
            commands,
            handle: Handle(sender),
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

    /// A handle for requests to this engine while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until [`Handle::shutdown`].
    ///
    /// # Errors
    /// If the engine cannot start. Once running, it carries on through every failure.
    pub async fn run(self) -> Result<PassReport, EngineError> {
        self.start(false).await
    }

    /// Runs every check that is due, including retries, and then tries to deliver the
    /// notifications in the outbox.
    ///
    /// # Errors
    /// If the engine cannot start.
    pub async fn pass(self) -> Result<PassReport, EngineError> {
        self.start(true).await
    }

    async fn start(self, is_pass: bool) -> Result<PassReport, EngineError> {
        self.plan.check_names()?;
        let snapshot = self.shared.store.load().await?;
        for warning in &snapshot.warnings {
            tracing::error!("{warning}");
        }
        let dispatcher = Dispatcher::new(self.shared, self.plan, snapshot, is_pass);
        Ok(dispatcher.run(self.commands).await)
    }
}

impl Handle {
    /// Replaces the plan. Unchanged monitors (same checksum) keep their phase and state,
    /// changed ones are checked at once.
    ///
    /// # Errors
    /// If the plan has two monitors of the same name, or the engine has ended.
    pub async fn reload(&self, plan: Plan) -> Result<(), EngineError> {
        plan.check_names()?;
        self.ask(|reply| Command::Reload(plan, reply)).await
    }

    /// Waits for an answer, which shows that the engine is alive.
    ///
    /// # Errors
    /// If the engine has ended.
    pub async fn ping(&self) -> Result<(), EngineError> {
        self.ask(Command::Ping).await
    }

    /// The current status. The engine hands over its data at once; converting it to text is
    /// left to the caller (some milliseconds for 10,000 monitors).
    ///
    /// # Errors
    /// If the engine has ended.
    pub async fn status(&self) -> Result<SiteStatus, EngineError> {
        Ok(self.ask(Command::Status).await?.into_status())
    }

    /// Retries all notifications that wait for a channel, or for any channel, now: those that
    /// were refused, and those that wait for a pause to end. Returns their number.
    ///
    /// # Errors
    /// If there is no such channel, notifications are off, or the engine has ended.
    pub async fn retry(&self, channel: Option<String>) -> Result<usize, EngineError> {
        self.ask(|reply| Command::Retry(channel, reply)).await?
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.0
            .send(command(reply))
            .await
            .map_err(|_| EngineError::Ended)?;
        answer.await.map_err(|_| EngineError::Ended)
    }

    /// Ends the engine within about a second, with all state committed.
    pub async fn shutdown(&self) {
        let _ = self.0.send(Command::Shutdown).await;
    }
}
