//! `port`: one port of a switch, pinned to one station.

use apmon_core::{Blueprint, Both, Kind, Mac, NotBuilt, config::Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    percentile::Percentile,
    target::{AgentOptions, Target},
};

/// Options of `type: port`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct PortOptions {
    /// Index of the port as the device's interface table has it (ifIndex), 0
    /// or more; not the number printed on its front, and not a UDP port.
    #[schemars(required)]
    pub port: Option<u32>,
    /// The one station that may be seen on this port, as XX:XX:XX:XX:XX:XX in
    /// either case, with colons or dashes. Another one is an outage.
    #[schemars(required)]
    pub mac: Option<Mac>,
    /// Whether the port must be up with its station seen there at all times.
    /// With no, a port that is down or silent is fine. Default no.
    #[serde(default)]
    pub always_up: bool,
    /// Percentile shown beneath each chart of this device, 1 to 99. Default:
    /// none is shown.
    pub percentile: Option<Percentile>,
}

/// One port of a switch, pinned to one station (seed 003, "Port Monitor
/// Specific Fields").
#[derive(Clone, Copy, Debug)]
pub struct Port;

impl Kind for Port {
    type Options = Both<PortOptions, AgentOptions>;

    fn name(&self) -> &'static str {
        "port"
    }

    fn summary(&self) -> &'static str {
        "one port of a switch by SNMP: it is up, and the pinned station alone is on it"
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
        let target = Target::read(section, agent);
        port.and(mac).and(target)?;
        Some(Blueprint::probe(|_| NotBuilt { kind: "port" }))
    }
}
