//! The whole file: `site`, `monitors`, and what may stand beside them.

use std::{
    collections::{HashMap, hash_map},
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    address::is_email_address,
    channel::{self, OutageCommand, OutageSyslog},
    diagnostic::{self, ConfigError, Diagnostic, Position},
    fallback::{self, ChannelOptions, Links},
    monitor::{MonitorEntry, read_monitor},
    section::{MOST_HINTS, Section},
    source::{self, Environment},
    tree::{self, Entry, Node, Value},
    value::{AddressFamily, Count, NameResolution, PortNumber, Seconds, Text},
    webhook::{self, OutageWebhook},
};
use crate::{
    kind::MonitorKind,
    secret::Secret,
    text::{excerpt, nearest},
};

/// Words of the state file that no monitor may be called.
pub const RESERVED_NAMES: &[&str] = &["apmon", "execution_time", "execution_ms"];

/// What a site file is made of.
const SECTIONS: [&str; 2] = ["site", "monitors"];

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

/// Options of `site.email_server`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct EmailServer {
    /// Host name or address of the SMTP server.
    #[schemars(required)]
    pub smtp_host: Option<Text>,
    /// Its port: 587 (STARTTLS), 465 (TLS) or 25.
    #[schemars(required)]
    pub smtp_port: Option<PortNumber>,
    /// User name, for servers that want one. Goes with `smtp_password`.
    pub smtp_username: Option<Text>,
    /// Password, for servers that want one. Goes with `smtp_username`.
    pub smtp_password: Option<Secret>,
    /// Sender of the mails.
    #[schemars(required)]
    pub from_address: Option<Text>,
    /// Whether the connection is encrypted: `yes` demands STARTTLS and sends
    /// nothing without it, `no` is in clear. Port 465 is TLS from the first
    /// byte, whatever stands here. Default yes.
    pub use_tls: Option<bool>,
    /// Whether the server's certificate must be signed by an authority this
    /// machine trusts and name the host. `no` takes any, such as a relay's
    /// self-signed one. Default yes. (An addition.)
    pub smtp_verify_tls: Option<bool>,
}

impl EmailServer {
    /// The port on which TLS begins with the first byte (RFC 8314 section 3.3).
    const TLS_PORT: u16 = 465;

    /// How the connection is protected.
    #[must_use]
    pub fn protection(&self) -> MailProtection {
        if self.smtp_port.is_some_and(|port| port.get() == Self::TLS_PORT) {
            MailProtection::Tls
        } else if self.use_tls.unwrap_or(true) {
            MailProtection::StartTls
        } else {
            MailProtection::None
        }
    }
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MailProtection {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS, and nothing without it.
    StartTls,
    /// In clear.
    None,
}

/// Options of one entry of `site.outage_emails`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct OutageEmail {
    /// The recipient.
    #[schemars(required)]
    pub email: Option<Text>,
    /// Whether outages are mailed, and everything without a switch of its own. Default yes.
    pub email_outages: Option<bool>,
    /// Whether recoveries are mailed. Default yes.
    pub email_recoveries: Option<bool>,
    /// Whether reminders are mailed. Default yes.
    pub email_reminders: Option<bool>,
    /// What every channel has.
    #[serde(skip)]
    pub common: ChannelOptions,
}

/// A site file, read and checked.
#[derive(Debug)]
pub struct SiteFile {
    /// Where it was read.
    pub path: PathBuf,
    /// The site's name.
    pub name: String,
    /// The site's options.
    pub site: SiteOptions,
    /// Its mail server.
    pub email_server: Option<EmailServer>,
    /// Its mail recipients.
    pub outage_emails: Vec<OutageEmail>,
    /// Its webhooks.
    pub outage_webhooks: Vec<OutageWebhook>,
    /// Its programs that are told.
    pub outage_commands: Vec<OutageCommand>,
    /// Its syslog receivers.
    pub outage_syslogs: Vec<OutageSyslog>,
    /// Its monitors, in the order of the file.
    pub monitors: Vec<MonitorEntry>,
    /// What is questionable but allowed.
    pub warnings: Vec<Diagnostic>,
    /// What could be safer. Said where somebody asks (`--test-config`), and not
    /// at every start.
    pub hints: Vec<Diagnostic>,
}

/// Reads a site file.
///
/// # Errors
/// It cannot be read, or is no YAML, or every mistake of meaning in it.
pub fn load(
    path: &Path,
    kinds: &[&dyn MonitorKind],
    environment: &dyn Environment,
) -> Result<SiteFile, ConfigError> {
    parse(path, &source::read(path)?, kinds, environment)
}

/// Reads a site file's text; `path` is for messages.
///
/// # Errors
/// It is no YAML, or every mistake of meaning in it.
pub fn parse(
    path: &Path,
    text: &str,
    kinds: &[&dyn MonitorKind],
    environment: &dyn Environment,
) -> Result<SiteFile, ConfigError> {
    let tree = tree::read(text, environment).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        at: error.at,
        reason: error.reason,
    })?;
    let mut reader = Reader {
        kinds,
        errors: tree.errors,
        warnings: Vec::new(),
        hints: Vec::new(),
        links: Links::default(),
    };
    let file = reader.file(path, &tree.root);
    let errors = diagnostic::deduplicated(reader.errors);
    match file {
        Some(file) if errors.is_empty() => Ok(SiteFile {
            warnings: diagnostic::deduplicated(reader.warnings),
            hints: reader.hints,
            ..file
        }),
        _ => Err(ConfigError::Invalid {
            path: path.to_owned(),
            errors,
        }),
    }
}

struct Reader<'a> {
    kinds: &'a [&'a dyn MonitorKind],
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    hints: Vec<Diagnostic>,
    links: Links,
}

impl Reader<'_> {
    fn error(&mut self, at: Position, text: impl Into<String>) {
        self.errors.push(Diagnostic {
            at,
            within: String::new(),
            text: text.into(),
        });
    }

    fn file(&mut self, path: &Path, root: &Node) -> Option<SiteFile> {
        let Value::Mapping(entries) = &root.value else {
            if !matches!(root.value, Value::Wrong) {
                self.error(
                    root.at,
                    format!(
                        "a site file has the sections site and monitors, this is {}",
                        root.value.what()
                    ),
                );
            }
            return None;
        };
        let find = |key: &str| {
            entries
                .iter()
                .find(|entry| &*entry.key == key)
                .map(|entry| &entry.value)
        };
        for entry in entries.iter() {
            self.top_level_key(entry);
        }
        let file = SiteFile {
            path: path.to_owned(),
            name: String::new(),
            site: SiteOptions::default(),
            email_server: None,
            outage_emails: Vec::new(),
            outage_webhooks: Vec::new(),
            outage_commands: Vec::new(),
            outage_syslogs: Vec::new(),
            monitors: Vec::new(),
            warnings: Vec::new(),
            hints: Vec::new(),
        };
        let mut file = match find("site") {
            None => {
                self.missing(root, entries, "site");
                file
            }
            Some(node) => self.site(node, file),
        };
        match find("monitors") {
            None => self.missing(root, entries, "monitors"),
            Some(node) => file.monitors = self.monitors(node, path, &file.site),
        }
        Some(file)
    }

    /// `section` is not there; perhaps another key was meant to be it.
    fn missing(&mut self, root: &Node, entries: &[Entry], section: &str) {
        let meant = entries
            .iter()
            .take(MOST_HINTS)
            .find(|entry| nearest(&entry.key, SECTIONS).is_some_and(|near| near == section));
        let hint = meant
            .map(|entry| {
                format!(
                    "; is \"{}\" on line {} meant to be it?",
                    excerpt(&entry.key, 60),
                    entry.at.line
                )
            })
            .unwrap_or_default();
        self.error(
            meant.map_or(root.at, |entry| entry.at),
            format!("the section \"{section}\" is missing{hint}"),
        );
    }

    fn top_level_key(&mut self, entry: &Entry) {
        let key = &*entry.key;
        if SECTIONS.contains(&key) || key.starts_with("x-") {
            return;
        }
        let hint = (self.warnings.len() < MOST_HINTS)
            .then(|| nearest(key, SECTIONS))
            .flatten()
            .map(|word| format!("; did you mean \"{word}\"?"))
            .unwrap_or_default();
        self.warnings.push(Diagnostic {
            at: entry.at,
            within: String::new(),
            text: format!("unknown section \"{}\" is ignored{hint}", excerpt(key, 60)),
        });
    }

    fn site(&mut self, node: &Node, mut file: SiteFile) -> SiteFile {
        let Some(mut section) = Section::open(node, "site", &mut self.errors) else {
            return file;
        };
        if let Some(mut options) = section.read::<SiteOptions>() {
            let name = options.name.take();
            file.name = section
                .require("name", name)
                .map_or_else(String::new, Text::into_string);
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
            if section.has("heartbeat_every_n_secs") && !section.has("heartbeat_url") {
                section.misplaced("heartbeat_every_n_secs", "needs heartbeat_url beside it");
            }
            if let Some(url) = &options.heartbeat_url {
                section.check_url("heartbeat_url", url.reveal(), &["http", "https"]);
            }
            file.site = options;
        }
        let expire = (!section.is_wrong("notify_expire_secs"))
            .then(|| file.site.notify_expire_secs.unwrap_or(fallback::EXPIRE));
        let server = section.take("email_server");
        let emails = section.take("outage_emails");
        let webhooks = section.take("outage_webhooks");
        let commands = section.take("outage_commands");
        let syslogs = section.take("outage_syslogs");
        if emails.is_some() && server.is_none() {
            section.misplaced("outage_emails", "needs email_server beside it");
        }
        self.warnings.extend(section.finish(|_| None).warnings);
        file.email_server = server.and_then(|node| self.email_server(&node));
        file.outage_emails = self.list(emails, "outage_emails", Self::outage_email);
        file.outage_webhooks = self.list(webhooks, "outage_webhooks", Self::outage_webhook);
        file.outage_commands = self.list(commands, "outage_commands", Self::outage_command);
        file.outage_syslogs = self.list(syslogs, "outage_syslogs", Self::outage_syslog);
        std::mem::take(&mut self.links).check(expire, &mut self.errors);
        file
    }

    fn list<T>(
        &mut self,
        node: Option<Node>,
        name: &str,
        read: fn(&mut Self, &Node, String) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = node else { return Vec::new() };
        let Value::Sequence(items) = &node.value else {
            if !matches!(node.value, Value::Wrong) {
                self.errors.push(Diagnostic {
                    at: node.at,
                    within: "site".into(),
                    text: format!("\"{name}\" must be a list, this is {}", node.value.what()),
                });
            }
            return Vec::new();
        };
        let items = items.iter().enumerate();
        items
            .filter_map(|(i, item)| read(self, item, format!("{name} {}", i + 1)))
            .collect()
    }

    fn email_server(&mut self, node: &Node) -> Option<EmailServer> {
        let mut section = Section::open(node, "email_server", &mut self.errors)?;
        let server = section.read::<EmailServer>();
        if let Some(server) = &server {
            section.require("smtp_host", server.smtp_host.as_ref());
            section.require("smtp_port", server.smtp_port);
            section.require("from_address", server.from_address.as_ref());
            if let Some(host) = &server.smtp_host
                && super::Host::parse(host.as_str()).is_none()
            {
                section.error("smtp_host", "must be a host name or an address");
            }
            if let Some(from) = &server.from_address
                && !is_email_address(from.as_str())
            {
                section.error("from_address", "must be an e-mail address");
            }
            match (&server.smtp_username, &server.smtp_password) {
                (Some(_), None) => {
                    section.warn("smtp_username", "has no smtp_password beside it: nobody logs in")
                }
                (None, Some(_)) => {
                    section.warn("smtp_password", "has no smtp_username beside it: nobody logs in")
                }
                (Some(_), Some(_)) if server.protection() == MailProtection::None => section.warn(
                    "smtp_password",
                    "is sent in clear, for use_tls is no: whoever sees the traffic can read it",
                ),
                _ => {}
            }
        }
        self.warnings.extend(section.finish(|_| None).warnings);
        server
    }

    fn outage_email(&mut self, node: &Node, within: String) -> Option<OutageEmail> {
        let mut section = Section::open(node, within, &mut self.errors)?;
        let mut email = section.read::<OutageEmail>();
        let common = self.links.read(&mut section);
        if let Some(email) = &mut email {
            email.common = common;
        }
        if let Some(OutageEmail { email, .. }) = &email {
            section.require("email", email.as_ref());
            if let Some(email) = email
                && !is_email_address(email.as_str())
            {
                section.error("email", "must be an e-mail address");
            }
        }
        self.warnings.extend(section.finish(|_| None).warnings);
        email
    }

    fn outage_webhook(&mut self, node: &Node, within: String) -> Option<OutageWebhook> {
        let mut section = Section::open(node, within, &mut self.errors)?;
        let mut webhook = webhook::read(&mut section);
        let common = self.links.read(&mut section);
        if let Some(webhook) = &mut webhook {
            webhook.common = common;
        }
        self.warnings.extend(section.finish(|_| None).warnings);
        webhook
    }

    fn outage_command(&mut self, node: &Node, within: String) -> Option<OutageCommand> {
        let mut section = Section::open(node, within, &mut self.errors)?;
        let mut command = channel::read_command(&mut section);
        let common = self.links.read(&mut section);
        if let Some(command) = &mut command {
            command.common = common;
        }
        self.warnings.extend(section.finish(|_| None).warnings);
        command
    }

    fn outage_syslog(&mut self, node: &Node, within: String) -> Option<OutageSyslog> {
        let mut section = Section::open(node, within, &mut self.errors)?;
        let mut syslog = channel::read_syslog(&mut section);
        let common = self.links.read(&mut section);
        if let Some(syslog) = &mut syslog {
            syslog.common = common;
        }
        self.warnings.extend(section.finish(|_| None).warnings);
        syslog
    }

    fn monitors(&mut self, node: &Node, path: &Path, site: &SiteOptions) -> Vec<MonitorEntry> {
        let Value::Sequence(items) = &node.value else {
            if !matches!(node.value, Value::Wrong) {
                self.error(
                    node.at,
                    format!("\"monitors\" must be a list, this is {}", node.value.what()),
                );
            }
            return Vec::new();
        };
        if items.is_empty() {
            self.error(node.at, "\"monitors\" is empty: there is nothing to watch");
        }
        let mut names: HashMap<String, (Position, Position)> = HashMap::with_capacity(items.len());
        let mut monitors = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            let name = name_of(item);
            let within = match &name {
                Some((name, _)) => format!("monitor \"{}\"", excerpt(name, 80)),
                None => format!("monitor {}", i + 1),
            };
            if let Some((name, at)) = name {
                match names.entry(name) {
                    hash_map::Entry::Vacant(first) => {
                        first.insert((item.at, at));
                    }
                    hash_map::Entry::Occupied(first) => {
                        let (first, name_at) = *first.get();
                        self.errors.push(Diagnostic {
                            // A name that both took in has but one place.
                            at: if at == name_at { item.at } else { at },
                            within: within.clone(),
                            text: format!("\"name\" is already that of the monitor on line {}", first.line),
                        });
                    }
                }
            }
            let Some(section) = Section::open(item, within, &mut self.errors) else {
                continue;
            };
            let (entry, diagnostics) = read_monitor(section.within_site(path, site), site, self.kinds);
            self.warnings.extend(diagnostics.warnings);
            self.hints.extend(diagnostics.hints);
            monitors.extend(entry);
        }
        monitors
    }
}

/// A monitor's name, before anything else of it is read.
fn name_of(node: &Node) -> Option<(String, Position)> {
    let Value::Mapping(entries) = &node.value else {
        return None;
    };
    let entry = entries.iter().find(|entry| &*entry.key == "name")?;
    match &entry.value.value {
        Value::Scalar(name) if !name.is_empty() => Some((name.to_string(), entry.value.at)),
        _ => None,
    }
}
