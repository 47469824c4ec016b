//! What is remembered of ports, and how it stands in the state file.
//!
//! `ports_state` is the baseline in seed 003's shape: `{"1": {"name": ..,
//! "oper": .., "admin": .., "macs": [..]}}` by ifIndex. `ports_told` is apmon's
//! own: what was told last where that is not the baseline, silences, short
//! names. Where the two do not fit together (somebody else wrote the first), the
//! baseline counts as told.

use std::collections::{BTreeMap, BTreeSet};

use apmon_core::{Mac, PortState, PortStatus, rule::window::Window};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::SeenPort;
use crate::follow::Identity;

const VERSION: u32 = 1;

/// What is remembered of a device's ports.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct State {
    pub(super) ports: Vec<Tracked>,
    pub(super) restart: Option<RestartTold>,
}

/// The restart that was told last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct RestartTold {
    /// What was restarted has been running since then.
    pub began_at: Timestamp,
    /// When a restart was seen after which a device has to learn its stations
    /// again.
    pub seen_at: Timestamp,
}

/// A port that is there, or of which something is left to be known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Tracked {
    /// The last one it had.
    pub index: u32,
    pub name: String,
    pub short_name: Option<String>,
    pub alias: Option<String>,
    /// Its stations were never read.
    pub unread: bool,
    /// As it was at the last look; `None` where it was not there.
    pub base: Option<Base>,
    /// As it was told last.
    pub told: Told,
    /// Of the stations told, those who are away, and since when.
    pub gone: BTreeMap<Mac, Timestamp>,
    /// The last message about its state and its stations.
    pub silence: Option<Window>,
    pub alarm: Alarm,
}

/// A port at a look.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Base {
    pub state: PortState,
    pub macs: BTreeSet<Mac>,
}

/// A port as people have heard of it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Told {
    /// `None`: that there is no such port.
    pub state: Option<PortState>,
    pub macs: BTreeSet<Mac>,
}

/// What was told of stations that should not be there.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Alarm {
    /// The last message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence: Option<Window>,
    /// It was told that they are too many.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub crowded: bool,
    /// Those of whom it was told that they are not allowed; who is away, since when.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub told: BTreeMap<Mac, Option<Timestamp>>,
    /// Those of whom it is still to be told.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub untold: BTreeSet<Mac>,
}

impl Tracked {
    /// A port of which nobody knows.
    pub(super) fn new(port: &SeenPort) -> Self {
        Self {
            index: port.index,
            name: port.name.clone(),
            short_name: port.short_name.clone(),
            ..Self::default()
        }
    }

    /// A port of the first look: it counts as told.
    pub(super) fn at_first(port: &SeenPort) -> Self {
        let mut tracked = Self::new(port);
        tracked.see(Some(port), None, &BTreeSet::new());
        tracked.settle();
        tracked
    }

    /// As it is seen now. Stations that could not be read are those of before;
    /// those read for the first time were there before.
    pub(super) fn see(&mut self, port: Option<&SeenPort>, was: Option<&mut Base>, anywhere: &BTreeSet<Mac>) {
        let Some(port) = port else {
            self.base = None;
            return;
        };
        self.index = port.index;
        self.name.clone_from(&port.name);
        if port.short_name.is_some() {
            self.short_name.clone_from(&port.short_name);
        }
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
            self.told.macs.clone_from(&macs);
            if let Some(was) = was {
                was.macs.clone_from(&macs);
            }
        }
        self.base = Some(Base { state, macs });
    }

    pub(super) fn identity(&self) -> Identity<'_> {
        Identity {
            index: self.index,
            name: &self.name,
            short_name: self.short_name.as_deref(),
        }
    }

    pub(super) fn names(&self) -> [Option<&str>; 3] {
        [
            Some(&self.name),
            self.short_name.as_deref(),
            self.alias.as_deref(),
        ]
    }

    /// Its name in the history.
    pub(super) fn shown_name(&self) -> String {
        match (&self.name, &self.short_name) {
            (name, Some(short)) if name.is_empty() => short.clone(),
            (name, _) => name.clone(),
        }
    }

    /// There is no such port, everybody knows, and would hear at once of another.
    pub(super) fn is_over(&self) -> bool {
        self.base.is_none() && self.told.state.is_none() && self.silence.is_none()
    }

    fn is_told(&self) -> bool {
        match &self.base {
            Some(base) => self.told.state == Some(base.state) && self.told.macs == base.macs,
            None => self.told == Told::default(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restart: Option<RestartTold>,
    ports: Vec<WrittenPort>,
}

#[derive(Serialize, Deserialize)]
struct WrittenPort {
    index: u32,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    short_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unread: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    absent: bool,
    /// `None`: as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<Told>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    gone: BTreeMap<Mac, Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    silence: Option<Window>,
    #[serde(default, skip_serializing_if = "is_default")]
    alarm: Alarm,
}

fn is_default(alarm: &Alarm) -> bool {
    *alarm == Alarm::default()
}

impl State {
    /// The key of the baseline.
    pub(crate) const BASELINE: &'static str = "ports_state";
    /// The key of what was told.
    pub(crate) const TOLD: &'static str = "ports_told";

    /// From the two values; `None` where there is no baseline that can be read,
    /// or an empty one that is not ours: the next look is the first.
    pub(crate) fn read(baseline: Option<&str>, told: Option<&str>) -> Option<Self> {
        let baseline: Map<String, Value> = serde_json::from_str(baseline?).ok()?;
        let ports = baseline
            .iter()
            .filter_map(|(index, port)| from_baseline(index, port));
        let mut ports: Vec<Tracked> = ports.collect();
        let told = told.and_then(|text| serde_json::from_str(text).ok());
        let told: Option<Written> = told.filter(|told: &Written| told.v == VERSION);
        if ports.is_empty() && told.is_none() {
            return None;
        }
        let restart = told.as_ref().and_then(|told| told.restart);
        for written in told.into_iter().flat_map(|told| told.ports) {
            if written.absent {
                ports.push(written.absent());
            } else if let Some(port) = ports.iter_mut().find(|port| written.is_of(port)) {
                written.complete(port);
            }
        }
        ports.sort_by_key(|port| (port.base.is_none(), port.index));
        Some(Self { ports, restart })
    }

    /// The baseline as it stands in the state file.
    pub(crate) fn baseline(&self) -> String {
        let mut all = Map::new();
        for port in &self.ports {
            if let Some(base) = &port.base {
                let PortState { oper, admin } = base.state;
                let (oper, admin) = (oper.as_str(), admin.as_str());
                let value = json!({ "name": port.name, "oper": oper, "admin": admin, "macs": base.macs });
                all.insert(port.index.to_string(), value);
            }
        }
        Value::Object(all).to_string()
    }

    /// What was told as it stands in the state file.
    pub(crate) fn told(&self) -> String {
        let ports = self.ports.iter().map(|port| WrittenPort {
            index: port.index,
            name: port.name.clone(),
            short_name: port.short_name.clone(),
            alias: port.alias.clone(),
            unread: port.unread,
            absent: port.base.is_none(),
            told: (!port.is_told()).then(|| port.told.clone()),
            gone: port.gone.clone(),
            silence: port.silence,
            alarm: port.alarm.clone(),
        });
        let written = Written {
            v: VERSION,
            restart: self.restart,
            ports: ports.collect(),
        };
        serde_json::to_string(&written).expect("its keys are texts")
    }
}

/// Reads what it can: a state that makes no sense is unknown, a station that
/// makes none is left out.
fn from_baseline(index: &str, port: &Value) -> Option<Tracked> {
    let index = index.parse().ok()?;
    let port = port.as_object()?;
    let text = |key: &str| port.get(key).and_then(Value::as_str);
    let status =
        |key: &str| -> PortStatus { text(key).and_then(|text| text.parse().ok()).unwrap_or_default() };
    let macs = port.get("macs").and_then(Value::as_array).into_iter().flatten();
    let mut tracked = Tracked {
        index,
        name: text("name").unwrap_or_default().to_owned(),
        base: Some(Base {
            state: PortState {
                oper: status("oper"),
                admin: status("admin"),
            },
            macs: macs.filter_map(|mac| mac.as_str()?.parse().ok()).collect(),
        }),
        ..Tracked::default()
    };
    tracked.settle();
    Some(tracked)
}

impl WrittenPort {
    fn is_of(&self, port: &Tracked) -> bool {
        port.base.is_some() && (self.index, &self.name) == (port.index, &port.name)
    }

    fn complete(self, port: &mut Tracked) {
        port.short_name = self.short_name;
        port.alias = self.alias;
        port.unread = self.unread;
        if let Some(told) = self.told {
            port.told = told;
        }
        port.gone = self.gone;
        port.silence = self.silence;
        port.alarm = self.alarm;
    }

    fn absent(self) -> Tracked {
        Tracked {
            index: self.index,
            name: self.name,
            short_name: self.short_name,
            alias: self.alias,
            unread: self.unread,
            base: None,
            told: self.told.unwrap_or_default(),
            gone: self.gone,
            silence: self.silence,
            alarm: self.alarm,
        }
    }
}
