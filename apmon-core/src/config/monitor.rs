//! The options every monitor has, and where each effective value came from.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    diagnostic::Position,
    section::{Diagnostics, Section},
    site::{RESERVED_NAMES, SiteOptions},
    value::{AddressFamily, Count, Seconds, Text},
};
use crate::{
    kind::{Blueprint, MonitorKind, Services},
    monitor::{Heartbeat, Monitor, Policy, Watch},
    secret::{Secret, hex},
    text::{excerpt, nearest, without_userinfo},
};

/// Options of every monitor, whatever its type.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct MonitorOptions {
    /// What kind of check it is.
    #[schemars(required)]
    pub r#type: Option<Text>,
    /// Unique within the site; it stands in every message, and the state is
    /// kept under it.
    #[schemars(required)]
    pub name: Option<Text>,
    /// What to look at. Its form depends on `type`.
    #[schemars(required)]
    pub address: Option<Text>,
    /// Seconds between two looks. Default: the site's, else 60.
    pub check_every_n_secs: Option<Seconds>,
    /// So many looks in a row must fail before it is an outage. Default: the
    /// site's, else 3. (An addition: APMonitor has it for the site only.)
    pub max_retries: Option<Count>,
    /// Deadline of one look in seconds, name resolution included. Default: the
    /// site's, else 20. (An addition.)
    pub max_try_secs: Option<Seconds>,
    /// Seconds from the end of a failed look to its retry. Default: the
    /// site's, else `max_try_secs`. (An addition.)
    pub retry_every_n_secs: Option<Seconds>,
    /// Longest time between two reminders of an outage, in seconds; not less
    /// than `check_every_n_secs`. Default: the site's, else 600.
    pub notify_every_n_secs: Option<Seconds>,
    /// The reminder from which `notify_every_n_secs` holds; those before come
    /// sooner. Needs `notify_every_n_secs`. Default: the site's, else 1.
    pub after_every_n_notifications: Option<Count>,
    /// After so many seconds in which it could not be looked at, that is told
    /// once. Default: the site's, else 300. (An addition.)
    pub unknown_after_secs: Option<Seconds>,
    /// Whether anybody is told anything of this monitor. Default: the site's,
    /// else yes.
    pub alarms: Option<bool>,
    /// Whether mail is among it. Default yes.
    pub email: Option<bool>,
    /// Whether it appears on pages and charts. Default yes.
    pub display: Option<bool>,
    /// Which addresses of its host are looked at: `any` (IPv4 before IPv6),
    /// `ipv4` or `ipv6`. Default: the site's, else `any`. (An addition.)
    pub address_family: Option<AddressFamily>,
    /// Requested with GET while the monitor is up, for an outside watcher.
    pub heartbeat_url: Option<Secret>,
    /// Seconds between two heartbeats. Default: one after each good look.
    /// Needs `heartbeat_url`.
    pub heartbeat_every_n_secs: Option<Seconds>,
}

/// Where an effective value came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The monitor's own section.
    Monitor,
    /// The site's section.
    Site,
    /// Neither.
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

/// An effective value and where it came from.
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

/// One monitor of a site file, read and checked.
pub struct MonitorEntry {
    /// Its name.
    pub name: String,
    /// Its kind's name.
    pub kind: &'static str,
    /// Its address, as it is shown.
    pub address: String,
    /// Where it stands in the file.
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
    /// SHA-256 over the effective options.
    pub checksum: String,
    blueprint: Blueprint,
}

impl MonitorEntry {
    /// Builds the monitor.
    #[must_use]
    pub fn build(&self, services: &Services) -> std::sync::Arc<dyn Monitor> {
        let policy = Policy {
            check_every: self.check_every.value.duration(),
            max_retries: self.max_retries.value.get(),
            max_try: self.max_try.value.duration(),
            retry_every: self.retry_every.value.map(Seconds::duration),
            notify_every: self.notify_every.value.duration(),
            after_every_n: self.after_every_n.value.get(),
            unknown_after: self.unknown_after.value.duration(),
            alarms: self.alarms.value,
            email: self.email.value,
            heartbeat: self.heartbeat_url.clone().map(|url| Heartbeat {
                url,
                every: self.heartbeat_every.map(Seconds::duration),
            }),
        };
        let watch = Watch {
            name: self.name.clone(),
            kind: self.kind.to_owned(),
            address: self.address.clone(),
            checksum: self.checksum.as_str().into(),
            policy,
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

/// Reads one monitor's section. Warnings come back even where it is wrong.
pub(super) fn read_monitor(
    mut section: Section<'_>,
    site: &SiteOptions,
    kinds: &[&dyn MonitorKind],
) -> (Option<MonitorEntry>, Diagnostics) {
    let Some(mut options) = section.read::<MonitorOptions>() else {
        return (None, Diagnostics::default());
    };
    let at = section.at;
    let name = options.name.take();
    let name = section.require("name", name);
    if let Some(name) = &name
        && RESERVED_NAMES.contains(&name.as_str())
    {
        let list = RESERVED_NAMES.join(", ");
        section.error(
            "name",
            format!("must not be one of {list}: the state file uses these words itself"),
        );
    }
    let kind = read_kind(&mut section, options.r#type.take(), kinds);
    let address = options.address.take();
    let address = section.require("address", address).map(Text::into_string);
    section.set_address(address.clone().unwrap_or_default());
    section.set_family(options.address_family.or(site.address_family).unwrap_or_default());
    check_rules(&mut section, &options);
    let compiled = kind.and_then(|kind| kind.read(&mut section));
    // Which kinds know an option that stands in the wrong one (rules 4, 20, 23, 25, 29, 32).
    let basis = section.take_basis();
    let diagnostics = match kind {
        Some(kind) => section.finish(|key| belongs_elsewhere(key, kind, kinds)),
        // Without a kind the options of all are known.
        None => {
            for kind in kinds {
                section.allow(&kind.fields());
            }
            section.finish(|_| None)
        }
    };
    let entry = (|| {
        let (name, kind, address, compiled) = (name?.into_string(), kind?, address?, compiled?);
        Some(entry(
            name,
            kind.name(),
            address,
            at,
            options,
            site,
            json!([compiled.options, basis]),
            compiled.blueprint,
        ))
    })();
    (entry, diagnostics)
}

fn read_kind<'k>(
    section: &mut Section<'_>,
    given: Option<Text>,
    kinds: &[&'k dyn MonitorKind],
) -> Option<&'k dyn MonitorKind> {
    let given = section.require("type", given)?;
    let word = given.as_str();
    if let Some(kind) = kinds.iter().find(|kind| kind.name() == word) {
        return Some(*kind);
    }
    // Rule 34, in its own words.
    if word == "snmp" {
        section.error_text(
            "type",
            "type 'snmp' is not valid. Did you mean type: ports?".into(),
        );
        return None;
    }
    let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
    let hint = nearest(word, names.iter().copied())
        .map(|word| format!("; did you mean {word}?"))
        .unwrap_or_default();
    section.error(
        "type",
        format!(
            "must be one of {}, not \"{}\"{hint}",
            names.join(", "),
            excerpt(word, 40)
        ),
    );
    None
}

fn belongs_elsewhere(key: &str, kind: &dyn MonitorKind, kinds: &[&dyn MonitorKind]) -> Option<String> {
    let owners: Vec<_> = kinds
        .iter()
        .filter(|other| other.fields().contains(&key))
        .map(|other| other.name())
        .collect();
    (!owners.is_empty()).then(|| {
        format!(
            "is not an option of type {}; it belongs to {}",
            kind.name(),
            owners.join(", ")
        )
    })
}

/// The rules between common options (2, 3, 6, 9).
fn check_rules(section: &mut Section<'_>, options: &MonitorOptions) {
    if let (Some(notify), Some(check)) = (options.notify_every_n_secs, options.check_every_n_secs)
        && notify < check
    {
        section.error(
            "notify_every_n_secs",
            format!(
                "must not be less than check_every_n_secs ({} < {})",
                notify.get(),
                check.get()
            ),
        );
    }
    if section.has("after_every_n_notifications") && !section.has("notify_every_n_secs") {
        section.misplaced(
            "after_every_n_notifications",
            "needs notify_every_n_secs beside it",
        );
    }
    if section.has("heartbeat_every_n_secs") && !section.has("heartbeat_url") {
        section.misplaced("heartbeat_every_n_secs", "needs heartbeat_url beside it");
    }
    if let Some(url) = &options.heartbeat_url {
        section.check_url("heartbeat_url", url.reveal(), &["http", "https"]);
    }
}

#[allow(clippy::too_many_arguments)] // the parts of one struct
fn entry(
    name: String,
    kind: &'static str,
    address: String,
    at: Position,
    options: MonitorOptions,
    site: &SiteOptions,
    own: serde_json::Value,
    blueprint: Blueprint,
) -> MonitorEntry {
    let default = Policy::default();
    let secs = |duration: std::time::Duration| Seconds::new(duration.as_secs());
    let mut entry = MonitorEntry {
        check_every: Sourced::of(
            options.check_every_n_secs,
            site.check_every_n_secs,
            secs(default.check_every),
        ),
        max_retries: Sourced::of(
            options.max_retries,
            site.max_retries,
            Count::new(default.max_retries),
        ),
        max_try: Sourced::of(options.max_try_secs, site.max_try_secs, secs(default.max_try)),
        retry_every: Sourced::of(
            options.retry_every_n_secs.map(Some),
            site.retry_every_n_secs.map(Some),
            None,
        ),
        notify_every: Sourced::of(
            options.notify_every_n_secs,
            site.notify_every_n_secs,
            secs(default.notify_every),
        ),
        after_every_n: Sourced::of(
            options.after_every_n_notifications,
            site.after_every_n_notifications,
            Count::new(default.after_every_n),
        ),
        unknown_after: Sourced::of(
            options.unknown_after_secs,
            site.unknown_after_secs,
            secs(default.unknown_after),
        ),
        alarms: Sourced::of(options.alarms, site.alarms, default.alarms),
        email: Sourced::of(options.email, None, default.email),
        display: Sourced::of(options.display, None, true),
        heartbeat_url: options.heartbeat_url,
        heartbeat_every: options.heartbeat_every_n_secs,
        checksum: String::new(),
        address: without_userinfo(&address),
        name,
        kind,
        at,
        blueprint,
    };
    entry.checksum = checksum(&entry, &address, &own);
    entry
}

/// SHA-256 over the effective options: their order, comments, and whether a
/// default is written out do not count.
fn checksum(entry: &MonitorEntry, address: &str, own: &serde_json::Value) -> String {
    #[derive(Serialize)]
    struct Effective<'a>(
        &'a str,
        &'a str,
        &'a str,
        [u64; 6],
        [bool; 3],
        u64,
        Option<&'a Secret>,
        Option<u64>,
    );
    let effective = Effective(
        &entry.name,
        entry.kind,
        address,
        [
            entry.check_every.value.get(),
            entry.max_retries.value.get().get().into(),
            entry.max_try.value.get(),
            entry.notify_every.value.get(),
            entry.after_every_n.value.get().get().into(),
            entry.unknown_after.value.get(),
        ],
        [entry.alarms.value, entry.email.value, entry.display.value],
        entry.retry_every.value.unwrap_or(entry.max_try.value).get(),
        entry.heartbeat_url.as_ref(),
        entry.heartbeat_every.map(Seconds::get),
    );
    let mut whole = json!([effective, own]);
    whole.sort_all_objects();
    hex(&Sha256::digest(whole.to_string()))
}
