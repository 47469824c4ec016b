//! A test kit for programs that embed the engine, and for apmon itself: a whole site in virtual
//! time, in which an hour passes in a millisecond. Behind the feature `testing`.
//!
//! A [`Stage`] runs the real engine. Around it, everything that a site depends on does what the
//! test says: a [`Target`] is up, down or silent, a [`Recorder`] accepts notifications or
//! refuses them, a [`MemoryStore`] keeps state or fails, a [`TestClock`] is set forward and
//! back. Each of them has `set` for what it does from now on, and `set_next` for what it does
//! in the next few turns before that.
//!
//! Virtual time is tokio's paused time: use `#[tokio::test(start_paused = true)]`.
//!
//! ```
//! use apmon_core::testing::{Answer, Recorder, Response, Stage, Target, every, secs, watch};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let (web, phone) = (Target::new(), Recorder::new());
//! let mut stage = Stage::new("HomeLab")
//!     .monitor(web.monitor(watch("web", every(60))))
//!     .channel("phone", phone.clone());
//! stage.run_for(secs(90)).await;
//!
//! web.set(Response::down("connection refused"));
//! phone.set_next([Answer::Unavailable, Answer::Unavailable]);
//! stage.run_for(secs(120)).await;
//! assert_eq!(phone.labels(), ["NEW OUTAGE"], "delivered at the third attempt");
//!
//! stage.kill().await;
//! web.set(Response::Up);
//! stage.run_for(secs(60)).await; // another process, with the same store
//! assert_eq!(phone.labels(), ["NEW OUTAGE", "RECOVERY"]);
//! # }
//! ```
//!
//! To test a probe, a channel or a store of your own, put it on a stage in place of the one from
//! the kit. For an engine with settings that a stage does not have, there are
//! [`Stage::engine`] and [`Daemon`].

mod clock;
mod daemon;
mod heartbeat;
mod receiver;
mod script;
mod stage;
mod store;
mod target;

use std::{num::NonZeroU32, time::Duration};

pub use self::{
    clock::{START, TestClock},
    daemon::Daemon,
    heartbeat::{HeartbeatRecorder, HeartbeatRequest},
    receiver::{Answer, Delivered, Recorder},
    stage::{Stage, StageEvent},
    store::{MemoryStore, StoreAnswer},
    target::{Response, Target},
};
use crate::monitor::{Policy, Watch};

/// A duration in seconds.
#[must_use]
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A policy with a check every `seconds`, whose first failure is an outage. Everything else is
/// default.
#[must_use]
pub fn every(seconds: u64) -> Policy {
    Policy {
        check_every: secs(seconds),
        max_retries: NonZeroU32::MIN,
        ..Policy::default()
    }
}

/// The watch of a monitor of kind `test` at the address 192.0.2.1. Its checksum is always the
/// same, so that a restart or a reload does not count as a change of the monitor.
#[must_use]
pub fn watch(name: &str, policy: Policy) -> Watch {
    Watch {
        policy,
        checksum: "1".into(),
        ..Watch::new(name, "test", "192.0.2.1")
    }
}
