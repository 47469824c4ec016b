use std::num::NonZeroU32;

use apmon_core::PortStatus;

use super::*;

mod forbidden;
mod model;
mod partial;
mod station;
mod takeover;
mod unplaced;

const UP: PortState = PortState {
    oper: PortStatus::Up,
    admin: PortStatus::Up,
};
const DOWN: PortState = PortState {
    oper: PortStatus::Down,
    admin: PortStatus::Up,
};

fn mac(last: u8) -> Mac {
    Mac::new([0xaa, 0xbb, 0xcc, 0xdd, 0xee, last])
}

fn macs(last: &[u8]) -> Option<BTreeSet<Mac>> {
    Some(last.iter().map(|last| mac(*last)).collect())
}

fn port(index: u32, state: PortState, stations: &[u8]) -> PolledPort {
    PolledPort {
        is_partial: false,
        identity: OwnedIdentity {
            index,
            name: format!("GigabitEthernet0/{index}"),
            short_name: Some(format!("Gi0/{index}")),
        },
        alias: None,
        state,
        macs: macs(stations),
    }
}

/// A device that is checked repeatedly. The remembered state goes through the format of
/// the state file each time.
struct Device {
    kept: Option<(String, String)>,
    options: PortAlertOptions,
    policy: Policy,
    secs: i64,
    restart: Restart,
    uptimes: Uptimes,
    changes: Vec<PortChange>,
    unplaced: BTreeSet<Mac>,
}

impl Device {
    /// A device with windows of 10 minutes.
    fn new() -> Self {
        let policy = Policy {
            notify_every: Duration::from_secs(600),
            after_every_n: NonZeroU32::MIN,
            ..Policy::default()
        };
        Self {
            kept: None,
            options: PortAlertOptions::default(),
            policy,
            secs: 0,
            restart: Restart::No,
            uptimes: Uptimes::default(),
            changes: Vec::new(),
            unplaced: BTreeSet::new(),
        }
    }

    fn with_options(set: impl FnOnce(&mut PortAlertOptions)) -> Self {
        let mut device = Self::new();
        set(&mut device.options);
        device
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + self.secs).unwrap()
    }

    /// Checks the device 30 s later, and returns label and text of each message.
    fn check(&mut self, ports: &[PolledPort]) -> Vec<String> {
        self.check_after(30, ports)
    }

    fn check_after(&mut self, secs: i64, ports: &[PolledPort]) -> Vec<String> {
        self.secs += secs;
        let kept = self.kept.as_ref();
        let before = kept.map(|(baseline, announced)| State::read(Some(baseline), Some(announced)).unwrap());
        let poll = PolledPorts {
            ports,
            unplaced: &self.unplaced,
            restart: std::mem::take(&mut self.restart),
            uptimes: self.uptimes,
        };
        let found = compare(before, &poll, &self.options, &self.policy, self.now());
        let (baseline, announced) = (found.state.baseline(), found.state.announced());
        let read = State::read(Some(&baseline), Some(&announced));
        assert!(read == Some(found.state), "{baseline} {announced}");
        self.kept = Some((baseline, announced));
        self.changes = found.changes;
        let notices = found.notices.into_iter();
        notices
            .map(|notice| format!("{}: {}", notice.label, notice.text))
            .collect()
    }

    /// The changes that the last check added to the history.
    fn history(&self) -> Vec<(u32, PortEvent, bool)> {
        let changes = self.changes.iter();
        changes
            .map(|it| (it.index, it.event.clone(), it.notified))
            .collect()
    }
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn the_first_check_announces_nothing() {
    let mut device = Device::new();
    assert_eq!(device.check(&[port(1, UP, &[1]), port(2, DOWN, &[])]), nothing());
    assert_eq!(device.history(), []);
    assert_eq!(device.check(&[port(1, UP, &[1]), port(2, DOWN, &[])]), nothing());
}

#[test]
fn a_change_is_announced_in_the_words_of_the_seed() {
    let mut device = Device::new();
    device.check(&[port(1, UP, &[]), port(2, UP, &[])]);
    let announced = device.check(&[port(1, UP, &[0xff]), port(2, DOWN, &[])]);
    assert_eq!(
        announced,
        [
            "PORT MAC CHANGE: GigabitEthernet0/1 MAC change appeared=[AA:BB:CC:DD:EE:FF]",
            "PORT CHANGE: GigabitEthernet0/2 oper=down admin=up (was oper=up admin=up)",
        ]
    );
    let stations = PortEvent::Stations {
        appeared: vec![mac(0xff)],
        gone: vec![],
    };
    let state = PortEvent::State { was: UP, is: DOWN };
    assert_eq!(device.history(), [(1, stations, true), (2, state, true)]);
}

#[test]
fn one_check_announces_a_port_once_per_label() {
    let mut device = Device::with_options(|it| it.mac_changes = MacChanges::All);
    device.check(&[port(1, UP, &[1, 2])]);
    assert_eq!(
        device.check(&[port(1, DOWN, &[3, 4])]),
        [
            "PORT CHANGE: GigabitEthernet0/1 oper=down admin=up (was oper=up admin=up)",
            "PORT MAC CHANGE: GigabitEthernet0/1 MAC change appeared=[AA:BB:CC:DD:EE:03, \
             AA:BB:CC:DD:EE:04] gone=[AA:BB:CC:DD:EE:01, AA:BB:CC:DD:EE:02]",
        ]
    );
}

#[test]
fn changes_within_the_window_wait_and_the_state_is_announced_after_it() {
    let mut device = Device::new();
    device.check(&[port(1, UP, &[])]);
    assert_eq!(device.check(&[port(1, DOWN, &[])]).len(), 1);
    let testing = PortState {
        oper: PortStatus::Testing,
        ..UP
    };
    for state in [UP, DOWN, testing] {
        assert_eq!(device.check(&[port(1, state, &[])]), nothing());
        assert_eq!(device.changes.len(), 1, "the change is in the history");
        assert!(!device.changes[0].notified);
    }
    assert_eq!(
        device.check_after(600, &[port(1, testing, &[])]),
        ["PORT CHANGE: GigabitEthernet0/1 oper=testing admin=up (was oper=down admin=up)"]
    );
    assert_eq!(device.history(), []);
}

#[test]
fn a_port_back_in_its_announced_state_is_not_announced() {
    let mut device = Device::new();
    device.check(&[port(1, UP, &[])]);
    assert_eq!(device.check(&[port(1, DOWN, &[])]).len(), 1);
    device.check(&[port(1, UP, &[])]);
    device.check(&[port(1, DOWN, &[])]);
    assert_eq!(device.check_after(600, &[port(1, DOWN, &[])]), nothing());
}

#[test]
fn each_port_has_its_own_window() {
    let mut device = Device::new();
    device.check(&[port(1, UP, &[]), port(2, UP, &[])]);
    assert_eq!(device.check(&[port(1, DOWN, &[]), port(2, UP, &[])]).len(), 1);
    let announced = device.check(&[port(1, UP, &[]), port(2, DOWN, &[])]);
    assert_eq!(
        announced,
        ["PORT CHANGE: GigabitEthernet0/2 oper=down admin=up (was oper=up admin=up)"]
    );
}

#[test]
fn ignored_ports_are_remembered_and_not_announced() {
    for (pattern, alias) in [
        ("gigabitethernet0/1", None),
        ("Gi0/1", None),
        ("*uplink*", Some("Uplink")),
    ] {
        let mut device = Device::with_options(|it| {
            it.ignore_ports = vec![Pattern::from(pattern)];
            it.allow_macs = macs(&[]);
            it.max_macs_per_port = Some(1);
        });
        let seen = |state, stations: &[u8]| PolledPort {
            alias: alias.map(str::to_owned),
            ..port(1, state, stations)
        };
        device.check(&[seen(UP, &[]), port(2, UP, &[])]);
        assert_eq!(
            device.check(&[seen(DOWN, &[1, 2]), port(2, UP, &[])]),
            nothing(),
            "{pattern}"
        );
        assert_eq!(device.changes.len(), 2);
        assert!(device.kept.as_ref().unwrap().0.contains("\"oper\":\"down\""));
        assert_eq!(device.check(&[port(2, UP, &[])]), nothing(), "{pattern} vanished");
        assert_eq!(device.check(&[seen(UP, &[]), port(2, UP, &[])]), nothing());
        // Changes from the time when the port was ignored are not announced.
        device.options.ignore_ports.clear();
        assert_eq!(device.check(&[seen(UP, &[]), port(2, UP, &[])]), nothing());
    }
}

#[test]
fn a_renumbering_is_not_announced() {
    let mut device = Device::new();
    device.check(&[port(1, UP, &[1]), port(2, DOWN, &[2])]);
    let renumbered = [(10, port(1, UP, &[1])), (1, port(2, DOWN, &[2]))];
    let renumbered = renumbered.map(|(index, mut port)| {
        port.identity.index = index;
        port
    });
    assert_eq!(device.check(&renumbered), nothing());
    assert_eq!(device.history(), []);
    let (baseline, _) = device.kept.clone().unwrap();
    assert!(
        baseline.starts_with(r#"{"1":{"name":"GigabitEthernet0/2","oper":"down""#),
        "{baseline}"
    );
    // The window follows the port.
    let mut changed = renumbered.clone();
    changed[0].state = DOWN;
    assert_eq!(device.check(&changed).len(), 1);
    changed[0].identity.index = 7;
    changed[0].state = UP;
    assert_eq!(device.check(&changed), nothing());
    assert_eq!(device.check_after(600, &changed).len(), 1);
}

#[test]
fn ports_that_come_and_go_are_announced() {
    let mut device = Device::new();
    device.check(&[port(1, UP, &[1])]);
    assert_eq!(
        device.check(&[port(1, UP, &[]), port(2, UP, &[1, 2])]),
        [
            "PORT CHANGE: GigabitEthernet0/2 appeared oper=up admin=up stations=[AA:BB:CC:DD:EE:02]; \
          MAC AA:BB:CC:DD:EE:01 moved from GigabitEthernet0/1 to GigabitEthernet0/2"
        ]
    );
    assert_eq!(
        device.history().last(),
        Some(&(2, PortEvent::Added { is: UP }, true))
    );
    assert_eq!(device.check(&[port(1, UP, &[])]), nothing());
    assert_eq!(device.history(), [(2, PortEvent::Removed { was: UP }, false)]);
    assert_eq!(
        device.check(&[port(1, UP, &[]), port(2, UP, &[1, 2])]),
        nothing(),
        "the port is back"
    );
    assert_eq!(
        device.check_after(600, &[port(1, UP, &[])]),
        ["PORT CHANGE: GigabitEthernet0/2 vanished (was oper=up admin=up)"]
    );
    assert_eq!(device.check_after(1_200, &[port(1, UP, &[])]), nothing());
    assert!(!device.kept.unwrap().1.contains("Gi0/2"), "the port is forgotten");
}

#[test]
fn a_lost_stack_member_is_one_message_and_so_is_its_return() {
    let mut device = Device::with_options(|it| it.mac_changes = MacChanges::All);
    let all: Vec<PolledPort> = (1..=48)
        .map(|i| port(i, UP, &[u8::try_from(i).unwrap()]))
        .collect();
    device.check(&all);
    assert_eq!(
        device.check(&all[..24]),
        [
            "PORT CHANGE: 24 ports vanished: GigabitEthernet0/25, GigabitEthernet0/26, GigabitEthernet0/27, \
          GigabitEthernet0/28, GigabitEthernet0/29 and 19 more"
        ]
    );
    assert_eq!(device.changes.len(), 24);
    assert!(device.changes.iter().all(|change| change.notified));
    assert_eq!(device.check(&all), nothing());
    let announced = device.check_after(600, &all);
    assert_eq!(announced.len(), 1);
    assert!(
        announced[0].starts_with("PORT CHANGE: 24 ports appeared: GigabitEthernet0/25, "),
        "{announced:?}"
    );
    assert_eq!(device.check_after(1_200, &all), nothing());
    // Up to ten ports are announced one by one.
    assert_eq!(device.check_after(5_000, &all[..38]).len(), 10);
}

#[test]
fn a_restart_is_announced_once() {
    let mut device = Device::new();
    let ports = [port(1, UP, &[1])];
    device.check(&ports);
    device.restart = Restart::Device;
    device.uptimes.host = Some(18_000);
    device.uptimes.agent = Some(17_000);
    assert_eq!(
        device.check(&ports),
        ["RESTARTED: restarted, up for 3 mins 0 secs"]
    );
    // After a crash of apmon, the counters from before the restart are compared again.
    device.restart = Restart::Device;
    device.uptimes.host = Some(21_000);
    assert_eq!(device.check(&ports), nothing());
    device.restart = Restart::Agent;
    device.uptimes.agent = Some(500);
    assert_eq!(
        device.check_after(3_600, &ports),
        ["RESTARTED: its SNMP agent was restarted"]
    );
    device.restart = Restart::AgentAtLeast;
    assert_eq!(
        device.check_after(3_600, &ports),
        ["RESTARTED: its SNMP agent was restarted, up for 5 secs"]
    );
}

#[test]
fn ports_with_the_same_name_are_distinguished() {
    let mut device = Device::new();
    let nic = |index, short: Option<&str>, state| PolledPort {
        identity: OwnedIdentity {
            index,
            name: "Ethernet".into(),
            short_name: short.map(str::to_owned),
        },
        ..port(index, state, &[])
    };
    let ports = |state| {
        let mut nameless = nic(3, None, state);
        nameless.identity.name.clear();
        [nic(1, None, state), nic(2, Some("lan2"), state), nameless]
    };
    device.check(&ports(UP));
    let announced = device.check(&ports(DOWN));
    let names = ["Ethernet (ifIndex=1)", "Ethernet (lan2)", "ifIndex=3"];
    for (announced, name) in announced.iter().zip(names) {
        assert!(
            announced.starts_with(&format!("PORT CHANGE: {name} oper=down")),
            "{announced}"
        );
    }
    assert_eq!(announced.len(), 3);
}

#[test]
fn a_clock_set_back_does_not_prolong_a_window() {
    let mut device = Device::new();
    device.check(&[port(1, UP, &[])]);
    assert_eq!(device.check(&[port(1, DOWN, &[])]).len(), 1);
    assert_eq!(device.check_after(-86_400, &[port(1, UP, &[])]), nothing());
    assert_eq!(device.check_after(600, &[port(1, UP, &[])]).len(), 1);
}
