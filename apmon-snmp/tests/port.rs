//! Kind `port`, with a real agent in a network namespace and with recorded switches.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use apmon_core::Verdict;

use lab::{LabCheck, LabMonitor, Namespace, PassScript, Recordings, Snmpd};

/// The address of no station.
const STRANGER: &str = "18:E8:29:45:F8:F7";

fn section(agent: std::net::SocketAddr, community: &str, port: &str, mac: &str, always_up: &str) -> String {
    format!(
        "type: port, address: 'snmp://{agent}', community: {community}, port: '{port}', mac: '{mac}', \
         always_up: {always_up}"
    )
}

/// The checks with `always_up: yes` and with `no`.
async fn both(agent: std::net::SocketAddr, community: &str, port: &str, mac: &str) -> [LabCheck; 2] {
    let mut yes = LabMonitor::new(&section(agent, community, port, mac, "yes"));
    let mut no = LabMonitor::new(&section(agent, community, port, mac, "no"));
    [yes.check().await, no.check().await]
}

#[track_caller]
fn reasons(seen: &[LabCheck; 2]) -> [&str; 2] {
    [seen[0].reason(), seen[1].reason()]
}

/// The same checks with a runtime whose sockets are in the namespace.
fn both_inside(namespace: &Namespace, snmpd: &Snmpd, port: &str) -> [LabCheck; 2] {
    namespace.inside(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime
            .unwrap()
            .block_on(both(snmpd.address(), Snmpd::COMMUNITY, port, STRANGER))
    })
}

#[test]
fn a_port_of_a_real_agent_is_found_by_its_index_and_by_its_name() {
    let namespace = Namespace::with_cables(2);
    namespace.pull(1);
    let snmpd = Snmpd::start_in(&namespace, &[]);
    let (up, down) = (namespace.index("veth0"), namespace.index("veth1"));
    // An agent without a bridge cannot report stations.
    let by_index = format!("port ifIndex={up}: MAC table could not be read: the device shows no bridge");
    let by_name =
        format!("port veth0 (ifIndex={up}): MAC table could not be read: the device shows no bridge");
    for (port, yes, no) in [
        (up.to_string(), by_index.clone(), by_index),
        ("veth0".to_owned(), by_name.clone(), by_name),
        (
            "veth1".to_owned(),
            format!("port veth1 (ifIndex={down}) {STRANGER} is down (admin=up)"),
            "up".to_owned(),
        ),
        (
            "peer1".to_owned(),
            format!(
                "port peer1 (ifIndex={}) {STRANGER} is down (admin=down)",
                namespace.index("peer1")
            ),
            "up".to_owned(),
        ),
        (
            "0".to_owned(),
            "no interface with ifIndex 0".to_owned(),
            "no interface with ifIndex 0".to_owned(),
        ),
        (
            "veth7".to_owned(),
            "no interface named veth7".to_owned(),
            "no interface named veth7".to_owned(),
        ),
    ] {
        let seen = both_inside(&namespace, &snmpd, &port);
        assert_eq!(reasons(&seen), [yes, no], "{port}");
    }
}

#[test]
fn a_port_collects_its_own_traffic_and_no_more() {
    let namespace = Namespace::with_cables(1);
    let snmpd = Snmpd::start_in(&namespace, &[]);
    let [seen, _] = both_inside(&namespace, &snmpd, "veth0");
    let names: Vec<_> = seen
        .observation
        .outcome
        .metrics
        .iter()
        .map(|metric| metric.name.clone())
        .collect();
    let own = namespace.index("veth0");
    let mut expected = vec![format!("if{own}_in"), format!("if{own}_out")];
    for name in [
        "total_bits_in",
        "total_bits_out",
        "total_pkts_in",
        "total_pkts_out",
        "total_errors_in",
        "total_errors_out",
        "total_pkts_ucast",
        "total_pkts_bmcast",
    ] {
        expected.push(name.to_owned());
    }
    // An agent that has just started may not know the load yet.
    let names: Vec<_> = names.into_iter().filter(|name| name != "cpu_load").collect();
    expected.push("memory_pct".to_owned());
    assert_eq!(names, expected);
    let memory = seen.observation.memory.unwrap();
    let keys: Vec<_> = memory.kept.keys().map(String::as_str).collect();
    assert_eq!(keys, ["port_sources", "port_state", "snmp_agent"]);
    assert_eq!(memory.kept["port_state"].as_ref(), r#"{"oper":"up","mac":null}"#);
}

#[test]
fn a_pulled_cable_and_its_return_are_noticed() {
    let namespace = Namespace::with_cables(1);
    let snmpd = Snmpd::start_in(&namespace, &[]);
    let section = section(snmpd.address(), Snmpd::COMMUNITY, "veth0", STRANGER, "yes");
    namespace.inside(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let mut monitor = LabMonitor::new(&section);
        let mut until = |word: &str| {
            // The agent reads its interfaces every 3 s.
            let waited = apmon_core::Stopwatch::start();
            loop {
                let seen = runtime.block_on(monitor.check());
                if seen.reason().contains(word) {
                    return;
                }
                assert!(waited.elapsed().as_secs() < 30, "{}", seen.reason());
                std::thread::yield_now();
            }
        };
        until("shows no bridge");
        namespace.pull(0);
        until("is down (admin=up)");
        namespace.plug(0);
        until("shows no bridge");
    });
}

#[test]
fn a_station_that_joins_an_empty_table_is_seen_at_the_next_check() {
    let namespace = Namespace::with_cables(1);
    let bridge_ports = PassScript::new("1.3.6.1.2.1.17.1.4.1", &[2]);
    let stations = PassScript::new("1.3.6.1.2.1.17.4.3.1", &[2, 3]);
    let snmpd = Snmpd::start_in(&namespace, &[&bridge_ports.lines(), &stations.lines()]);
    bridge_ports.set(&[&format!("2.7 integer {}", namespace.index("veth0"))]);
    let section = section(
        snmpd.address(),
        Snmpd::COMMUNITY,
        "veth0",
        "18:E8:29:45:F8:F7",
        "yes",
    );
    // Each one is learned at bridge port 7.
    let table = |mac: &str| [format!("2.{mac} integer 7"), format!("3.{mac} integer 3")];
    let (pinned, other) = (table("24.232.41.69.248.247"), table("24.232.41.69.248.248"));
    namespace.inside(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let mut monitor = LabMonitor::new(&section);
        for (rows, end) in [
            (None, "is up but pinned MAC 18:E8:29:45:F8:F7 absent"),
            (Some(&pinned), "up"),
            (None, "is up but pinned MAC 18:E8:29:45:F8:F7 absent"),
            (
                Some(&other),
                "wrong MAC: expected 18:E8:29:45:F8:F7, got 18:E8:29:45:F8:F8",
            ),
            (Some(&pinned), "up"),
        ] {
            let rows: Vec<&str> = rows.into_iter().flatten().map(String::as_str).collect();
            stations.set(&rows);
            let seen = runtime.block_on(monitor.check());
            assert!(seen.reason().ends_with(end), "{}, not {end}", seen.reason());
        }
    });
}

#[tokio::test]
async fn a_recorded_switch_is_judged_by_the_stations_on_its_port() {
    let recordings = Recordings::start();
    let agent = recordings.address();
    let absent = |port: &str| format!("port {port} is up but pinned MAC {STRANGER} absent");
    let wrong = |port: &str, got: &str| format!("port {port} wrong MAC: expected {STRANGER}, got {got}");
    let up = || "up".to_owned();
    let unplaced = || {
        "port ifIndex=4: MAC table could not be read: 1 row of the MAC table is on no known port: \
         E8:39:35:1A:CA:98 without a port"
            .to_owned()
    };
    for (device, port, mac, yes, no) in [
        ("dlink-des3028", "2", "fc-d7-33-d9-4e-47", up(), up()),
        ("dlink-des3028", "1/2", "FC:D7:33:D9:4E:47", up(), up()),
        (
            "dlink-des3028",
            "2",
            STRANGER,
            wrong("ifIndex=2", "FC:D7:33:D9:4E:47"),
            wrong("ifIndex=2", "FC:D7:33:D9:4E:47"),
        ),
        // The pinned station and another one are present.
        (
            "dlink-des3028",
            "10",
            "A4:1F:72:8B:AD:41",
            "port ifIndex=10 wrong MAC: expected A4:1F:72:8B:AD:41, got C8:9C:DC:E1:E9:6B".to_owned(),
            "port ifIndex=10 wrong MAC: expected A4:1F:72:8B:AD:41, got C8:9C:DC:E1:E9:6B".to_owned(),
        ),
        (
            "dlink-des3028",
            "1",
            STRANGER,
            format!("port ifIndex=1 {STRANGER} is down (admin=up)"),
            up(),
        ),
        // It was recorded column by column, and a station has only a status.
        ("hpe-procurve", "4", "10:60:4B:B4:5F:48", unplaced(), unplaced()),
        (
            "hpe-procurve",
            "6",
            STRANGER,
            format!("port ifIndex=6 {STRANGER} is down (admin=down)"),
            up(),
        ),
        (
            "huawei-s5720",
            "GigabitEthernet0/0/5",
            "C4:2F:90:20:5F:D9",
            up(),
            up(),
        ),
        ("huawei-s5720", "10", "C4:2F:90:20:5F:D9", up(), up()),
        (
            "huawei-s5720",
            "GigabitEthernet0/0/7",
            STRANGER,
            absent("GigabitEthernet0/0/7 (ifIndex=12)"),
            up(),
        ),
        (
            "huawei-s5720",
            "999",
            STRANGER,
            "no interface with ifIndex 999".to_owned(),
            "no interface with ifIndex 999".to_owned(),
        ),
    ] {
        let seen = both(agent, device, port, mac).await;
        assert_eq!(reasons(&seen), [yes, no], "{device} {port} {mac}");
    }
}

#[tokio::test]
async fn a_switch_that_does_not_place_its_stations_is_not_taken_for_empty() {
    let recordings = Recordings::start();
    // A recorded Juniper MX has 215 stations, and ifIndex 0 for all its ports.
    for (device, port, reason) in [
        (
            "juniper-mx960",
            "ge-0/1/3",
            "the device does not report which ports its stations are on",
        ),
        // A recorded Cisco does not answer for its VLANs.
        ("cisco-c3560", "Gi0/49", "VLAN 2: no answer"),
    ] {
        let seen = both(recordings.address(), device, port, STRANGER).await;
        for seen in seen {
            assert!(
                seen.reason()
                    .contains(&format!(": MAC table could not be read: {reason}")),
                "{}",
                seen.reason()
            );
            assert_eq!(seen.observation.outcome.verdict(), Verdict::Unknown);
        }
    }
}
