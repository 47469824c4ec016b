//! The client's lab of agents, and a monitor of this crate's kinds that checks
//! them.
#![allow(dead_code, unused_imports)] // each test file uses a part
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

#[path = "../../../apmon-snmp-client/tests/lab/mod.rs"]
mod agents;
pub mod monitor;

pub use self::{
    agents::*,
    monitor::{LabCheck, LabMonitor},
};
