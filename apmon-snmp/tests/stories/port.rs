//! Ports that go down, come up, appear and vanish.

use std::sync::Arc;

use apmon_core::Memory;
use serde_json::json;

use crate::{
    lab::agent::device::{Device, FIRST_INDEX, IF_X_ENTRY, mac},
    story::{Figures, STATION, Story, changes, name, notices, switch},
};

#[tokio::test]
async fn the_first_check_reports_nothing_and_keeps_the_seeds_baseline() {
    let mut device = switch(2);
    device.port_down(2);
    device.new_station(STATION, 1);
    let story = Story::begun(device, "type: ports").await;
    assert_eq!(
        story.kept("ports_state"),
        json!({
            "10101": {"name": "GigabitEthernet0/1", "oper": "up", "admin": "up", "macs": ["AA:BB:CC:DD:EE:FF"]},
            "10102": {"name": "GigabitEthernet0/2", "oper": "down", "admin": "up", "macs": []},
        })
    );
}

#[tokio::test]
async fn a_port_that_goes_down_is_reported_and_so_is_its_return() {
    let mut story = Story::begun(switch(4), "type: ports").await;
    story.change(|device| device.port_down(2));
    let observation = story.after(30).await;
    assert_eq!(
        notices(&observation),
        ["PORT CHANGE: GigabitEthernet0/2 oper=down admin=up (was oper=up admin=up)"]
    );
    assert_eq!(
        changes(&observation),
        ["GigabitEthernet0/2 state: oper=up admin=up -> oper=down admin=up"]
    );
    assert_eq!(story.kept("ports_state")["10102"]["oper"], "down");
    assert_eq!(story.notices_after(1_200).await, [""; 0]);
    story.change(|device| device.port_up(2));
    assert_eq!(
        story.notices_after(30).await,
        ["PORT CHANGE: GigabitEthernet0/2 oper=up admin=up (was oper=down admin=up)"]
    );
}

#[tokio::test]
async fn a_port_that_is_switched_off_is_reported_as_disabled() {
    let mut story = Story::begun(switch(4), "type: ports").await;
    story.change(|device| device.port_disabled(3));
    assert_eq!(
        story.notices_after(30).await,
        ["PORT CHANGE: GigabitEthernet0/3 oper=down admin=down (was oper=up admin=up)"]
    );
}

#[tokio::test]
async fn each_changed_port_has_a_message_of_its_own() {
    let mut story = Story::begun(switch(4), "type: ports").await;
    story.change(|device| {
        device.port_down(1);
        device.port_disabled(4);
    });
    assert_eq!(
        story.notices_after(30).await,
        [
            "PORT CHANGE: GigabitEthernet0/1 oper=down admin=up (was oper=up admin=up)",
            "PORT CHANGE: GigabitEthernet0/4 oper=down admin=down (was oper=up admin=up)",
        ]
    );
}

#[tokio::test]
async fn a_module_that_is_taken_out_and_put_back_is_reported() {
    let mut story = Story::begun(switch(4), "type: ports").await;
    story.change(|device| device.remove_port(4));
    let observation = story.after(30).await;
    assert_eq!(
        notices(&observation),
        ["PORT CHANGE: GigabitEthernet0/4 vanished (was oper=up admin=up)"]
    );
    assert_eq!(
        changes(&observation),
        ["GigabitEthernet0/4 removed: oper=up admin=up -> -"]
    );
    story.restart_apmon();
    assert_eq!(story.notices_after(3_600).await, [""; 0]);
    story.change(|device| {
        device.new_port(4, FIRST_INDEX + 3);
        name(device, 4);
        device.new_station(STATION, 4);
    });
    assert_eq!(
        story.notices_after(30).await,
        ["PORT CHANGE: GigabitEthernet0/4 appeared oper=up admin=up stations=[AA:BB:CC:DD:EE:FF]"]
    );
}

#[tokio::test]
async fn a_lost_member_of_a_stack_is_one_message_and_so_is_its_return() {
    let mut story = Story::begun(switch(48), "type: ports").await;
    story.change(|device| (25..=48).for_each(|port| device.remove_port(port)));
    let observation = story.after(30).await;
    let names = "GigabitEthernet0/25, GigabitEthernet0/26, GigabitEthernet0/27, GigabitEthernet0/28, \
                 GigabitEthernet0/29 and 19 more";
    assert_eq!(
        notices(&observation),
        [format!("PORT CHANGE: 24 ports vanished: {names}")]
    );
    assert_eq!(
        observation.changes.len(),
        24,
        "each of the ports is in the history"
    );
    story.change(|device| {
        for port in 25..=48 {
            device.new_port(port, FIRST_INDEX + port - 1);
            name(device, port);
        }
    });
    assert_eq!(
        story.notices_after(1_200).await,
        [format!("PORT CHANGE: 24 ports appeared: {names}")]
    );
}

#[tokio::test]
async fn ports_ignored_by_any_of_their_names_are_not_reported() {
    let mut story = Story::begun(
        switch(5),
        "type: ports, ignore_ports: [gi0/1, 'gigabitethernet0/[2', '*Ethernet0/3', 'desk ?'], mac_changes: all",
    )
    .await;
    // The last pattern would match the alias of every port.
    story.change(|device| {
        let text = |text: &str| apmon_snmp_client::Value::Octets(text.into());
        for port in [1, 2, 3, 5] {
            let index = device.index(port);
            device.set(&IF_X_ENTRY, &[18, index], text("uplink"));
        }
    });
    story.restart_apmon();
    assert_eq!(story.notices_after(30).await, [""; 0]);
    story.change(|device| {
        (1..=5).for_each(|port| device.port_down(port));
        device.new_station(mac(1), 3);
    });
    let observation = story.after(30).await;
    assert_eq!(
        notices(&observation),
        [
            "PORT CHANGE: GigabitEthernet0/2 oper=down admin=up (was oper=up admin=up)",
            "PORT CHANGE: GigabitEthernet0/5 oper=down admin=up (was oper=up admin=up)",
        ]
    );
    let unannounced = changes(&observation)
        .into_iter()
        .filter(|it| it.ends_with(" (not reported)"));
    assert_eq!(
        unannounced.count(),
        4,
        "the changes are in the history nevertheless"
    );
}

#[tokio::test]
async fn renumbered_ports_are_the_same_ports() {
    let mut device = switch(4);
    device.new_station(STATION, 2);
    let mut story = Story::begun(device, "type: ports").await;
    // The first port gets the number of the second, and so on.
    story.change(|device| device.renumber(1));
    let observation = story.after(30).await;
    assert_eq!((notices(&observation), changes(&observation)), (vec![], vec![]));
    let figures = Figures::of(&observation);
    for number in 10_101..=10_104 {
        let names = figures.names();
        assert!(names.contains(&format!("if{number}_in").as_str()), "{names:?}");
    }
    assert!(!figures.names().contains(&"if10105_in"));
    assert_eq!(figures.broken(), [""; 0]);
    assert_eq!(
        figures.count("if10102_in").0,
        2 << 40,
        "it belongs to the port that had this number first"
    );
    assert_eq!(story.kept("ports_state")["10103"]["name"], "GigabitEthernet0/2");
    assert_eq!(story.kept("ports_state")["10103"]["macs"][0], "AA:BB:CC:DD:EE:FF");
    story.restart_apmon();
    story.change(|device| device.port_down(2));
    assert_eq!(
        story.notices_after(30).await,
        ["PORT CHANGE: GigabitEthernet0/2 oper=down admin=up (was oper=up admin=up)"]
    );
}

/// The memory that a state file of APMonitor contains.
fn taken_over() -> Memory {
    let baseline = json!({
        "10101": {"name": "GigabitEthernet0/1", "oper": "up", "admin": "up", "macs": ["AA:BB:CC:DD:EE:FF"]},
        "10102": {"name": "GigabitEthernet0/2", "oper": "up", "admin": "up", "macs": []},
        "10103": {"name": "GigabitEthernet0/3", "oper": "down", "admin": "up", "macs": []},
    });
    let baseline: Arc<str> = baseline.to_string().into();
    Memory {
        kept: [("ports_state".to_owned(), baseline)].into(),
        counts: None,
    }
}

#[tokio::test]
async fn apmon_continues_from_the_state_that_apmonitor_left() {
    let mut device = switch(3);
    device.port_down(3);
    device.new_station(STATION, 1);
    let mut story = Story::of(device, "type: ports");
    story.memory = taken_over();
    let observation = story.after(30).await;
    assert_eq!((notices(&observation), changes(&observation)), (vec![], vec![]));
    let figures = Figures::of(&observation);
    assert_eq!(
        figures.broken().len(),
        figures.counts(),
        "the sums are not those of before"
    );
}

#[tokio::test]
async fn changes_since_the_last_check_by_apmonitor_are_reported() {
    let mut device = switch(3);
    device.port_down(2);
    device.port_down(3);
    device.new_station(mac(7), 1);
    let mut story = Story::of(device, "type: ports");
    story.memory = taken_over();
    assert_eq!(
        story.notices_after(30).await,
        [
            "PORT MAC CHANGE: GigabitEthernet0/1 MAC change appeared=[02:1A:B0:00:00:07] gone=[AA:BB:CC:DD:EE:FF]",
            "PORT CHANGE: GigabitEthernet0/2 oper=down admin=up (was oper=up admin=up)",
        ]
    );
}

#[tokio::test]
async fn an_unreadable_baseline_is_ignored() {
    let mut story = Story::of(switch(2), "type: ports");
    story.memory.kept.insert("ports_state".to_owned(), "[]".into());
    assert_eq!(story.notices_after(0).await, [""; 0]);
    assert_eq!(story.kept("ports_state")["10101"]["name"], "GigabitEthernet0/1");
}

#[tokio::test]
async fn a_host_without_a_bridge_is_watched_as_well() {
    let mut story = Story::begun(Device::host(), "type: ports").await;
    story.change(|device| device.port_down(1));
    assert_eq!(
        story.notices_after(30).await,
        ["PORT CHANGE: GigabitEthernet1/0/1 oper=down admin=up (was oper=up admin=up)"]
    );
}

#[tokio::test]
async fn a_device_that_speaks_snmpv1_alone_is_watched_as_well() {
    let mut story = Story::begun(switch(4), "type: ports, version: 1").await;
    story.change(|device| {
        device.port_down(2);
        device.new_station(STATION, 1);
    });
    let observation = story.after(30).await;
    assert_eq!(
        notices(&observation),
        [
            "PORT MAC CHANGE: GigabitEthernet0/1 MAC change appeared=[AA:BB:CC:DD:EE:FF]",
            "PORT CHANGE: GigabitEthernet0/2 oper=down admin=up (was oper=up admin=up)",
        ]
    );
    let figures = Figures::of(&observation);
    assert_eq!(figures.broken(), [""; 0]);
    assert_eq!(figures.count("if10103_in").0, 3_000, "it has no 64-bit counts");
}
