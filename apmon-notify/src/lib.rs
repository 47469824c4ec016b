//! The channels on which apmon tells people, and its outgoing signs of life.
//!
//! A [`Webhook`] hands one message to one receiver, a [`Mail`] to one mailbox;
//! [`HttpHeartbeats`] vouches for us with an outside watcher. Each makes one
//! attempt and says whether another is worth it. When to try again, in which order, and what is worth
//! telling at all is not decided here: that is `apmon-core`.
//!
//! No error of this crate holds a URL, a prefix or a suffix: they hold tokens.
//! None holds a mail server's password.
//!
//! ```
//! use std::time::Duration;
//!
//! use apmon_core::{
//!     Secret, Services,
//!     config::{OutageWebhook, RequestEncoding, RequestMethod},
//! };
//! use apmon_notify::{HttpClient, Webhook, channel_ids};
//!
//! let options = OutageWebhook {
//!     endpoint_url: Some(Secret::new("https://hooks.example.com/T0KEN")),
//!     request_method: Some(RequestMethod::Post),
//!     request_encoding: Some(RequestEncoding::Json),
//!     ..OutageWebhook::default()
//! };
//! let services = Services::default(); // with `apmon_probes::install` it has a resolver
//! let client = HttpClient::new(services.names()); // one for all channels
//! let webhook = Webhook::new(&options, client, Duration::from_secs(20))?;
//! assert_eq!(webhook.origin(), "https://hooks.example.com");
//! assert_eq!(channel_ids(&[options]), ["webhook:hooks.example.com"]);
//! # Ok::<(), apmon_notify::WebhookError>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `webhook` | the channel, and its identity |
//! | `command` | a program that is told |
//! | `syslog` | lines to a socket, by UDP, TCP |
//! | `preset` | the services whose requests are known, a file each |
//! | `template` | values put into a tree's strings |
//! | `mail` | the recipient of mail, its server's connections, the mail's bytes |
//! | `heartbeat` | the sign of life |
//! | `encode` | the bytes of a webhook: URL, HTML, CSV, JSON |
//! | `client` | the HTTP client both share, made at first use |
//! | `answer` | what an answer or a failure means for another try |
//! | `id` | by what a channel is known |
//! | `mask` | secrets kept out of what receivers sent back |
//! | `origin` | the part of a URL that holds no secret |
//! | `resolve` | host names, by the resolver that was handed in |

mod answer;
mod client;
mod command;
mod encode;
mod heartbeat;
mod id;
mod mail;
mod mask;
mod origin;
mod preset;
mod resolve;
mod syslog;
mod template;
mod webhook;

pub use client::HttpClient;
pub use command::{Command, command_ids};
pub use heartbeat::HttpHeartbeats;
pub use mail::{Mail, MailError, MailServer, mail_channel_ids, mail_subject};
pub use syslog::{Syslog, syslog_ids};
pub use webhook::{Webhook, WebhookError, channel_ids};
