//! The options of every monitor, the origin of each effective value, and one
//! monitor of the site file.

mod read;

use std::{fmt, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use self::read::read_monitor;
use super::{
    position::Position,
    source_address::SourceAddresses,
    value::{AddressFamily, Addresses, Count, Seconds, Text},
};
use crate::{
    attempt::Reach,
    blueprint::Blueprint,
    mask::Mask,
    monitor::{Labels, Monitor, Policy, Watch},
    notification::{ChannelClass, Heartbeat},
    secret::Secret,
    section_value::SectionValue,
    services::Services,
};

/// Options of every monitor, of any type.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct MonitorOptions {
    /// The kind of the monitor.
    #[schemars(required)]
    pub r#type: Option<Text>,
    /// The monitor's name, unique within the site. It appears in every
    /// notification, and the state is stored under it.
    #[schemars(required)]
    pub name: Option<Text>,
    /// The target to check. Its form depends on `type`.
    #[schemars(required)]
    pub address: Option<Text>,
    /// Seconds between two checks. Default: the site's value, else 60.
    pub check_every_n_secs: Option<Seconds>,
    /// Consecutive failed checks before an outage is declared. Default: the site's
    /// value, else 3. (An addition: APMonitor has it for the site only.)
    pub max_retries: Option<Count>,
    /// Timeout of one check in seconds, including name resolution. Default: the
    /// site's value, else 20. (An addition.)
    pub max_try_secs: Option<Seconds>,
    /// Seconds from the end of a failed check to its retry. Default: the site's
    /// value, else `max_try_secs`. (An addition.)
    pub retry_every_n_secs: Option<Seconds>,
    /// Longest interval between two reminders of an outage, in seconds; not less
    /// than `check_every_n_secs`. Default: the site's value, else 600.
    pub notify_every_n_secs: Option<Seconds>,
    /// The number of the reminder from which `notify_every_n_secs` applies; the
    /// intervals before earlier reminders are shorter. Needs `notify_every_n_secs`.
    /// Default: the site's value, else 1.
    pub after_every_n_notifications: Option<Count>,
    /// Seconds for which the monitor must be unknown (it could not be checked)
    /// before a single notification is sent. Default: the site's value, else 300.
    /// (An addition.)
    pub unknown_after_secs: Option<Seconds>,
    /// Whether notifications about this monitor are sent. Default: the site's
    /// value, else yes.
    pub alarms: Option<bool>,
    /// Whether notifications about this monitor are also sent by e-mail. Default yes.
    pub email: Option<bool>,
    /// Whether the monitor appears on pages and charts. Default yes.
    pub display: Option<bool>,
    /// Which addresses of the host are used: `any` (IPv4 before IPv6), `ipv4` or
    /// `ipv6`. Default: the site's value, else `any`. (An addition.)
    pub address_family: Option<AddressFamily>,
    /// Which addresses of a name must answer: `any`, `first` or `all`. With `any`, the
    /// next one is tried if one refuses the connection, is unreachable, or does not
    /// answer within its share of the time left (at least one second); a note names
    /// it. A check stays at its address when the host redirects to itself; of another
    /// host to which it redirects, `all` needs one address only. Default: the site's
    /// value, else `any`. (An addition.)
    pub addresses: Option<Addresses>,
    /// Address of this machine from which the target is checked: an IPv4 address, an
    /// IPv6 address, or a list of one of each. It applies to targets of its family; for
    /// others the system chooses. While this machine does not have the address, the
    /// monitor is unknown. Default: the site's value, else the system chooses. (An
    /// addition.)
    pub source_address: Option<SourceAddresses>,
    /// A URL that is requested (GET) while the monitor is up, for an outside watcher
    /// that raises an alarm when the requests stop.
    pub heartbeat_url: Option<Secret>,
    /// Seconds between two heartbeats. Default: one after each successful check.
    /// Needs `heartbeat_url`.
    pub heartbeat_every_n_secs: Option<Seconds>,
}

/// The origin of an effective value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The monitor's own section.
    Monitor,
    /// The site's section.
    Site,
    /// Neither: the built-in default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Monitor => "monitor",
            Self::Site => "site",
            Self::Default => "default",
        })
    }
}

/// An effective value and its origin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Its origin.
    pub origin: Origin,
}

impl<T> Sourced<T> {
    fn of(monitor: Option<T>, site: Option<T>, default: T) -> Self {
        match (monitor, site) {
            (Some(value), _) => Self {
                value,
                origin: Origin::Monitor,
            },
            (None, Some(value)) => Self {
                value,
                origin: Origin::Site,
            },
            (None, None) => Self {
                value: default,
                origin: Origin::Default,
            },
        }
    }
}

/// One monitor of a site file.
#[non_exhaustive]
pub struct MonitorEntry {
    /// Its name.
    pub name: String,
    /// Its kind's name.
    pub kind: &'static str,
    /// Its address for display.
    pub address: String,
    /// Its position in the file.
    pub at: Position,
    /// See [`MonitorOptions`].
    pub check_every: Sourced<Seconds>,
    /// See [`MonitorOptions`].
    pub max_retries: Sourced<Count>,
    /// See [`MonitorOptions`].
    pub max_try: Sourced<Seconds>,
    /// See [`MonitorOptions`]; `None` is `max_try`.
    pub retry_every: Sourced<Option<Seconds>>,
    /// See [`MonitorOptions`].
    pub notify_every: Sourced<Seconds>,
    /// See [`MonitorOptions`].
    pub after_every_n: Sourced<Count>,
    /// See [`MonitorOptions`].
    pub unknown_after: Sourced<Seconds>,
    /// See [`MonitorOptions`].
    pub alarms: Sourced<bool>,
    /// See [`MonitorOptions`].
    pub email: Sourced<bool>,
    /// See [`MonitorOptions`].
    pub display: Sourced<bool>,
    /// See [`MonitorOptions`].
    pub heartbeat_url: Option<Secret>,
    /// See [`MonitorOptions`].
    pub heartbeat_every: Option<Seconds>,
    /// What the sender of heartbeats has read, here or in the site's section.
    heartbeat_options: Option<SectionValue>,
    /// SHA-256 over the effective options.
    pub checksum: String,
    /// See [`MonitorOptions`].
    pub reach: Arc<Reach>,
    labels: Arc<Labels>,
    /// Its secrets.
    mask: Mask,
    /// The options of its kind as JSON, with `***` for each secret.
    own: Box<str>,
    blueprint: Blueprint,
}

impl MonitorEntry {
    /// The classes of channels that it switches off; `email: no` switches off the
    /// class `email`.
    #[must_use]
    pub fn classes_off(&self) -> Vec<ChannelClass> {
        match self.email.value {
            true => Vec::new(),
            false => vec![ChannelClass::EMAIL],
        }
    }

    /// Its effective options under their names in the site file: the monitor's own,
    /// the site's, and the defaults. Each secret is shown as `***`; an option without
    /// a value is absent.
    #[must_use]
    pub fn options(&self) -> serde_json::Value {
        let mut options = serde_json::json!({
            "type": self.kind,
            "name": self.name,
            "address": self.address,
            "check_every_n_secs": self.check_every.value.get(),
            "max_retries": self.max_retries.value.get().get(),
            "max_try_secs": self.max_try.value.get(),
            "retry_every_n_secs": self.retry_every.value.unwrap_or(self.max_try.value).get(),
            "notify_every_n_secs": self.notify_every.value.get(),
            "after_every_n_notifications": self.after_every_n.value.get().get(),
            "unknown_after_secs": self.unknown_after.value.get(),
            "alarms": self.alarms.value,
            "email": self.email.value,
            "display": self.display.value,
        });
        let heartbeat = self.heartbeat_url.as_ref().map(ToString::to_string);
        let more = [
            ("heartbeat_url", heartbeat.map(serde_json::Value::from)),
            (
                "heartbeat_every_n_secs",
                self.heartbeat_every.map(|every| every.get().into()),
            ),
        ];
        let own: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&self.own).unwrap_or_default();
        if let Some(options) = options.as_object_mut() {
            options.extend(
                more.into_iter()
                    .filter_map(|(name, value)| Some((name.to_owned(), value?))),
            );
            options.extend(own);
        }
        options
    }

    /// Builds the monitor.
    #[must_use]
    pub fn build(&self, services: &Services) -> Arc<dyn Monitor> {
        let policy = Policy {
            check_every: self.check_every.value.duration(),
            max_retries: self.max_retries.value.get(),
            max_try: self.max_try.value.duration(),
            retry_every: self.retry_every.value.map(Seconds::duration),
            notify_every: self.notify_every.value.duration(),
            after_every_n: self.after_every_n.value.get(),
            unknown_after: self.unknown_after.value.duration(),
            alarms: self.alarms.value,
            classes_off: self.classes_off(),
            heartbeat: self.heartbeat_url.clone().map(|url| Heartbeat {
                url,
                every: self.heartbeat_every.map(Seconds::duration),
                options: self.heartbeat_options.clone(),
            }),
            check_before_notify: Vec::new(),
        };
        let watch = Watch {
            name: self.name.clone(),
            kind: self.kind.to_owned(),
            address: self.address.clone(),
            checksum: self.checksum.as_str().into(),
            policy,
            reach: Arc::clone(&self.reach),
            labels: Arc::clone(&self.labels),
            mask: self.mask.clone(),
        };
        self.blueprint.build(services, watch)
    }
}

impl fmt::Debug for MonitorEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitorEntry")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
