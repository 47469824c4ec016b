//! The lab of agents of `apmon-snmp-client`, and monitors that check them.
#![allow(dead_code, unused_imports)] // each test file uses a part
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

#[path = "../../../apmon-snmp-client/tests/lab/mod.rs"]
mod agents;
pub mod monitor;

pub use self::{
    agents::*,
    monitor::{LabCheck, LabMonitor},
};
