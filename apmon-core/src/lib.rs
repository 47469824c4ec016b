//! The engine of apmon, for embedding: it runs checks when they are due, decides by written
//! rules, commits states and notifications, and then sends the notifications.
//!
//! The crate opens no sockets and speaks neither HTTP nor TLS: probes, channels and stores come from
//! outside ([`Probe`], [`Notifier`], [`StateStore`]; the crates `apmon-probes`, `apmon-notify`
//! and `apmon-store` have ready ones). Something that needs more than one check of one target
//! implements [`Monitor`] itself.
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
//!     async fn deliver(&self, notification: &Notification, key: &str) -> Result<(), DeliveryError> {
//!         assert!(notification.text.starts_with("spool in Office new outage: 400 files waiting"));
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
//! | [`engine`] | [`Engine`] as daemon or single pass; [`Plan`], [`Channel`], [`Event`], [`SiteStatus`] |
//! | [`action`] | what people ask of a site, decided on a snapshot of its state |
//! | [`rule`] | decisions as pure functions: health, pacing, schedule, heartbeat, alert, wording |
//! | [`monitor`], [`probe`], [`outcome`] | the monitored thing, one check of it, the result of a check |
//! | [`Attempts`] | the addresses of a host, to which a check goes one after the other |
//! | [`notification`] | notifications, the outbox entry, and the seam to channels |
//! | [`state`], [`store`] | the state of a monitor, and the seam to where it is stored |
//! | [`history`] | records of what happened, for stores that keep them; availability |
//! | [`read`] | the seams for reading what was recorded |
//! | [`device`], [`mac`] | a device's own description of itself, typed; MAC addresses |
//! | [`memory`] | the data that a monitor passes from one check to the next |
//! | [`config`], [`kind`], [`channel`] | the site file, and how a kind of monitor or channel reads its section |
//! | [`services`] | what monitors and channels share within a process |
//! | [`time`], [`text`] | clocks; text that is safe to display |
//! | [`mask`] | secrets replaced in foreign text |
//! | [`input_file`] | reading the files that options name, whatever is there instead |
//! | [`names`], [`network`] | the seams to this machine's resolver and network, for checks |
//! | [`errno`] | the failure class of a system call's error |
//! | `testing` | with the feature `testing`: a site in virtual time, for tests |

pub mod action;
mod attempt;
mod blueprint;
pub mod channel;
pub mod config;
pub mod device;
pub mod engine;
pub mod errno;
pub mod history;
pub mod input_file;
pub mod kind;
pub mod mac;
pub mod mask;
pub mod memory;
pub mod monitor;
pub mod names;
pub mod network;
pub mod notification;
pub mod outcome;
pub mod probe;
pub mod read;
pub mod rule;
mod secret;
mod section_value;
pub mod services;
pub mod state;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod time;

pub use action::{Action, Actor};
pub use attempt::{Attempts, Reach, in_turn, share};
pub use blueprint::Blueprint;
pub use channel::{ChannelBlueprint, ChannelKind, SectionKind};
pub use device::{
    Device, DeviceDisk, DevicePort, Neighbour, PortChange, PortEvent, PortState, PortStatus, Station,
};
pub use engine::{
    Channel, ChannelStatus, CheckRecord, ChecksStatus, Condition, DeliveryCounts, Engine, EngineError, Event,
    Fallback, Handle, Lateness, MetricSink, MonitorStatus, NotificationStatus, OutboxStatus, PassReport,
    Plan, Received, RecentChecks, SiteRun, SiteStatus, Sites, Update, Updates,
};
pub use history::{
    CheckResult, Delivery, DeliveryFate, Incident, IncidentKind, PortChangeRecord, Records, Stretch,
    StretchKind,
};
pub use kind::{Both, Compiled, Kind, MonitorKind, OptionSet};
pub use mac::{Mac, ParseMacError};
pub use mask::Mask;
pub use memory::Memory;
pub use monitor::{
    Certificate, Labels, Monitor, Notice, Observation, Part, Policy, ProbeMonitor, Signal, Watch,
};
pub use names::Names;
pub use network::OwnNetwork;
pub use notification::{
    ChannelClass, DeliveryError, Heartbeat, HeartbeatSender, Notification, NotificationKind, Notifier,
    OutboxEntry, Subject, Switch, Switches,
};
pub use outcome::{
    Domain, Failure, FailureClass, Metric, Outcome, Phase, Reading, Verdict, Warning, WarningClass,
    WarningLevel,
};
pub use probe::{Check, Probe, ProbeTarget, Step, Trace};
pub use read::{HistoryReader, RecentResult, Series, SeriesReader};
pub use secret::Secret;
pub use section_value::SectionValue;
pub use services::Services;
pub use state::{MonitorState, OwnState};
pub use store::{Commit, CommitId, Snapshot, StateRecord, StateStore, StoreError, StoreLimits};
pub use time::{Clock, Mono, Now, Stopwatch, SystemClock, local_zone};
