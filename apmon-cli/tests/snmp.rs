//! `apmon snmp get` and `apmon snmp ports`, against a real agent.
#![cfg(feature = "snmp")]
#![allow(clippy::unwrap_used)] // a panic fails the test

#[path = "../../apmon-snmp/tests/lab/mod.rs"]
mod lab;
mod support;

use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};

use lab::{
    Recordings, Snmpd, User,
    snmpd::{AUTH_PASSWORD, PRIV_PASSWORD},
};
use support::{Lab, Output, run};

const SYS_NAME: &str = "1.3.6.1.2.1.1.5.0";

/// `apmon snmp` with the agent's community in the environment.
fn snmp(arguments: &[&str]) -> Output {
    let lab = Lab::new();
    let mut command = lab.apmon(&[&["snmp"], arguments].concat());
    command.env("APMON_SNMP_COMMUNITY", Snmpd::COMMUNITY);
    run(command)
}

#[track_caller]
fn assert_error(output: &Output, code: i32, part: &str) {
    output.assert_code(code).assert_only_error(part);
}

#[test]
fn values_are_shown_in_the_order_of_the_arguments() {
    let snmpd = Snmpd::start(&["sysName a real agent"]);
    let address = snmpd.address().to_string();
    let output = snmp(&["get", &address, "1.3.6.1.9", "sysName", "IF-MIB::ifDescr.1"]);
    output.assert_code(0);
    let expected = [
        "1.3.6.1.9 = no such object".to_owned(),
        format!("{SYS_NAME} = STRING: a real agent"),
        "1.3.6.1.2.1.2.2.1.2.1 = STRING: lo".to_owned(),
    ];
    assert_eq!((&output.out[..], &output.err[..]), (&expected[..], &[][..]));

    let output = snmp(&["get", "--json", &address, "sysName", "1.3.6.1.9"]);
    output.assert_code(0);
    let values: Vec<Json> = output
        .out
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let expected = [
        json!({"oid": SYS_NAME, "type": "STRING", "value": "a real agent"}),
        json!({"oid": "1.3.6.1.9", "type": "noSuchObject", "value": null}),
    ];
    assert_eq!(values, expected);
}

#[test]
fn the_community_comes_from_address_option_file_or_environment() {
    let snmpd = Snmpd::start(&["sysName agent"]);
    let address = snmpd.address().to_string();
    let in_address = format!("snmp://lab@{address}");
    let lab = Lab::new();
    lab.write("community", "lab\n");
    for (arguments, variable) in [
        (vec![&*address], Some("lab")),
        (vec![&*in_address], None),
        // A community for this device takes precedence over the general one.
        (vec![&*in_address], Some("wrong")),
        (vec![&*address, "-c", "lab"], Some("wrong")),
        (vec![&*address, "-c", "lab", "-v", "1"], None),
        (vec![&*address, "--community-file", "community"], Some("wrong")),
    ] {
        let mut command = lab.apmon(&[&["snmp", "get"], &arguments[..], &["sysName"]].concat());
        if let Some(community) = variable {
            command.env("APMON_SNMP_COMMUNITY", community);
        }
        let output = run(command);
        output.assert_code(0);
        assert_eq!(
            output.out,
            [format!("{SYS_NAME} = STRING: agent")],
            "{arguments:?}"
        );
    }
}

#[test]
fn a_wrong_community_gets_no_answer() {
    let snmpd = Snmpd::start(&[]);
    let address = snmpd.address().to_string();
    let output = snmp(&[
        "get",
        &address,
        "sysName",
        "-c",
        "the-wrong-one",
        "--timeout",
        "0.5",
    ]);
    assert_error(
        &output,
        1,
        &format!(
            "{address}: snmp: no answer within 0.5 secs (GET of {SYS_NAME}); a wrong community gets no answer"
        ),
    );
    assert!(!output.text().contains("the-wrong-one"));
}

#[test]
fn a_closed_port_is_reported_at_once() {
    let mut snmpd = Snmpd::start(&[]);
    snmpd.stop();
    let address = snmpd.address().to_string();
    for verb in ["get", "walk", "ports"] {
        let arguments: &[&str] = match verb {
            "get" => &["sysName"],
            _ => &[],
        };
        let output = snmp(&[&[verb, &address, "-t", "600"], arguments].concat());
        assert_error(
            &output,
            1,
            &format!("{address}: snmp: no SNMP agent listens on that port"),
        );
    }
}

#[test]
fn an_snmpv3_user_needs_the_right_passwords() {
    let snmpd = Snmpd::start(&["sysName agent"]);
    let address = snmpd.address().to_string();
    let lab = Lab::new();
    lab.write("auth", format!("{AUTH_PASSWORD}\n"));
    let user = User::new(Some("SHA-256"), Some("AES"));
    let options = ["-u", &user.name, "-a", "sha256", "-x", "aes128"];
    let get = |auth_file: &[&str], private: &str| {
        let mut command = lab.apmon(
            &[
                &["snmp", "get", &address, "sysName", "-t", "2"],
                &options[..],
                auth_file,
            ]
            .concat(),
        );
        // The general community is not used with a user.
        command.env("APMON_SNMP_COMMUNITY", "lab");
        command.env("APMON_SNMP_AUTH_PASSWORD", AUTH_PASSWORD);
        command.env("APMON_SNMP_PRIV_PASSWORD", private);
        run(command)
    };
    for auth_file in [&[][..], &["--auth-password-file", "auth"]] {
        let output = get(auth_file, PRIV_PASSWORD);
        output.assert_code(0);
        assert_eq!(output.out, [format!("{SYS_NAME} = STRING: agent")]);
    }
    lab.write("auth", "not the password");
    let output = get(&["--auth-password-file", "auth"], PRIV_PASSWORD);
    assert_error(&output, 1, "snmp: wrong key: the authentication password");
    assert!(!output.text().contains("not the password"));
    let output = get(&[], "another one");
    assert_error(
        &output,
        1,
        "snmp: no answer to encrypted requests: wrong privacy password",
    );
    assert!(!output.text().contains("another one"));
}

#[test]
fn a_password_without_its_protocol_is_an_error() {
    for (variable, part) in [
        (
            "APMON_SNMP_AUTH_PASSWORD",
            "\"auth_password\" requires auth_protocol",
        ),
        (
            "APMON_SNMP_PRIV_PASSWORD",
            "\"priv_password\" requires priv_protocol",
        ),
    ] {
        let lab = Lab::new();
        let mut command = lab.apmon(&["snmp", "get", "127.0.0.1:1", "sysName", "-u", "ada"]);
        command.env(variable, "her secret");
        let output = run(command);
        assert_error(&output, 2, part);
        assert!(!output.text().contains("her secret"));
    }
}

#[test]
fn usage_errors_are_reported_before_any_query() {
    let lab = Lab::new();
    lab.write(
        "site.yaml",
        "site: {name: home}\nmonitors:\n\
         - {type: ports, name: switch, address: \"snmp://127.0.0.1:1\"}\n\
         - {type: tcp, name: door, address: \"tcp://127.0.0.1:1\"}\n",
    );
    lab.write(
        "wrong.yaml",
        "site: {name: home}\nmonitors:\n- {type: port, name: nas}\n",
    );
    let cases: &[(&[&str], &str)] = &[
        (
            &["get", "127.0.0.1:1", "sysNmae.0"],
            "unknown object \"sysNmae\"; did you mean sysName?",
        ),
        (&["get", "127.0.0.1:1", "ifDescr"], "ifDescr has no single value"),
        (&["walk", "127.0.0.1:1", "1.3.x"], "not an OID"),
        (
            &["get", "127.0.0.1:1", "sysName", "-v", "4"],
            "must be 1, 2c or 3, not \"4\"",
        ),
        (
            &["get", "http://127.0.0.1:1", "sysName"],
            "must begin with snmp://, not http://",
        ),
        (
            &["get", "top-secret@127.0.0.1:1/path", "sysName"],
            "***@127.0.0.1:1/path: \"address\" must end with the host or the port",
        ),
        (
            &["get", "snmp://a@b@127.0.0.1:1/path", "sysName"],
            "snmp://***@127.0.0.1:1/path: \"address\"",
        ),
        (
            &["get", "127.0.0.1:1", "sysName", "-u", "ada", "-c", "top-secret"],
            "\"community\" requires version 1 or 2c",
        ),
        (
            &["get", "site.yaml", "sysName"],
            "give the site file with --config, and a monitor's name as the argument",
        ),
        (
            &["get", "swich", "sysName", "--config", "site.yaml"],
            "no monitor is called \"swich\"; did you mean \"switch\"?",
        ),
        (
            &["ports", "door", "--config", "site.yaml"],
            "door: the monitor is of type tcp, which uses no SNMP agent",
        ),
        (&["ports", "nas", "--config", "nowhere.yaml"], "nowhere.yaml: "),
    ];
    for (arguments, part) in cases {
        let output = run(lab.apmon(&[&["snmp"], *arguments].concat()));
        assert_error(&output, 2, part);
        assert!(!output.text().contains("top-secret"), "{}", output.text());
    }
    let output = run(lab.apmon(&["snmp", "ports", "nas", "--config", "wrong.yaml"]));
    output.assert_code(2);
    // Each error is reported once, though the monitor is read twice.
    let missing: Vec<_> = output
        .err
        .iter()
        .filter(|line| line.contains("is missing"))
        .collect();
    assert_eq!(missing.len(), output.err.len(), "{}", output.text());
    let once: std::collections::HashSet<_> = output.err.iter().collect();
    assert_eq!(once.len(), output.err.len(), "{}", output.text());
    let output = run(lab.apmon(&["snmp", "ports", "switch", "--config", "site.yaml", "-c", "x"]));
    output.assert_code(2);
}

#[test]
fn a_monitor_of_a_site_file_names_the_agent_and_its_options() {
    let snmpd = Snmpd::start(&["sysName agent"]);
    let address = snmpd.address();
    let lab = Lab::new();
    lab.write("auth", AUTH_PASSWORD);
    let user = User::new(Some("SHA"), None).name;
    lab.write(
        "site.yaml",
        format!(
            "site: {{name: home, max_try_secs: 1}}\nmonitors:\n\
             - {{type: ports, name: switch, address: \"snmp://{address}\", community: lab, percentile: 95}}\n\
             - {{type: port, name: nas, address: \"snmp://lab@{address}\", port: 3, mac: 18:E8:29:45:F8:F7}}\n\
             - {{type: host, name: server, address: \"snmp://{address}\", user: {user}, auth_protocol: sha1, auth_password_file: auth}}\n\
             - {{type: host, name: stranger, address: \"snmp://{address}\", community: wrong}}\n"
        ),
    );
    for name in ["switch", "nas", "server"] {
        let mut command = lab.apmon(&["snmp", "get", name, "sysName", "--config", "site.yaml"]);
        // The site file takes precedence.
        command.env("APMON_SNMP_COMMUNITY", "wrong");
        let output = run(command);
        output.assert_code(0);
        assert_eq!(output.out, [format!("{SYS_NAME} = STRING: agent")], "{name}");
    }
    // It determines the timeout too.
    let output = run(lab.apmon(&["snmp", "walk", "stranger", "--config", "site.yaml"]));
    assert_error(&output, 1, "stranger: snmp: no answer within 1 secs");
}

#[test]
fn the_ports_of_a_host() {
    let snmpd = Snmpd::start(&["sysName a real agent", "sysLocation here"]);
    let address = snmpd.address().to_string();
    let output = snmp(&["ports", &address]);
    output.assert_code(0);
    assert_eq!(output.err, [""; 0]);
    assert_eq!(output.out[0], "a real agent");
    for head in ["location  here", "up for    ", "ports     "] {
        assert!(
            output.out.iter().any(|line| line.starts_with(head)),
            "{}",
            output.text()
        );
    }
    let table = output.out.iter().skip_while(|line| !line.starts_with("PORT"));
    let rows: Vec<Vec<_>> = table.map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..4], ["PORT", "NAME", "STATE", "SPEED"]);
    assert_eq!(rows[1][..3], ["1", "lo", "up"]);

    let output = snmp(&["ports", "--json", &address]);
    output.assert_code(0);
    let device: Json = serde_json::from_str(&output.out.join("\n")).unwrap();
    assert_eq!(
        (&device["name"], &device["location"]),
        (&json!("a real agent"), &json!("here"))
    );
    assert_eq!(
        (&device["ports"][0]["index"], &device["ports"][0]["name"]),
        (&json!(1), &json!("lo"))
    );
    assert_eq!(device["ports"].as_array().unwrap().len(), rows.len() - 1);
}

#[test]
fn the_ports_of_a_switch() {
    let recordings = Recordings::start();
    let address = recordings.address().to_string();
    let output = snmp(&["ports", &address, "-c", "cisco-c3750"]);
    output.assert_code(0);
    // The recording has no stations of VLAN 2, which is silent.
    insta::assert_snapshot!(output.text().replace(&address, "AGENT"));
}

#[test]
fn on_a_terminal_the_table_fits_its_width() {
    let recordings = Recordings::start();
    // A pseudo-terminal of 80 columns.
    let script = format!(
        "stty cols 80; {} snmp ports {} -c cisco-c3750",
        env!("CARGO_BIN_EXE_apmon"),
        recordings.address()
    );
    let output = Command::new("script")
        .args(["-qec", &script, "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .expect("script is required (apt install bsdutils)");
    let text = String::from_utf8(output.stdout).unwrap();
    // The progress line is shown, and erased before the table.
    let (progress, table) = text.rsplit_once("\r\u{1b}[K").unwrap();
    assert!(progress.contains("reading the ports of "), "{text}");
    let table = table.lines().filter(|line| !line.contains("WARN"));
    let widest = table.map(|line| line.trim_end().chars().count()).max();
    assert!((60..=80).contains(&widest.unwrap()), "{text}");
    assert!(output.status.success());
}
