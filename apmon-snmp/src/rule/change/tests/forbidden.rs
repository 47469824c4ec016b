//! Stations that are not allowed, and too many of them.

use super::*;

#[test]
fn a_station_that_is_not_allowed_is_announced_once() {
    let mut device = Device::with_options(|it| {
        it.mac_changes = MacChanges::No;
        it.allow_macs = macs(&[1]);
    });
    device.check(&[port(1, UP, &[1])]);
    assert_eq!(
        device.check(&[port(1, UP, &[1, 2])]),
        ["NEW STATION: GigabitEthernet0/1 new station AA:BB:CC:DD:EE:02 is not allowed"]
    );
    // Silent, absent and back.
    for stations in [&[1, 2][..], &[1], &[1, 2]] {
        assert_eq!(device.check_after(700, &[port(1, UP, stations)]), nothing());
    }
    device.check(&[port(1, UP, &[1])]);
    assert_eq!(
        device.check_after(8 * 86_400, &[port(1, UP, &[1, 2])]).len(),
        0,
        "its absence was not seen"
    );
    device.check(&[port(1, UP, &[1])]);
    device.check_after(8 * 86_400, &[port(1, UP, &[1])]);
    assert_eq!(device.check(&[port(1, UP, &[1, 2])]).len(), 1);
}

#[test]
fn a_new_station_is_announced_even_right_after_its_port_came_up() {
    let mut device = Device::with_options(|it| it.allow_macs = macs(&[1]));
    device.check(&[port(1, DOWN, &[])]);
    assert_eq!(device.check(&[port(1, UP, &[])]).len(), 1);
    assert_eq!(
        device.check(&[port(1, UP, &[2])]),
        ["NEW STATION: GigabitEthernet0/1 new station AA:BB:CC:DD:EE:02 is not allowed"]
    );
    // These stations come and go within the window.
    device.check(&[port(1, UP, &[3])]);
    device.check(&[port(1, UP, &[4])]);
    let announced = device.check_after(600, &[port(1, UP, &[])]);
    assert_eq!(
        announced,
        ["NEW STATION: GigabitEthernet0/1 new stations AA:BB:CC:DD:EE:03, AA:BB:CC:DD:EE:04 are not allowed"]
    );
}

#[test]
fn violations_present_from_the_start_are_announced_at_the_second_check() {
    let mut device = Device::with_options(|it| {
        it.allow_macs = macs(&[1]);
        it.max_macs_per_port = Some(1);
    });
    assert_eq!(device.check(&[port(1, UP, &[1, 2])]), nothing());
    assert_eq!(
        device.check(&[port(1, UP, &[1, 2])]),
        [
            "NEW STATION: GigabitEthernet0/1 new station AA:BB:CC:DD:EE:02 is not allowed",
            "TOO MANY STATIONS: GigabitEthernet0/1 has 2 stations, more than 1",
        ]
    );
}

#[test]
fn too_many_stations_are_announced_once_until_the_number_drops() {
    let mut device = Device::with_options(|it| {
        it.mac_changes = MacChanges::No;
        it.max_macs_per_port = Some(2);
    });
    device.check(&[port(1, UP, &[1, 2])]);
    assert_eq!(
        device.check(&[port(1, UP, &[1, 2, 3])]),
        ["TOO MANY STATIONS: GigabitEthernet0/1 has 3 stations, more than 2"]
    );
    assert_eq!(
        device.check_after(5_000, &[port(1, UP, &[1, 2, 3, 4])]),
        nothing()
    );
    assert_eq!(device.check(&[port(1, UP, &[1, 2])]), nothing());
    assert_eq!(
        device.check(&[port(1, UP, &[1, 2, 4])]),
        ["TOO MANY STATIONS: GigabitEthernet0/1 has 3 stations, more than 2"]
    );
    assert_eq!(device.check(&[port(1, UP, &[1, 2])]), nothing());
    assert_eq!(
        device.check(&[port(1, UP, &[1, 2, 4])]),
        nothing(),
        "within the window"
    );
    assert_eq!(device.check_after(600, &[port(1, UP, &[1, 2, 4])]).len(), 1);
}
