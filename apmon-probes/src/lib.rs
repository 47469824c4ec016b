//! apmon's probes over IP: one check of one host or service.
//!
//! For: learning whether something answers (`ping`), listens (`tcp`), replies
//! (`udp`), knows a name (`dns`) or serves the expected content behind the
//! expected certificate (`http`, `quic`). Every probe makes one attempt at one
//! address within one deadline, name resolution included, and returns `Up`,
//! `Down`, or `Unknown` if the fault is our own.
//!
//! Not for: deciding what a failed check means (that is `apmon-core`: retries,
//! outages, reminders), nor SNMP (`apmon-snmp`).
//!
//! ```
//! use apmon_core::{Clock, Check, SystemClock, Services, Verdict, config};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let site = format!(
//!     "site: {{name: Lab}}\nmonitors: [{{type: tcp, name: web, address: 'tcp://{}'}}]",
//!     server.local_addr()?
//! );
//! let site = config::parse("lab.yaml".as_ref(), &site, apmon_probes::KINDS, &config::ProcessEnvironment)?;
//!
//! let monitor = site.monitors[0].build(&Services::default());
//! let now = SystemClock::new().now();
//! let check = Check::new(now.mono, now, monitor.watch().policy.max_try);
//! assert_eq!(monitor.check(&check).await.outcome.verdict(), Verdict::Up);
//! # Ok(())
//! # }
//! ```
//!
//! Map: a kind is one file ([`Ping`], [`Tcp`], [`Udp`], [`Dns`], [`Http`],
//! [`Quic`]), with its options, its rules and its probe. They share `endpoint`
//! (`host:port`, and connections), `resolve` (names), `network` (whether our own
//! end is up), `tls` (handshake and expiry), `payload` (the bytes of `send`),
//! `expect` (searching an answer), `pace` (not sending too fast) and `recorder`
//! (phases, metrics and the outcome). [`install`] provides the resolver and the
//! interfaces to channels and to kinds of other crates.

mod dns;
mod endpoint;
mod errqueue;
mod expect;
mod http;
mod local;
mod network;
mod pace;
mod payload;
pub mod pin;
mod ping;
mod quic;
mod recorder;
mod resolve;
mod starttls;
mod tcp;
mod tls;
mod udp;

#[doc(hidden)]
pub mod fuzzing;

use apmon_core::MonitorKind;

pub use apmon_tls::Fingerprint;
pub use dns::{Dns, DnsOptions, RecordKind};
pub use http::{Http, HttpOptions};
pub use local::install;
pub use payload::Encoding;
pub use ping::{Packets, Percent, Ping, PingOptions};
pub use quic::Quic;
pub use starttls::StartTls;
pub use tcp::{Tcp, TcpOptions};
pub use tls::TlsOptions;
pub use udp::{Udp, UdpOptions};

/// Every kind of this crate.
pub const KINDS: &[&dyn MonitorKind] = &[&Ping, &Tcp, &Udp, &Dns, &Http, &Quic];
