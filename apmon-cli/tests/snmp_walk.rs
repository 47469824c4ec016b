//! `apmon snmp walk`, against a real agent and against misbehaving ones.
#![cfg(feature = "snmp")]
#![allow(clippy::unwrap_used)] // a panic fails the test

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

use lab::{Snmpd, tool::Tool};
use support::{Lab, Output, Signal, run};

const SYS_NAME: &str = "1.3.6.1.2.1.1.5.0";

/// `apmon snmp` with the agent's community in the environment.
fn snmp(arguments: &[&str]) -> Output {
    let lab = Lab::new();
    let mut command = lab.apmon(&[&["snmp"], arguments].concat());
    command.env("APMON_SNMP_COMMUNITY", Snmpd::COMMUNITY);
    run(command)
}

/// Runs `test` with the address of an agent that answers each request with the one
/// object that `next` makes from the requested OID, or not at all for `None`.
fn with_agent<T>(next: impl Fn(&Oid) -> Option<Varbind> + Sync, test: impl FnOnce(&str) -> T) -> T {
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
                let Body::Pdu(request) = &message.body else {
                    continue;
                };
                let Some(varbind) = next(&request.varbinds[0].oid) else {
                    continue;
                };
                let mut answer = Pdu::request(PduKind::Response, request.request_id, []);
                answer.varbinds = vec![varbind];
                let answer = CommunityMessage {
                    body: Body::Pdu(answer),
                    ..message
                };
                let _ = socket.send_to(&answer.encode(), from);
            }
        });
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&address)));
        is_over.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The object after `oid` in an endless column.
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
fn a_walk_finds_what_net_snmp_finds() {
    let snmpd = Snmpd::start(&["sysName a real agent"]);
    let address = snmpd.address().to_string();
    // Subtrees that do not change meanwhile: the system group and the access control.
    let roots = ["1.3.6.1.2.1.1", "1.3.6.1.6.3.16.1.2"];
    for (root, version) in roots.iter().flat_map(|root| [(*root, "1"), (*root, "2c")]) {
        let tool = Tool::new("snmpwalk", snmpd.address(), 20)
            .by_community(version, Snmpd::COMMUNITY)
            .with(&["-Oqn"]);
        let text = tool.ask(&[root]).unwrap();
        let expected: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix('.')?.split(' ').next())
            .filter(|oid| oid.starts_with("1.3.6.1."))
            .collect();
        assert!(expected.len() > 5, "{text}");
        let output = snmp(&["walk", &address, root, "-v", version]);
        output.assert_code(0);
        let found: Vec<_> = output
            .out
            .iter()
            .map(|line| line.split(" = ").next().unwrap())
            .collect();
        assert_eq!(found, expected, "{root}, version {version}");
    }
    let output = snmp(&["walk", &address, "sysName", "--json"]);
    let line = format!(r#"{{"oid":"{SYS_NAME}","type":"STRING","value":"a real agent"}}"#);
    assert_eq!((&output.out[..], &output.err[..]), (&[line][..], &[][..]));
}

#[test]
fn a_walk_ends_at_its_limit_with_an_error() {
    let snmpd = Snmpd::start(&[]);
    let output = snmp(&["walk", &snmpd.address().to_string(), "system", "--limit", "3"]);
    output.assert_code(1);
    assert_eq!(output.out.len(), 3);
    assert!(
        output.logged("ERROR")[0].ends_with("snmp: more than 3 rows"),
        "{}",
        output.text()
    );
}

#[test]
fn a_walk_without_objects_warns() {
    let snmpd = Snmpd::start(&[]);
    let output = snmp(&["walk", &snmpd.address().to_string(), "1.3.6.1.9"]);
    output.assert_code(0);
    assert_eq!(output.out, [""; 0]);
    assert_eq!(
        output.logged("WARN"),
        ["the device has no objects below 1.3.6.1.9"]
    );
}

#[test]
fn the_timeout_applies_to_each_answer_of_a_walk() {
    let stopwatch = Stopwatch::start();
    let slow = |oid: &Oid| {
        thread::sleep(Duration::from_millis(400));
        let varbind = endless(oid);
        Some(match varbind.oid.last() {
            Some(6..) => Varbind::new([1, 3, 6, 1, 3, 1], Value::Null),
            _ => varbind,
        })
    };
    let output = with_agent(slow, |address| snmp(&["walk", address, "-t", "1.5"]));
    output.assert_code(0);
    assert_eq!(output.out.len(), 5);
    assert!(stopwatch.elapsed() > Duration::from_millis(1500));
}

#[test]
fn values_before_a_timeout_are_shown() {
    let stops = |oid: &Oid| Some(endless(oid)).filter(|varbind| varbind.oid.last() < Some(&4));
    let output = with_agent(stops, |address| snmp(&["walk", address, "-t", "0.5"]));
    output.assert_code(1);
    assert_eq!(output.out.len(), 3, "{}", output.text());
    assert!(
        output.logged("ERROR")[0]
            .contains("snmp: no answer within 0.5 secs (GETBULK of 1.3.6.1.2.1.3, after 3 answers)"),
        "{}",
        output.text()
    );
}

#[test]
fn a_walk_in_a_circle_ends_with_an_error() {
    let circle = |oid: &Oid| {
        let varbind = endless(oid);
        Some(match varbind.oid.last() {
            Some(4..) => endless(&Oid::from([1, 3])),
            _ => varbind,
        })
    };
    let output = with_agent(circle, |address| snmp(&["walk", address]));
    output.assert_code(1);
    assert_eq!(output.out.len(), 3, "{}", output.text());
    assert!(
        output.logged("ERROR")[0].contains("snmp: the agent repeats itself"),
        "{}",
        output.text()
    );
}

#[test]
fn a_walk_ends_silently_when_its_reader_has_closed_the_pipe() {
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
fn ctrl_c_ends_a_walk_after_a_whole_line() {
    with_agent(
        |oid| Some(endless(oid)),
        |address| {
            let lab = Lab::new();
            let mut walk = lab.start(&["snmp", "walk", address]);
            walk.wait_for_out("1.3.6.1.2.1.3 = INTEGER: 1");
            walk.signal(Signal::Interrupt);
            let output = walk.wait();
            output.assert_code(130);
            assert_eq!(output.err, [""; 0]);
            assert!(output.out.iter().all(|line| line.ends_with(" = INTEGER: 1")));
        },
    );
}

#[test]
fn text_from_a_device_controls_no_terminal() {
    let hostile = |oid: &Oid| {
        let mut varbind = endless(oid);
        varbind.value = Value::Octets("\u{202e}a\r\n\u{9b}31m".as_bytes().to_vec());
        Some(varbind)
    };
    for json in [&[][..], &["--json"]] {
        let output = with_agent(hostile, |address| {
            snmp(&[&["walk", address, "--limit", "2"], json].concat())
        });
        output.assert_code(1);
        assert_eq!(output.out.len(), 2, "{}", output.text());
        let text = output.text();
        assert!(
            text.chars()
                .all(|c| c == '\n' || (!c.is_control() && c != '\u{202e}')),
            "{text:?}"
        );
    }
}
