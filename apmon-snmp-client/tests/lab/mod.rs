//! SNMP agents for tests. Real agents are child processes, on loopback or in their own network
//! namespaces: net-snmp's snmpd, and recorded devices that snmpsim replays. A small agent of
//! our own shows behaviour that no real agent shows on demand.
//!
//! A test that cannot start an agent fails and says what to install: a test that could not run
//! has shown nothing. An agent must be dropped on the thread that started it, because the
//! kernel ends it with that thread (see `Service::start`). Neither a `static` nor a spawned
//! task may hold an agent.
#![allow(dead_code, unused_imports)] // each test file uses a part
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

use std::{
    future::{Future as _, poll_fn},
    task::Poll,
};

pub mod agent;
pub mod namespace;
pub mod pass_script;
pub mod recording;
mod service;
pub mod snmpd;
pub mod tool;

pub use self::{
    agent::{Behaviour, Device, LabAgent},
    namespace::Namespace,
    pass_script::PassScript,
    recording::Recordings,
    snmpd::{Snmpd, User},
};

/// Runs a test for each case, all at the same time, as they mostly wait.
pub async fn each<T>(cases: impl IntoIterator<Item = T>, test: impl AsyncFn(T)) {
    let mut running: Vec<_> = cases.into_iter().map(|case| Box::pin(test(case))).collect();
    poll_fn(|context| {
        running.retain_mut(|test| test.as_mut().poll(context).is_pending());
        match running.is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}
