//! The engine of apmon: it watches, decides, tells and keeps time.

pub mod config;
pub mod engine;
pub mod kind;
pub mod monitor;
pub mod notification;
pub mod outcome;
pub mod probe;
pub mod rule;
mod secret;
pub mod state;
pub mod text;
pub mod time;

pub use engine::{Channel, Engine, EngineError, Event, Handle, Lateness, PassReport, Plan};
pub use kind::{Blueprint, Compiled, Kind, MonitorKind, Tools};
pub use monitor::{Heartbeat, Monitor, Notice, Observation, Policy, ProbeMonitor, Watch};
pub use notification::{DeliveryError, HeartbeatSender, Notification, NotificationKind, Notifier, Switch};
pub use outcome::{Domain, Failure, FailureClass, Outcome, Phase, Verdict};
pub use probe::{Look, NotBuilt, Probe, Step, Trace};
pub use secret::Secret;
pub use state::{Commit, MonitorState, OutboxEntry, OwnState, Snapshot, StateStore, StoreError};
pub use time::{Clock, Mono, Now, Stopwatch, SystemClock};
