//! The engine of apmon, to be embedded: it looks when due, decides by written
//! rules, commits what must be told, tells it, and keeps time.
//!
//! It knows no sockets, no HTTP and no TLS: probes, channels and stores are
//! brought along ([`Probe`], [`Notifier`], [`StateStore`]; the crates
//! `apmon-probes`, `apmon-notify` and `apmon-store` have ready ones). A thing
//! that is watched by more than one look at one target implements [`Monitor`]
//! itself.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use apmon_core::{
//!     Commit, DeliveryError, Engine, FailureClass, Check, Notification, Notifier, Outcome, Plan, Probe,
//!     ProbeMonitor, Snapshot, StateStore, StoreError, Watch,
//! };
//!
//! struct Spool; // checks whether a print spool is empty enough
//!
//! #[async_trait::async_trait]
//! impl Probe for Spool {
//!     async fn probe(&self, _: &Check) -> Outcome {
//!         Outcome::fail(FailureClass::Content, "400 files waiting")
//!     }
//! }
//!
//! struct Pager;
//!
//! #[async_trait::async_trait]
//! impl Notifier for Pager {
//!     async fn deliver(&self, message: &Notification, key: &str) -> Result<(), DeliveryError> {
//!         assert!(message.text.starts_with("spool in Office new outage: 400 files waiting"));
//!         Ok(())
//!     }
//! }
//!
//! struct Forgetful; // keeps nothing; `apmon-store` has a real one
//!
//! #[async_trait::async_trait]
//! impl StateStore for Forgetful {
//!     async fn load(&self) -> Result<Snapshot, StoreError> {
//!         Ok(Snapshot::default())
//!     }
//!     async fn commit(&self, _: &Commit) -> Result<(), StoreError> {
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), apmon_core::EngineError> {
//! let mut watch = Watch::new("spool", "spool", "/var/spool/print");
//! watch.policy.retry_every = Some(Duration::from_millis(10));
//! let plan = Plan::new("Office")
//!     .watch(Arc::new(ProbeMonitor::new(watch, Arc::new(Spool))))
//!     .notify("pager", Arc::new(Pager));
//! let report = Engine::new(plan, Arc::new(Forgetful)).pass().await?;
//! assert_eq!((report.checks, report.down, report.undelivered), (3, 1, 0));
//! # Ok(())
//! # }
//! ```
//!
//! | module | what is in it |
//! |---|---|
//! | [`engine`] | [`Engine`]: daemon and pass; [`Plan`], [`Channel`], [`Event`], [`SiteStatus`] |
//! | [`rule`] | what decides, as pure functions: health, pacing, silence, schedule, heartbeat, alert, words |
//! | [`monitor`], [`probe`], [`outcome`] | what is watched, one look, what it found |
//! | [`notification`], [`state`] | what is told, what is remembered; the seams to channels and stores |
//! | [`history`] | what happened, for stores that keep it; availability |
//! | [`device`], [`mac`] | what a device says of itself, typed; a station's address |
//! | [`memory`] | what a monitor knows again at its next look |
//! | [`config`], [`kind`] | the site file, and how a kind of monitor reads its part of it |
//! | [`time`], [`text`] | clocks; text that is safe to show |
//! | [`names`], [`network`] | what looks take from this machine: its resolver and its way out; brought along |
//! | [`errno`] | whose fault a system call's error is |

pub mod config;
pub mod device;
pub mod engine;
pub mod errno;
pub mod history;
pub mod kind;
pub mod mac;
pub mod memory;
pub mod monitor;
pub mod names;
pub mod network;
pub mod notification;
pub mod outcome;
pub mod probe;
pub mod rule;
mod secret;
pub mod state;
pub mod text;
pub mod time;

pub use device::{
    Device, DeviceDisk, DevicePort, Neighbour, PortChange, PortEvent, PortState, PortStatus, Station,
};
pub use engine::{
    Channel, ChannelStatus, ChecksStatus, Condition, DeliveryCounts, Engine, EngineError, Event, Fallback,
    Handle, Lateness, MessageStatus, MonitorStatus, OutboxStatus, PassReport, Plan, SiteStatus,
};
pub use history::{
    CheckResult, Delivery, DeliveryFate, Incident, IncidentKind, PortChangeRecord, Records, Stretch,
    StretchKind,
};
pub use kind::{Blueprint, Both, Compiled, Kind, MonitorKind, OptionSet, Services};
pub use mac::{Mac, NotAMac};
pub use memory::Memory;
pub use monitor::{Heartbeat, Monitor, Notice, Observation, Policy, ProbeMonitor, Watch};
pub use names::Names;
pub use network::OwnNetwork;
pub use notification::{DeliveryError, HeartbeatSender, Notification, NotificationKind, Notifier, Switch};
pub use outcome::{Domain, Failure, FailureClass, Metric, Outcome, Phase, Reading, Verdict};
pub use probe::{Check, Probe, Step, Trace};
pub use secret::Secret;
pub use state::{Commit, MonitorState, OutboxEntry, OwnState, Snapshot, StateStore, StoreError};
pub use time::{Clock, Mono, Now, Stopwatch, SystemClock};
