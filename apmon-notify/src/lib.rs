//! The channels of apmon, and its outgoing heartbeats.
//!
//! A channel makes one attempt to deliver one notification to one receiver, and
//! reports whether another attempt is worthwhile. When to retry, in which order, and
//! what causes a notification at all is decided in `apmon-core`.
//!
//! No error of this crate contains a URL, a prefix or a suffix, since they may contain
//! tokens, nor the password of a mail server.
//!
//! [`CHANNELS`] lists the kinds of channels that a site file may have:
//!
//! ```no_run
//! use apmon_core::{MonitorKind, Plan, Services, config};
//!
//! # const KINDS: &[&dyn MonitorKind] = &[];
//! let services = Services::default();
//! apmon_notify::install(&services); // sends heartbeats
//! let env = &config::ProcessEnvironment;
//! let file = config::load("site.yaml".as_ref(), KINDS, apmon_notify::CHANNELS, env)?;
//! let plan: Plan = file.plan(&services);
//! # Ok::<(), config::ConfigError>(())
//! ```
//!
//! A channel can also be created directly:
//!
//! ```
//! use std::time::Duration;
//!
//! use apmon_core::{Secret, Services};
//! use apmon_notify::{HttpClient, RequestEncoding, RequestMethod, Webhook, WebhookOptions};
//!
//! let mut options = WebhookOptions::default();
//! options.endpoint_url = Some(Secret::new("https://hooks.example.com/T0KEN"));
//! options.request_method = Some(RequestMethod::Post);
//! options.request_encoding = Some(RequestEncoding::Json);
//! let services = Services::default(); // `apmon_probes::install` adds a resolver
//! let client = HttpClient::new(services.names()); // one for all channels
//! let webhook = Webhook::new(&options, client, Duration::from_secs(20))?;
//! assert_eq!(webhook.origin(), "https://hooks.example.com");
//! # Ok::<(), apmon_notify::WebhookError>(())
//! ```
//!
//! The feature `mail`, on by default, brings the channel of that name.
//!
//! | module | contents |
//! |---|---|
//! | `webhook` | HTTP requests, defined by a preset or in full |
//! | `command` | programs |
//! | `syslog` | syslog through the local socket, UDP or TCP |
//! | `mail` | e-mail: recipients, connections to the server, the message itself |
//! | `heartbeat` | outgoing heartbeats |
//! | `trust` | which certificate of a receiver is accepted |
//! | `secret_file` | secrets that are read from a file at each delivery |
//! | `client` | the HTTP client of webhooks and heartbeats |
//! | `answer` | whether an answer or a failure allows another attempt |
//! | `cause` | what an error of a library comes down to |
//! | `tls` | the handshake with a receiver |
//! | `authority` | the certificate authorities of this machine |
//! | `description` | state, severity and subject of a notification |
//! | `hostname` | the name of this machine |
//! | `http_url` | the part of a URL that may be shown |
//! | `resolve` | resolves host names with the process's resolver |
//! | `schema` | the JSON Schema of options that several structs share |

mod answer;
mod authority;
mod cause;
mod client;
mod connect;
mod description;
#[doc(hidden)]
pub mod fuzzing;
mod heartbeat;
mod hostname;
mod http_url;
mod resolve;
mod schema;
mod secret_file;
mod tls;
mod trust;

use std::sync::Arc;

use apmon_core::{ChannelKind, Services};

pub use client::HttpClient;
pub use command::{Command, CommandKind, CommandOptions};
pub use heartbeat::{HEARTBEAT, HttpHeartbeats};
#[cfg(feature = "mail")]
pub use mail::{
    Mail, MailError, MailKind, MailOptions, MailServer, MailServerOptions, SmtpAuth, mail_subject,
};
pub use syslog::{Facility, Syslog, SyslogKind, SyslogOptions};
pub use trust::{HeartbeatTlsOptions, ReceiverTlsOptions};
pub use webhook::{
    PresetName, RequestEncoding, RequestMethod, Webhook, WebhookError, WebhookKind, WebhookOptions,
};

/// Declares the modules of the kinds of channels, and lists the kinds: one line each.
macro_rules! channels {
    ($($(#[$built:meta])* $module:ident::$kind:ident,)*) => {
        $($(#[$built])* mod $module;)*

        /// The kinds of channels, in the order of listings and the reference.
        pub const CHANNELS: &[&dyn ChannelKind] = &[$($(#[$built])* &$module::$kind),*];
    };
}

// `cargo fmt` does not see the modules declared here; `cargo xtask fmt` formats them too.
channels! {
    webhook::WebhookKind,
    command::CommandKind,
    syslog::SyslogKind,
    #[cfg(feature = "mail")]
    mail::MailKind,
}

/// Provides the service of this crate that all sites of a process share: the sender
/// of heartbeats.
pub fn install(services: &Services) {
    let sender = HttpHeartbeats::new(HttpClient::of(services));
    services.provide_heartbeats(Arc::new(sender));
}

// The skeleton that `cargo xtask new-channel` writes must compile and work.
#[cfg(test)]
#[allow(dead_code)] // it is in no table
#[path = "../../xtask/src/new_channel/skeleton.rs"]
mod skeleton;
