//! The remembered state of ports, and its format in the state file.
//!
//! `ports_state` is the baseline in APMonitor's format: `{"1": {"name": .., "oper": ..,
//! "admin": .., "macs": [..]}}` by ifIndex. `"ports_told"` is apmon's own: the announced
//! state where it differs from the baseline, windows, and short names. If the two do not
//! match because another program wrote the first, the baseline counts as announced.

use std::collections::{BTreeMap, BTreeSet};

use apmon_core::{Mac, PortState, PortStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::PolledPort;
use crate::rule::{follow::OwnedIdentity, window::Window};

const VERSION: u32 = 1;

/// The remembered state of a device's ports.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct State {
    pub(super) ports: Vec<TrackedPort>,
    pub(super) restart: Option<AnnouncedRestart>,
    /// The announcements about stations whose port is not known.
    pub(super) unplaced: Alarm,
}

/// The stations of a poll, on whichever port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elsewhere<'a> {
    /// The stations on any port.
    pub placed: &'a BTreeSet<Mac>,
    /// The stations whose port is not known.
    pub unplaced: &'a BTreeSet<Mac>,
}

/// The restart that was last announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct AnnouncedRestart {
    /// The time of the restart.
    pub began_at: Timestamp,
    /// The time at which a restart of the device itself was last noticed; after one, the
    /// device has to learn its stations again.
    pub seen_at: Timestamp,
}

/// A remembered port: one that is present, or about which something is still to be
/// announced.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct TrackedPort {
    /// The last known ifIndex and names.
    pub identity: OwnedIdentity,
    pub alias: Option<String>,
    /// Whether the stations have never been read.
    pub unread: bool,
    /// The port at the last check; `None` if it was absent.
    pub baseline: Option<Baseline>,
    /// The port as it was last announced.
    pub announced: Announced,
    /// The announced stations that are absent, and since when.
    pub gone: BTreeMap<Mac, Timestamp>,
    /// The window of the last message about the port's state or stations.
    pub window: Option<Window>,
    pub alarm: Alarm,
}

/// The state and stations of a port at a check.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Baseline {
    pub state: PortState,
    pub macs: BTreeSet<Mac>,
}

/// The state and stations of a port as they were announced.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Announced {
    /// The announced state; `None` if the port was announced as vanished, or never.
    pub state: Option<PortState>,
    pub macs: BTreeSet<Mac>,
}

/// The announcements about stations that are not allowed, or too many.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Alarm {
    /// The window of the last such message.
    #[serde(rename = "silence", skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Whether too many stations were announced.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub crowded: bool,
    /// The stations that were announced as not allowed, and since when they are absent, if
    /// they are.
    #[serde(rename = "told", skip_serializing_if = "BTreeMap::is_empty")]
    pub announced: BTreeMap<Mac, Option<Timestamp>>,
    /// The stations that are still to be announced as not allowed.
    #[serde(rename = "untold", skip_serializing_if = "BTreeSet::is_empty")]
    pub unannounced: BTreeSet<Mac>,
}

impl TrackedPort {
    /// Starts tracking a port; nothing about it counts as announced.
    pub(super) fn new(port: &PolledPort) -> Self {
        Self {
            identity: port.identity.clone(),
            ..Self::default()
        }
    }

    /// Starts tracking a port at the first check: its state counts as announced.
    pub(super) fn at_first(port: &PolledPort) -> Self {
        let mut tracked = Self::new(port);
        let nobody = &BTreeSet::new();
        let elsewhere = Elsewhere {
            placed: nobody,
            unplaced: nobody,
        };
        tracked.observe(Some(port), None, elsewhere);
        tracked.mark_announced();
        tracked
    }

    /// Updates the baseline from the current poll. If the stations could not be read, the last
    /// known ones are kept, and so are stations whose port is not known now; stations read for
    /// the first time count as announced.
    pub(super) fn observe(
        &mut self,
        port: Option<&PolledPort>,
        was: Option<&mut Baseline>,
        elsewhere: Elsewhere<'_>,
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
        let may_be_here = |mac: &&Mac| {
            !elsewhere.placed.contains(mac) && (port.is_partial || elsewhere.unplaced.contains(mac))
        };
        macs.extend(before.into_iter().flatten().filter(may_be_here));
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

    /// The port's name in the history.
    pub(super) fn shown_name(&self) -> String {
        match (&self.identity.name, &self.identity.short_name) {
            (name, Some(short)) if name.is_empty() => short.clone(),
            (name, _) => name.clone(),
        }
    }

    /// Whether nothing is left to remember: the port is gone, its departure was announced,
    /// and no window is open.
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
    #[serde(default, skip_serializing_if = "is_default")]
    unplaced: Alarm,
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
    /// `None` if the announced state equals the baseline.
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
    /// The state-file key of the baseline.
    pub(crate) const BASELINE: &'static str = "ports_state";
    /// The state-file key of the announced state.
    pub(crate) const ANNOUNCED: &'static str = "ports_told";

    /// Reads the two values of the state file; `None` if there is no readable baseline, or an
    /// empty one that apmon did not write. The next check then counts as the first.
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
        let unplaced = announced.as_ref().map(|announced| announced.unplaced.clone());
        for written in announced.into_iter().flat_map(|announced| announced.ports) {
            if written.absent {
                ports.push(written.absent());
            } else if let Some(port) = ports.iter_mut().find(|port| written.is_of(port)) {
                written.complete(port);
            }
        }
        ports.sort_by_key(|port| (port.baseline.is_none(), port.identity.index));
        Some(Self {
            ports,
            restart,
            unplaced: unplaced.unwrap_or_default(),
        })
    }

    /// Formats the baseline for the state file.
    pub(crate) fn baseline(&self) -> String {
        let mut all = Map::new();
        for port in &self.ports {
            if let Some(baseline) = &port.baseline {
                let PortState { oper, admin } = baseline.state;
                let (oper, admin) = (oper.as_str(), admin.as_str());
                let OwnedIdentity { index, name, .. } = &port.identity;
                let value = json!({ "name": name, "oper": oper, "admin": admin, "macs": baseline.macs });
                all.insert(index.to_string(), value);
            }
        }
        Value::Object(all).to_string()
    }

    /// Formats the announced state for the state file.
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
            unplaced: self.unplaced.clone(),
        };
        serde_json::to_string(&written).expect("the keys of its maps become JSON strings")
    }
}

/// Reads a port of the baseline as far as possible: an unreadable state becomes unknown,
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
