//! `ports`: all interfaces of a switch, router or host.

use apmon_core::{Blueprint, Kind, NotBuilt, Secret, config::Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    percentile::Percentile,
    target::{Target, effective_community},
};

/// Options of `type: ports`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct PortsOptions {
    /// SNMPv2c community. It may stand in the address instead. Default public.
    #[serde(serialize_with = "effective_community")]
    #[schemars(length(min = 1))]
    pub community: Option<Secret>,
    /// Percentile shown beneath each chart of this device, 1 to 99: 95 for
    /// billing that forgives short bursts. Default: none is shown.
    pub percentile: Option<Percentile>,
}

/// All interfaces of a switch, router or host (seed 003, "Ports Monitor
/// Specific Fields").
#[derive(Clone, Copy, Debug)]
pub struct Ports;

impl Kind for Ports {
    type Options = PortsOptions;

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

    fn compile(&self, options: PortsOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        Target::read(section, options.community)?;
        Some(Blueprint::probe(|_| NotBuilt { kind: "ports" }))
    }
}
