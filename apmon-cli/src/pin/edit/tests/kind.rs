//! Two small kinds whose options a test can see.

use std::collections::HashMap;

use apmon_core::{
    Blueprint, Kind, MonitorKind, Secret, Watch,
    config::{Host, Section, Text, one_or_many},
    testing::Target,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) const KINDS: &[&dyn MonitorKind] = &[&Ping, &Tcp];

/// A monitor whose address is its options.
fn shown(options: &impl Serialize) -> Blueprint {
    let text = serde_json::to_string(options).unwrap();
    Blueprint::monitor(move |_, watch| {
        Target::new().monitor(Watch {
            address: text.clone(),
            ..watch
        })
    })
}

struct Ping;

#[derive(Deserialize, Serialize, JsonSchema)]
struct PingOptions {}

impl Kind for Ping {
    type Options = PingOptions;

    fn name(&self) -> &'static str {
        "ping"
    }

    fn summary(&self) -> &'static str {
        "sends echo requests"
    }

    fn address(&self) -> &'static str {
        "a host"
    }

    fn example(&self) -> &'static str {
        "type: ping\nname: gateway\naddress: 192.168.1.1\n"
    }

    fn compile(&self, options: PingOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        Host::parse(section.address()).map(|_| shown(&options))
    }
}

struct Tcp;

#[derive(Deserialize, Serialize, JsonSchema)]
struct TcpOptions {
    #[serde(default, deserialize_with = "one_or_many")]
    expect: Vec<Text>,
    send: Option<String>,
    #[serde(default)]
    headers: HashMap<String, String>,
    token: Option<Secret>,
}

impl Kind for Tcp {
    type Options = TcpOptions;

    fn name(&self) -> &'static str {
        "tcp"
    }

    fn summary(&self) -> &'static str {
        "connects"
    }

    fn address(&self) -> &'static str {
        "tcp://host:port"
    }

    fn example(&self) -> &'static str {
        "type: tcp\nname: ssh\naddress: tcp://192.168.1.1:22\n"
    }

    fn compile(&self, options: TcpOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        section.address_url(&["tcp"]).map(|_| shown(&options))
    }
}
