//! Kind `port`: one port, pinned to one station.

use apmon_core::Verdict;
use apmon_snmp_client::Oid;
use serde_json::json;

use crate::{
    lab::{
        Behaviour, Device,
        agent::device::{IF_X_ENTRY, mac},
    },
    story::{PINNED, STATION, Story, name, notices, switch},
};

const FDB_PORT: [u32; 13] = [1, 3, 6, 1, 2, 1, 17, 7, 1, 2, 2, 1, 2];

/// A switch whose first port has the seed's number, with the pinned station on it.
fn pinned() -> Device {
    let mut device = switch(4);
    device.remove_port(1);
    device.new_port(1, 0);
    name(&mut device, 1);
    device.new_station(PINNED, 1);
    device
}

const PORT: &str = "type: port, port: 0, mac: '18:e8:29:45:f8:f7'";

fn always_up() -> String {
    format!("{PORT}, always_up: yes")
}

/// Verdict and reason of the next check.
async fn found(story: &mut Story) -> (Verdict, String) {
    let observation = story.after(60).await;
    assert_eq!(notices(&observation), [""; 0], "it reports by its verdict alone");
    let outcome = observation.outcome;
    let reason = outcome.failure().map_or("", |failure| &failure.reason);
    (outcome.verdict(), reason.to_owned())
}

fn down(reason: &str) -> (Verdict, String) {
    (Verdict::Down, reason.to_owned())
}

fn up() -> (Verdict, String) {
    (Verdict::Up, String::new())
}

#[tokio::test]
async fn with_always_up_every_deviation_is_an_outage() {
    let mut story = Story::of(pinned(), &always_up());
    assert_eq!(found(&mut story).await, up());
    assert_eq!(
        story.kept("port_state"),
        json!({"oper": "up", "mac": "18:E8:29:45:F8:F7"})
    );
    story.change(|device| device.port_down(1));
    assert_eq!(
        found(&mut story).await,
        down("port ifIndex=0 18:E8:29:45:F8:F7 is down (admin=up)")
    );
    assert_eq!(story.kept("port_state")["oper"], "down");
    story.change(|device| {
        device.port_up(1);
        device.station_leaves(PINNED);
    });
    assert_eq!(
        found(&mut story).await,
        down("port ifIndex=0 is up but pinned MAC 18:E8:29:45:F8:F7 absent")
    );
    assert_eq!(story.kept("port_state"), json!({"oper": "up", "mac": null}));
    story.change(|device| device.new_station(STATION, 1));
    let wrong = down("port ifIndex=0 wrong MAC: expected 18:E8:29:45:F8:F7, got AA:BB:CC:DD:EE:FF");
    assert_eq!(found(&mut story).await, wrong);
    story.change(|device| device.new_station(PINNED, 1));
    assert_eq!(found(&mut story).await, wrong, "the pinned station is not alone");
    story.change(|device| device.station_leaves(STATION));
    assert_eq!(found(&mut story).await, up());
}

#[tokio::test]
async fn without_always_up_only_a_wrong_station_is_an_outage() {
    let mut story = Story::of(pinned(), PORT);
    story.change(|device| device.station_leaves(PINNED));
    assert_eq!(found(&mut story).await, up(), "absent");
    story.change(|device| device.port_down(1));
    assert_eq!(found(&mut story).await, up(), "down");
    story.change(|device| {
        device.port_up(1);
        device.new_station(STATION, 1);
    });
    assert_eq!(
        found(&mut story).await,
        down("port ifIndex=0 wrong MAC: expected 18:E8:29:45:F8:F7, got AA:BB:CC:DD:EE:FF")
    );
    story.change(|device| device.station_leaves(STATION));
    assert_eq!(found(&mut story).await, up());
}

#[tokio::test]
async fn a_missing_interface_is_an_outage_with_and_without_always_up() {
    for options in [PORT, &always_up()] {
        let mut story = Story::of(pinned(), options);
        story.change(|device| device.remove_port(1));
        assert_eq!(found(&mut story).await, down("no interface with ifIndex 0"));
    }
}

#[tokio::test]
async fn a_silent_device_is_an_outage_with_and_without_always_up() {
    for options in [PORT, &always_up()] {
        let mut story = Story::of(pinned(), options);
        story.patience = std::time::Duration::from_secs(1);
        story.set(Behaviour {
            silent_from: Some(1),
            ..Behaviour::default()
        });
        let reason = story.failure_after(60).await;
        assert!(reason.starts_with("snmp: no answer within 1 secs"), "{reason}");
    }
}

#[tokio::test]
async fn an_unreadable_table_is_unknown_with_and_without_always_up() {
    for (options, is_there) in [
        (PORT.to_owned(), true),
        (PORT.to_owned(), false),
        (always_up(), true),
        (always_up(), false),
    ] {
        let mut story = Story::of(pinned(), &options);
        story.change(|device| {
            if !is_there {
                device.station_leaves(PINNED);
            }
            device.new_station(mac(1), 2);
            device.new_station(mac(2), 2);
        });
        story.set(Behaviour {
            loops: Some((station(2), Oid::from(FDB_PORT))),
            ..Behaviour::default()
        });
        let (verdict, reason) = found(&mut story).await;
        assert_eq!(verdict, Verdict::Unknown);
        assert!(
            reason.starts_with("port ifIndex=0: MAC table could not be read: the agent repeats itself: "),
            "{reason}"
        );
    }
}

fn station(number: u8) -> Oid {
    let index: Vec<u32> = [1].into_iter().chain(mac(number).map(u32::from)).collect();
    Oid::join(&FDB_PORT, &index)
}

#[tokio::test]
async fn a_port_given_by_name_is_found_after_renumbering() {
    for port in ["Gi0/3", "GigabitEthernet0/3", "camera"] {
        let mut device = switch(4);
        device.new_station(PINNED, 3);
        let index = device.index(3);
        device.set(
            &IF_X_ENTRY,
            &[18, index],
            apmon_snmp_client::Value::Octets("camera".into()),
        );
        let options = format!("type: port, port: {port}, mac: '18-E8-29-45-F8-F7', always_up: yes");
        let mut story = Story::of(device, &options);
        assert_eq!(found(&mut story).await, up());
        story.change(|device| device.renumber(7));
        assert_eq!(found(&mut story).await, up());
        story.change(|device| device.port_down(3));
        let expected = format!("port {port} (ifIndex=10110) 18:E8:29:45:F8:F7 is down (admin=up)");
        assert_eq!(found(&mut story).await, down(&expected));
        story.change(|device| device.remove_port(3));
        assert_eq!(
            found(&mut story).await,
            down(&format!("no interface named {port}"))
        );
    }
}

#[tokio::test]
async fn group_addresses_and_the_switch_itself_are_not_wrong_stations() {
    let mut device = pinned();
    device.new_station([0x01, 0, 0x5e, 0, 0, 1], 1);
    // The address of the switch's second port.
    device.new_station([0x02, 0xff, 0, 0, 0x27, 0x76], 1);
    let mut story = Story::of(device, &always_up());
    assert_eq!(found(&mut story).await, up());
}
