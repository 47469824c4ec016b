//! What an engine runs: the monitors and channels of one site.

use std::{
    collections::{BTreeMap, HashSet},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use super::{EngineError, task::GRACE};
use crate::{
    monitor::{Heartbeat, Monitor},
    notification::{ChannelClass, HeartbeatSender, Notifier, Switches},
    rule::{
        route::{Fallback, Route, Routes},
        schedule,
    },
    state::MonitorState,
};

/// What the start and the end of a pass may take besides waiting.
const PASS_MARGIN: Duration = Duration::from_secs(2);

/// The monitors and channels of one site.
#[derive(Clone)]
pub struct Plan {
    /// The site's name.
    pub site: String,
    /// The monitors. Names are unique.
    pub monitors: Vec<Arc<dyn Monitor>>,
    /// The channels that notifications go to.
    pub channels: Vec<Channel>,
    /// The switch for what no monitor decides any more: whether the ends that channels are owed are
    /// sent once their monitor was removed. Default yes.
    pub alarms: bool,
    /// The largest number of checks that run at the same time; `None` means no limit.
    pub max_concurrent: Option<NonZeroUsize>,
    /// How long one delivery or heartbeat may take, and how long a pass waits for its outbox
    /// (longer if a channel has a longer timeout). Default 20 s.
    pub delivery_timeout: Duration,
    /// How long an undelivered notification is kept. Default 24 hours.
    pub expire_after: Duration,
    /// The heartbeat of the engine itself, to an outside watcher: sent while checks start on
    /// time, state is saved and notifications are delivered. Without [`Heartbeat::every`] once
    /// a minute; a pass sends one at its end.
    pub heartbeat: Option<Heartbeat>,
    /// Sends the heartbeats, those of the monitors too; without a sender none are sent.
    pub heartbeats: Option<Arc<dyn HeartbeatSender>>,
    /// Sends nothing, neither notifications nor heartbeats, and does not make up for it later.
    /// Notifications are still decided, counted in the state as sent, and reported as events.
    /// Older ones stay in the outbox.
    pub no_notify: bool,
}

impl Plan {
    /// Creates a plan without monitors.
    pub fn new(site: impl Into<String>) -> Self {
        Self {
            site: site.into(),
            monitors: Vec::new(),
            channels: Vec::new(),
            alarms: true,
            max_concurrent: None,
            delivery_timeout: Duration::from_secs(20),
            expire_after: Duration::from_secs(24 * 3600),
            heartbeat: None,
            heartbeats: None,
            no_notify: false,
        }
    }

    /// Adds a monitor.
    #[must_use]
    pub fn watch(mut self, monitor: Arc<dyn Monitor>) -> Self {
        self.monitors.push(monitor);
        self
    }

    /// Sends heartbeats through `sender`.
    #[must_use]
    pub fn heartbeats(mut self, sender: Arc<dyn HeartbeatSender>) -> Self {
        self.heartbeats = Some(sender);
        self
    }

    /// Adds a channel that takes everything.
    #[must_use]
    pub fn notify(mut self, id: impl Into<String>, notifier: Arc<dyn Notifier>) -> Self {
        self.channels.push(Channel::new(id, notifier));
        self
    }
}

impl Plan {
    /// The part of the plan that decides who is notified.
    #[must_use]
    pub fn routes(&self) -> Routes {
        let routes = self.channels.iter().map(Channel::route).collect();
        let routes = Routes::new(routes).with_alarms(self.alarms);
        match self.no_notify {
            true => routes.switched_off(),
            false => routes,
        }
    }

    /// How long a pass takes at most, whatever its targets and channels do: the longest time
    /// until one of its monitors, found down, is in a hard state, and the time for deliveries and
    /// heartbeats at the end. Meanwhile it does what falls due.
    #[must_use]
    pub fn longest_pass(&self) -> Duration {
        let timeouts = self.channels.iter().filter_map(|channel| channel.timeout);
        let attempt = timeouts.fold(self.delivery_timeout, Duration::max);
        let end = attempt.max(self.longest_check().saturating_add(schedule::LONGEST_SLACK));
        let heartbeat = self.delivery_timeout.saturating_add(GRACE);
        // What a check decides at the end waits for the attempt before it.
        let deliveries = attempt.saturating_mul(2).saturating_add(GRACE);
        [end, deliveries, heartbeat, PASS_MARGIN]
            .into_iter()
            .fold(self.longest_retries(), Duration::saturating_add)
    }

    /// The longest time until a monitor that is found down is in a hard state.
    pub(super) fn longest_retries(&self) -> Duration {
        let policies = self.monitors.iter().map(|monitor| &monitor.watch().policy);
        let retries = policies.map(|policy| schedule::longest_retries(policy, GRACE));
        retries.max().unwrap_or_default()
    }

    /// Sorts the monitors for a pass that may end before all have had their turn: it begins with
    /// those that were checked longest ago.
    pub(super) fn sort_for_pass(&mut self, stored: &BTreeMap<String, Arc<MonitorState>>) {
        if self.max_concurrent.is_some() {
            let last_checked = |name: &str| stored.get(name)?.last_checked;
            self.monitors
                .sort_by_key(|monitor| last_checked(&monitor.watch().name));
        }
    }

    /// The longest time that a check may take.
    pub(super) fn longest_check(&self) -> Duration {
        let policies = self.monitors.iter().map(|monitor| &monitor.watch().policy);
        policies.map(|policy| policy.max_try).max().unwrap_or_default()
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

/// One channel, with its own order and back-off.
#[derive(Clone)]
pub struct Channel {
    /// The id that names the channel in the outbox; it must be the same after a restart.
    pub id: String,
    /// Delivers the notifications.
    pub notifier: Arc<dyn Notifier>,
    /// The kinds of notifications it takes.
    pub switches: Switches,
    /// The class under which a monitor's policy can switch it off.
    pub class: Option<ChannelClass>,
    /// Whether the receiver keeps an incident open under its key until it gets the end, as
    /// PagerDuty does: it then gets the end also while the monitor's alarms are off.
    pub keyed: bool,
    /// The timeout of one delivery, if it is not the plan's.
    pub timeout: Option<Duration>,
    /// The channel that is used when this one fails.
    pub fallback: Option<Fallback>,
}

impl Channel {
    /// Creates a channel of no class that takes everything.
    pub fn new(id: impl Into<String>, notifier: Arc<dyn Notifier>) -> Self {
        Self {
            id: id.into(),
            notifier,
            switches: Switches::default(),
            class: None,
            keyed: false,
            timeout: None,
            fallback: None,
        }
    }

    /// Adds a fallback that is used once this channel has failed for `after`.
    #[must_use]
    pub fn with_fallback(self, to: impl Into<String>, after: Duration) -> Self {
        let to = to.into();
        Self {
            fallback: Some(Fallback { to, after }),
            ..self
        }
    }

    /// Sets the timeout of one delivery.
    #[must_use]
    pub fn with_timeout(self, timeout: Option<Duration>) -> Self {
        Self { timeout, ..self }
    }

    /// The part of the channel that decides which notifications it gets.
    #[must_use]
    pub fn route(&self) -> Route {
        Route {
            switches: self.switches,
            class: self.class.clone(),
            keyed: self.keyed,
            fallback: self.fallback.clone(),
            ..Route::new(&self.id)
        }
    }
}
