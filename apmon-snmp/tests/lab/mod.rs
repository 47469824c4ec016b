//! Real SNMP agents to ask, each a child process on loopback or in a network
//! namespace of its own: net-snmp's snmpd, and recorded devices that snmpsim
//! replays.
//!
//! A test that cannot have one fails and says what to install: one that could
//! not run has shown nothing. A value must be dropped on the thread that made
//! it: the kernel ends the agent with that thread (see `Service::start`).
//! Neither a `static` nor a spawned task may hold one.
#![allow(dead_code, unused_imports)] // each test file uses a part
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

pub mod namespace;
pub mod passed;
pub mod recording;
mod service;
pub mod snmpd;
pub mod tool;
pub mod watched;

pub use self::{
    namespace::Namespace,
    passed::Passed,
    recording::Recordings,
    snmpd::{Snmpd, User},
    watched::{Seen, Watched},
};
