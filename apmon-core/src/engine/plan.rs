//! What an engine runs: the monitors and channels of one site.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use super::EngineError;
use crate::{
    monitor::{Heartbeat, Monitor, Policy},
    notification::{NotificationKind, Notifier, Switch},
};

/// The monitors and channels of one site.
#[derive(Clone)]
pub struct Plan {
    /// The site's name.
    pub site: String,
    /// What is watched. Names are unique.
    pub monitors: Vec<Arc<dyn Monitor>>,
    /// Who is told.
    pub channels: Vec<Channel>,
    /// The most checks under way at once; `None` is no cap.
    pub max_concurrent: Option<NonZeroUsize>,
    /// How long one delivery or heartbeat may take, and how long a pass waits
    /// for its outbox (or as long as a channel's own time). Default 20 s.
    pub delivery_timeout: Duration,
    /// After so long a message that is not delivered is given up. Default 24 hours.
    pub expire_after: Duration,
    /// The sign of life of the engine itself, to an outside watcher: sent while
    /// it looks in time, saves its state and gets its messages out. Without
    /// [`Heartbeat::every`] once a minute; a pass sends one at its end.
    pub heartbeat: Option<Heartbeat>,
    /// Tells nobody: no channel, no heartbeat, and not later either. What would
    /// have been told is still decided, counted in the state as told, and
    /// reported as an event. Older messages stay in the outbox.
    pub no_notify: bool,
}

impl Plan {
    /// A site without monitors.
    pub fn new(site: impl Into<String>) -> Self {
        Self {
            site: site.into(),
            monitors: Vec::new(),
            channels: Vec::new(),
            max_concurrent: None,
            delivery_timeout: Duration::from_secs(20),
            expire_after: Duration::from_secs(24 * 3600),
            heartbeat: None,
            no_notify: false,
        }
    }

    /// With one more monitor.
    #[must_use]
    pub fn watch(mut self, monitor: Arc<dyn Monitor>) -> Self {
        self.monitors.push(monitor);
        self
    }

    /// With one more channel that takes everything.
    #[must_use]
    pub fn notify(mut self, id: impl Into<String>, notifier: Arc<dyn Notifier>) -> Self {
        self.channels.push(Channel::new(id, notifier));
        self
    }
}

impl Plan {
    /// The channel of this id.
    pub(super) fn channel(&self, id: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.id == id)
    }

    /// The channels that are told of `kind` about a monitor with this policy:
    /// those that stand in for others wait until these fail.
    pub(super) fn recipients(&self, kind: &NotificationKind, policy: &Policy) -> impl Iterator<Item = &str> {
        let is_fallback = |id: &str| self.fallbacks_iter().any(|(_, fallback)| fallback.to == id);
        self.channels
            .iter()
            .filter(move |channel| channel.takes(kind, policy) && !is_fallback(&channel.id))
            .map(|channel| channel.id.as_str())
    }

    fn fallbacks_iter(&self) -> impl Iterator<Item = (&Channel, &Fallback)> {
        let channels = self.channels.iter();
        channels.filter_map(|channel| Some((channel, channel.fallback.as_ref()?)))
    }

    /// The stand-ins by channel.
    pub(super) fn fallbacks(&self) -> HashMap<String, Fallback> {
        self.fallbacks_iter()
            .map(|(channel, fallback)| (channel.id.clone(), fallback.clone()))
            .collect()
    }

    /// The longest time a delivery may take.
    pub(super) fn longest_delivery(&self) -> Duration {
        let own = self.channels.iter().filter_map(|channel| channel.timeout);
        own.fold(self.delivery_timeout, Duration::max)
    }

    pub(super) fn check_names(&self) -> Result<(), EngineError> {
        let mut names = HashSet::with_capacity(self.monitors.len());
        for monitor in &self.monitors {
            let name = &monitor.watch().name;
            if !names.insert(name.as_str()) {
                return Err(EngineError::DuplicateName(name.clone()));
            }
        }
        Ok(())
    }
}

/// One recipient: its own order, its own back-off.
#[derive(Clone)]
pub struct Channel {
    /// Names the channel in the outbox; must survive a restart.
    pub id: String,
    /// Carries the messages.
    pub notifier: Arc<dyn Notifier>,
    /// Takes outages and everything without a switch of its own.
    pub outages: bool,
    /// Takes reminders.
    pub reminders: bool,
    /// Takes recoveries.
    pub recoveries: bool,
    /// Obeys a monitor's `email` switch.
    pub is_mail: bool,
    /// How long one delivery may take, where it is not the plan's time.
    pub timeout: Option<Duration>,
    /// The channel that stands in for it when it fails.
    pub fallback: Option<Fallback>,
}

/// The channel that stands in for another. It is told what that one refuses,
/// at once, and everything once that one has failed for long; and nothing else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fallback {
    /// The stand-in's id.
    pub to: String,
    /// How long the other has failed by then.
    pub after: Duration,
}

impl Channel {
    /// A channel that takes everything and is no mail.
    pub fn new(id: impl Into<String>, notifier: Arc<dyn Notifier>) -> Self {
        Self {
            id: id.into(),
            notifier,
            outages: true,
            reminders: true,
            recoveries: true,
            is_mail: false,
            timeout: None,
            fallback: None,
        }
    }

    /// With a channel that stands in for it once it has failed for `after`.
    #[must_use]
    pub fn with_fallback(self, to: impl Into<String>, after: Duration) -> Self {
        let to = to.into();
        Self {
            fallback: Some(Fallback { to, after }),
            ..self
        }
    }

    /// With its own time for one delivery.
    #[must_use]
    pub fn with_timeout(self, timeout: Option<Duration>) -> Self {
        Self { timeout, ..self }
    }

    /// Whether a message of this kind about a monitor with this policy goes here.
    #[must_use]
    pub fn takes(&self, kind: &NotificationKind, policy: &Policy) -> bool {
        let switch = match kind.switch() {
            Switch::Outages => self.outages,
            Switch::Reminders => self.reminders,
            Switch::Recoveries => self.recoveries,
        };
        switch && (policy.email || !self.is_mail)
    }
}
