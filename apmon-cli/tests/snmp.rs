//! `apmon snmp`, against a real agent, and agents that no real one is.
#![allow(clippy::unwrap_used)] // what fails here is a test

#[path = "../../apmon-snmp/tests/lab/mod.rs"]
mod lab;
mod support;

use std::{
    net::UdpSocket,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use apmon_core::Stopwatch;
use apmon_snmp_client::{
    Oid, Value, Varbind,
    message::{Body, CommunityMessage, Message, Pdu, PduKind},
};
use serde_json::{Value as Json, json};

use lab::{
    Recordings, Snmpd, User,
    snmpd::{AUTH_PASSWORD, PRIV_PASSWORD},
    tool::Tool,
};
use support::{Ended, Lab, Signal, run};

const SYS_NAME: &str = "1.3.6.1.2.1.1.5.0";

/// `apmon snmp` with the lab's community in the environment.
fn ask(arguments: &[&str]) -> Ended {
    let lab = Lab::new();
    let mut command = lab.apmon(&[&["snmp"], arguments].concat());
    command.env("APMON_SNMP_COMMUNITY", Snmpd::COMMUNITY);
    run(command)
}

#[track_caller]
fn assert_refused(ended: &Ended, code: i32, part: &str) {
    ended.assert_code(code).assert_only_error(part);
}

#[test]
fn values_are_shown_in_the_order_in_which_they_are_asked_for() {
    let snmpd = Snmpd::start(&["sysName a real agent"]);
    let address = snmpd.address().to_string();
    let ended = ask(&["get", &address, "1.3.6.1.9", "sysName", "IF-MIB::ifDescr.1"]);
    ended.assert_code(0);
    let expected = [
        "1.3.6.1.9 = no such object".to_owned(),
        format!("{SYS_NAME} = STRING: a real agent"),
        "1.3.6.1.2.1.2.2.1.2.1 = STRING: lo".to_owned(),
    ];
    assert_eq!((&ended.out[..], &ended.err[..]), (&expected[..], &[][..]));

    let ended = ask(&["get", "--json", &address, "sysName", "1.3.6.1.9"]);
    ended.assert_code(0);
    let values: Vec<Json> = ended
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
fn a_community_is_taken_from_where_it_stands() {
    let snmpd = Snmpd::start(&["sysName agent"]);
    let address = snmpd.address().to_string();
    let in_address = format!("snmp://lab@{address}");
    let lab = Lab::new();
    lab.write("community", "lab\n");
    for (arguments, variable) in [
        (vec![&*address], Some("lab")),
        (vec![&*in_address], None),
        // What is said of this device counts more than what is there for all.
        (vec![&*in_address], Some("wrong")),
        (vec![&*address, "-c", "lab"], Some("wrong")),
        (vec![&*address, "-c", "lab", "-v", "1"], None),
        (vec![&*address, "--community-file", "community"], Some("wrong")),
    ] {
        let mut command = lab.apmon(&[&["snmp", "get"], &arguments[..], &["sysName"]].concat());
        if let Some(community) = variable {
            command.env("APMON_SNMP_COMMUNITY", community);
        }
        let ended = run(command);
        ended.assert_code(0);
        assert_eq!(
            ended.out,
            [format!("{SYS_NAME} = STRING: agent")],
            "{arguments:?}"
        );
    }
}

#[test]
fn a_wrong_community_meets_silence() {
    let snmpd = Snmpd::start(&[]);
    let address = snmpd.address().to_string();
    let ended = ask(&[
        "get",
        &address,
        "sysName",
        "-c",
        "the-wrong-one",
        "--timeout",
        "0.5",
    ]);
    assert_refused(
        &ended,
        1,
        &format!(
            "{address}: snmp: no answer within 0.5 secs (GET of {SYS_NAME}); a wrong community gets none"
        ),
    );
    assert!(!ended.text().contains("the-wrong-one"));
}

#[test]
fn where_nobody_listens_is_said_at_once() {
    let mut snmpd = Snmpd::start(&[]);
    snmpd.stop();
    let address = snmpd.address().to_string();
    for verb in ["get", "walk", "ports"] {
        let arguments: &[&str] = match verb {
            "get" => &["sysName"],
            _ => &[],
        };
        let ended = ask(&[&[verb, &address, "-t", "600"], arguments].concat());
        assert_refused(
            &ended,
            1,
            &format!("{address}: snmp: no SNMP agent listens on that port"),
        );
    }
}

#[test]
fn a_user_of_snmpv3_is_known_by_his_passwords() {
    let snmpd = Snmpd::start(&["sysName agent"]);
    let address = snmpd.address().to_string();
    let lab = Lab::new();
    lab.write("auth", format!("{AUTH_PASSWORD}\n"));
    let user = User::new(Some("SHA-256"), Some("AES"));
    let options = ["-u", &user.name, "-a", "sha256", "-x", "aes128"];
    let asked = |auth_file: &[&str], private: &str| {
        let mut command = lab.apmon(
            &[
                &["snmp", "get", &address, "sysName", "-t", "2"],
                &options[..],
                auth_file,
            ]
            .concat(),
        );
        // The community for all other devices is none of theirs.
        command.env("APMON_SNMP_COMMUNITY", "lab");
        command.env("APMON_SNMP_AUTH_PASSWORD", AUTH_PASSWORD);
        command.env("APMON_SNMP_PRIV_PASSWORD", private);
        run(command)
    };
    for auth_file in [&[][..], &["--auth-password-file", "auth"]] {
        let ended = asked(auth_file, PRIV_PASSWORD);
        ended.assert_code(0);
        assert_eq!(ended.out, [format!("{SYS_NAME} = STRING: agent")]);
    }
    lab.write("auth", "not the password");
    let ended = asked(&["--auth-password-file", "auth"], PRIV_PASSWORD);
    assert_refused(&ended, 1, "snmp: wrong key: the authentication password");
    assert!(!ended.text().contains("not the password"));
    let ended = asked(&[], "another one");
    assert_refused(
        &ended,
        1,
        "snmp: no answer to encrypted requests: wrong privacy password",
    );
    assert!(!ended.text().contains("another one"));
}

#[test]
fn a_password_without_its_protocol_is_not_left_out() {
    for (variable, part) in [
        (
            "APMON_SNMP_AUTH_PASSWORD",
            "\"auth_password\" needs auth_protocol",
        ),
        (
            "APMON_SNMP_PRIV_PASSWORD",
            "\"priv_password\" needs priv_protocol",
        ),
    ] {
        let lab = Lab::new();
        let mut command = lab.apmon(&["snmp", "get", "127.0.0.1:1", "sysName", "-u", "ada"]);
        command.env(variable, "a secret of hers");
        let ended = run(command);
        assert_refused(&ended, 2, part);
        assert!(!ended.text().contains("a secret of hers"));
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_anybody_is_asked() {
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
            "no object is known here by the name \"sysNmae\"; did you mean sysName?",
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
            "***@127.0.0.1:1/path: \"address\" must end with the host or its port",
        ),
        (
            &["get", "snmp://a@b@127.0.0.1:1/path", "sysName"],
            "snmp://***@127.0.0.1:1/path: \"address\"",
        ),
        (
            &["get", "127.0.0.1:1", "sysName", "-u", "ada", "-c", "top-secret"],
            "\"community\" is of SNMPv1 and v2c",
        ),
        (
            &["get", "site.yaml", "sysName"],
            "a site file goes with --config, and a monitor's name in its place",
        ),
        (
            &["get", "swich", "sysName", "--config", "site.yaml"],
            "no monitor is called \"swich\"; did you mean \"switch\"?",
        ),
        (
            &["ports", "door", "--config", "site.yaml"],
            "door: it is of type tcp, which asks no SNMP agent",
        ),
        (&["ports", "nas", "--config", "nowhere.yaml"], "nowhere.yaml: "),
    ];
    for (arguments, part) in cases {
        let ended = run(lab.apmon(&[&["snmp"], *arguments].concat()));
        assert_refused(&ended, 2, part);
        assert!(!ended.text().contains("top-secret"), "{}", ended.text());
    }
    let ended = run(lab.apmon(&["snmp", "ports", "nas", "--config", "wrong.yaml"]));
    ended.assert_code(2);
    // Once each, though the monitor is read twice.
    let missing: Vec<_> = ended
        .err
        .iter()
        .filter(|line| line.contains("is missing"))
        .collect();
    assert_eq!(missing.len(), ended.err.len(), "{}", ended.text());
    let once: std::collections::HashSet<_> = ended.err.iter().collect();
    assert_eq!(once.len(), ended.err.len(), "{}", ended.text());
    let ended = run(lab.apmon(&["snmp", "ports", "switch", "--config", "site.yaml", "-c", "x"]));
    ended.assert_code(2);
}

#[test]
fn a_monitor_of_a_site_file_says_whom_to_ask_and_how() {
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
        // The site file says how.
        command.env("APMON_SNMP_COMMUNITY", "wrong");
        let ended = run(command);
        ended.assert_code(0);
        assert_eq!(ended.out, [format!("{SYS_NAME} = STRING: agent")], "{name}");
    }
    // It says how long to wait, too.
    let ended = run(lab.apmon(&["snmp", "walk", "stranger", "--config", "site.yaml"]));
    assert_refused(&ended, 1, "stranger: snmp: no answer within 1 secs");
}

#[test]
fn a_walk_has_what_the_tools_of_net_snmp_find() {
    let snmpd = Snmpd::start(&["sysName a real agent"]);
    let address = snmpd.address().to_string();
    // Where nothing comes and goes meanwhile: the system, and who may read what.
    let roots = ["1.3.6.1.2.1.1", "1.3.6.1.6.3.16.1.2"];
    for (root, version) in roots.iter().flat_map(|root| [(*root, "1"), (*root, "2c")]) {
        let tool = Tool::new("snmpwalk", snmpd.address(), 20)
            .by_community(version, Snmpd::COMMUNITY)
            .with(&["-Oqn"]);
        let told = tool.ask(&[root]).unwrap();
        let expected: Vec<_> = told
            .lines()
            .filter_map(|line| line.strip_prefix('.')?.split(' ').next())
            .filter(|oid| oid.starts_with("1.3.6.1."))
            .collect();
        assert!(expected.len() > 5, "{told}");
        let ended = ask(&["walk", &address, root, "-v", version]);
        ended.assert_code(0);
        let found: Vec<_> = ended
            .out
            .iter()
            .map(|line| line.split(" = ").next().unwrap())
            .collect();
        assert_eq!(found, expected, "{root}, version {version}");
    }
    let ended = ask(&["walk", &address, "sysName", "--json"]);
    let line = format!(r#"{{"oid":"{SYS_NAME}","type":"STRING","value":"a real agent"}}"#);
    assert_eq!((&ended.out[..], &ended.err[..]), (&[line][..], &[][..]));
}

#[test]
fn a_walk_ends_at_its_limit_and_says_so() {
    let snmpd = Snmpd::start(&[]);
    let ended = ask(&["walk", &snmpd.address().to_string(), "system", "--limit", "3"]);
    ended.assert_code(1);
    assert_eq!(ended.out.len(), 3);
    assert!(
        ended.logged("ERROR")[0].ends_with("snmp: more than 3 rows"),
        "{}",
        ended.text()
    );
}

#[test]
fn a_walk_of_nothing_says_so() {
    let snmpd = Snmpd::start(&[]);
    let ended = ask(&["walk", &snmpd.address().to_string(), "1.3.6.1.9"]);
    ended.assert_code(0);
    assert_eq!(ended.out, [""; 0]);
    assert_eq!(ended.logged("WARN"), ["the device has nothing below 1.3.6.1.9"]);
}

#[test]
fn the_ports_of_a_host() {
    let snmpd = Snmpd::start(&["sysName a real agent", "sysLocation here"]);
    let address = snmpd.address().to_string();
    let ended = ask(&["ports", &address]);
    ended.assert_code(0);
    assert_eq!(ended.err, [""; 0]);
    assert_eq!(ended.out[0], "a real agent");
    for head in ["location  here", "up for    ", "ports     "] {
        assert!(
            ended.out.iter().any(|line| line.starts_with(head)),
            "{}",
            ended.text()
        );
    }
    let table = ended.out.iter().skip_while(|line| !line.starts_with("PORT"));
    let rows: Vec<Vec<_>> = table.map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..4], ["PORT", "NAME", "STATE", "SPEED"]);
    assert_eq!(rows[1][..3], ["1", "lo", "up"]);

    let ended = ask(&["ports", "--json", &address]);
    ended.assert_code(0);
    let device: Json = serde_json::from_str(&ended.out.join("\n")).unwrap();
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
    let ended = ask(&["ports", &address, "-c", "cisco-c3750"]);
    ended.assert_code(0);
    insta::assert_snapshot!(ended.text());
}

#[test]
fn on_a_terminal_a_table_is_as_wide_as_that() {
    let recordings = Recordings::start();
    // A terminal of its own; the program on it is told how wide it is.
    let asked = format!(
        "stty cols 80; {} snmp ports {} -c cisco-c3750",
        env!("CARGO_BIN_EXE_apmon"),
        recordings.address()
    );
    let output = Command::new("script")
        .args(["-qec", &asked, "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .expect("this test needs script (apt install bsdutils)");
    let text = String::from_utf8(output.stdout).unwrap();
    // It was asked for long enough to say so, and said no more of it then.
    let (progress, table) = text.rsplit_once("\r\u{1b}[K").unwrap();
    assert!(progress.contains(" for its ports"), "{text}");
    let widest = table.lines().map(|line| line.trim_end().chars().count()).max();
    assert!((60..=80).contains(&widest.unwrap()), "{text}");
    assert!(output.status.success());
}

/// An agent whose next object `next` makes from the one asked about: one per
/// answer, `None` for silence. It is there until the function that it is lent
/// to ends.
fn with_agent<T>(next: impl Fn(&Oid) -> Option<Varbind> + Sync, act: impl FnOnce(&str) -> T) -> T {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 2_000];
            while !is_over.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let Ok(Message::Community(message)) = Message::decode(&buffer[..length]) else {
                    continue;
                };
                let Body::Pdu(asked) = &message.body else { continue };
                let Some(varbind) = next(&asked.varbinds[0].oid) else {
                    continue;
                };
                let mut answer = Pdu::request(PduKind::Response, asked.request_id, []);
                answer.varbinds = vec![varbind];
                let answer = CommunityMessage {
                    body: Body::Pdu(answer),
                    ..message
                };
                let _ = socket.send_to(&answer.encode(), from);
            }
        });
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(&address)));
        is_over.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Of a column without an end, the one after `oid`.
fn endless(oid: &Oid) -> Varbind {
    let mut parts = oid.to_vec();
    let root = [1, 3, 6, 1, 2, 1];
    match parts.strip_prefix(&root[..]) {
        Some([_]) => *parts.last_mut().unwrap() += 1,
        _ => parts = [&root[..], &[1]].concat(),
    }
    Varbind::new(Oid::new(parts), Value::Integer(1))
}

#[test]
fn a_walk_may_last_longer_than_an_answer() {
    let stopwatch = Stopwatch::start();
    let slow = |oid: &Oid| {
        thread::sleep(Duration::from_millis(400));
        let varbind = endless(oid);
        Some(match varbind.oid.last() {
            Some(6..) => Varbind::new([1, 3, 6, 1, 3, 1], Value::Null),
            _ => varbind,
        })
    };
    let ended = with_agent(slow, |address| ask(&["walk", address, "-t", "1.5"]));
    ended.assert_code(0);
    assert_eq!(ended.out.len(), 5);
    assert!(stopwatch.elapsed() > Duration::from_millis(1500));
}

#[test]
fn what_came_before_the_silence_is_shown() {
    let dies = |oid: &Oid| Some(endless(oid)).filter(|varbind| varbind.oid.last() < Some(&4));
    let ended = with_agent(dies, |address| ask(&["walk", address, "-t", "0.5"]));
    ended.assert_code(1);
    assert_eq!(ended.out.len(), 3, "{}", ended.text());
    assert!(
        ended.logged("ERROR")[0]
            .contains("snmp: no answer within 0.5 secs (GETBULK of 1.3.6.1.2.1.3, after 3 answers)"),
        "{}",
        ended.text()
    );
}

#[test]
fn a_walk_in_a_circle_is_ended() {
    let circle = |oid: &Oid| {
        let varbind = endless(oid);
        Some(match varbind.oid.last() {
            Some(4..) => endless(&Oid::from([1, 3])),
            _ => varbind,
        })
    };
    let ended = with_agent(circle, |address| ask(&["walk", address]));
    ended.assert_code(1);
    assert_eq!(ended.out.len(), 3, "{}", ended.text());
    assert!(
        ended.logged("ERROR")[0].contains("snmp: the agent repeats itself"),
        "{}",
        ended.text()
    );
}

#[test]
fn who_has_read_enough_ends_a_walk_quietly() {
    with_agent(
        |oid| Some(endless(oid)),
        |address| {
            let script = format!("{} snmp walk {address} | head -n 2", env!("CARGO_BIN_EXE_apmon"));
            let output = Command::new("sh")
                .args(["-c", &script])
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let out = String::from_utf8(output.stdout).unwrap();
            assert_eq!(out, "1.3.6.1.2.1.1 = INTEGER: 1\n1.3.6.1.2.1.2 = INTEGER: 1\n");
            assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        },
    );
}

#[test]
fn ctrl_c_ends_a_walk_behind_a_whole_line() {
    with_agent(
        |oid| Some(endless(oid)),
        |address| {
            let lab = Lab::new();
            let mut walk = lab.start(&["snmp", "walk", address]);
            walk.until_out("1.3.6.1.2.1.3 = INTEGER: 1");
            walk.signal(Signal::Interrupt);
            let ended = walk.wait();
            ended.assert_code(130);
            assert_eq!(ended.err, [""; 0]);
            assert!(ended.out.iter().all(|line| line.ends_with(" = INTEGER: 1")));
        },
    );
}

#[test]
fn what_a_device_says_drives_no_terminal() {
    let evil = |oid: &Oid| {
        let mut varbind = endless(oid);
        varbind.value = Value::Octets("\u{202e}a\r\n\u{9b}31m".as_bytes().to_vec());
        Some(varbind)
    };
    for json in [&[][..], &["--json"]] {
        let ended = with_agent(evil, |address| {
            ask(&[&["walk", address, "--limit", "2"], json].concat())
        });
        ended.assert_code(1);
        assert_eq!(ended.out.len(), 2, "{}", ended.text());
        let text = ended.text();
        assert!(
            text.chars()
                .all(|c| c == '\n' || (!c.is_control() && c != '\u{202e}')),
            "{text:?}"
        );
    }
}
