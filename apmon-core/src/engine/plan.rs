//! What an engine runs: the monitors and channels of one site.

use std::{collections::HashSet, num::NonZeroUsize, sync::Arc, time::Duration};

use super::EngineError;
use crate::{
    monitor::{Monitor, Policy},
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
    /// Tells nobody: no channel, no heartbeat, and not later either. What would
    /// have been told is still decided, counted in the state as told, and
    /// reported as an event. Older messages stay in the outbox.
    pub quiet: bool,
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
            quiet: false,
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
    pub fn tell(mut self, id: impl Into<String>, notifier: Arc<dyn Notifier>) -> Self {
        self.channels.push(Channel::new(id, notifier));
        self
    }
}

impl Plan {
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
        }
    }

    /// With its own time for one delivery.
    #[must_use]
    pub fn within(self, timeout: Option<Duration>) -> Self {
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
