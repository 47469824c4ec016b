//! Stations that the device does not place on a port.

use super::*;

/// The numbers of stations, as a set.
fn stations(last: &[u8]) -> BTreeSet<Mac> {
    macs(last).unwrap_or_default()
}

#[test]
fn a_station_on_no_known_port_is_announced_once_if_it_is_not_allowed() {
    let mut device = Device::with_options(|it| it.allow_macs = macs(&[1, 2]));
    device.unplaced = stations(&[2, 9]);
    assert_eq!(device.check(&[port(1, UP, &[1])]), nothing(), "the first check");
    assert_eq!(
        device.check(&[port(1, UP, &[1])]),
        ["NEW STATION: new station AA:BB:CC:DD:EE:09 is not allowed (port not known)"]
    );
    // It is announced once, whether it stays or returns.
    for there in [&[2, 9][..], &[], &[9]] {
        device.unplaced = stations(there);
        assert_eq!(device.check_after(700, &[port(1, UP, &[1])]), nothing());
    }
    // Two others come and go within the window.
    device.unplaced = stations(&[7]);
    assert_eq!(device.check(&[port(1, UP, &[1])]).len(), 1);
    device.unplaced = stations(&[5]);
    assert_eq!(device.check(&[port(1, UP, &[1])]), nothing());
    device.unplaced = stations(&[6]);
    assert_eq!(
        device.check_after(600, &[port(1, UP, &[1])]),
        ["NEW STATION: new stations AA:BB:CC:DD:EE:05, AA:BB:CC:DD:EE:06 are not allowed (port not known)"]
    );
}

#[test]
fn a_forbidden_station_is_announced_again_once_its_port_is_known() {
    let mut device = Device::with_options(|it| {
        it.allow_macs = macs(&[1]);
        it.mac_changes = MacChanges::No;
    });
    device.check(&[port(1, UP, &[1])]);
    device.unplaced = stations(&[9]);
    assert_eq!(device.check(&[port(1, UP, &[1])]).len(), 1);
    device.unplaced = stations(&[]);
    assert_eq!(
        device.check(&[port(1, UP, &[1, 9])]),
        ["NEW STATION: GigabitEthernet0/1 new station AA:BB:CC:DD:EE:09 is not allowed"]
    );
}

#[test]
fn without_allowed_stations_nothing_is_said_of_those_on_no_known_port() {
    let mut device = Device::new();
    device.unplaced = stations(&[9]);
    for _ in 0..3 {
        assert_eq!(device.check_after(700, &[port(1, UP, &[1])]), nothing());
    }
}

#[test]
fn alarms_that_are_off_delay_the_announcement() {
    let mut device = Device::with_options(|it| it.allow_macs = macs(&[1]));
    device.policy.alarms = false;
    device.unplaced = stations(&[9]);
    for _ in 0..2 {
        assert_eq!(device.check(&[port(1, UP, &[1])]), nothing());
    }
    device.policy.alarms = true;
    assert_eq!(device.check(&[port(1, UP, &[1])]).len(), 1);
}

#[test]
fn a_station_whose_port_is_no_longer_known_is_not_gone() {
    let mut device = Device::with_options(|it| it.mac_changes = MacChanges::All);
    device.check(&[port(1, UP, &[1, 2]), port(2, UP, &[])]);
    device.unplaced = stations(&[2]);
    assert_eq!(
        device.check_after(700, &[port(1, UP, &[1]), port(2, UP, &[])]),
        nothing()
    );
    assert_eq!(device.history(), []);
    // It is on another port after all.
    assert_eq!(
        device.check_after(700, &[port(1, UP, &[1]), port(2, UP, &[2])]),
        ["PORT MAC CHANGE: MAC AA:BB:CC:DD:EE:02 moved from GigabitEthernet0/1 to GigabitEthernet0/2"]
    );
    // It leaves altogether.
    device.unplaced = stations(&[]);
    let announced = device.check_after(700, &[port(1, UP, &[1]), port(2, UP, &[])]);
    assert!(announced[0].contains("gone=[AA:BB:CC:DD:EE:02]"), "{announced:?}");
}
