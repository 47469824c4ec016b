//! The options of the section `site`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    defaults::MonitorDefaults,
    section::Section,
    source_address::SourceAddresses,
    value::{AddressFamily, Addresses, Count, NameResolution, Seconds, Text},
};
use crate::{channel::SectionKind, monitor::Policy, secret::Secret, section_value::SectionValue};

/// Names that the state file reserves and that no monitor may have.
pub const RESERVED_NAMES: &[&str] = &["apmon", "execution_time", "execution_ms"];

/// Options of the section `site`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct SiteOptions {
    /// The site's name, which appears in every notification.
    #[schemars(required)]
    pub name: Option<Text>,
    /// The maximum number of checks that run at the same time. Default: no limit. A
    /// limit below the number of monitors lets dead targets delay other checks.
    /// `-t` overrides it.
    pub max_threads: Option<Count>,
    /// Consecutive failed checks before an outage is declared. Default 3.
    pub max_retries: Option<Count>,
    /// Timeout of one check in seconds, including name resolution. It is also the
    /// timeout of one delivery. Default 20.
    pub max_try_secs: Option<Seconds>,
    /// Seconds from the end of a failed check to its retry. Default:
    /// `max_try_secs`. (An addition to APMonitor's options.)
    pub retry_every_n_secs: Option<Seconds>,
    /// Seconds between two checks. Default 60.
    pub check_every_n_secs: Option<Seconds>,
    /// Longest interval between two reminders of an outage, in seconds. Default 600.
    pub notify_every_n_secs: Option<Seconds>,
    /// The number of the reminder from which `notify_every_n_secs` applies; the
    /// intervals before earlier reminders are shorter. Default 1: all intervals are
    /// the same.
    pub after_every_n_notifications: Option<Count>,
    /// Seconds for which a monitor must be unknown (it could not be checked) before
    /// a single notification is sent. Default 300. (An addition.)
    pub unknown_after_secs: Option<Seconds>,
    /// Whether notifications are sent; a monitor can override it. Default yes.
    pub alarms: Option<bool>,
    /// Which addresses of a host are used: `any` (IPv4 before IPv6), `ipv4` or
    /// `ipv6`. Default `any`. (An addition.)
    pub address_family: Option<AddressFamily>,
    /// Which addresses of a name must answer: `any`, `first` or `all`. With `any`, the
    /// next one is tried if one refuses the connection, is unreachable, or does not
    /// answer within its share of the time left (at least one second); a note names
    /// it. Default `any`. (An addition.)
    pub addresses: Option<Addresses>,
    /// Address of this machine from which targets are checked: an IPv4 address, an
    /// IPv6 address, or a list of one of each. It applies to targets of its family; for
    /// others the system chooses. While this machine does not have the address,
    /// monitors that use it are unknown. Default: the system chooses. (An addition.)
    pub source_address: Option<SourceAddresses>,
    /// How names are resolved: `dns` (the hosts file, then the name servers of
    /// resolv.conf) or `system` (getaddrinfo, as configured in nsswitch.conf).
    /// Default `dns`. With `system`, at most four names are resolved at a time, so
    /// a name server that does not answer delays other names, and an address is
    /// cached for 60 seconds. (An addition.)
    pub resolver: Option<NameResolution>,
    /// Whether certificates must be issued for the host by an authority that this
    /// machine trusts. Default no. (An addition.)
    pub ssl_verify: Option<bool>,
    /// A PEM file of authorities that are trusted instead of the system's wherever
    /// `ssl_verify` is on. The path is relative to the site file. (An addition.)
    pub ssl_ca_file: Option<Text>,
    /// A certificate that expires within this many days causes a warning. Default:
    /// no warning. (An addition.)
    pub ssl_expiry_warn_days: Option<Count>,
    /// Number of days for which the history keeps outages and deliveries. Default
    /// 400. Only the daemon's database has a history. (An addition.)
    pub history_days: Option<Count>,
    /// Seconds after which an undelivered notification is given up. Default 86400,
    /// one day. (An addition.)
    pub notify_expire_secs: Option<Seconds>,
    /// A URL that is requested (GET) every `heartbeat_every_n_secs` while apmon itself
    /// works: checks start on time, state is saved, and notifications are delivered.
    /// It is meant for an outside watcher that raises an alarm when the requests
    /// stop. (An addition.)
    pub heartbeat_url: Option<Secret>,
    /// Seconds between two heartbeats of the site. Default 60. Needs
    /// `heartbeat_url`. (An addition.)
    pub heartbeat_every_n_secs: Option<Seconds>,
    /// What the sender of heartbeats has read of its own options.
    #[serde(skip)]
    pub heartbeat_options: Option<SectionValue>,
}

/// The time after which a notification expires if the site sets none.
const EXPIRE: Seconds = Seconds::new(86_400);

impl SiteOptions {
    /// Reads the options and the site's name.
    pub(super) fn read(
        section: &mut Section<'_>,
        heartbeat: Option<&dyn SectionKind>,
    ) -> Option<(String, Self)> {
        let mut options = section.read::<Self>()?;
        let name = options.name.take();
        let name = section
            .require("name", name)
            .map_or_else(String::new, Text::into_string);
        check_pacing(section, &options);
        check_heartbeat(section, options.heartbeat_url.as_ref());
        options.heartbeat_options = heartbeat.and_then(|kind| kind.read(section));
        Some((name, options))
    }

    /// The time after which a notification expires; `None` if that option is invalid.
    pub(super) fn expire(&self, section: &Section<'_>) -> Option<Seconds> {
        (!section.is_wrong("notify_expire_secs")).then(|| self.notify_expire_secs.unwrap_or(EXPIRE))
    }

    /// The options that kinds of monitors read themselves.
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

/// Warns if the site's reminders are more frequent than its checks (rule 2, which APMonitor has
/// for monitors only).
fn check_pacing(section: &mut Section<'_>, options: &SiteOptions) {
    let default = Policy::default();
    let secs =
        |own: Option<Seconds>, default: std::time::Duration| own.map_or(default.as_secs(), Seconds::get);
    let notify = secs(options.notify_every_n_secs, default.notify_every);
    let check = secs(options.check_every_n_secs, default.check_every);
    if notify >= check {
        return;
    }
    let (key, text) = match options.notify_every_n_secs {
        Some(_) => (
            "notify_every_n_secs",
            format!("is less than check_every_n_secs ({notify} < {check})"),
        ),
        None => (
            "check_every_n_secs",
            format!("is more than notify_every_n_secs ({check} > {notify}, the default)"),
        ),
    };
    section.warn(
        key,
        format!("{text}: reminders would repeat the result of an old check"),
    );
}

/// Checks, for a site or a monitor, that a heartbeat has a valid URL (rule 9).
pub(super) fn check_heartbeat(section: &mut Section<'_>, url: Option<&Secret>) {
    if section.has("heartbeat_every_n_secs") && !section.has("heartbeat_url") {
        section.misplaced("heartbeat_every_n_secs", "needs \"heartbeat_url\"");
    }
    if let Some(url) = url {
        section.check_url("heartbeat_url", url.reveal(), &["http", "https"]);
    }
}
