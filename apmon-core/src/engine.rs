//! The engine: looks when due, decides by the rules, commits, then tells.
//!
//! One [`Engine`] runs one site. [`Engine::run`] is the daemon, [`Engine::pass`]
//! one pass for cron; both are the same engine.

mod agenda;
mod dispatcher;
mod event;
mod lateness;
mod outbox;
mod pending;
mod plan;
mod runtime;
mod self_monitor;
mod stats;
mod status;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use tokio::sync::{mpsc, oneshot};

use self::{dispatcher::Dispatcher, status::StatusSnapshot};
pub use self::{
    dispatcher::run_check,
    event::{Event, EventSink},
    lateness::Lateness,
    plan::{Channel, Fallback, Plan},
    status::{
        ChannelStatus, ChecksStatus, Condition, DeliveryCounts, MessageStatus, MonitorStatus, OutboxStatus,
        SiteStatus,
    },
};
use crate::{
    notification::HeartbeatSender,
    store::{StateStore, StoreError},
    time::{Clock, SystemClock},
};

/// What an engine needs beside its plan.
#[derive(Clone)]
struct Shared {
    store: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
    zone: TimeZone,
    heartbeats: Option<Arc<dyn HeartbeatSender>>,
    events: Arc<EventSink>,
}

/// Runs one site.
pub struct Engine {
    shared: Shared,
    plan: Plan,
    commands: mpsc::Receiver<Command>,
    handle: Handle,
}

/// Speaks to a running engine. Cheap to clone.
#[derive(Clone)]
pub struct Handle(mpsc::Sender<Command>);

enum Command {
    Reload(Plan, oneshot::Sender<()>),
    Ping(oneshot::Sender<()>),
    Status(oneshot::Sender<StatusSnapshot>),
    Retry(Option<String>, oneshot::Sender<Result<usize, EngineError>>),
    Shutdown,
}

/// Why an engine cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Two monitors of a plan have the same name.
    #[error("two monitors are called {0:?}")]
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
        /// What was asked for.
        channel: String,
        /// The channels there are.
        known: Vec<String>,
    },
    /// The plan tells nobody ([`Plan::no_notify`]).
    #[error("this run tells nobody (--no-notify)")]
    NotifyOff,
}

fn listed(ids: &[String]) -> String {
    match ids {
        [] => "are none".to_owned(),
        [only] => format!("is {only}"),
        ids => format!("are {}", ids.join(", ")),
    }
}

/// What a run did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PassReport {
    /// Monitors of the plan.
    pub watched: usize,
    /// Looks that ended.
    pub checks: usize,
    /// Of these, up.
    pub up: usize,
    /// Of these, down, hard.
    pub down: usize,
    /// Of these, unknown.
    pub unknown: usize,
    /// Messages on disk that wait for the next run.
    pub undelivered: usize,
    /// Messages that were neither delivered nor could be saved.
    pub lost: usize,
    /// Whether all state is on disk.
    pub saved: bool,
    /// Regular looks that could not be made because the one before them ran on.
    pub missed: u64,
    /// How late looks started.
    pub lateness: Lateness,
    /// How long it took.
    pub took: Duration,
}

impl Engine {
    /// An engine for `plan` that keeps its state in `store`.
    #[must_use]
    pub fn new(plan: Plan, store: Arc<dyn StateStore>) -> Self {
        let (sender, commands) = mpsc::channel(16);
        Self {
            shared: Shared {
                store,
                clock: Arc::new(SystemClock::new()),
                zone: TimeZone::system(),
                heartbeats: None,
                events: Arc::new(|_| {}),
            },
            plan,
            commands,
            handle: Handle(sender),
        }
    }

    /// Sends heartbeats by `sender`; without one none are sent.
    #[must_use]
    pub fn heartbeats(mut self, sender: Arc<dyn HeartbeatSender>) -> Self {
        self.shared.heartbeats = Some(sender);
        self
    }

    /// Reads the time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.shared.clock = clock;
        self
    }

    /// Shows times in `zone`; the system's by default.
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

    /// Speaks to this engine while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until [`Handle::shutdown`].
    ///
    /// # Errors
    /// When it cannot start; once running it goes on whatever fails.
    pub async fn run(self) -> Result<PassReport, EngineError> {
        self.start(false).await
    }

    /// Looks once at everything that is due, retries included, and gives the
    /// outbox its chance.
    ///
    /// # Errors
    /// When it cannot start.
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
    /// Goes on with another plan. Unchanged monitors (same checksum) keep their
    /// phase and state, changed ones are looked at at once.
    ///
    /// # Errors
    /// When the plan has two monitors of one name, or the engine has ended.
    pub async fn reload(&self, plan: Plan) -> Result<(), EngineError> {
        plan.check_names()?;
        self.ask(|reply| Command::Reload(plan, reply)).await
    }

    /// Waits until the engine answers: it is alive.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn ping(&self) -> Result<(), EngineError> {
        self.ask(Command::Ping).await
    }

    /// How things are. The engine gives what it has at once; making texts of it
    /// is the caller's work (some milliseconds for 10,000 monitors).
    ///
    /// # Errors
    /// When it has ended.
    pub async fn status(&self) -> Result<SiteStatus, EngineError> {
        Ok(self.ask(Command::Status).await?.into_status())
    }

    /// Tries all messages that wait for a channel, or for any, again now: those
    /// it refused, and those that wait out a pause. Returns how many.
    ///
    /// # Errors
    /// When there is no such channel, the plan tells nobody, or the engine has ended.
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

    /// Ends the engine: within about a second, with all state committed.
    pub async fn shutdown(&self) {
        let _ = self.0.send(Command::Shutdown).await;
    }
}
