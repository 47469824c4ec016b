//! What apmon watches by SNMP: a whole switch ([`ports`](Ports)), one of its
//! ports ([`port`](Port)), a host's load and disks ([`host`](Host)).
//!
//! The kinds read and check their options; what polls the agents is not built
//! yet, and a look at such a monitor says so. This crate does not decide what
//! is told to whom, and does not keep state: that is `apmon-core`.
//!
//! ```
//! use apmon_core::config;
//!
//! let text = "
//! site: { name: HomeLab }
//! monitors:
//!   - { type: port, name: nas, address: snmp://192.168.1.6, port: 3, mac: 18:E8:29:45:F8:F7 }
//! ";
//! let site = config::parse(
//!     "homelab.yaml".as_ref(),
//!     text,
//!     apmon_snmp::KINDS,
//!     &config::ProcessEnvironment,
//! )?;
//! assert_eq!(site.monitors[0].kind, "port");
//! # Ok::<(), config::ConfigError>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `ports`, `port`, `host` | one kind each |
//! | `target` | which agent is asked, and by which community |
//! | `percentile` | a percentile, 1 to 99 |

mod agent;
mod asker;
mod ber;
mod credential;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod get;
mod harvest;
mod host;
pub mod message;
mod mib;
mod oid;
mod percentile;
mod port;
mod ports;
pub mod session;
mod target;
pub mod usm;
mod value;
mod walk;

pub use agent::Agent;
pub use ber::Malformed;
pub use credential::{Credentials, User};
pub use error::SnmpError;
pub use harvest::{Column, Row};
pub use host::{Host, HostOptions};
pub use oid::{MAX_LEN, NotAnOid, Oid};
pub use percentile::Percentile;
pub use port::{Port, PortOptions};
pub use ports::{Ports, PortsOptions};
pub use session::Session;
pub use target::{AgentOptions, Target, Version};
pub use value::{Value, Varbind};
pub use walk::Group;

/// The kinds of this crate.
pub const KINDS: &[&dyn apmon_core::MonitorKind] = &[&Ports, &Port, &Host];
