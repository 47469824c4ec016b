//! The kinds `ports`, `port` and `host`, from the site file to the output: the real
//! binary and a real agent, both in a network namespace with cables to unplug.
//!
//! snmpd caches the state of the interfaces for 3 s. So an unplugged cable is
//! reported within one check interval and one lifetime of that cache.
#![cfg(all(feature = "snmp", feature = "sqlite"))]
#![allow(clippy::unwrap_used)] // a panic fails the test

#[path = "../../apmon-snmp/tests/lab/mod.rs"]
mod lab;
mod support;

use std::{fs, process::Command, time::Duration};

use apmon_core::{MonitorState, Stopwatch};
use apmon_store::History;
use serde_json::Value as Json;

use lab::{
    Namespace, Snmpd, User,
    snmpd::{AUTH_PASSWORD, PRIV_PASSWORD},
};
use support::{Lab, Output, Process, SOON, Signal, Site, run, wait_until, without_times};

/// The interval between checks.
const PERIOD: Duration = Duration::from_secs(2);
/// How long snmpd caches the state of interfaces.
const CACHE: Duration = Duration::from_secs(3);
/// The least interval between two notifications about a port.
const SILENCE: Duration = Duration::from_secs(4);

const PULLED: &str =
    "##### PORT CHANGE: switch in HomeLab: veth0 oper=down admin=up (was oper=up admin=up) at TIME #####";
const PLUGGED: &str =
    "##### PORT CHANGE: switch in HomeLab: veth0 oper=up admin=up (was oper=down admin=up) at TIME #####";
/// The other end of the cable is a port, too.
const PULLED_PEER: &str =
    "##### PORT CHANGE: switch in HomeLab: peer0 oper=down admin=down (was oper=up admin=up) at TIME #####";
const PLUGGED_PEER: &str =
    "##### PORT CHANGE: switch in HomeLab: peer0 oper=up admin=up (was oper=down admin=down) at TIME #####";

/// A device with two cables.
struct Bench {
    lab: Lab,
    // Dropped before the namespace in which it runs.
    snmpd: Snmpd,
    namespace: Namespace,
}

impl Bench {
    fn new() -> Self {
        let namespace = Namespace::with_cables(2);
        let snmpd = Snmpd::start_in(&namespace, &["sysName lab-switch", "sysLocation rack 2"]);
        Self {
            lab: Lab::new(),
            snmpd,
            namespace,
        }
    }

    /// The options of a monitor of the device.
    fn options(&self, name: &str, options: &str) -> String {
        let address = self.snmpd.address();
        format!("name: {name}, address: \"snmp://{address}\", {options}")
    }

    fn by_community(&self, name: &str, options: &str) -> String {
        let community = Snmpd::COMMUNITY;
        self.options(name, &format!("community: {community}, {options}"))
    }

    fn site(&self) -> Site {
        Site::new("HomeLab")
            .option("check_every_n_secs: 2")
            .option("notify_every_n_secs: 4")
    }

    /// Writes `home.yaml` with a monitor of all ports.
    fn write_ports(&self) {
        let site = self.site().watch(&self.by_community("switch", "type: ports"));
        self.lab.write("home.yaml", site.text());
    }

    /// The binary, in the device's namespace.
    fn apmon(&self, arguments: &[&str]) -> Command {
        let apmon = self.lab.apmon(arguments);
        let mut command = self.namespace.command("env");
        command.arg("-i");
        for (key, value) in apmon.get_envs() {
            let mut pair = key.to_owned();
            pair.push("=");
            pair.push(value.unwrap());
            command.arg(pair);
        }
        // The arguments of `env`, which include the binary.
        command.args(apmon.get_args());
        command.current_dir(apmon.get_current_dir().unwrap());
        command
    }

    fn start(&self, arguments: &[&str]) -> Process {
        Process::start(self.apmon(arguments))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        run(self.apmon(arguments))
    }

    /// The site in `apmon status --json`.
    fn status(&self, file: &str) -> Json {
        let output = self.run(&["status", "--json", file]);
        let all: Json = serde_json::from_str(&output.out.join("\n")).unwrap_or_default();
        all["sites"][0].clone()
    }

    /// Waits until the daemon has made `count` checks.
    fn wait_for_checks(&self, count: u64) -> Json {
        wait_until("checks", || {
            let site = self.status("home.yaml");
            let is_daemon = site["source"] == "daemon";
            let ended = site["checks"]["ended"].as_u64();
            (is_daemon && ended.is_some_and(|ended| ended >= count)).then_some(site)
        })
    }

    /// The state of a monitor in the daemon's database.
    fn saved_state(&self, name: &str) -> MonitorState {
        let history = History::open(self.lab.state("home").database()).unwrap();
        history.states().unwrap().remove(name).unwrap()
    }
}

/// The lines about ports.
fn port_notifications(lines: &[String]) -> Vec<String> {
    let lines = lines.iter().filter(|line| line.contains("PORT"));
    lines.map(|line| without_times(line)).collect()
}

#[track_caller]
fn wait_for(process: &mut Process, line: &str) -> Duration {
    let waited = Stopwatch::start();
    let part = line.split(" at TIME").next().unwrap();
    process.wait_for_out(part);
    waited.elapsed()
}

#[test]
fn a_daemon_reports_an_unplugged_cable_once() {
    let bench = Bench::new();
    bench.write_ports();
    let mut first = bench.start(&["run", "home.yaml"]);
    let site = bench.wait_for_checks(1);
    let switch = &site["monitors"][0];
    assert_eq!((&switch["state"], &switch["reason"]), (&"up".into(), &Json::Null));
    let device = &switch["device"];
    assert_eq!(
        (&device["name"], &device["location"]),
        (&"lab-switch".into(), &"rack 2".into())
    );
    let names: Vec<&str> = device["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 5, "{names:?}");

    bench.namespace.pull(0);
    let took = wait_for(&mut first, PULLED);
    assert!(took < PERIOD + CACHE + SOON, "{took:?}");
    wait_until("both ends", || {
        (port_notifications(&first.out()).len() == 2).then_some(())
    });
    let mut lines = port_notifications(&first.out());
    lines.sort();
    assert_eq!(lines, [PULLED_PEER, PULLED]);
    first.stop().assert_code(0);

    let ports = &bench.saved_state("switch").memory.kept["ports_state"];
    let ports: Json = serde_json::from_str(ports).unwrap();
    let index = bench.namespace.index("veth0").to_string();
    assert_eq!(
        ports[&index],
        serde_json::json!({"name": "veth0", "oper": "down", "admin": "up", "macs": []})
    );

    // A restarted daemon repeats nothing.
    let mut second = bench.start(&["run", "home.yaml"]);
    bench.wait_for_checks(3);
    assert_eq!(port_notifications(&second.out()), [""; 0]);
    bench.namespace.plug(0);
    let took = wait_for(&mut second, PLUGGED);
    assert!(took < SILENCE + PERIOD + CACHE + SOON, "{took:?}");
    wait_until("both ends", || {
        (port_notifications(&second.out()).len() == 2).then_some(())
    });
    // Nor does it after a kill.
    second.signal(Signal::Kill);
    second.wait();
    let third = bench.start(&["run", "home.yaml"]);
    bench.wait_for_checks(2);
    let mut again = port_notifications(&third.out());
    again.retain(|line| line.contains("PORT CHANGE"));
    assert_eq!(again, [""; 0]);
    third.stop().assert_code(0);

    let output = bench.run(&["history", "--ports", "--json", "home.yaml"]);
    output.assert_code(0);
    let history: Json = serde_json::from_str(&output.out.join("\n")).unwrap();
    let text = history.to_string();
    for part in ["veth0", "peer0", "oper=down admin=up", "\"notified\":true"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let output = bench.run(&["history", "--ports", "home.yaml", "switch"]);
    output.assert_code(0);
    let shown = output.out.join("\n");
    for part in ["veth0", "oper up -> down", "oper down -> up"] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
}

#[test]
fn a_change_within_the_interval_is_reported_when_it_is_over() {
    let bench = Bench::new();
    let site = bench
        .site()
        .option("notify_every_n_secs: 12")
        .watch(&bench.by_community("switch", "type: ports"));
    bench.lab.write("home.yaml", site.text());
    let mut daemon = bench.start(&["run", "-s", "own.json", "home.yaml"]);
    let checked = || {
        let text = fs::read_to_string(bench.lab.path("own.json")).ok()?;
        let state: Json = serde_json::from_str(&text).ok()?;
        Some(state["switch"]["ports_state"].clone()).filter(|ports| !ports.is_null())
    };
    wait_until("the first check", checked);
    let index = bench.namespace.index("veth0").to_string();
    bench.namespace.pull(0);
    wait_for(&mut daemon, PULLED);
    bench.namespace.plug(0);
    // The change is known, but no notification is due yet.
    wait_until("the port that is up", || {
        checked().filter(|ports| ports[&index]["oper"] == "up")
    });
    assert!(!port_notifications(&daemon.out()).contains(&PLUGGED.to_owned()));
    // A restarted daemon sends the notification when it is due, from its JSON state.
    daemon.stop().assert_code(0);
    let mut daemon = bench.start(&["run", "-s", "own.json", "home.yaml"]);
    wait_for(&mut daemon, PLUGGED);
    wait_until("both ends", || {
        (port_notifications(&daemon.out()).len() == 2).then_some(())
    });
    let mut lines = port_notifications(&daemon.out());
    lines.sort();
    assert_eq!(lines, [PLUGGED_PEER, PLUGGED]);
    daemon.stop().assert_code(0);
}

#[test]
fn passes_report_the_same() {
    let bench = Bench::new();
    let site = bench
        .site()
        .option("check_every_n_secs: 1")
        .watch(&bench.by_community("switch", "type: ports"));
    bench.lab.write("home.yaml", site.text());
    bench.run(&["home.yaml"]).assert_code(0);
    let ports = bench.lab.state("home").read()["switch"]["ports_state"].clone();
    assert_eq!(ports.as_object().unwrap().len(), 5, "{ports}");
    bench.namespace.pull(1);
    let mut notifications = Vec::new();
    wait_until("the unplugged cable", || {
        let output = bench.run(&["home.yaml"]);
        output.assert_code(0);
        notifications.extend(port_notifications(&output.out));
        (notifications.len() >= 2).then_some(())
    });
    notifications.sort();
    assert_eq!(
        notifications,
        [PULLED_PEER, PULLED].map(|line| line.replace("veth0", "veth1").replace("peer0", "peer1"))
    );
    let output = bench.run(&["home.yaml"]);
    assert_eq!(port_notifications(&output.out), [""; 0]);
}

#[test]
fn all_three_kinds_watch_one_device() {
    let bench = Bench::new();
    let user = User::new(Some("SHA-256"), Some("AES"));
    bench.lab.write("auth", AUTH_PASSWORD);
    bench.lab.write("privacy", format!("{PRIV_PASSWORD}\n"));
    let by_user = format!(
        "type: ports, user: {}, auth_protocol: sha256, auth_password_file: auth, priv_protocol: aes128, \
         priv_password_file: privacy",
        user.name
    );
    let pinned = "type: port, port: veth0, mac: 18:E8:29:45:F8:F7";
    let index = bench.namespace.index("veth0");
    let site = bench
        .site()
        .watch(&bench.by_community("a-switch", "type: ports"))
        .watch(&bench.options("b-by-user", &by_user))
        .watch(&bench.by_community("c-port", pinned))
        .watch(&bench.by_community("d-camera", &format!("{pinned}, always_up: yes")))
        .watch(&bench.by_community("e-host", "type: host"))
        .watch(&bench.options("f-stranger", "type: ports, community: wrong, max_try_secs: 1"));
    bench.lab.write("home.yaml", site.text());
    let daemon = bench.start(&["run", "home.yaml"]);
    let site = bench.wait_for_checks(6);
    daemon.stop().assert_code(0);
    let monitors = site["monitors"].as_array().unwrap();
    let found: Vec<(&str, &str, &str)> = monitors
        .iter()
        .map(|monitor| {
            let text = |key: &str| monitor[key].as_str().unwrap_or_default();
            (text("name"), text("state"), text("reason"))
        })
        .collect();
    // A host without a bridge has no MAC table.
    let unread =
        format!("port veth0 (ifIndex={index}): MAC table could not be read: the device shows no bridge");
    let mut found: Vec<_> = found;
    found.sort_unstable();
    assert_eq!(
        found[..5],
        [
            ("a-switch", "up", ""),
            ("b-by-user", "up", ""),
            ("c-port", "unknown", unread.as_str()),
            ("d-camera", "unknown", unread.as_str()),
            ("e-host", "up", ""),
        ]
    );
    let (name, state, reason) = found[5];
    assert_eq!((name, state), ("f-stranger", "down"));
    assert!(reason.starts_with("snmp: no answer within 1 secs"), "{reason}");
    let port_state: Json =
        serde_json::from_str(&bench.saved_state("c-port").memory.kept["port_state"]).unwrap();
    assert_eq!(port_state, serde_json::json!({"oper": "up", "mac": null}));
}

#[test]
fn a_check_explains_what_is_wrong_with_a_user() {
    let bench = Bench::new();
    let user = User::new(Some("SHA-256"), None);
    let check = |name: &str, protocol: &str, password: &str| {
        bench.lab.write("auth", password);
        let options =
            format!("type: ports, user: {name}, auth_protocol: {protocol}, auth_password_file: auth");
        bench.lab.write(
            "home.yaml",
            bench.site().watch(&bench.options("switch", &options)).text(),
        );
        bench.run(&["check", "home.yaml"])
    };
    check(&user.name, "sha256", AUTH_PASSWORD).assert_code(0);
    for (name, protocol, password, reason) in [
        (
            user.name.as_str(),
            "sha256",
            "not the lab's",
            "snmp: wrong key: the authentication password or protocol does not match the agent's",
        ),
        (
            user.name.as_str(),
            "sha1",
            AUTH_PASSWORD,
            "snmp: wrong key: the authentication password or protocol does not match the agent's",
        ),
        ("nobody", "sha256", AUTH_PASSWORD, "snmp: unknown user"),
    ] {
        let output = check(name, protocol, password);
        output.assert_code(2);
        let text = output.text();
        assert!(text.contains("CRITICAL - ") && text.contains(reason), "{text}");
        assert!(!text.contains(password), "{text}");
    }
}
