//! Requests to an engine, from anywhere in the process.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::{
    EngineError,
    plan::{Channel, Plan},
    recent::{RecentChecks, RecentSnapshot},
    status::{SiteStatus, StatusSnapshot},
    update::{Publisher, Updates},
};
use crate::{
    action::{Action, Actor},
    monitor::{Monitor, Signal},
    time::{Clock as _, SystemClock},
};

/// Sends requests to an engine. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    publisher: Publisher,
    /// The plan until the engine runs.
    before_run: Arc<Mutex<Option<Plan>>>,
}

/// A request.
pub(super) enum Command {
    Reload(Plan, oneshot::Sender<()>),
    Plan(oneshot::Sender<Plan>),
    AddMonitor(Arc<dyn Monitor>, oneshot::Sender<()>),
    RemoveMonitor(String, oneshot::Sender<Result<(), EngineError>>),
    AddChannel(Channel, oneshot::Sender<()>),
    RemoveChannel(String, oneshot::Sender<Result<(), EngineError>>),
    CheckNow(String, oneshot::Sender<Result<(), EngineError>>),
    Report(String, Signal, oneshot::Sender<Result<(), EngineError>>),
    Ping(oneshot::Sender<()>),
    /// With the notifications about one monitor, or about all.
    Status(Option<String>, oneshot::Sender<StatusSnapshot>),
    Recent(oneshot::Sender<Vec<RecentSnapshot>>),
    Act(Action, Actor, oneshot::Sender<Result<usize, EngineError>>),
    Shutdown,
}

impl Handle {
    pub(super) fn new(commands: mpsc::Sender<Command>, publisher: Publisher, plan: Plan) -> Self {
        Self {
            commands,
            publisher,
            before_run: Arc::new(Mutex::new(Some(plan))),
        }
    }

    /// From now on requests are answered by the engine.
    pub(super) fn has_started(&self) {
        *self.before_run.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The plan, as long as the engine does not run.
    fn plan_before_run(&self) -> Option<Plan> {
        let plan = self.before_run.lock().unwrap_or_else(PoisonError::into_inner);
        plan.clone()
    }

    /// Subscribes to everything that happens in the engine from now on.
    #[must_use]
    pub fn subscribe(&self) -> Updates {
        self.publisher.subscribe()
    }

    /// Replaces the plan. Monitors with the same checksum keep their phase and state, changed
    /// ones are checked at once. Monitors and channels that were added one by one and are not
    /// in the plan are removed.
    ///
    /// # Errors
    /// If the plan has two monitors of the same name, or the engine has ended.
    pub async fn reload(&self, plan: Plan) -> Result<(), EngineError> {
        plan.check_names()?;
        self.ask(|reply| Command::Reload(plan, reply)).await
    }

    /// The plan that the engine runs, with everything that was added and removed since the
    /// start.
    ///
    /// # Errors
    /// If the engine has ended.
    pub async fn plan(&self) -> Result<Plan, EngineError> {
        match self.plan_before_run() {
            Some(plan) => Ok(plan),
            None => self.ask(Command::Plan).await,
        }
    }

    /// Adds a monitor, or replaces the one of the same name, until the next reload.
    ///
    /// # Errors
    /// If the engine has ended.
    pub async fn add_monitor(&self, monitor: Arc<dyn Monitor>) -> Result<(), EngineError> {
        self.ask(|reply| Command::AddMonitor(monitor, reply)).await
    }

    /// Removes a monitor, as if it had been removed from the plan.
    ///
    /// # Errors
    /// If there is no such monitor, or the engine has ended.
    pub async fn remove_monitor(&self, name: impl Into<String>) -> Result<(), EngineError> {
        let name = name.into();
        self.ask(|reply| Command::RemoveMonitor(name, reply)).await?
    }

    /// Adds a channel, or replaces the one of the same id, until the next reload.
    ///
    /// # Errors
    /// If the engine has ended.
    pub async fn add_channel(&self, channel: Channel) -> Result<(), EngineError> {
        self.ask(|reply| Command::AddChannel(channel, reply)).await
    }

    /// Removes a channel. The notifications that wait for it are sent to the other channels that
    /// did not get them; without others they are given up, with an error in the log.
    ///
    /// # Errors
    /// If there is no such channel, or the engine has ended.
    pub async fn remove_channel(&self, id: impl Into<String>) -> Result<(), EngineError> {
        let id = id.into();
        self.ask(|reply| Command::RemoveChannel(id, reply)).await?
    }

    /// Checks a monitor now and its parts with it, in addition to its schedule; not if it is being checked already.
    ///
    /// # Errors
    /// If there is no such monitor, or the engine has ended.
    pub async fn check_now(&self, monitor: impl Into<String>) -> Result<(), EngineError> {
        let monitor = monitor.into();
        self.ask(|reply| Command::CheckNow(monitor, reply)).await?
    }

    /// Passes a signal from outside to a monitor that takes signals ([`Monitor::receive`]): its
    /// observation is processed as that of a check.
    ///
    /// # Errors
    /// If there is no such monitor, it does not accept signals, or the engine has ended.
    pub async fn report(&self, monitor: impl Into<String>, signal: Signal) -> Result<(), EngineError> {
        let monitor = monitor.into();
        self.ask(|reply| Command::Report(monitor, signal, reply)).await?
    }

    /// Waits for an answer, which shows that the engine is alive.
    ///
    /// # Errors
    /// If the engine has ended.
    pub async fn ping(&self) -> Result<(), EngineError> {
        self.ask(Command::Ping).await
    }

    /// The current status; before the run, the plan's monitors, none of which has been checked.
    /// The engine hands over its data at once; converting it to text is left to the caller
    /// (some milliseconds for 10,000 monitors).
    ///
    /// # Errors
    /// If the engine has ended.
    pub async fn status(&self) -> Result<SiteStatus, EngineError> {
        self.status_about(None).await
    }

    /// The same, with an outbox that has only the notifications about one monitor or part: a part
    /// of the monitor is the monitor too.
    ///
    /// # Errors
    /// If the engine has ended.
    pub async fn status_for(&self, monitor: &str) -> Result<SiteStatus, EngineError> {
        self.status_about(Some(monitor.to_owned())).await
    }

    async fn status_about(&self, monitor: Option<String>) -> Result<SiteStatus, EngineError> {
        if let Some(plan) = self.plan_before_run() {
            return Ok(SiteStatus::of_plan(&plan, SystemClock::new().now().wall));
        }
        let snapshot = self.ask(|reply| Command::Status(monitor, reply)).await?;
        Ok(snapshot.into_status())
    }

    /// The last checks of each monitor and each part, in the order of their names: for a dashboard that
    /// starts, and then follows the [updates](Self::subscribe).
    ///
    /// # Errors
    /// If the engine has ended.
    pub async fn recent(&self) -> Result<Vec<RecentChecks>, EngineError> {
        let snapshots = self.ask(Command::Recent).await?.into_iter();
        let mut recent: Vec<_> = snapshots.map(RecentSnapshot::into_checks).collect();
        recent.sort_by(|a, b| a.monitor.cmp(&b.monitor));
        Ok(recent)
    }

    /// Carries out an action, and records who asked for it. Returns how many things it
    /// concerned, such as notifications.
    ///
    /// # Errors
    /// If it is impossible, notifications are off in this run, or the engine has ended.
    pub async fn act(&self, action: Action, actor: Actor) -> Result<usize, EngineError> {
        self.ask(|reply| Command::Act(action, actor, reply)).await?
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| EngineError::Ended)?;
        answer.await.map_err(|_| EngineError::Ended)
    }

    /// Ends the engine within about a second, with all state committed.
    pub async fn shutdown(&self) {
        let _ = self.commands.send(Command::Shutdown).await;
    }
}
