//! Stations that appear, leave and move.

use super::*;

#[test]
fn departures_are_announced_with_the_next_appearance() {
    let mut device = Device::new();
    device.check(&[port(1, UP, &[1])]);
    assert_eq!(device.check(&[port(1, UP, &[])]), nothing());
    let gone = PortEvent::Stations {
        appeared: vec![],
        gone: vec![mac(1)],
    };
    assert_eq!(device.history(), [(1, gone, false)]);
    assert_eq!(
        device.check(&[port(1, UP, &[2])]),
        [
            "PORT MAC CHANGE: GigabitEthernet0/1 MAC change appeared=[AA:BB:CC:DD:EE:02] gone=[AA:BB:CC:DD:EE:01]"
        ]
    );
    assert_eq!(
        device.check_after(601, &[port(1, UP, &[1, 2])]),
        ["PORT MAC CHANGE: GigabitEthernet0/1 MAC change appeared=[AA:BB:CC:DD:EE:01]"]
    );
}

#[test]
fn a_returning_station_is_announced_again_after_a_week() {
    let mut device = Device::new();
    device.check(&[port(1, UP, &[1])]);
    device.check(&[port(1, UP, &[])]);
    let week = 7 * 86_400;
    assert_eq!(device.check_after(week - 1, &[port(1, UP, &[1])]), nothing());
    device.check(&[port(1, UP, &[])]);
    assert_eq!(
        device.check_after(week, &[port(1, UP, &[1])]),
        ["PORT MAC CHANGE: GigabitEthernet0/1 MAC change appeared=[AA:BB:CC:DD:EE:01]"]
    );
}

#[test]
fn mac_changes_selects_what_is_announced() {
    let table = [
        (MacChanges::Appeared, [0, 1]),
        (MacChanges::All, [1, 1]),
        (MacChanges::No, [0, 0]),
    ];
    for (mac_changes, expected) in table {
        let mut device = Device::with_options(|it| it.mac_changes = mac_changes);
        device.check(&[port(1, UP, &[1])]);
        let announced = [&[][..], &[2]].map(|stations| {
            let announced = device.check_after(1_300, &[port(1, UP, stations)]).len();
            assert_eq!(
                device.changes.len(),
                1,
                "the change is in the history in any case"
            );
            announced
        });
        assert_eq!(announced, expected, "{mac_changes:?}");
    }
}

#[test]
fn a_station_on_another_port_is_one_message() {
    for mac_changes in [MacChanges::Appeared, MacChanges::All] {
        let mut device = Device::with_options(|it| it.mac_changes = mac_changes);
        device.check(&[port(1, UP, &[1, 2, 3]), port(2, UP, &[])]);
        assert_eq!(
            device.check(&[port(1, UP, &[2, 3]), port(2, UP, &[1])]),
            ["PORT MAC CHANGE: MAC AA:BB:CC:DD:EE:01 moved from GigabitEthernet0/1 to GigabitEthernet0/2"]
        );
        assert!(
            device.changes.iter().all(|change| change.notified),
            "{:?}",
            device.changes
        );
        assert_eq!(device.changes.len(), 2);
        let announced = device.check_after(601, &[port(1, UP, &[]), port(2, UP, &[1, 2, 3, 4])]);
        assert_eq!(
            announced,
            [
                "PORT MAC CHANGE: GigabitEthernet0/2 MAC change appeared=[AA:BB:CC:DD:EE:04]; MACs \
              AA:BB:CC:DD:EE:02, AA:BB:CC:DD:EE:03 moved from GigabitEthernet0/1 to GigabitEthernet0/2"
            ]
        );
        assert_eq!(
            device.check_after(601, &[port(1, UP, &[]), port(2, UP, &[1, 2, 3, 4])]),
            nothing()
        );
    }
}

#[test]
fn a_move_to_a_port_with_an_open_window_is_one_message_too() {
    let mut device = Device::with_options(|it| it.mac_changes = MacChanges::All);
    device.check(&[port(1, UP, &[1]), port(2, DOWN, &[])]);
    assert_eq!(device.check(&[port(1, UP, &[1]), port(2, UP, &[])]).len(), 1);
    assert_eq!(device.check(&[port(1, UP, &[]), port(2, UP, &[1])]), nothing());
    assert_eq!(
        device.check_after(600, &[port(1, UP, &[]), port(2, UP, &[1])]),
        ["PORT MAC CHANGE: MAC AA:BB:CC:DD:EE:01 moved from GigabitEthernet0/1 to GigabitEthernet0/2"]
    );
}

#[test]
fn stations_that_a_device_learns_again_are_not_announced() {
    for mac_changes in [MacChanges::Appeared, MacChanges::All] {
        let mut device = Device::with_options(|it| it.mac_changes = mac_changes);
        device.check(&[port(1, UP, &[1, 2]), port(2, UP, &[3])]);
        device.restart = Restart::Device;
        device.uptimes.host = Some(6_000);
        assert_eq!(device.check(&[port(1, UP, &[]), port(2, UP, &[])]).len(), 1);
        let at = |one: &[u8], two: &[u8]| [port(1, UP, one), port(2, UP, two)];
        assert_eq!(device.check(&at(&[1], &[])), nothing());
        assert_eq!(device.check_after(200, &at(&[1], &[3])), nothing());
        // A new station is announced; one that is not back yet is not.
        assert_eq!(
            device.check(&at(&[1, 4], &[3])),
            ["PORT MAC CHANGE: GigabitEthernet0/1 MAC change appeared=[AA:BB:CC:DD:EE:04]"]
        );
        let gone = device.check_after(600, &at(&[1, 4], &[3]));
        match mac_changes {
            MacChanges::All => assert_eq!(
                gone,
                ["PORT MAC CHANGE: GigabitEthernet0/1 MAC change gone=[AA:BB:CC:DD:EE:02]"]
            ),
            _ => assert_eq!(gone, nothing()),
        }
    }
}

#[test]
fn an_unreadable_table_keeps_the_last_known_stations() {
    let mut device = Device::with_options(|it| it.mac_changes = MacChanges::All);
    let unread = |state| PolledPort {
        macs: None,
        ..port(1, state, &[])
    };
    assert_eq!(device.check(&[unread(UP)]), nothing());
    assert_eq!(
        device.check(&[port(1, UP, &[1])]),
        nothing(),
        "it is unknown since when they have been there"
    );
    assert_eq!(device.history(), []);
    assert_eq!(device.check(&[unread(UP)]), nothing());
    assert_eq!(device.history(), []);
    assert_eq!(device.check(&[port(1, UP, &[1])]), nothing());
    assert_eq!(device.check(&[port(1, UP, &[])]).len(), 1);
}

#[test]
fn a_message_names_ten_stations_and_counts_the_rest() {
    let mut device = Device::new();
    device.check(&[port(1, UP, &[])]);
    let all: Vec<u8> = (0..12).collect();
    let announced = device.check(&[port(1, UP, &all)]);
    assert!(
        announced[0].ends_with("AA:BB:CC:DD:EE:09 and 2 more]"),
        "{announced:?}"
    );
}
