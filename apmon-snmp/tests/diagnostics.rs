//! APMonitor's validation rules 21 to 33, each error with its message.

#![allow(clippy::unwrap_used)] // what fails here is a test

use std::path::Path;

use apmon_core::{
    Blueprint, Kind, MonitorKind,
    config::{ProcessEnvironment, Section, SiteFile, parse},
    testing::Target,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Stands for the kinds of other crates that know these options.
struct Http;

#[derive(Deserialize, Serialize, JsonSchema)]
struct HttpOptions {
    expect: Option<String>,
    send: Option<String>,
    content_type: Option<String>,
    ssl_fingerprint: Option<String>,
    ignore_ssl_expiry: Option<bool>,
}

impl Kind for Http {
    type Options = HttpOptions;

    fn name(&self) -> &'static str {
        "http"
    }

    fn summary(&self) -> &'static str {
        ""
    }

    fn address(&self) -> &'static str {
        ""
    }

    fn example(&self) -> &'static str {
        ""
    }

    fn compile(&self, _: HttpOptions, _: &mut Section<'_>) -> Option<Blueprint> {
        Some(Blueprint::probe(|_| Target::default()))
    }
}

fn read(monitor: &str) -> Result<SiteFile, String> {
    let kinds: Vec<&dyn MonitorKind> = apmon_snmp::KINDS.iter().copied().chain([&Http as _]).collect();
    let text = format!("site: {{name: s}}\nmonitors:\n  - {{name: m, {monitor}}}\n");
    parse(Path::new("f.yaml"), &text, &kinds, &[], &ProcessEnvironment).map_err(|error| error.to_string())
}

/// The errors of a monitor, without file, position and name.
fn errors(monitor: &str) -> Vec<String> {
    let text = read(monitor).err().unwrap_or_default();
    text.lines()
        .map(|line| line.split_once("monitor \"m\": ").unwrap().1.to_owned())
        .collect()
}

#[test]
fn valid_options_are_accepted() {
    for monitor in [
        "type: ports, address: snmp://192.168.1.6",
        "type: ports, address: 'snmp://[fe80::1]:1161', community: x, percentile: 1",
        "type: ports, address: snmp://private@switch.lan, percentile: 99",
        "type: ports, address: snmp://a%40b%3Ac@switch:1161/",
        "type: host, address: snmp://host, community: '0123'",
        "type: port, address: snmp://h, port: 0, mac: 18:E8:29:45:F8:F7, always_up: yes",
        "type: port, address: snmp://h, port: 4294967295, mac: 18-e8-29-45-f8-f7, percentile: 95",
        // YAML 1.1 reads this address as a number in base 60.
        "type: port, address: snmp://h, port: 1, mac: 18:12:29:45:10:11",
        // Rules 24, 30, 33.
        "type: ports, address: snmp://h, heartbeat_url: https://hc/x, heartbeat_every_n_secs: 60",
        "type: port, address: snmp://h, port: 1, mac: 18:12:29:45:10:11, heartbeat_url: https://hc/x",
        "type: host, address: snmp://h, heartbeat_url: https://hc/x, heartbeat_every_n_secs: 60",
    ] {
        assert_eq!(errors(monitor), Vec::<String>::new(), "{monitor}");
    }
}

#[test]
fn each_error_has_its_message() {
    let table: &[(&str, &[&str])] = &[
        // 21, 26, 31
        (
            "type: ports, address: http://192.168.1.6",
            &["\"address\" must begin with snmp://, not http:// (here: http://192.168.1.6)"],
        ),
        (
            "type: port, address: udp://h:161, port: 1, mac: 18:E8:29:45:F8:F7",
            &["\"address\" must begin with snmp://, not udp:// (here: udp://h:161)"],
        ),
        (
            "type: host, address: 192.168.1.6",
            &["\"address\" must be a URL that begins with snmp:// (here: 192.168.1.6)"],
        ),
        (
            "type: host, address: 'snmp://'",
            &["\"address\" has no host (here: snmp://)"],
        ),
        // addresses
        (
            "type: ports, address: snmp://h/public",
            &["\"address\" must end with the host or the port: an SNMP address has no path"],
        ),
        (
            "type: ports, address: 'snmp://h?x=1'",
            &["\"address\" must end with the host or the port: an SNMP address has no path"],
        ),
        (
            "type: ports, address: 'snmp://user:password@h'",
            &["\"address\" has a colon in the community before the @; write it as %3A"],
        ),
        (
            "type: ports, address: 'snmp://@h'",
            &["\"address\" has an empty community before the @; give one or remove the @"],
        ),
        (
            "type: ports, address: 'snmp://%ff@h'",
            &["\"address\" has a community that is not UTF-8 once %-escapes are decoded"],
        ),
        // 22
        (
            "type: ports, address: snmp://h, community: ''",
            &["\"community\" must not be empty"],
        ),
        (
            "type: host, address: snmp://h, community: ",
            &["\"community\" has no value; give one or remove the line"],
        ),
        (
            "type: host, address: snmp://a@h, community: b",
            &["\"community\" cannot be combined with a community in the address; remove one of them"],
        ),
        // 23, 29, 32
        (
            "type: ports, address: snmp://h, expect: x, send: y",
            &[
                "\"expect\" is not an option of type ports; it belongs to http",
                "\"send\" is not an option of type ports; it belongs to http",
            ],
        ),
        (
            "type: port, address: snmp://h, port: 1, mac: 18:E8:29:45:F8:F7, ssl_fingerprint: x, content_type: hex",
            &[
                "\"ssl_fingerprint\" is not an option of type port; it belongs to http",
                "\"content_type\" is not an option of type port; it belongs to http",
            ],
        ),
        (
            "type: host, address: snmp://h, ignore_ssl_expiry: yes, percentile: 95",
            &[
                "\"ignore_ssl_expiry\" is not an option of type host; it belongs to http",
                "\"percentile\" is not an option of type host; it belongs to ports, port",
            ],
        ),
        // 25
        (
            "type: ports, address: snmp://h, percentile: 100",
            &["\"percentile\" must be a percentile, 1 to 99, not 100"],
        ),
        (
            "type: ports, address: snmp://h, percentile: 0",
            &["\"percentile\" must be a percentile, 1 to 99, not 0"],
        ),
        (
            "type: ports, address: snmp://h, percentile: 95th",
            &["\"percentile\" must be a whole number, not \"95th\""],
        ),
        // 27
        (
            "type: port, address: snmp://h",
            &["\"port\" is missing", "\"mac\" is missing"],
        ),
        (
            "type: port, address: snmp://h, port: -1, mac: 18:E8:29:45:F8",
            &[
                "\"port\" must be a whole number from 0 to 4294967295, or a port's name, not -1",
                "\"mac\" must be a MAC address in the form XX:XX:XX:XX:XX:XX, not \"18:E8:29:45:F8\"",
            ],
        ),
        // options that APMonitor does not have
        (
            "type: ports, address: snmp://h, max_macs_per_port: 0, mac_changes: sometimes",
            &[
                "\"max_macs_per_port\" must be 1 or more, not 0",
                "\"mac_changes\" must be appeared or all or no, not \"sometimes\"",
            ],
        ),
        (
            "type: ports, address: snmp://h, max_macs_per_port: 0, allow_macs: [18:E8]",
            &[
                "\"max_macs_per_port\" must be 1 or more, not 0",
                "\"allow_macs\" must be a MAC address in the form XX:XX:XX:XX:XX:XX, not \"18:E8\"",
            ],
        ),
        (
            "type: ports, address: snmp://h, max_macs_per_port: 0, allow_macs: /nowhere/stations",
            &[
                "\"max_macs_per_port\" must be 1 or more, not 0",
                "\"allow_macs\" /nowhere/stations: cannot be read: No such file or directory (os error 2)",
            ],
        ),
        // options of one version in a monitor of another
        (
            "type: ports, address: snmp://h, version: 2c, user: ada",
            &["\"user\" requires version 3, not 2c; remove it or set version: 3"],
        ),
        (
            "type: ports, address: snmp://h, user: ada, community: x",
            &["\"community\" requires version 1 or 2c; remove it, as version 3 authenticates by user"],
        ),
        (
            "type: ports, address: snmp://x@h, user: ada",
            &[
                "\"address\" has a community before the @, which requires version 1 or 2c; remove it, as \
                 version 3 authenticates by user",
            ],
        ),
        (
            "type: ports, address: snmp://h, community: x, community_file: /x",
            &["\"community_file\" cannot be combined with community; remove one of them"],
        ),
        (
            "type: ports, address: snmp://h, user: ada, auth_password: maplesyrup",
            &["\"auth_password\" requires auth_protocol; set both or neither"],
        ),
        (
            "type: ports, address: snmp://h, user: ada, auth_protocol: sha256, auth_password: maple",
            &["\"auth_password\" must be at least 8 characters long"],
        ),
        (
            "type: ports, address: snmp://h, user: ada, priv_protocol: aes128, priv_password: maplesyrup",
            &[
                "\"priv_protocol\" requires auth_protocol and auth_password: SNMPv3 encrypts only messages that \
                 are signed",
            ],
        ),
        // 28
        (
            "type: port, address: snmp://h, port: 1, mac: 18:E8:29:45:F8:F7, always_up: sometimes",
            &["\"always_up\" must be yes or no, not \"sometimes\""],
        ),
        (
            "type: ports, address: snmp://h, always_up: yes, mac: 18:E8:29:45:F8:F7",
            &[
                "\"always_up\" is not an option of type ports; it belongs to port",
                "\"mac\" is not an option of type ports; it belongs to port",
            ],
        ),
    ];
    for (monitor, expected) in table {
        assert_eq!(errors(monitor), *expected, "{monitor}");
    }
}

#[test]
fn an_error_names_its_file_line_and_column() {
    assert_eq!(
        read("type: host, address: snmp://h, percentile: 95").unwrap_err(),
        "f.yaml:3:46: monitor \"m\": \"percentile\" is not an option of type host; it belongs to ports, port"
    );
}

#[test]
fn a_community_never_shows() {
    for monitor in [
        "type: ports, address: 'snmp://T0KEN@h/x'",
        "type: ports, address: 'http://T0KEN@h'",
        "type: ports, address: 'snmp://T0KEN:T0KEN@h'",
        "type: ports, address: snmp://a@h, community: T0KEN",
    ] {
        let text = read(monitor).unwrap_err();
        assert!(!text.contains("T0KEN"), "{text}");
    }
    let site = read("type: ports, address: snmp://T0KEN@h").unwrap();
    assert_eq!(site.monitors[0].address, "snmp://***@h");
}

#[test]
fn writing_out_a_default_keeps_the_checksum() {
    let checksum = |monitor: &str| read(monitor).unwrap().monitors.remove(0).checksum;
    let bare = "type: port, address: snmp://h, port: 1, mac: 18:E8:29:45:F8:F7";
    let full =
        "type: port, address: snmp://h, port: 01, mac: 18-e8-29-45-f8-f7, always_up: no, community: public";
    assert_eq!(checksum(bare), checksum(full));
    let other = "type: port, address: snmp://h, port: 1, mac: 18:E8:29:45:F8:F7, community: private";
    assert_ne!(checksum(bare), checksum(other));
}

#[test]
fn ignored_stations_are_a_hint() {
    for kind in ["type: port, port: 1, mac: 18:E8:29:45:F8:F7", "type: ports"] {
        let hints = |option: &str| -> Vec<String> {
            let site = read(&format!("{kind}, address: snmp://h{option}")).unwrap();
            site.hints.iter().map(|hint| hint.text.clone()).collect()
        };
        assert_eq!(
            hints(", ignore_unplaced: yes"),
            [
                "\"ignore_unplaced\" is on: stations that the device does not place on a port are ignored, and may be \
                 on any port"
            ]
        );
        assert_eq!(hints(", ignore_unplaced: no"), [""; 0]);
        assert_eq!(hints(""), [""; 0]);
    }
}

#[test]
fn the_example_of_every_kind_is_valid() {
    for kind in apmon_snmp::KINDS {
        let monitor = kind.example().trim_end().replace('\n', "\n    ");
        let text = format!("site: {{name: s}}\nmonitors:\n  - {monitor}\n");
        let site = parse(
            Path::new("f.yaml"),
            &text,
            apmon_snmp::KINDS,
            &[],
            &ProcessEnvironment,
        )
        .unwrap();
        assert_eq!(site.monitors[0].kind, kind.name());
        let schema = kind.schema().to_value().to_string();
        assert!(
            !schema.contains("\"default\":\"ef"),
            "a secret's hash must not be a default: {schema}"
        );
        for field in kind.fields() {
            assert!(schema.contains(field), "{field}");
        }
    }
}
