use std::time::Duration;

use apmon_core::{Mac, Neighbour, PortState, Station};

use super::*;

fn port(index: u32, name: &str, oper: PortStatus) -> DevicePort {
    let mut port = DevicePort::default();
    port.index = index;
    port.name = name.to_owned();
    port.state = PortState {
        oper,
        admin: PortStatus::Up,
    };
    port
}

fn station(number: u8) -> Station {
    Station {
        mac: Mac::new([0x18, 0xe8, 0x29, 0x45, 0xf8, number]),
        addresses: vec![[192, 168, 1, number].into()],
        names: vec![format!("host-{number}.lan")],
    }
}

fn neighbour(name: &str, port: Option<&str>) -> Neighbour {
    Neighbour {
        protocol: "LLDP".into(),
        name: name.to_owned(),
        port: port.map(str::to_owned),
    }
}

/// A switch with a port of each kind.
fn switch() -> Device {
    let mut device = Device::default();
    device.name = Some("office-switch".to_owned());
    device.location = Some("2nd floor, rack 3".to_owned());
    device.contact = Some("noc@example.com".to_owned());
    device.description = Some(
        "Cisco IOS Software, C3750 Software (C3750-IPBASEK9-M), Version 12.2(55)SE, RELEASE SOFTWARE (fc2)\r\n\
         Technical Support: http://www.example.com/"
            .to_owned(),
    );
    device.vendor = Some("Cisco".into());
    device.up_for = Some(Duration::from_secs(12 * 86_400 + 3 * 3_600));

    let mut ada = port(10101, "GigabitEthernet1/0/1", PortStatus::Up);
    ada.short_name = Some("Gi1/0/1".to_owned());
    ada.alias = Some("Desk of Ada".to_owned());
    ada.speed = Some(1_000_000_000);
    ada.stations = vec![station(1)];
    let mut room = port(10102, "GigabitEthernet1/0/2", PortStatus::Up);
    room.short_name = Some("Gi1/0/2".to_owned());
    room.alias = Some("Meeting room, the small switch under the table".to_owned());
    room.speed = Some(100_000_000);
    room.stations = (1..=14).map(station).collect();
    let mut core = port(10103, "GigabitEthernet1/0/3", PortStatus::Up);
    core.short_name = Some("Gi1/0/3".to_owned());
    core.speed = Some(2_500_000_000);
    core.neighbours = vec![
        neighbour("core-switch-1.example.net", Some("TenGigabitEthernet1/1/4")),
        neighbour("a phone", None),
    ];
    let mut off = port(10104, "GigabitEthernet1/0/4", PortStatus::Down);
    off.short_name = Some("Gi1/0/4".to_owned());
    off.state.admin = PortStatus::Down;
    off.speed = Some(10_000_000);
    let mut evil = port(10105, "\u{1b}[2Jport\u{202e}", PortStatus::LowerLayerDown);
    evil.alias = Some("two\nlines".to_owned());
    evil.neighbours = vec![neighbour("\u{7}bell", Some("\u{9b}31m"))];
    let absent = port(10106, "StackPort1", PortStatus::NotPresent);
    device.ports = vec![ada, room, core, off, evil, absent];
    device
}

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap()
}

#[test]
fn a_switch_at_80_columns() {
    let text = render(&switch(), Some(80));
    assert!(widest(&text) <= 80);
    insta::assert_snapshot!(text);
}

#[test]
fn a_switch_at_120_columns() {
    let text = render(&switch(), Some(120));
    assert!(widest(&text) <= 120);
    insta::assert_snapshot!(text);
}

#[test]
fn a_switch_at_200_columns() {
    insta::assert_snapshot!(render(&switch(), Some(200)));
}

#[test]
fn a_switch_into_a_file() {
    insta::assert_snapshot!(render(&switch(), None));
}

#[test]
fn a_host_without_stations() {
    let mut device = Device::default();
    device.ports = vec![
        port(1, "lo", PortStatus::Up),
        port(2, "eth0", PortStatus::Dormant),
    ];
    device.ports[0].speed = Some(10_000_000);
    insta::assert_snapshot!(render(&device, Some(80)));
}

#[test]
fn a_device_without_data() {
    insta::assert_snapshot!(render(&Device::default(), Some(80)));
}

#[test]
fn six_hundred_ports_are_all_shown_and_fit() {
    let mut device = switch();
    device.ports = (1..=601)
        .map(|index| {
            let mut port = port(index, &format!("veth-with-a-long-name-{index}"), PortStatus::Up);
            port.alias = Some("an alias that says a lot about what is connected there".to_owned());
            port.stations = (0..u8::try_from(index % 7).unwrap()).map(station).collect();
            port
        })
        .collect();
    for width in [80, 120, 200] {
        let text = render(&device, Some(width));
        assert!(widest(&text) <= width, "{width}");
        let rows: Vec<_> = text
            .lines()
            .skip_while(|line| !line.starts_with("PORT"))
            .collect();
        assert_eq!(rows.len(), 1 + 601);
        assert!(rows[601].starts_with("601 "), "{}", rows[601]);
    }
    let text = render(&device, Some(80));
    assert!(
        text.contains("ports     601: 601 up; 1806 stations"),
        "{}",
        &text[..400]
    );
}

#[test]
fn a_terminal_that_is_too_narrow_still_shows_every_port() {
    let text = render(&switch(), Some(20));
    assert!(text.contains("Gi1/0/1"), "{text}");
    assert_eq!(
        text.lines().skip_while(|line| !line.starts_with("PORT")).count(),
        7
    );
}

#[test]
fn speeds() {
    for (bits, expected) in [
        (0, ""),
        (300, "300"),
        (56_000, "56k"),
        (10_000_000, "10M"),
        (1_536_000, "1.5M"),
        (2_500_000_000, "2.5G"),
        (100_000_000_000, "100G"),
        (1_600_000_000_000, "1.6T"),
    ] {
        assert_eq!(speed(bits), expected);
    }
}
