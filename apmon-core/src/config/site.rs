//! The options of the section `site`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    defaults::MonitorDefaults,
    section::Section,
    value::{AddressFamily, Count, NameResolution, Seconds, Text},
};
use crate::secret::Secret;

/// Words of the state file that no monitor may be called.
pub const RESERVED_NAMES: &[&str] = &["apmon", "execution_time", "execution_ms"];

/// Options of the section `site`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct SiteOptions {
    /// The site's name; it stands in every message.
    #[schemars(required)]
    pub name: Option<Text>,
    /// The most checks under way at once. Default: no cap. A cap below the
    /// number of monitors lets dead targets delay others. `-t` overrides it.
    pub max_threads: Option<Count>,
    /// So many looks in a row must fail before it is an outage. Default 3.
    pub max_retries: Option<Count>,
    /// Deadline of one look in seconds. Default 20.
    pub max_try_secs: Option<Seconds>,
    /// Seconds from the end of a failed look to its retry. Default:
    /// `max_try_secs`. (An addition to APMonitor's options.)
    pub retry_every_n_secs: Option<Seconds>,
    /// Seconds between two looks. Default 60.
    pub check_every_n_secs: Option<Seconds>,
    /// Longest time between two reminders of an outage, in seconds. Default 600.
    pub notify_every_n_secs: Option<Seconds>,
    /// The reminder from which `notify_every_n_secs` holds; those before come
    /// sooner. Default 1: a constant interval.
    pub after_every_n_notifications: Option<Count>,
    /// After so many seconds in which a monitor could not be looked at, that is
    /// told once. Default 300. (An addition.)
    pub unknown_after_secs: Option<Seconds>,
    /// Whether anybody is told anything. Default yes.
    pub alarms: Option<bool>,
    /// Which addresses of a host are looked at: `any` (IPv4 before IPv6),
    /// `ipv4` or `ipv6`. Default `any`. (An addition.)
    pub address_family: Option<AddressFamily>,
    /// How names become addresses: `dns` (the hosts file, then the name servers
    /// of resolv.conf) or `system` (getaddrinfo: whatever nsswitch.conf says).
    /// Default `dns`. With `system` four names are looked up at a time, so that
    /// names at a silent server delay other names, and an address is
    /// remembered for 60 seconds. (An addition.)
    pub resolver: Option<NameResolution>,
    /// Whether certificates must be signed by an authority this machine trusts
    /// and name the host. Default no. (An addition.)
    pub ssl_verify: Option<bool>,
    /// A PEM file of the authorities that are trusted instead of the system's,
    /// wherever `ssl_verify` is on. Relative to the site file. (An addition.)
    pub ssl_ca_file: Option<Text>,
    /// Warn when a certificate expires within so many days. Default: no
    /// warning. (An addition.)
    pub ssl_expiry_warn_days: Option<Count>,
    /// Outages and deliveries are kept in the history for so many days.
    /// Default 400. Only the database of the daemon has one. (An addition.)
    pub history_days: Option<Count>,
    /// A message that is not delivered is given up after so many seconds.
    /// Default 86400: a day. (An addition.)
    pub notify_expire_secs: Option<Seconds>,
    /// A URL that is requested (GET) every `heartbeat_every_n_secs` while apmon
    /// itself is well: it looks in time, its state is saved, its messages get
    /// out. For an outside watcher that is to notice when they do not. (An addition.)
    pub heartbeat_url: Option<Secret>,
    /// Seconds between two of these heartbeats. Default 60. Needs
    /// `heartbeat_url`. (An addition.)
    pub heartbeat_every_n_secs: Option<Seconds>,
}

/// A notification is given up after so many seconds where the site does not say.
const EXPIRE: Seconds = Seconds::new(86_400);

impl SiteOptions {
    /// Reads them, and the site's name.
    pub(super) fn read(section: &mut Section<'_>) -> Option<(String, Self)> {
        let mut options = section.read::<Self>()?;
        let name = options.name.take();
        let name = section
            .require("name", name)
            .map_or_else(String::new, Text::into_string);
        check_pacing(section, options.notify_every_n_secs, options.check_every_n_secs);
        check_heartbeat(section, options.heartbeat_url.as_ref());
        Some((name, options))
    }

    /// After so many seconds a notification is given up; `None` where that
    /// option is wrong.
    pub(super) fn expire(&self, section: &Section<'_>) -> Option<Seconds> {
        (!section.is_wrong("notify_expire_secs")).then(|| self.notify_expire_secs.unwrap_or(EXPIRE))
    }

    /// What kinds of monitors read of the site.
    pub(super) fn defaults(&self) -> MonitorDefaults {
        MonitorDefaults {
            address_family: self.address_family,
            resolver: self.resolver,
            ssl_verify: self.ssl_verify,
            ssl_ca_file: self.ssl_ca_file.clone(),
            ssl_expiry_warn_days: self.ssl_expiry_warn_days,
        }
    }
}

/// Reminders come no more often than checks (rule 3), for a site and a monitor.
pub(super) fn check_pacing(section: &mut Section<'_>, notify: Option<Seconds>, check: Option<Seconds>) {
    if let (Some(notify), Some(check)) = (notify, check)
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
}

/// A heartbeat has a URL (rule 9), for a site and a monitor.
pub(super) fn check_heartbeat(section: &mut Section<'_>, url: Option<&Secret>) {
    if section.has("heartbeat_every_n_secs") && !section.has("heartbeat_url") {
        section.misplaced("heartbeat_every_n_secs", "needs heartbeat_url beside it");
    }
    if let Some(url) = url {
        section.check_url("heartbeat_url", url.reveal(), &["http", "https"]);
    }
}
