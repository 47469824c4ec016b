//! `host`: load, memory and disks of a host.

use apmon_core::{Blueprint, Both, Kind, NotBuilt, config::Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::target::{AgentOptions, Target};

/// Options of `type: host`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct HostOptions {}

/// Load, memory and disks of a host (seed 003, "Host Monitor Specific
/// Fields").
#[derive(Clone, Copy, Debug)]
pub struct Host;

impl Kind for Host {
    type Options = Both<HostOptions, AgentOptions>;

    fn name(&self) -> &'static str {
        "host"
    }

    fn summary(&self) -> &'static str {
        "load, memory, swap and disks of a host by SNMP"
    }

    fn address(&self) -> &'static str {
        "snmp://host[:port], port 161 unless given"
    }

    fn example(&self) -> &'static str {
        "type: host\nname: file-server\naddress: snmp://192.168.1.10\ncommunity: public\n\
         check_every_n_secs: 300\n"
    }

    fn compile(
        &self,
        Both(options, agent): Both<HostOptions, AgentOptions>,
        section: &mut Section<'_>,
    ) -> Option<Blueprint> {
        Target::read(section, agent)?;
        Some(Blueprint::probe(|_| NotBuilt { kind: "host" }))
    }
}
