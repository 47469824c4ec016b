//! `ports`: all interfaces of a switch, router or host.

use apmon_core::{Blueprint, Both, Kind, NotBuilt, config::Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    percentile::Percentile,
    target::{AgentOptions, Target},
};

/// Options of `type: ports`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct PortsOptions {
    /// Percentile shown beneath each chart of this device, 1 to 99: 95 for
    /// billing that forgives short bursts. Default: none is shown.
    pub percentile: Option<Percentile>,
}

/// All interfaces of a switch, router or host (seed 003, "Ports Monitor
/// Specific Fields").
#[derive(Clone, Copy, Debug)]
pub struct Ports;

impl Kind for Ports {
    type Options = Both<PortsOptions, AgentOptions>;

    fn name(&self) -> &'static str {
        "ports"
    }

    fn summary(&self) -> &'static str {
        "all interfaces of a switch, router or host by SNMP: their state, their stations, their traffic"
    }

    fn address(&self) -> &'static str {
        "snmp://host[:port], port 161 unless given"
    }

    fn example(&self) -> &'static str {
        "type: ports\nname: office-switch\naddress: snmp://192.168.1.6\ncommunity: public\n\
         percentile: 95\ncheck_every_n_secs: 30\nnotify_every_n_secs: 3600\n"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["snmp"]
    }

    fn compile(
        &self,
        Both(options, agent): Both<PortsOptions, AgentOptions>,
        section: &mut Section<'_>,
    ) -> Option<Blueprint> {
        Target::read(section, agent)?;
        Some(Blueprint::probe(|_| NotBuilt { kind: "ports" }))
    }
}
