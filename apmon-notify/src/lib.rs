//! The channels of apmon and its outgoing heartbeats.
//!
//! Each channel hands one notification to one receiver: one attempt, and whether
//! another is worth it. When to try again, in which order, and what is worth a
//! notification at all is decided in `apmon-core`.
//!
//! No error of this crate holds a URL, a prefix or a suffix: they may hold tokens.
//! None holds a mail server's password.
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
//! A channel can also be made by hand:
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
//! let services = Services::default(); // with `apmon_probes::install` it has a resolver
//! let client = HttpClient::new(services.names()); // one for all channels
//! let webhook = Webhook::new(&options, client, Duration::from_secs(20))?;
//! assert_eq!(webhook.origin(), "https://hooks.example.com");
//! # Ok::<(), apmon_notify::WebhookError>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `webhook` | HTTP requests, by preset or written out |
//! | `command` | programs |
//! | `syslog` | syslog by the local socket, UDP, TCP |
//! | `mail` | recipients of mail, the connections to their server, the bytes of a mail |
//! | `heartbeat` | the outgoing sign of life |
//! | `client` | the HTTP client of webhooks and heartbeats, made at first use |
//! | `answer` | what an answer or a failure means for another attempt |
//! | `description` | what channels say of a notification beside its text |
//! | `http_url` | what may be shown of a URL, and how text becomes part of one |
//! | `mask` | secrets kept out of what receivers sent back |
//! | `resolve` | host names, by the resolver that was handed in |

mod answer;
mod client;
mod command;
mod description;
mod heartbeat;
mod http_url;
mod mail;
mod mask;
mod resolve;
mod syslog;
mod webhook;

use std::sync::Arc;

use apmon_core::{ChannelKind, Services};

pub use client::HttpClient;
pub use command::{Command, CommandKind, CommandOptions};
pub use heartbeat::HttpHeartbeats;
pub use mail::{Mail, MailError, MailKind, MailOptions, MailServer, MailServerOptions, mail_subject};
pub use syslog::{Facility, Syslog, SyslogKind, SyslogOptions};
pub use webhook::{
    PresetName, RequestEncoding, RequestMethod, Webhook, WebhookError, WebhookKind, WebhookOptions,
};

/// The kinds of channels, in the order of listings and the reference.
pub const CHANNELS: &[&dyn ChannelKind] = &[&WebhookKind, &CommandKind, &SyslogKind, &MailKind];

/// Provides what this crate has for all sites of a process: the sender of
/// heartbeats.
pub fn install(services: &Services) {
    let sender = HttpHeartbeats::new(HttpClient::of(services));
    services.provide_heartbeats(Arc::new(sender));
}

// What `cargo xtask new-channel` writes: it must compile and work.
#[cfg(test)]
#[allow(dead_code)] // it is in no table
#[path = "../../xtask/src/new_channel/skeleton.rs"]
mod skeleton;
