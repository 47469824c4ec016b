//! Small kinds for the tests: what the real ones ask of a section, and no more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::{Host, Section, Text, one_or_many},
    kind::{Blueprint, Kind, MonitorKind},
    probe::NotBuilt,
    secret::Secret,
};

pub(super) const KINDS: &[&dyn MonitorKind] = &[&Ping, &Tcp, &Port];

fn not_built(kind: &'static str) -> Option<Blueprint> {
    Some(Blueprint::probe(move |_| NotBuilt { kind }))
}

pub(super) struct Ping;

#[derive(Deserialize, Serialize, JsonSchema)]
pub(super) struct PingOptions {}

impl Kind for Ping {
    type Options = PingOptions;

    fn name(&self) -> &'static str {
        "ping"
    }

    fn summary(&self) -> &'static str {
        "answers echo requests"
    }

    fn address(&self) -> &'static str {
        "a host"
    }

    fn example(&self) -> &'static str {
        "type: ping\nname: gateway\naddress: 192.168.1.1\n"
    }

    fn compile(&self, _: PingOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        let host = Host::parse(section.address());
        if host.is_none() && !section.address().is_empty() {
            section.mistake("address", "must be a host name or an address");
        }
        host.and_then(|_| not_built("ping"))
    }
}

pub(super) struct Tcp;

#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ContentType {
    #[default]
    Text,
    Hex,
    Base64,
}

/// A section within a section.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    user: Text,
    password: Secret,
    #[serde(default)]
    tries: Option<u8>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
pub(super) struct TcpOptions {
    #[serde(default, deserialize_with = "one_or_many")]
    expect: Vec<Text>,
    send: Option<String>,
    content_type: Option<ContentType>,
    #[serde(default, deserialize_with = "one_or_many")]
    codes: Vec<u16>,
    #[serde(default)]
    lines: Vec<String>,
    #[serde(default)]
    headers: std::collections::HashMap<String, String>,
    token: Option<Secret>,
    share: Option<f64>,
    login: Option<Login>,
}

impl Kind for Tcp {
    type Options = TcpOptions;

    fn name(&self) -> &'static str {
        "tcp"
    }

    fn summary(&self) -> &'static str {
        "takes connections"
    }

    fn address(&self) -> &'static str {
        "tcp://host:port"
    }

    fn example(&self) -> &'static str {
        "type: tcp\nname: ssh\naddress: tcp://192.168.1.1:22\n"
    }

    fn compile(&self, options: TcpOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        let url = section.address_url(&["tcp"]);
        if options.content_type.is_some() && !section.has("send") {
            section.misplaced("content_type", "needs send beside it");
        }
        if options.login.is_some() {
            section.warn("login", "goes in clear");
        }
        url.and_then(|_| not_built("tcp"))
    }
}

pub(super) struct Port;

#[derive(Deserialize, Serialize, JsonSchema)]
pub(super) struct PortOptions {
    #[schemars(required)]
    port: Option<u32>,
    #[schemars(required)]
    mac: Option<Text>,
    #[serde(default = "public")]
    community: Secret,
    #[serde(default)]
    always_up: bool,
}

fn public() -> Secret {
    Secret::new("public")
}

impl Kind for Port {
    type Options = PortOptions;

    fn name(&self) -> &'static str {
        "port"
    }

    fn summary(&self) -> &'static str {
        "one device on one switch port"
    }

    fn address(&self) -> &'static str {
        "snmp://host"
    }

    fn example(&self) -> &'static str {
        "type: port\nname: printer\naddress: snmp://192.168.1.6\nport: 3\nmac: 18:12:29:45:10:11\n"
    }

    fn compile(&self, options: PortOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        let url = section.address_url(&["snmp"]);
        section.require("port", options.port);
        section.require("mac", options.mac.as_ref());
        url.and_then(|_| not_built("port"))
    }
}
