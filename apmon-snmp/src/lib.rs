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
//! | `change` | what is otherwise at a device's ports, and who hears of it |
//! | `counting` | counts that start anew, as figures that only grow |
//! | `interface`, `bridge`, `arp`, `neighbour`, `slot` | what a device says of its ports; `joined`: all of it as one |
//! | `pinning` | whether a port is as it was pinned |
//! | [`name`] | objects by their names, for people |
//! | `follow`, `restart` | which port is which; whether a device was restarted |
//! | `target` | which agent is asked, and by which community |
//! | `percentile` | a percentile, 1 to 99 |
//! | `threshold` | how busy a host may be, and how full its disks |
//! | `vendor` | who made a device |

mod agent;
mod arp;
mod asker;
mod ber;
mod block_device;
mod bridge;
mod change;
mod counted;
mod counting;
mod credential;
mod error;
#[cfg(test)]
mod fixture;
mod follow;
mod get;
mod harvest;
mod host;
mod host_figures;
mod interface;
mod joined;
pub mod message;
mod mib;
pub mod name;
mod neighbour;
mod oid;
mod pattern;
mod percentile;
mod pinning;
mod poll;
mod port;
mod ports;
mod reading;
mod recall;
#[cfg(test)]
mod recorded;
mod restart;
mod said;
pub mod session;
mod slot;
mod storage;
mod target;
mod threshold;
pub mod usm;
mod value;
mod vendor;
mod vital;
mod walk;

pub use agent::Agent;
pub use ber::Malformed;
pub use change::MacChanges;
pub use credential::{Credentials, User};
pub use error::SnmpError;
pub use harvest::{Column, Row};
pub use host::Host;
pub use oid::{MAX_LEN, NotAnOid, Oid};
pub use pattern::Pattern;
pub use percentile::Percentile;
pub use poll::device;
pub use port::{Port, PortName, PortOptions};
pub use ports::{AllowMacs, Ports, PortsOptions};
pub use session::Session;
pub use target::{AgentOptions, Target, Version};
pub use threshold::{Excess, Excesses, LimitPct, Over, Subject, ThresholdOptions};
pub use value::{Value, Varbind};
pub use vendor::Vendor;
pub use walk::{Group, Tell};

/// The kinds of this crate.
pub const KINDS: &[&dyn apmon_core::MonitorKind] = &[&Ports, &Port, &Host];
