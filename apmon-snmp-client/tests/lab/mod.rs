//! SNMP agents for tests. Real ones, each a child process on loopback or in a
//! network namespace of its own: net-snmp's snmpd, and recorded devices that
//! snmpsim replays. And a small agent of ours, for what no real agent does on
//! demand.
//!
//! A test that cannot start one fails and says what to install: a test that could
//! not run has shown nothing. An agent must be dropped on the thread that started
//! it: the kernel ends it with that thread (see `Service::start`). Neither a
//! `static` nor a spawned task may hold one.
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

/// Runs a test for each case, all at the same time: mostly they wait.
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
