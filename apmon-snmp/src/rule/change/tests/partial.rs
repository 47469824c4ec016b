//! Tables that were read only in part, and times when nothing may be announced.

use super::*;

fn in_part(index: u32, stations: &[u8]) -> PolledPort {
    PolledPort {
        is_partial: true,
        ..port(index, UP, stations)
    }
}

#[test]
fn a_station_missing_from_a_partial_table_is_not_announced_as_gone() {
    let mut device = Device::with_options(|options| options.mac_changes = MacChanges::All);
    device.check(&[port(1, UP, &[1, 2]), port(2, UP, &[3])]);
    assert_eq!(device.check(&[in_part(1, &[1]), in_part(2, &[])]), nothing());
    assert_eq!(device.history(), []);
    assert_eq!(
        device.check(&[port(1, UP, &[1, 2]), port(2, UP, &[3])]),
        nothing()
    );
    // Once the table is read completely, the departure is announced.
    let announced = device.check(&[port(1, UP, &[1]), port(2, UP, &[3])]);
    assert_eq!(announced.len(), 1, "{announced:?}");
    assert!(announced[0].contains("gone=[AA:BB:CC:DD:EE:02]"), "{announced:?}");
}

#[test]
fn a_station_on_another_port_of_a_partial_table_has_moved() {
    let mut device = Device::new();
    device.check(&[port(1, UP, &[1, 2]), port(2, UP, &[3])]);
    let announced = device.check(&[in_part(1, &[1]), in_part(2, &[2, 3])]);
    assert_eq!(
        announced,
        ["PORT MAC CHANGE: MAC AA:BB:CC:DD:EE:02 moved from GigabitEthernet0/1 to GigabitEthernet0/2"]
    );
}

#[test]
fn changes_while_alarms_were_off_are_announced_afterwards() {
    let mut device = Device::with_options(|options| options.allow_macs = macs(&[1]));
    device.check(&[port(1, UP, &[1])]);
    let down = device.check(&[port(1, DOWN, &[1])]);
    assert_eq!(down.len(), 1, "{down:?}");
    device.policy.alarms = false;
    // The engine would suppress the messages; they are not even created.
    assert_eq!(device.check_after(3_600, &[port(1, UP, &[1, 9])]), nothing());
    device.policy.alarms = true;
    let announced = device.check(&[port(1, UP, &[1, 9])]).join("\n");
    for part in [
        "oper=up admin=up (was oper=down admin=up)",
        "appeared=[AA:BB:CC:DD:EE:09]",
        "NEW STATION",
    ] {
        assert!(announced.contains(part), "{part}: {announced}");
    }
}
