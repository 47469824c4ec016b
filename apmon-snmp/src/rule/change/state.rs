//! What is remembered of ports, and how it stands in the state file.
//!
//! `ports_state` is the baseline in APMonitor's shape: `{"1": {"name": ..,
//! "oper": .., "admin": .., "macs": [..]}}` by ifIndex. `"ports_told"` is apmon's
//! own: what was last announced where that differs from the baseline, windows,
//! short names. If the two do not match (another program wrote the first), the
//! baseline counts as announced.

use std::collections::{BTreeMap, BTreeSet};

use apmon_core::{Mac, PortState, PortStatus, rule::window::Window};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::PolledPort;
use crate::rule::follow::OwnedIdentity;

const VERSION: u32 = 1;

/// What is remembered of a device's ports.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct State {
    pub(super) ports: Vec<TrackedPort>,
    pub(super) restart: Option<AnnouncedRestart>,
}

/// The restart that was last announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct AnnouncedRestart {
    /// When it was restarted.
    pub began_at: Timestamp,
    /// When a restart was noticed after which the device has to learn its stations
    /// again.
    pub seen_at: Timestamp,
}

/// A port that is there, or of which something is left to announce.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct TrackedPort {
    /// Its last ifIndex and names.
    pub identity: OwnedIdentity,
    pub alias: Option<String>,
    /// Its stations were never read.
    pub unread: bool,
    /// The port at the last check; `None` if it was not there.
    pub baseline: Option<Baseline>,
    /// What was last announced of it.
    pub announced: Announced,
    /// The announced stations that are away, and since when.
    pub gone: BTreeMap<Mac, Timestamp>,
    /// The window of the last message about its state or its stations.
    pub window: Option<Window>,
    pub alarm: Alarm,
}

/// A port at a check.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Baseline {
    pub state: PortState,
    pub macs: BTreeSet<Mac>,
}

/// A port as it was announced.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Announced {
    /// Its state; `None` if it was announced as vanished, or never.
    pub state: Option<PortState>,
    pub macs: BTreeSet<Mac>,
}

/// What was announced of stations that should not be there.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Alarm {
    /// The window of the last message.
    #[serde(rename = "silence", skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Too many stations were announced.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub crowded: bool,
    /// Stations that were announced as not allowed; if away, since when.
    #[serde(rename = "told", skip_serializing_if = "BTreeMap::is_empty")]
    pub announced: BTreeMap<Mac, Option<Timestamp>>,
    /// Stations that are still to be announced as not allowed.
    #[serde(rename = "untold", skip_serializing_if = "BTreeSet::is_empty")]
    pub unannounced: BTreeSet<Mac>,
}

impl TrackedPort {
    /// A port that is not known yet.
    pub(super) fn new(port: &PolledPort) -> Self {
        Self {
            identity: port.identity.clone(),
            ..Self::default()
        }
    }

    /// A port of the first check: it counts as announced.
    pub(super) fn at_first(port: &PolledPort) -> Self {
        let mut tracked = Self::new(port);
        tracked.observe(Some(port), None, &BTreeSet::new());
        tracked.mark_announced();
        tracked
    }

    /// Takes the port as it is polled now. If its stations could not be read, the
    /// last known ones are kept; those read for the first time count as announced.
    pub(super) fn observe(
        &mut self,
        port: Option<&PolledPort>,
        was: Option<&mut Baseline>,
        anywhere: &BTreeSet<Mac>,
    ) {
        let Some(port) = port else {
            self.baseline = None;
            return;
        };
        let short_name = self.identity.short_name.take();
        self.identity.clone_from(&port.identity);
        self.identity.short_name = self.identity.short_name.take().or(short_name);
        if port.alias.is_some() {
            self.alias.clone_from(&port.alias);
        }
        let state = port.state;
        let is_first = self.unread;
        self.unread = port.macs.is_none() && (is_first || was.is_none());
        let before = was.as_ref().map(|was| &was.macs);
        let mut macs = port.macs.as_ref().or(before).cloned().unwrap_or_default();
        if port.is_partial {
            macs.extend(before.into_iter().flatten().filter(|mac| !anywhere.contains(mac)));
        }
        if is_first && !self.unread {
            self.announced.macs.clone_from(&macs);
            if let Some(was) = was {
                was.macs.clone_from(&macs);
            }
        }
        self.baseline = Some(Baseline { state, macs });
    }

    pub(super) fn names(&self) -> [Option<&str>; 3] {
        [
            Some(&self.identity.name),
            self.identity.short_name.as_deref(),
            self.alias.as_deref(),
        ]
    }

    /// Its name in the history.
    pub(super) fn shown_name(&self) -> String {
        match (&self.identity.name, &self.identity.short_name) {
            (name, Some(short)) if name.is_empty() => short.clone(),
            (name, _) => name.clone(),
        }
    }

    /// Whether nothing is left to remember: the port is gone, that was announced, and
    /// no window is open.
    pub(super) fn is_over(&self) -> bool {
        self.baseline.is_none() && self.announced.state.is_none() && self.window.is_none()
    }

    fn is_announced(&self) -> bool {
        match &self.baseline {
            Some(baseline) => {
                self.announced.state == Some(baseline.state) && self.announced.macs == baseline.macs
            }
            None => self.announced == Announced::default(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredState {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restart: Option<AnnouncedRestart>,
    ports: Vec<StoredPort>,
}

#[derive(Serialize, Deserialize)]
struct StoredPort {
    #[serde(flatten)]
    identity: OwnedIdentity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unread: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    absent: bool,
    /// `None` if the baseline was announced.
    #[serde(rename = "told", default, skip_serializing_if = "Option::is_none")]
    announced: Option<Announced>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    gone: BTreeMap<Mac, Timestamp>,
    #[serde(rename = "silence", default, skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
    #[serde(default, skip_serializing_if = "is_default")]
    alarm: Alarm,
}

fn is_default(alarm: &Alarm) -> bool {
    *alarm == Alarm::default()
}

impl State {
    /// The key of the baseline.
    pub(crate) const BASELINE: &'static str = "ports_state";
    /// The key of what was announced.
    pub(crate) const ANNOUNCED: &'static str = "ports_told";

    /// Reads the two values; `None` if there is no readable baseline, or an empty one
    /// that is not ours: the next check is then the first.
    pub(crate) fn read(baseline: Option<&str>, announced: Option<&str>) -> Option<Self> {
        let baseline: Map<String, Value> = serde_json::from_str(baseline?).ok()?;
        let ports = baseline
            .iter()
            .filter_map(|(index, port)| read_baseline(index, port));
        let mut ports: Vec<TrackedPort> = ports.collect();
        let announced = announced.and_then(|text| serde_json::from_str(text).ok());
        let announced: Option<StoredState> =
            announced.filter(|announced: &StoredState| announced.v == VERSION);
        if ports.is_empty() && announced.is_none() {
            return None;
        }
        let restart = announced.as_ref().and_then(|announced| announced.restart);
        for written in announced.into_iter().flat_map(|announced| announced.ports) {
            if written.absent {
                ports.push(written.absent());
            } else if let Some(port) = ports.iter_mut().find(|port| written.is_of(port)) {
                written.complete(port);
            }
        }
        ports.sort_by_key(|port| (port.baseline.is_none(), port.identity.index));
        Some(Self { ports, restart })
    }

    /// The baseline as it stands in the state file.
    pub(crate) fn baseline(&self) -> String {
        let mut all = Map::new();
        for port in &self.ports {
            if let Some(baseline) = &port.baseline {
                let PortState { oper, admin } = baseline.state;
                let (oper, admin) = (oper.as_str(), admin.as_str());
                let value = json!({ "name": port.identity.name, "oper": oper, "admin": admin, "macs": baseline.macs });
                all.insert(port.identity.index.to_string(), value);
            }
        }
        Value::Object(all).to_string()
    }

    /// What was announced, as it stands in the state file.
    pub(crate) fn announced(&self) -> String {
        let ports = self.ports.iter().map(|port| StoredPort {
            identity: port.identity.clone(),
            alias: port.alias.clone(),
            unread: port.unread,
            absent: port.baseline.is_none(),
            announced: (!port.is_announced()).then(|| port.announced.clone()),
            gone: port.gone.clone(),
            window: port.window,
            alarm: port.alarm.clone(),
        });
        let written = StoredState {
            v: VERSION,
            restart: self.restart,
            ports: ports.collect(),
        };
        serde_json::to_string(&written).expect("its keys are texts")
    }
}

/// Reads a port of the baseline as far as possible: an unreadable state is unknown,
/// an unreadable station is left out.
fn read_baseline(index: &str, port: &Value) -> Option<TrackedPort> {
    let index = index.parse().ok()?;
    let port = port.as_object()?;
    let text = |key: &str| port.get(key).and_then(Value::as_str);
    let status =
        |key: &str| -> PortStatus { text(key).and_then(|text| text.parse().ok()).unwrap_or_default() };
    let macs = port.get("macs").and_then(Value::as_array).into_iter().flatten();
    let mut tracked = TrackedPort {
        identity: OwnedIdentity {
            index,
            name: text("name").unwrap_or_default().to_owned(),
            short_name: None,
        },
        baseline: Some(Baseline {
            state: PortState {
                oper: status("oper"),
                admin: status("admin"),
            },
            macs: macs.filter_map(|mac| mac.as_str()?.parse().ok()).collect(),
        }),
        ..TrackedPort::default()
    };
    tracked.mark_announced();
    Some(tracked)
}

impl StoredPort {
    fn is_of(&self, port: &TrackedPort) -> bool {
        port.baseline.is_some()
            && (self.identity.index, &self.identity.name) == (port.identity.index, &port.identity.name)
    }

    fn complete(self, port: &mut TrackedPort) {
        port.identity.short_name = self.identity.short_name;
        port.alias = self.alias;
        port.unread = self.unread;
        if let Some(announced) = self.announced {
            port.announced = announced;
        }
        port.gone = self.gone;
        port.window = self.window;
        port.alarm = self.alarm;
    }

    fn absent(self) -> TrackedPort {
        TrackedPort {
            identity: self.identity,
            alias: self.alias,
            unread: self.unread,
            baseline: None,
            announced: self.announced.unwrap_or_default(),
            gone: self.gone,
            window: self.window,
            alarm: self.alarm,
        }
    }
}
