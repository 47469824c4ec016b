//! What apmon watches by SNMP: a whole switch ([`ports`](Ports)), one of its
//! ports ([`port`](Port)), a host's load and disks ([`host`](Host)). Below the
//! kinds stands a client of versions 1, 2c and 3 that is of use alone: a
//! [`Session`] asks an agent, several requests at a time, within a deadline.
//!
//! This crate is no agent, sets nothing and receives no traps. It does not
//! decide what an outage is or who is told, and keeps no state on disk: that is
//! `apmon-core`. How a host is found by its name, and whether this machine's own
//! network is to blame, it is told through `apmon_core::Services`.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use apmon_core::Secret;
//! use apmon_snmp::{Agent, Credentials, Oid, Session, Value};
//! # use apmon_snmp::{Varbind, message::{Body, CommunityMessage, Message, PduKind}};
//! # // An agent of one value and no more.
//! # async fn answer(socket: tokio::net::UdpSocket) -> Option<()> {
//! #     let mut buffer = [0; 1_500];
//! #     loop {
//! #         let (length, from) = socket.recv_from(&mut buffer).await.ok()?;
//! #         let Ok(Message::Community(CommunityMessage { is_v1, community, body: Body::Pdu(mut pdu) })) =
//! #             Message::decode(&buffer[..length])
//! #         else {
//! #             return None;
//! #         };
//! #         pdu.kind = PduKind::Response;
//! #         let name = pdu.varbinds.first()?.oid.clone();
//! #         pdu.varbinds = vec![Varbind::new(name, Value::Octets(b"office-switch".to_vec()))];
//! #         let answer = CommunityMessage { is_v1, community, body: Body::Pdu(pdu) };
//! #         socket.send_to(&answer.encode(), from).await.ok()?;
//! #     }
//! # }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
//! # let switch = socket.local_addr()?;
//! # tokio::spawn(answer(socket));
//! let credentials = Arc::new(Credentials::V2c(Secret::new("public")));
//! let agent = Arc::new(Agent::default());
//! let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
//! let mut session = Session::open(switch, credentials, agent, deadline).await?;
//! let sys_name: Oid = "1.3.6.1.2.1.1.5.0".parse()?;
//! let found = session.get(&[sys_name]).await?;
//! assert_eq!(found[0].value, Value::Octets(b"office-switch".to_vec()));
//! # Ok(())
//! # }
//! ```
//!
//! [`walk`](Session::walk) reads a column, [`columns`](Session::columns) several
//! side by side. An [`Agent`] holds what one session has learned for the next:
//! how much the agent answers at once, how fast it is, its SNMPv3 engine.
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
//! From the wire upwards:
//!
//! | module | holds |
//! |---|---|
//! | `ber`, [`message`], `oid`, `value` | octets to messages and back |
//! | [`usm`], `credential` | SNMPv3: keys, signatures, encryption; as whom an agent is asked |
//! | [`session`], `agent`, `error` | requests under way, sent again, matched with their answers; what is known of an agent; why it was not read |
//! | `get`, `walk` | single values; columns, as many rows at once as the agent answers |
//! | `mib`, [`name`], `harvest`, `reading` | the objects that are asked for; their names, for people; what came; which of them when |
//! | `interface`, `bridge`, `arp`, `neighbour`, `slot` | what a device says of its ports; `joined`: all of it as one |
//! | `vital`, `storage`, `host_figures`, `block_device`, `vendor` | what it says of its load, memory and disks; who made it |
//! | `said` | what it says, safe to show |
//! | `follow`, `restart` | which port is which; whether a device was restarted |
//! | `counted`, `counting` | counts that start anew, as figures that only grow |
//! | `change` | what is otherwise at a device's ports, and who hears of it |
//! | `pinning` | whether a port is as it was pinned |
//! | `threshold` | how busy a host may be, and how full its disks |
//! | `target`, `percentile`, `pattern` | options: which agent is asked and how, a percentile, names with `*` |
//! | `asker`, `poll`, `recall` | one look: the way to a device, all that it says, what is remembered of it |
//! | `ports`, `port`, `host` | one kind each |

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
#[doc(hidden)]
pub mod fuzzing;
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
