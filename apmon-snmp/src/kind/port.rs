//! Kind `port`: one port of a switch, pinned to one station.

use std::{collections::BTreeSet, fmt, sync::Arc};

use apmon_core::{
    Blueprint, Both, Check, FailureClass, Kind, Mac, Monitor, Observation, Outcome, Phase, Stopwatch, Watch,
    config::Section,
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::{percentile::Percentile, stored_memory::StoredMemory, unplaced::UNPLACED_HINT};
use crate::{
    poll::{DeviceCache, DeviceClient, Extent, PolledDevice, Recorded},
    rule::{
        counting::{Counts, Sources},
        pinning::{self, PortCheck, RequestedPort},
    },
    target::{AgentOptions, Target},
};

/// Options of `type: port`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct PortOptions {
    /// The port: its index in the device's interface table (ifIndex), 0 or more, or
    /// its name (ifName, ifDescr or ifAlias: `Gi1/0/3`), which stays the same when
    /// the device renumbers its interfaces. It is neither the number printed on the
    /// device nor a UDP port. (A name is an addition.)
    #[schemars(required)]
    pub port: Option<PortName>,
    /// The only station allowed on this port, as XX:XX:XX:XX:XX:XX in upper or
    /// lower case, with colons or dashes. With any other station the check fails.
    #[schemars(required)]
    pub mac: Option<Mac>,
    /// Whether the port must always be up with its station seen on it. With `no`, a
    /// port that is down or silent also counts as up. Default no.
    #[serde(default)]
    pub always_up: bool,
    /// Whether rows of the device's table of stations that cannot be read, or belong to
    /// no known port, are ignored. With `no`, such a row makes the monitor unknown,
    /// because it may stand for any station. Use `yes` if you know whose rows they
    /// are. Default no. (An addition.)
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_unplaced: bool,
    /// Percentile shown below each chart of this device, 1 to 99. Default: none is
    /// shown.
    pub percentile: Option<Percentile>,
}

/// The kind `port`: one port of a switch, pinned to one station (APMonitor's
/// documentation, "Port Monitor Specific Fields").
#[derive(Clone, Copy, Debug)]
pub struct Port;

impl Kind for Port {
    type Options = Both<PortOptions, AgentOptions>;

    fn name(&self) -> &'static str {
        "port"
    }

    fn summary(&self) -> &'static str {
        "checks one port of a switch over SNMP: that it is up, and that only the pinned station is on it"
    }

    fn address(&self) -> &'static str {
        "snmp://host[:port], port 161 unless given"
    }

    fn example(&self) -> &'static str {
        "type: port\nname: door-camera\naddress: snmp://192.168.1.6\nport: 3\n\
         mac: 18:E8:29:45:F8:F7\nalways_up: yes\ncheck_every_n_secs: 10\n"
    }

    fn compile(
        &self,
        Both(options, agent): Both<PortOptions, AgentOptions>,
        section: &mut Section<'_>,
    ) -> Option<Blueprint> {
        let port = section.require("port", options.port);
        let mac = section.require("mac", options.mac);
        if let Some(group) = mac.and_then(group) {
            section.error(
                "mac",
                format!("must be the address of one station, not a {group} address"),
            );
        }
        let target = Target::read(section, agent);
        if options.ignore_unplaced {
            section.hint("ignore_unplaced", UNPLACED_HINT);
        }
        let (port, mac, target) = (port?, mac?, target?);
        Some(Blueprint::monitor(move |services, watch| {
            Arc::new(PortMonitor {
                client: DeviceClient::new(target.clone(), *watch.reach, services),
                watch,
                port: port.clone(),
                mac,
                always_up: options.always_up,
                ignore_unplaced: options.ignore_unplaced,
                cache: DeviceCache::default(),
            })
        }))
    }
}

/// What an address is that belongs to no single station (IEEE 802, the I/G bit).
fn group(mac: Mac) -> Option<&'static str> {
    match mac.bytes() {
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => Some("broadcast"),
        [first, ..] if first & 1 == 1 => Some("multicast"),
        _ => None,
    }
}

/// The port that the site file refers to, by ifIndex or by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum PortName {
    /// The ifIndex of the port.
    Index(u32),
    /// The ifName, ifDescr or ifAlias of the port.
    Name(String),
}

impl<'de> Deserialize<'de> for PortName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_number = text
            .strip_prefix(['-', '+'])
            .unwrap_or(&text)
            .bytes()
            .all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(index) => Ok(Self::Index(index)),
            Err(_) if text.is_empty() => Err(D::Error::custom("must not be empty")),
            Err(_) if is_number => Err(D::Error::custom(format!(
                "must be a whole number from 0 to {}, or a port's name, not {}",
                u32::MAX,
                apmon_core::text::excerpt(&text, 40)
            ))),
            Err(_) => Ok(Self::Name(text)),
        }
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

struct PortMonitor {
    watch: Watch,
    client: DeviceClient,
    port: PortName,
    mac: Mac,
    always_up: bool,
    ignore_unplaced: bool,
    cache: DeviceCache,
}

#[async_trait]
impl Monitor for PortMonitor {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    async fn check(&self, check: &Check) -> Observation {
        let stopwatch = Stopwatch::start();
        let of_interest = BTreeSet::from([self.mac]);
        let mut device = match self.client.open(check).await {
            Ok(device) => device,
            Err(failure) => return Outcome::failed(failure).into(),
        };
        let polled = self
            .cache
            .poll(&self.client, &mut device, Extent::Port, &of_interest);
        let mut observation = match polled.await {
            Ok(polled) => {
                let observation = self.observe(check, polled, &stopwatch);
                if observation.outcome.failure().is_some() {
                    self.cache.reread_stations().await;
                }
                observation
            }
            Err(failure) => Outcome::failed(failure).into(),
        };
        device.finish(&mut observation.outcome);
        observation
    }
}

impl PortMonitor {
    fn observe(&self, check: &Check, polled: PolledDevice, stopwatch: &Stopwatch) -> Observation {
        let seen = self.check_at(&polled);
        if let (PortName::Name(name), None, Some(failure)) = (&self.port, &seen.state, polled.names_failure())
        {
            let reason =
                format!("snmp: port {name} cannot be identified: the names are incomplete: {failure}");
            return Outcome::fail(FailureClass::Unreadable, reason).into();
        }
        let mut outcome = match pinning::judge(self.always_up, self.mac, &seen) {
            Ok(()) => Outcome::up(stopwatch.elapsed()),
            Err(failure) => Outcome::failed(failure),
        };
        outcome.warnings.extend(polled.stations.doubt_warning());
        let mut stored = StoredMemory::of(&check.memory, &self.client.address());
        let mut counting = Counts::read(stored.counts()).check(polled.uptimes(), check.started.wall);
        let mut sources = Sources::read(stored.text(Sources::KEY));
        outcome.phases = vec![(Phase::Transfer, stopwatch.elapsed())];
        // APMonitor records the switch's figures once for each port of it that is watched.
        let recorded = Recorded::Port(seen.requested.index());
        outcome.metrics = polled.figures(&mut counting, &mut sources, recorded);
        if let Some(state) = pinning::port_state(self.mac, &seen) {
            stored.keep("port_state", state);
        }
        stored.keep(Sources::KEY, sources.to_json());
        stored.count(counting.end().to_json());
        let mut observation = Observation::from(outcome);
        observation.device = Some(Arc::new(polled.device));
        observation.memory = Some(stored.memory());
        observation
    }

    /// Finds the pinned port in a poll. A name that several ports have finds none.
    fn check_at<'a>(&'a self, polled: &'a PolledDevice) -> PortCheck<'a> {
        let found = match &self.port {
            PortName::Index(index) => polled.interfaces.iter().find(|one| one.index == *index),
            PortName::Name(name) => polled.by_name(name),
        };
        let index = found.map(|one| one.index);
        let stations = index.and_then(|index| polled.stations.on.get(&index)).cloned();
        PortCheck {
            requested: match &self.port {
                PortName::Index(index) => RequestedPort::Index(*index),
                PortName::Name(name) => RequestedPort::Name(name, index),
            },
            state: found.map(|one| one.state),
            stations: stations.unwrap_or_else(BTreeSet::new),
            failure: polled.stations.missing(self.mac, self.ignore_unplaced),
        }
    }
}
