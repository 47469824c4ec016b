//! What apmon monitors by SNMP: a whole switch ([`ports`](Ports)), one of its
//! ports ([`port`](Port)), a host's load and disks ([`host`](Host)).
//!
//! The protocol is `apmon-snmp-client`; this crate knows what to ask a device for
//! and what its answers mean. It does not decide what an outage is or who is
//! notified, and keeps no state on disk: that is `apmon-core`. Names of hosts, and
//! whether this machine's own network is at fault, come from
//! `apmon_core::Services`.
//!
//! The kinds, in a site file:
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
//!     &[], &config::ProcessEnvironment,
//! )?;
//! assert_eq!(site.monitors[0].kind, "port");
//! # Ok::<(), config::ConfigError>(())
//! ```
//!
//! The modules, each of which knows only those above it:
//!
//! | module | holds |
//! |---|---|
//! | `mib` | the objects that are asked for, and their [names](name) |
//! | `poll_data` | what one poll read, as it came |
//! | `rule` | decisions: what changed, what counters grew by, whether limits hold |
//! | `device` | what a device says: interfaces, stations, neighbours, load, disks |
//! | `target` | options: which agent to ask, and how |
//! | `poll` | one poll: what to ask for, and what is remembered of the device |
//! | `kind` | `ports`, `port` and `host`: their options, and one check of each |

mod device;
#[cfg(test)]
mod fixture;
mod kind;
mod mib;
mod poll;
mod poll_data;
#[cfg(test)]
mod recorded;
mod rule;
mod target;

pub use device::vendor::Vendor;
pub use kind::{
    allow_macs::AllowMacs,
    host::Host,
    percentile::Percentile,
    port::{Port, PortName, PortOptions},
    ports::{Ports, PortsOptions},
};
pub use mib::name;
pub use poll::device;
pub use rule::{
    change::MacChanges,
    pattern::Pattern,
    threshold::{Excess, Excesses, LimitPct, Over, Subject, ThresholdOptions},
};
pub use target::{AgentOptions, Target, Version};

/// The kinds of this crate.
pub const KINDS: &[&dyn apmon_core::MonitorKind] = &[&Ports, &Port, &Host];
