//! Small kinds of monitors for the tests, which use sections as the real ones do.

use std::{collections::HashMap, marker::PhantomData};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    blueprint::Blueprint,
    config::{Diagnostic, Host, MonitorEntry, Section, Text, one_or_many},
    kind::{Kind, MonitorKind},
    monitor::Watch,
    secret::Secret,
    testing::Target,
};

pub(super) const KINDS: &[&dyn MonitorKind] = &[&Ping, &Tcp, &Port];

/// A monitor whose address is its options, so that a test can read them.
fn shown(options: &impl Serialize) -> Blueprint {
    let text = serde_json::to_string(options).unwrap();
    Blueprint::monitor(move |_, watch| {
        Target::new().monitor(Watch {
            address: text.clone(),
            ..watch
        })
    })
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

    fn compile(&self, options: PingOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        let host = Host::parse(section.address());
        if host.is_none() && !section.address().is_empty() {
            section.error("address", "must be a host name or an address");
        }
        host.map(|_| shown(&options))
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
    headers: HashMap<String, String>,
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
        "accepts connections"
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
            section.misplaced("content_type", "needs \"send\"");
        }
        if options.login.is_some() {
            section.warn("login", "is sent unencrypted");
        }
        url.map(|_| shown(&options))
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
    percentile: Option<u8>,
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
        url.map(|_| shown(&options))
    }

    fn check_together(&self, monitors: &[&MonitorEntry], errors: &mut Vec<Diagnostic>) {
        let port = |monitor: &MonitorEntry| (monitor.address.clone(), monitor.options()["port"].clone());
        for monitor in monitors {
            let same = |other: &&&MonitorEntry| other.at != monitor.at && port(other) == port(monitor);
            errors.extend(monitors.iter().find(same).map(|other| Diagnostic {
                at: monitor.at,
                within: format!("monitor \"{}\"", monitor.name),
                text: format!("uses the same port as the monitor at {}", other.at),
            }));
        }
    }
}

/// The eight types of the seed, with their options but without checks.
pub(super) const SEED: &[&dyn MonitorKind] = &[
    &Ping,
    &Plain::<Request>("http", PhantomData),
    &Plain::<Request>("quic", PhantomData),
    &Plain::<Datagram>("tcp", PhantomData),
    &Plain::<Datagram>("udp", PhantomData),
    &Plain::<Switch>("ports", PhantomData),
    &Port,
    &Plain::<Server>("host", PhantomData),
];

/// A kind that does not check its options.
struct Plain<O>(&'static str, PhantomData<O>);

#[derive(Deserialize, Serialize, JsonSchema)]
struct Request {
    expect: Option<Text>,
    send: Option<String>,
    content_type: Option<Text>,
    ssl_fingerprint: Option<Text>,
    #[serde(default)]
    ignore_ssl_expiry: bool,
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Datagram {
    expect: Option<Text>,
    send: Option<String>,
    content_type: Option<ContentType>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Switch {
    community: Option<Secret>,
    percentile: Option<u8>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Server {
    community: Option<Secret>,
}

impl<O> Kind for Plain<O>
where
    O: DeserializeOwned + Serialize + JsonSchema + Send + Sync + 'static,
{
    type Options = O;

    fn name(&self) -> &'static str {
        self.0
    }

    fn summary(&self) -> &'static str {
        "does not check its options"
    }

    fn address(&self) -> &'static str {
        "anything"
    }

    fn example(&self) -> &'static str {
        ""
    }

    fn compile(&self, options: O, _: &mut Section<'_>) -> Option<Blueprint> {
        Some(shown(&options))
    }
}
