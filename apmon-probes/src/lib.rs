//! apmon's probes over IP: one check of one host or service.
//!
//! For: finding out whether a host answers (`ping`), a port accepts connections
//! (`tcp`), a service replies to a datagram (`udp`), a name server gives the
//! right records (`dns`), or a server delivers the right page with the right
//! certificate (`http`, and `quic` over HTTP/3). Each probe makes one attempt at
//! one address within one deadline, name resolution included. The verdict is
//! `Up`, `Down`, or `Unknown` if the fault is our own.
//!
//! Not for: deciding what a failed check means (`apmon-core`: retries, outages,
//! reminders), nor SNMP (`apmon-snmp`).
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
//! let site = config::parse("lab.yaml".as_ref(), &site, apmon_probes::KINDS, &[], &config::ProcessEnvironment)?;
//!
//! let monitor = site.monitors[0].build(&Services::default());
//! let now = SystemClock::new().now();
//! let check = Check::new(now.mono, now, monitor.watch().policy.max_try);
//! assert_eq!(monitor.check(&check).await.outcome.verdict(), Verdict::Up);
//! # Ok(())
//! # }
//! ```
//!
//! Map: each kind is one file ([`Ping`], [`Tcp`], [`Udp`], [`Dns`], [`Http`],
//! [`Quic`]) with its options, rules and probe. The kinds share `endpoint`
//! (connecting to `host:port`), `budget` (how much a peer may send), `resolve`
//! (names), `network` (whether our own end is up), `tls` (pins and expiry),
//! `payload` (`send` and `expect` as bytes), `expect` (searching an answer),
//! `pace` (rate limits), `errqueue` (ICMP errors) and `recorder` (phases and their
//! times); `write_through` is for wrappers of streams. [`install`] makes the resolver and the interfaces available to kinds of
//! other crates.
//!
//! Features, on by default: `dns` and `quic` are the kinds of these names.
//! `hickory` is our own resolver; without it every name is resolved by the
//! system's `getaddrinfo`, on a few threads, and addresses get no names.

mod budget;
mod by_source;
mod endpoint;
mod errqueue;
mod expect;
mod http;
mod local;
mod network;
mod one_or_many;
mod pace;
mod payload;
pub mod pin;
mod ping;
mod recorder;
mod resolve;
mod starttls;
mod tcp;
mod tls;
mod udp;
mod write_through;

#[cfg(feature = "dns")]
mod dns;
#[cfg(any(feature = "dns", feature = "hickory"))]
mod dns_name;
#[cfg_attr(not(feature = "quic"), path = "quic/not_built.rs")]
mod quic;

#[doc(hidden)]
pub mod fuzzing;

use apmon_core::MonitorKind;

pub use apmon_tls::Fingerprint;
pub use http::{Http, HttpOptions, HttpVersion};
pub use local::install;
pub use payload::Encoding;
pub use ping::{PacketCount, Percent, Ping, PingOptions};
pub use starttls::StartTls;
pub use tcp::{Tcp, TcpOptions};
pub use tls::TlsOptions;
pub use udp::{Udp, UdpOptions};

#[cfg(feature = "dns")]
pub use dns::{Dns, DnsOptions, DnsTransport, Rcode, RecordKind};
#[cfg(feature = "quic")]
pub use quic::Quic;

/// Every kind of this crate that was built.
pub const KINDS: &[&dyn MonitorKind] = &[
    &Ping,
    &Tcp,
    &Udp,
    #[cfg(feature = "dns")]
    &Dns,
    &Http,
    #[cfg(feature = "quic")]
    &Quic,
];

/// The skeleton of `cargo xtask new-probe`, compiled here so that it stays correct.
#[cfg(test)]
#[path = "../../xtask/src/new_probe/skeleton.rs"]
mod skeleton;
