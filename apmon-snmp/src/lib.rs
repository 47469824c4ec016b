//! The monitors that use SNMP: all ports of a switch ([`ports`](Ports)), a single
//! port ([`port`](Port)), and the load and disks of a host ([`host`](Host)).
//!
//! The protocol itself is in `apmon-snmp-client`; this crate knows what to request
//! from a device and how to interpret the answers. Deciding what is an outage,
//! sending notifications and keeping state on disk are the tasks of `apmon-core`.
//! Host names, and whether this machine's own network is at fault, come from
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
//! The modules, each of which depends only on those above it:
//!
//! | module | holds |
//! |---|---|
//! | `mib` | the OIDs that are requested, and their [names](name) |
//! | `poll_data` | the raw values that one poll read |
//! | `rule` | decisions: what changed, how far counters grew, which limits are exceeded |
//! | `device` | the meaning of those values: interfaces, stations, neighbours, load, disks |
//! | `target` | options: which agent to query, and how |
//! | `poll` | one poll: what to request, and what is remembered of the device |
//! | `kind` | the kinds `ports`, `port` and `host`: their options, and one check of each |

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
pub use poll::{device, session};
pub use rule::{
    change::MacChanges,
    pattern::Pattern,
    threshold::{Excess, Excesses, LimitPct, Over, Subject, ThresholdOptions},
};
pub use target::{AgentOptions, Target, Version};

/// The kinds of monitors in this crate.
pub const KINDS: &[&dyn apmon_core::MonitorKind] = &[&Ports, &Port, &Host];
