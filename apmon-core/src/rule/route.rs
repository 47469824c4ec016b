//! Decides which channels get a notification.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    monitor::Policy,
    notification::{ChannelClass, Notification, NotificationKind, OutboxEntry, Switch, Switches},
    state::{OwedEnd, OwnState, RETENTION_AFTER_REMOVAL},
    text::printable,
};

/// The part of a channel that decides which notifications it gets.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Route {
    /// The channel's id.
    pub id: String,
    /// The kinds of notifications it takes.
    pub switches: Switches,
    /// The class under which a monitor's policy can switch it off.
    pub class: Option<ChannelClass>,
    /// Whether its receiver keeps an incident open under its key until it gets the end.
    pub keyed: bool,
    /// The channel that is used when this one fails.
    pub fallback: Option<Fallback>,
}

/// The channel that is used when another fails. It gets each notification that the other
/// refuses, at once, and all of them once the other has failed for some time; and nothing else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fallback {
    /// The id of the fallback channel.
    pub to: String,
    /// How long the other channel must have failed.
    pub after: Duration,
}

/// A notification, and the channels that get it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Addressed {
    /// The notification.
    pub notification: Notification,
    /// The ids of the channels.
    pub recipients: Vec<String>,
    /// The ids of other channels that it was sent to before: an end that some are owed.
    pub sent_to: Vec<String>,
}

/// The routes of a site.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Routes {
    routes: Vec<Route>,
    /// The places of the channels in `routes`, by id.
    places: HashMap<String, usize>,
    /// The channels that lead to a fallback, by its id.
    leading: HashMap<String, Vec<String>>,
    /// Whether nothing is sent.
    off: bool,
    /// Whether the site's own `alarms` are off, which apply to what no monitor decides any more.
    is_silent: bool,
}

/// When a channel to which an incident was announced gets its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum EndDue {
    /// Now.
    Now,
    /// Once the monitor's switches, or the site file, let it through.
    Later,
    /// Never: the channel takes no ends.
    Never,
}

/// Why a channel does not get all notifications about a monitor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Exclusion {
    /// The monitor switches its class off.
    Class(ChannelClass),
    /// It is the fallback of these channels.
    FallbackOf(Vec<String>),
    /// These switches of the channel are off.
    Switches(Vec<Switch>),
}

/// A clause about the channel: `gets nothing about it (email: no)`.
impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(class) => write!(f, "gets nothing about it ({}: no)", class.name()),
            Self::FallbackOf(ids) => {
                let ids: Vec<_> = ids.iter().map(|id| printable(id)).collect();
                write!(f, "gets only what {} cannot deliver", ids.join(" and "))
            }
            Self::Switches(switches) => {
                let names: Vec<_> = switches.iter().map(|switch| switch.as_str()).collect();
                write!(f, "gets no {}", names.join(" and no "))
            }
        }
    }
}

/// Whether a notification that its channel could not deliver goes to the fallback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FallbackDecision {
    /// It does.
    Send,
    /// The fallback takes no notifications of this kind.
    NotTaken,
    /// It does not need to: the fallback has it, or it would be misleading now.
    Skip,
}

impl Route {
    /// Creates the route of a channel of no class that takes everything.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            switches: Switches::default(),
            class: None,
            keyed: false,
            fallback: None,
        }
    }

    /// Whether the channel takes a notification of this kind about a monitor with this policy.
    #[must_use]
    pub fn takes(&self, kind: &NotificationKind, policy: &Policy) -> bool {
        self.switches.are_on(kind.switch()) && !self.is_class_off(policy)
    }

    fn is_class_off(&self, policy: &Policy) -> bool {
        let class = self.class.as_ref();
        class.is_some_and(|class| policy.classes_off.contains(class))
    }

    /// When it gets the end of an incident that was announced to it. A service that keeps
    /// incidents by a key would keep this one open for ever: it gets the end
    /// also while alarms are off. People get it once they are to be notified again.
    fn end_due(&self, kind: &NotificationKind, policy: &Policy) -> EndDue {
        if !self.switches.are_on(kind.switch()) {
            EndDue::Never
        } else if self.keyed || (policy.alarms && !self.is_class_off(policy)) {
            EndDue::Now
        } else {
            EndDue::Later
        }
    }
}

impl Routes {
    /// The routes of these channels.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        let mut leading: HashMap<String, Vec<String>> = HashMap::new();
        let mut places = HashMap::new();
        for (place, route) in routes.iter().enumerate() {
            places.entry(route.id.clone()).or_insert(place);
            if let Some(fallback) = &route.fallback {
                let to = leading.entry(fallback.to.clone()).or_default();
                to.push(route.id.clone());
            }
        }
        Self {
            routes,
            places,
            leading,
            ..Self::default()
        }
    }

    fn route(&self, id: &str) -> Option<&Route> {
        self.routes.get(*self.places.get(id)?)
    }

    /// The same routes for a site with these `alarms`.
    pub(crate) fn with_alarms(self, alarms: bool) -> Self {
        Self {
            is_silent: !alarms,
            ..self
        }
    }

    /// The policy for the ends that are owed about a monitor that is no longer in the site file:
    /// with the monitor, its switches have gone.
    pub(crate) fn policy_after_removal(&self) -> Policy {
        Policy {
            alarms: !self.is_silent,
            ..Policy::default()
        }
    }

    /// The same routes with notifications off: nothing has a recipient.
    #[must_use]
    pub fn switched_off(self) -> Self {
        Self { off: true, ..self }
    }

    /// The channels that get a notification of `kind` about a monitor with this policy: all but
    /// the fallbacks, which wait until another channel fails.
    pub fn recipients(&self, kind: &NotificationKind, policy: &Policy) -> impl Iterator<Item = &str> {
        self.routes
            .iter()
            .filter(move |route| !self.off && route.takes(kind, policy) && !self.is_fallback(&route.id))
            .map(|route| route.id.as_str())
    }

    /// Addresses a notification; `None` if alarms are off and nobody gets it. If it ends an
    /// incident, it also goes to the channels to which the incident was announced, even if they
    /// are fallbacks by now. `own`, the state of its monitor, remembers to whom it was announced,
    /// and which of them are still to get the end.
    pub(crate) fn address(
        &self,
        notification: Notification,
        policy: &Policy,
        own: &mut OwnState,
    ) -> Option<Addressed> {
        let kind = &notification.kind;
        let announced_to = own.take_announced(&notification);
        let mut recipients: Vec<String> = match policy.alarms {
            true => self.recipients(kind, policy).map(str::to_owned).collect(),
            false => Vec::new(),
        };
        if !self.off {
            let renamed = self.keyed_in_place_of_missing(&announced_to, kind);
            let (mut now, later) = self.divide(announced_to, kind, policy);
            now.extend(
                renamed
                    .into_iter()
                    .filter(|id| !now.contains(id))
                    .collect::<Vec<_>>(),
            );
            recipients.extend(
                now.into_iter()
                    .filter(|id| !recipients.contains(id))
                    .collect::<Vec<_>>(),
            );
            own.owe(&notification, later, &recipients);
        }
        announce(own, &notification, &recipients);
        let is_sent = policy.alarms || !recipients.is_empty();
        is_sent.then_some(Addressed {
            notification,
            recipients,
            sent_to: Vec::new(),
        })
    }

    /// The services that keep incidents by a key, if a channel to which this one was announced is
    /// not in the site file any more: it may be one of them, under a new id.
    fn keyed_in_place_of_missing(&self, announced_to: &[String], kind: &NotificationKind) -> Vec<String> {
        let is_missing = |id: &String| self.route(id).is_none();
        if !announced_to.iter().any(is_missing) {
            return Vec::new();
        }
        let keyed = self.routes.iter().filter(|route| {
            route.keyed && route.switches.are_on(kind.switch()) && !self.is_fallback(&route.id)
        });
        keyed.map(|route| route.id.clone()).collect()
    }

    /// The channels that keep incidents apart.
    pub(crate) fn keyed(&self) -> HashSet<String> {
        let keyed = self.routes.iter().filter(|route| route.keyed);
        keyed.map(|route| route.id.clone()).collect()
    }

    /// Whether the channel `id` keeps an incident open until it gets the end.
    pub(crate) fn is_keyed(&self, id: &str) -> bool {
        self.route(id).is_some_and(|route| route.keyed)
    }

    /// Divides the channels to which an incident was announced into those that get its end now,
    /// and those that get it later.
    fn divide(
        &self,
        announced_to: Vec<String>,
        kind: &NotificationKind,
        policy: &Policy,
    ) -> (Vec<String>, Vec<String>) {
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for id in announced_to {
            let route = self.route(&id);
            // One that is not in the site file may be added again.
            match route.map_or(EndDue::Later, |route| route.end_due(kind, policy)) {
                EndDue::Now => now.push(id),
                EndDue::Later => later.push(id),
                EndDue::Never => {}
            }
        }
        (now, later)
    }

    /// Takes the ends that can be sent now to channels that are owed them, addressed to these
    /// channels, oldest first. A service that is new gets those that a missing channel is owed: it
    /// may be that channel, under a new id.
    pub(crate) fn take_owed_ends(
        &self,
        policy: &Policy,
        own: &mut OwnState,
        now: Timestamp,
    ) -> Vec<Addressed> {
        if self.off {
            return Vec::new();
        }
        let mut due = Vec::new();
        for OwedEnd {
            notification,
            channels,
            mut sent_to,
        } in std::mem::take(&mut own.owed_ends)
        {
            let age = Duration::try_from(now.duration_since(notification.at)).unwrap_or_default();
            if age > RETENTION_AFTER_REMOVAL {
                continue;
            }
            let renamed = self.keyed_in_place_of_missing(&channels, &notification.kind);
            let (mut recipients, later) = self.divide(channels, &notification.kind, policy);
            let new = renamed
                .into_iter()
                .filter(|id| !sent_to.contains(id) && !recipients.contains(id));
            recipients.extend(new.collect::<Vec<_>>());
            let before = sent_to.clone();
            sent_to.extend(recipients.iter().cloned());
            own.owe(&notification, later, &sent_to);
            if !recipients.is_empty() {
                due.push(Addressed {
                    // Sent late, it must not expire at once.
                    notification: Notification {
                        at: now,
                        ended: notification.ended.or(Some(notification.at)),
                        ..notification
                    },
                    recipients,
                    sent_to: before,
                });
            }
        }
        due
    }

    /// Notes for an incident of a state that does not say to whom it was announced (one of
    /// APMonitor) that all who could get it did.
    pub(crate) fn assume_announced(&self, incident: &str, own: &mut OwnState) {
        let policy = Policy::default();
        let all = self.recipients(&NotificationKind::Outage, &policy);
        let all: Vec<String> = all.map(str::to_owned).collect();
        if !all.is_empty() {
            own.announced_to.insert(incident.to_owned(), all);
        }
    }

    /// Whether the channel `id` exists and takes such a notification.
    fn takes(&self, id: &str, kind: &NotificationKind, policy: &Policy) -> bool {
        self.route(id).is_some_and(|route| route.takes(kind, policy))
    }

    fn is_fallback(&self, id: &str) -> bool {
        self.leading.contains_key(id)
    }

    /// The channels that do not get everything about a monitor with this policy, and why.
    pub(crate) fn exclusions<'a>(
        &'a self,
        policy: &'a Policy,
    ) -> impl Iterator<Item = (&'a str, Exclusion)> + 'a {
        const ALL: [Switch; 3] = [Switch::Outages, Switch::Reminders, Switch::Recoveries];
        let exclusion = move |route: &Route| {
            let off = || ALL.into_iter().filter(|switch| !route.switches.are_on(*switch));
            match (&route.class, self.leading.get(&route.id)) {
                (Some(class), _) if route.is_class_off(policy) => Some(Exclusion::Class(class.clone())),
                (_, Some(leading)) => Some(Exclusion::FallbackOf(leading.clone())),
                (_, None) if off().next().is_some() => Some(Exclusion::Switches(off().collect())),
                (_, None) => None,
            }
        };
        let routes = self.routes.iter();
        routes.filter_map(move |route| Some((route.id.as_str(), exclusion(route)?)))
    }

    /// The ids of all channels, in their order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().map(|route| route.id.as_str())
    }

    /// Whether nothing is sent.
    pub(crate) fn is_off(&self) -> bool {
        self.off
    }

    /// The fallbacks by channel.
    pub(crate) fn fallbacks(&self) -> HashMap<String, Fallback> {
        self.routes
            .iter()
            .filter_map(|route| Some((route.id.clone(), route.fallback.clone()?)))
            .collect()
    }

    /// Decides whether `entry`, which its channel could not deliver, goes to the fallback `to`.
    ///
    /// `own` is the state of its monitor, if it is known; `ends_too` says whether the end of
    /// its incident reaches the fallback as well.
    pub(crate) fn decide_fallback(
        &self,
        entry: &OutboxEntry,
        to: &str,
        policy: &Policy,
        own: Option<&OwnState>,
        ends_too: bool,
    ) -> FallbackDecision {
        let notification = &entry.notification;
        if !self.takes(to, &notification.kind, policy) {
            return FallbackDecision::NotTaken;
        }
        let alarms_off = notification.kind.is_ongoing() && !policy.alarms;
        let has_it = entry.addressed.iter().any(|id| id == to);
        let is_outdated = is_over(notification, own, ends_too) || has_newer(to, notification, own);
        if alarms_off || has_it || is_outdated {
            return FallbackDecision::Skip;
        }
        FallbackDecision::Send
    }

    /// Whether `notification`, which waited for a channel that is gone, would leave a wrong
    /// impression on channel `to`: its incident is over, and the end does not reach that channel
    /// (`ends_too`); or something newer was announced there. By the latter a service that keeps
    /// incidents apart is not misled, and it may be the one that keeps this one open.
    pub(crate) fn is_outdated_for(
        &self,
        to: &str,
        notification: &Notification,
        own: Option<&OwnState>,
        ends_too: bool,
    ) -> bool {
        // Without its state, only the notification says whether its incident is over.
        let is_known = own.is_some() || notification.ended.is_some();
        let is_over = is_known && is_over(notification, own, ends_too);
        is_over || (!self.is_keyed(to) && has_newer(to, notification, own))
    }
}

/// Whether the incident that `notification` reports has ended, and its end does not reach the
/// channel that would get it now: there it would never end.
fn is_over(notification: &Notification, own: Option<&OwnState>, ends_too: bool) -> bool {
    notification.kind.is_ongoing() && !ends_too && !is_open(notification, own)
}

/// Whether something newer than `notification` was announced on channel `to`.
fn has_newer(to: &str, notification: &Notification, own: Option<&OwnState>) -> bool {
    if is_open(notification, own) || matches!(notification.kind, NotificationKind::Notice(_)) {
        return false;
    }
    let newer = own.and_then(|own| own.announced_to.get(own.incident.as_ref()?));
    newer.is_some_and(|announced_to| announced_to.iter().any(|other| other == to))
}

fn is_open(notification: &Notification, own: Option<&OwnState>) -> bool {
    own.is_some_and(|own| own.has_open_incident(&notification.incident))
}

/// Notes that an incident that is still open has been announced to these channels, which
/// therefore get its end as well. Returns whether that is new.
pub(crate) fn announce(own: &mut OwnState, notification: &Notification, channels: &[String]) -> bool {
    let is_new = notification.kind.is_ongoing()
        && !channels.is_empty()
        && own.has_open_incident(&notification.incident)
        && !own.is_announced_to(&notification.incident, channels);
    if is_new {
        own.add_announced(&notification.incident, channels);
    }
    is_new
}

#[cfg(test)]
mod tests;
