//! Decides which channels get a notification.

use std::{collections::HashMap, time::Duration};

use crate::{
    monitor::Policy,
    notification::{ChannelClass, Notification, NotificationKind, OutboxEntry, Switches},
    state::OwnState,
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
}

/// The routes of a site.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Routes {
    routes: Vec<Route>,
    /// Whether nothing is sent.
    off: bool,
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
            fallback: None,
        }
    }

    /// Whether the channel takes a notification of this kind about a monitor with this policy.
    #[must_use]
    pub fn takes(&self, kind: &NotificationKind, policy: &Policy) -> bool {
        self.switches.are_on(kind.switch())
            && !self
                .class
                .as_ref()
                .is_some_and(|class| policy.classes_off.contains(class))
    }
}

impl Routes {
    /// The routes of these channels.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        Self { routes, off: false }
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

    /// Addresses a notification. If it ends an incident, it also goes to the channels to which
    /// the incident was announced, even if they are fallbacks by now. `own`, the state of its
    /// monitor, remembers to whom it was announced.
    pub(crate) fn address(
        &self,
        notification: Notification,
        policy: &Policy,
        own: &mut OwnState,
    ) -> Addressed {
        let kind = &notification.kind;
        let announced_to = own.take_announced(&notification);
        let mut recipients: Vec<String> = self.recipients(kind, policy).map(str::to_owned).collect();
        for id in announced_to {
            if !self.off && self.takes(&id, kind, policy) && !recipients.contains(&id) {
                recipients.push(id);
            }
        }
        announce(own, &notification, &recipients);
        Addressed {
            notification,
            recipients,
        }
    }

    /// Whether the channel `id` exists and takes such a notification.
    fn takes(&self, id: &str, kind: &NotificationKind, policy: &Policy) -> bool {
        let route = self.routes.iter().find(|route| route.id == id);
        route.is_some_and(|route| route.takes(kind, policy))
    }

    fn is_fallback(&self, id: &str) -> bool {
        self.routes
            .iter()
            .any(|route| route.fallback.as_ref().is_some_and(|fallback| fallback.to == id))
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
        if alarms_off || has_it || is_outdated_for(to, notification, own, ends_too) {
            return FallbackDecision::Skip;
        }
        FallbackDecision::Send
    }
}

/// Whether a notification that waited for another channel would leave a wrong impression on
/// channel `to`: the incident that it reports has ended, and the end went elsewhere (unless
/// `ends_too`: it is sent along); or something newer was announced there.
fn is_outdated_for(to: &str, notification: &Notification, own: Option<&OwnState>, ends_too: bool) -> bool {
    let has_open = own.is_some_and(|own| own.has_open_incident(&notification.incident));
    if has_open || matches!(notification.kind, NotificationKind::Notice(_)) {
        return false;
    }
    let is_over = notification.kind.is_ongoing() && !ends_too;
    let newer = own.and_then(|own| own.announced_to.get(own.incident.as_ref()?));
    is_over || newer.is_some_and(|announced_to| announced_to.iter().any(|other| other == to))
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
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn notification(kind: NotificationKind) -> Notification {
        Notification {
            id: "i-1".into(),
            incident: "i".into(),
            kind,
            site: "HomeLab".into(),
            monitor: "web".into(),
            address: "http://h/".into(),
            text: "t".into(),
            number: 1,
            at: Timestamp::UNIX_EPOCH,
            since: None,
            lasted: None,
            next_reminder: None,
            subject: Default::default(),
            covers: Vec::new(),
            ended: None,
        }
    }

    /// `hook` with the fallback `mail`, of the class of e-mail.
    fn routes() -> Routes {
        let fallback = Some(Fallback {
            to: "mail".into(),
            after: Duration::from_secs(60),
        });
        let hook = Route {
            fallback,
            ..Route::new("hook")
        };
        let mail = Route {
            class: Some(ChannelClass::EMAIL),
            ..Route::new("mail")
        };
        Routes::new(vec![hook, mail])
    }

    fn open() -> OwnState {
        OwnState {
            incident: Some("i".into()),
            ..OwnState::default()
        }
    }

    #[test]
    fn a_fallback_gets_only_the_end_of_what_was_announced_to_it() {
        let (routes, policy, mut own) = (routes(), Policy::default(), open());
        let outage = routes.address(notification(NotificationKind::Outage), &policy, &mut own);
        assert_eq!(outage.recipients, ["hook"]);
        assert!(announce(&mut own, &outage.notification, &["mail".to_owned()]));
        own.incident = None;
        let end = routes.address(notification(NotificationKind::Recovery), &policy, &mut own);
        assert_eq!(end.recipients, ["hook", "mail"]);
        assert!(own.announced_to.is_empty());
    }

    #[test]
    fn nothing_has_a_recipient_while_notifications_are_off() {
        let (routes, policy, mut own) = (routes().switched_off(), Policy::default(), open());
        let outage = routes.address(notification(NotificationKind::Outage), &policy, &mut own);
        assert!(outage.recipients.is_empty() && own.announced_to.is_empty());
    }

    #[test]
    fn a_fallback_gets_what_its_channel_could_not_deliver_unless_it_would_mislead() {
        let routes = routes();
        let policy = Policy::default();
        let without_mail = Policy {
            classes_off: vec![ChannelClass::EMAIL],
            ..Policy::default()
        };
        let entry = |kind, addressed: &[&str]| {
            let addressed = addressed.iter().map(|id| (*id).to_owned()).collect();
            OutboxEntry::new("hook", notification(kind), addressed)
        };
        let outage = entry(NotificationKind::Outage, &["hook"]);
        let had_it = entry(NotificationKind::Outage, &["hook", "mail"]);
        let (own, over) = (open(), OwnState::default());
        use FallbackDecision::{NotTaken, Send, Skip};
        for (entry, policy, own, ends_too, expected) in [
            (&outage, &policy, Some(&own), false, Send),
            (&outage, &without_mail, Some(&own), false, NotTaken),
            (&had_it, &policy, Some(&own), false, Skip),
            (&outage, &policy, Some(&over), false, Skip),
            (&outage, &policy, Some(&over), true, Send),
            (&outage, &policy, None, false, Skip),
        ] {
            let decision = routes.decide_fallback(entry, "mail", policy, own, ends_too);
            assert_eq!(decision, expected, "{entry:?} {own:?} {ends_too}");
        }
    }
}
