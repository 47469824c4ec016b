//! State files written by other programs.

use super::*;

fn compare_with(baseline: &str, announced: Option<&str>, ports: &[PolledPort]) -> Option<Comparison> {
    let before = State::read(Some(baseline), announced)?;
    let poll = PolledPorts {
        ports,
        unplaced: &BTreeSet::new(),
        restart: Restart::No,
        uptimes: Uptimes::default(),
    };
    let now = Timestamp::from_second(1_790_000_000).unwrap();
    Some(compare(
        Some(before),
        &poll,
        &PortAlertOptions::default(),
        &Policy::default(),
        now,
    ))
}

const SEED: &str = r#"{
    "1": {"name": "GigabitEthernet0/1", "oper": "up", "admin": "up", "macs": ["aa:bb:cc:dd:ee:01", "AA-BB-CC-DD-EE-02"]},
    "2": {"name": "GigabitEthernet0/2", "oper": "down", "admin": "up", "macs": []}
}"#;

#[test]
fn a_baseline_written_by_apmonitor_is_continued() {
    let ports = [port(1, UP, &[1, 2]), port(2, DOWN, &[])];
    let found = compare_with(SEED, None, &ports).unwrap();
    assert_eq!((found.changes, found.notices), (vec![], vec![]));
    assert_eq!(
        found.state.baseline(),
        r#"{"1":{"name":"GigabitEthernet0/1","oper":"up","admin":"up","macs":["AA:BB:CC:DD:EE:01","AA:BB:CC:DD:EE:02"]},"2":{"name":"GigabitEthernet0/2","oper":"down","admin":"up","macs":[]}}"#
    );
    assert_eq!(
        found.state.announced(),
        r#"{"v":1,"ports":[{"index":1,"name":"GigabitEthernet0/1","short_name":"Gi0/1"},{"index":2,"name":"GigabitEthernet0/2","short_name":"Gi0/2"}]}"#
    );
    let found = compare_with(SEED, None, &[port(1, DOWN, &[1, 2]), port(2, DOWN, &[])]).unwrap();
    assert_eq!(
        found.notices[0].text,
        "GigabitEthernet0/1 oper=down admin=up (was oper=up admin=up)"
    );
}

#[test]
fn an_unreadable_state_is_not_a_baseline() {
    for text in ["", "null", "[]", "{}", "{\"1\": 2}", "{\"x\": {}}", "{\"1\""] {
        assert_eq!(State::read(Some(text), None), None, "{text}");
    }
    assert_eq!(State::read(None, Some("{}")), None);
}

#[test]
fn the_readable_parts_of_a_damaged_baseline_are_used() {
    let text = r#"{"1": {"name": 7, "oper": "gone", "macs": ["x", null, "AA:BB:CC:DD:EE:01"], "more": 1}, "two": {}}"#;
    let state = State::read(Some(text), None).unwrap();
    assert_eq!(
        state.baseline(),
        r#"{"1":{"name":"","oper":"unknown","admin":"unknown","macs":["AA:BB:CC:DD:EE:01"]}}"#
    );
}

#[test]
fn the_baseline_counts_as_announced_if_the_announced_state_does_not_match() {
    let announced = |text: &str| {
        let announced = format!(r#"{{"v":1,"ports":[{text}]}}"#);
        let ports = [port_named("GigabitEthernet0/1", DOWN), port(2, DOWN, &[])];
        compare_with(
            &SEED.replace("\"up\", \"admin", "\"down\", \"admin"),
            Some(&announced),
            &ports,
        )
        .unwrap()
        .notices
        .len()
    };
    let says_up = r#""told":{"state":{"oper":"up","admin":"up"},"macs":[]}"#;
    let fitting = format!(r#"{{"index":1,"name":"GigabitEthernet0/1",{says_up}}}"#);
    assert_eq!(announced(&fitting), 2, "the state and two stations");
    assert_eq!(announced(&fitting.replace("0/1", "0/9")), 0);
    assert_eq!(announced(&fitting.replace("\"index\":1", "\"index\":9")), 0);
    assert_eq!(announced("7"), 0);
}

fn port_named(name: &str, state: PortState) -> PolledPort {
    let mut port = port(1, state, &[1, 2]);
    port.identity.name = name.into();
    port
}
