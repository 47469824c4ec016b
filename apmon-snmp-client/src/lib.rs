//! An SNMP client of versions 1, 2c and 3.
//!
//! A [`Session`] reads values and whole tables from one agent, with several
//! requests in flight and within a deadline. It adapts to the agent: how many rows fit
//! into an answer, how fast the agent is, whether it knows GETBULK. A table that was not
//! read to its end carries the failure, and never looks like a short table.
//!
//! This crate is not an agent and does not set values. [`message`] encodes and decodes
//! traps and informs, but nothing here receives them.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use apmon_snmp_client::{Agent, Credentials, Oid, Secret, Session, Value};
//! # use apmon_snmp_client::{Varbind, message::{Body, CommunityMessage, Message, PduKind}};
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
//! let values = session.get(&[sys_name]).await?;
//! assert_eq!(values[0].value, Value::Octets(b"office-switch".to_vec()));
//! # Ok(())
//! # }
//! ```
//!
//! [`walk`](Session::walk) reads a column, [`columns`](Session::columns) several
//! side by side. An [`Agent`] keeps what one session has learned for the next: how much
//! fits into an answer, how fast the agent is, and its SNMPv3 engine.
//!
//! The modules, from the wire upwards:
//!
//! | module | holds |
//! |---|---|
//! | `oid`, `value` | OIDs and values |
//! | `ber`, [`message`] | encoding and decoding messages of all versions |
//! | [`usm`], `credential`, `secret` | SNMPv3's keys, signatures and encryption; communities and users |
//! | `engine`, `agent` | the knowledge about an agent that all sessions with it share |
//! | `operation` | the trait of operations that a session runs, without sockets or time |
//! | `get`, `walk` | the operations: reading single values, and reading columns, which always ends |
//! | `session`, `error` | requests in flight, retries, matching answers; errors |
//! | `text` | making an agent's texts safe to display |

mod agent;
mod ber;
mod credential;
mod engine;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod get;
pub mod message;
mod oid;
mod operation;
mod secret;
mod session;
mod text;
pub mod usm;
mod value;
mod walk;

pub use agent::{Agent, Agents};
pub use ber::Malformed;
pub use credential::{Credentials, User};
pub use error::SnmpError;
pub use oid::{MAX_LEN, NotAnOid, Oid};
pub use secret::Secret;
pub use session::{Session, SessionStats};
pub use value::{Value, Varbind};
pub use walk::{Column, Group, Row, RowSink};
