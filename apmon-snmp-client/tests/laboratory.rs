//! Tests of the lab itself, with net-snmp's own tools.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use tokio::time::Instant;

use lab::{
    Namespace, Recordings, Snmpd, User,
    snmpd::{AUTH, AUTH_PASSWORD, PRIV, PRIV_PASSWORD},
    tool::Tool,
};

const SYS_DESCR: &str = "1.3.6.1.2.1.1.1.0";
const SYS_NAME: &str = "1.3.6.1.2.1.1.5.0";
const IF_NUMBER: &str = "1.3.6.1.2.1.2.1.0";
const IF_INDEX: &str = "1.3.6.1.2.1.2.2.1.1";
const IF_OPER_STATUS: &str = "1.3.6.1.2.1.2.2.1.8";
const ENGINE_ID: &str = "1.3.6.1.6.3.10.2.1.1.0";
const ENGINE_BOOTS: &str = "1.3.6.1.6.3.10.2.1.2.0";

/// The most time that an answer takes on a busy machine, in seconds.
const PATIENCE_SECS: u32 = 20;
/// A time after which an agent counts as silent, in seconds.
const SILENCE_SECS: u32 = 1;

fn tool(name: &str, address: SocketAddr) -> Tool {
    Tool::new(name, address, PATIENCE_SECS)
}

fn by_community(snmpd: &Snmpd, oid: &str) -> Result<String, String> {
    tool("snmpget", snmpd.address())
        .by_community("2c", Snmpd::COMMUNITY)
        .with(&["-Oqv"])
        .ask(&[oid])
}

#[test]
fn every_user_is_answered() {
    let snmpd = Snmpd::start(&["sysName a real agent"]);
    let users = User::all();
    assert_eq!(users.len(), 1 + 6 * 7);
    for user in users {
        let answer = tool("snmpget", snmpd.address()).by_user(&user).ask(&[SYS_NAME]);
        let expected = format!(".{SYS_NAME} = STRING: \"a real agent\"\n");
        assert_eq!(answer, Ok(expected), "{user:?}");
    }
}

#[test]
fn a_user_may_not_ask_at_a_lower_security_level() {
    let snmpd = Snmpd::start(&[]);
    for full in User::all().into_iter().filter(|user| user.privacy.is_some()) {
        let bare = User {
            privacy: None,
            ..full.clone()
        };
        let answer = tool("snmpget", snmpd.address()).by_user(&bare).ask(&[SYS_NAME]);
        let complaint = answer.unwrap_err();
        assert!(complaint.contains("authorizationError"), "{full:?}: {complaint}");
    }
}

#[test]
fn a_wrong_authentication_password_is_reported() {
    let snmpd = Snmpd::start(&[]);
    for auth in AUTH {
        for privacy in [None, Some(PRIV[1])] {
            let user = User::new(Some(auth), privacy);
            let answer = tool("snmpget", snmpd.address())
                .by_user_with(&user, "the wrong password", PRIV_PASSWORD)
                .ask(&[SYS_NAME]);
            let complaint = answer.unwrap_err();
            assert!(
                complaint.contains("Authentication failure"),
                "{user:?}: {complaint}"
            );
        }
    }
    let unknown = User {
        name: "unknown".to_owned(),
        auth: Some("SHA"),
        privacy: None,
    };
    let answer = tool("snmpget", snmpd.address())
        .by_user(&unknown)
        .ask(&[SYS_NAME]);
    assert!(answer.unwrap_err().contains("Unknown user name"));
}

#[test]
fn a_wrong_privacy_password_gets_no_answer() {
    let snmpd = Snmpd::start(&[]);
    for privacy in PRIV {
        let user = User::new(Some("SHA-256"), Some(privacy));
        let answer = Tool::new("snmpget", snmpd.address(), SILENCE_SECS)
            .by_user_with(&user, AUTH_PASSWORD, "the wrong password")
            .ask(&[SYS_NAME]);
        let complaint = answer.unwrap_err();
        assert!(complaint.contains("No Response"), "{user:?}: {complaint}");
    }
    // The agent was running all the time.
    by_community(&snmpd, SYS_NAME).unwrap();
}

#[test]
fn known_communities_are_answered_and_others_are_not() {
    let snmpd = Snmpd::start(&["rocommunity more", "sysName agent"]);
    for version in ["1", "2c"] {
        for community in [Snmpd::COMMUNITY, "more"] {
            let answer = tool("snmpget", snmpd.address())
                .by_community(version, community)
                .ask(&[SYS_NAME]);
            assert_eq!(answer, Ok(format!(".{SYS_NAME} = STRING: \"agent\"\n")));
        }
        let answer = Tool::new("snmpget", snmpd.address(), SILENCE_SECS)
            .by_community(version, "less")
            .ask(&[SYS_NAME]);
        assert!(answer.unwrap_err().contains("No Response"));
    }
}

#[test]
fn a_restarted_agent_is_the_same_engine_booted_once_more() {
    let mut snmpd = Snmpd::start(&[]);
    let address = snmpd.address();
    let engine = by_community(&snmpd, ENGINE_ID).unwrap();
    for boots in 1..=3 {
        assert_eq!(by_community(&snmpd, ENGINE_BOOTS), Ok(format!("{boots}\n")));
        assert_eq!(by_community(&snmpd, ENGINE_ID), Ok(engine.clone()));
        assert_eq!(snmpd.address(), address);
        snmpd.restart();
    }
    let user = User::new(Some("SHA-512"), Some("AES-256"));
    tool("snmpget", address)
        .by_user(&user)
        .ask(&[SYS_NAME])
        .expect("the users are known again");
}

#[test]
fn the_port_of_a_stopped_agent_is_closed() {
    let mut snmpd = Snmpd::start(&[]);
    snmpd.stop();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(snmpd.address()).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(PATIENCE_SECS.into())))
        .unwrap();
    socket.send(b"?").unwrap();
    let error = socket.recv(&mut [0; 9]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    snmpd.restart();
    by_community(&snmpd, SYS_NAME).unwrap();
}

#[test]
fn a_frozen_agent_is_silent() {
    let snmpd = Snmpd::start(&[]);
    snmpd.freeze();
    let answer = Tool::new("snmpget", snmpd.address(), SILENCE_SECS)
        .by_community("2c", Snmpd::COMMUNITY)
        .ask(&[SYS_NAME]);
    assert!(answer.unwrap_err().contains("No Response"));
    snmpd.thaw();
    by_community(&snmpd, SYS_NAME).unwrap();
}

#[test]
fn an_agent_in_a_namespace_sees_a_pulled_cable() {
    let namespace = Namespace::with_cables(300);
    let snmpd = Snmpd::start_in(&namespace, &[]);
    let ask = |oid: &str| {
        Tool::inside(&namespace, "snmpget", snmpd.address(), PATIENCE_SECS)
            .by_community("2c", Snmpd::COMMUNITY)
            .with(&["-Oqv"])
            .ask(&[oid])
            .unwrap()
    };
    assert_eq!(ask(IF_NUMBER), "601\n");
    let near = namespace.index("veth7");
    let becomes = |status: &str| {
        let waited = Instant::now();
        while ask(&format!("{IF_OPER_STATUS}.{near}")) != status {
            assert!(waited.elapsed() < Duration::from_secs(PATIENCE_SECS.into()));
            thread::sleep(Duration::from_millis(50));
        }
    };
    becomes("1\n");
    namespace.pull(7);
    becomes("2\n");
    namespace.plug(7);
    becomes("1\n");
}

#[test]
fn a_socket_inside_a_namespace_reaches_only_that_network() {
    let namespace = Namespace::with_cables(0);
    let snmpd = Snmpd::start_in(&namespace, &[]);
    let bind = || {
        UdpSocket::bind(snmpd.address())
            .map(drop)
            .map_err(|error| error.kind())
    };
    assert_eq!(bind(), Ok(()), "the port is free outside");
    assert_eq!(namespace.inside(bind), Err(std::io::ErrorKind::AddrInUse));
}

/// The number of interfaces of each recorded device, by tests/README.md.
fn documented() -> BTreeMap<&'static str, usize> {
    let rows = include_str!("README.md")
        .lines()
        .filter(|line| line.starts_with("| "));
    rows.filter_map(|row| {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let name = cells.next()?;
        Some((name, cells.nth(1)?.parse().ok()?))
    })
    .collect()
}

#[test]
fn every_recorded_device_answers() {
    let recordings = Recordings::start();
    let documented = documented();
    let names: Vec<&str> = Recordings::names().collect();
    assert_eq!(documented.keys().copied().collect::<Vec<_>>(), names);
    assert!(names.len() >= 12);
    for name in names {
        let answer = tool("snmpget", recordings.address())
            .by_community("2c", name)
            .with(&["-Oqv", "-Ox"])
            .ask(&[SYS_DESCR])
            .unwrap();
        // The tool prints `"43 69 73 63 6F "`, over several lines.
        let answered: String = answer.split(['"', ' ', '\n']).collect();
        assert_eq!(answered.to_lowercase(), sys_descr(name), "{name}");
        let walked = tool("snmpbulkwalk", recordings.address())
            .by_community("2c", name)
            .ask(&[IF_INDEX])
            .unwrap();
        assert_eq!(walked.lines().count(), documented[name], "{name}");
    }
}

/// The sysDescr of a recording, in hexadecimal digits.
fn sys_descr(name: &str) -> String {
    let text = Recordings::text(name);
    let mut values = text.lines().filter_map(|line| {
        let (oid, value) = line.split_once('|')?;
        (oid == SYS_DESCR).then(|| value.split_once('|').unwrap())
    });
    match values.next().unwrap() {
        ("4x", digits) => digits.to_lowercase(),
        (_, words) => words.bytes().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[test]
fn the_recordings_can_be_replayed_twice_at_a_time() {
    let both = [Recordings::start(), Recordings::start()];
    assert_ne!(both[0].address(), both[1].address());
    let walks = both.map(|recordings| {
        tool("snmpbulkwalk", recordings.address())
            .by_community("2c", "linux")
            .ask(&["1.3.6.1.2.1.2.2"])
            .unwrap()
    });
    assert_eq!(walks[0], walks[1]);
    assert_eq!(walks[0].lines().count(), 22 * 11);
}
