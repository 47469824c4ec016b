//! A site in virtual time.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};

use super::{clock::TestClock, daemon::Daemon, script::locked, store::MemoryStore};
use crate::{
    engine::{Condition, Engine, EngineError, Event, Handle, PassReport, Plan},
    monitor::Monitor,
    notification::{HeartbeatSender, Notification, Notifier},
    outcome::Verdict,
    store::StateStore,
};

/// A site in virtual time, and everything around it that outlives a process: its clock and its
/// store.
///
/// The first [`run_for`](Self::run_for) starts a daemon. It runs until [`stop`](Self::stop) or
/// [`kill`](Self::kill); the next one starts from what is stored.
pub struct Stage {
    plan: Plan,
    clock: Arc<TestClock>,
    store: Arc<dyn StateStore>,
    zone: TimeZone,
    daemon: Option<Daemon>,
    events: Arc<Mutex<Vec<StageEvent>>>,
}

/// Something that the engine of a [`Stage`] reported.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum StageEvent {
    /// A check ended.
    Checked {
        /// The monitor.
        monitor: String,
        /// When the check started.
        at: Timestamp,
        /// Its verdict.
        verdict: Verdict,
        /// The condition of the monitor after it.
        condition: Condition,
    },
    /// A notification was decided and committed. Its `to_string` is the console line.
    Notified(Box<Notification>),
}

impl Stage {
    /// Creates a site without monitors. It has a [`TestClock`], a [`MemoryStore`] and the time
    /// zone UTC.
    pub fn new(site: impl Into<String>) -> Self {
        Self::of(Plan::new(site))
    }

    /// Creates a site with this plan.
    #[must_use]
    pub fn of(plan: Plan) -> Self {
        Self {
            plan,
            clock: TestClock::new(),
            store: MemoryStore::new(),
            zone: TimeZone::UTC,
            daemon: None,
            events: Arc::default(),
        }
    }

    /// Adds a monitor.
    #[must_use]
    pub fn monitor(mut self, monitor: Arc<dyn Monitor>) -> Self {
        self.plan = self.plan.watch(monitor);
        self
    }

    /// Adds a channel that takes everything.
    #[must_use]
    pub fn channel(mut self, id: impl Into<String>, notifier: Arc<dyn Notifier>) -> Self {
        self.plan = self.plan.notify(id, notifier);
        self
    }

    /// Sends heartbeats through `sender`.
    #[must_use]
    pub fn heartbeats(mut self, sender: Arc<dyn HeartbeatSender>) -> Self {
        self.plan = self.plan.heartbeats(sender);
        self
    }

    /// Stores the state in `store`.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn StateStore>) -> Self {
        self.store = store;
        self
    }

    /// Reads the time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Arc<TestClock>) -> Self {
        self.clock = clock;
        self
    }

    /// Displays times in `zone`.
    #[must_use]
    pub fn zone(mut self, zone: TimeZone) -> Self {
        self.zone = zone;
        self
    }

    /// The plan with which the next process starts.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// An engine for this site, which the caller can set up further and start as a [`Daemon`].
    #[must_use]
    pub fn engine(&self) -> Engine {
        let events = Arc::clone(&self.events);
        Engine::new(self.plan.clone(), Arc::clone(&self.store))
            .clock(Arc::clone(&self.clock) as _)
            .zone(self.zone.clone())
            .on_event(move |event| locked(&events).extend(StageEvent::of(event)))
    }

    /// Runs the daemon for this long; starts it if it does not run.
    ///
    /// # Panics
    /// If time is not paused: the test would take this long.
    pub async fn run_for(&mut self, time: Duration) {
        tokio::time::advance(Duration::ZERO).await; // panics if time is not paused
        self.daemon();
        tokio::time::sleep(time).await;
    }

    /// The handle of the daemon, which is started if it does not run.
    pub fn handle(&mut self) -> &Handle {
        self.daemon().handle()
    }

    fn daemon(&mut self) -> &Daemon {
        let engine = match self.daemon {
            None => Some(self.engine()),
            Some(_) => None,
        };
        self.daemon
            .get_or_insert_with(|| Daemon::start(engine.expect("made where there is no daemon")))
    }

    /// Runs a single pass, as cron does, and in place of a daemon that runs.
    ///
    /// # Errors
    /// As [`Engine::pass`].
    pub async fn pass(&mut self) -> Result<PassReport, EngineError> {
        self.stop().await;
        self.engine().pass().await
    }

    /// Shuts the daemon down; `None` if it does not run.
    ///
    /// # Panics
    /// As [`Daemon::stop`].
    pub async fn stop(&mut self) -> Option<PassReport> {
        match self.daemon.take() {
            Some(daemon) => Some(daemon.stop().await),
            None => None,
        }
    }

    /// Kills the daemon, as a power failure would.
    pub async fn kill(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.kill().await;
        }
    }

    /// Shuts the daemon down and starts another one.
    ///
    /// # Panics
    /// As [`Daemon::stop`].
    pub async fn restart(&mut self) {
        self.stop().await;
        self.daemon();
    }

    /// Replaces the plan, also that of the daemon if it runs.
    ///
    /// # Panics
    /// As [`Daemon::reload`].
    pub async fn reload(&mut self, plan: Plan) {
        self.plan = plan.clone();
        if let Some(daemon) = &self.daemon {
            daemon.reload(plan).await;
        }
    }

    /// Waits until the daemon ends of its own accord, as it does when another owner takes over.
    ///
    /// # Errors
    /// As [`Engine::run`].
    ///
    /// # Panics
    /// If the engine panics.
    pub async fn ended(&mut self) -> Result<PassReport, EngineError> {
        match self.daemon.take() {
            Some(daemon) => daemon.ended().await,
            None => Err(EngineError::Ended),
        }
    }

    /// Everything that the engine reported so far, in order and none left out.
    #[must_use]
    pub fn events(&self) -> Vec<StageEvent> {
        locked(&self.events).clone()
    }
}

impl StageEvent {
    fn of(event: &Event<'_>) -> Option<Self> {
        match event {
            Event::Checked(check) => Some(Self::Checked {
                monitor: check.watch.name.clone(),
                at: check.started.wall,
                verdict: check.observation.outcome.verdict(),
                condition: Condition::of(check.state),
            }),
            Event::Notified(notification) => Some(Self::Notified(Box::new((*notification).clone()))),
        }
    }
}
