//! Stations that appear, leave and move.

use std::fs;

use apmon_snmp_client::Value;

use crate::{
    lab::agent::device::mac,
    story::{STATION, Story, changes, notices, switch},
};

const ONE: &str = "02:1A:B0:00:00:01";
const TWO: &str = "02:1A:B0:00:00:02";

#[tokio::test]
async fn a_station_that_appears_is_reported_in_the_seeds_words() {
    let mut story = Story::begun(switch(4), "type: ports").await;
    story.change(|device| device.new_station(STATION, 1));
    let observation = story.after(30).await;
    assert_eq!(
        notices(&observation),
        ["PORT MAC CHANGE: GigabitEthernet0/1 MAC change appeared=[AA:BB:CC:DD:EE:FF]"]
    );
    assert_eq!(
        changes(&observation),
        ["GigabitEthernet0/1 stations: - -> AA:BB:CC:DD:EE:FF"]
    );
    assert_eq!(story.kept("ports_state")["10101"]["macs"][0], "AA:BB:CC:DD:EE:FF");
    story.restart_apmon();
    assert_eq!(story.notices_after(3_600).await, [""; 0]);
}

#[tokio::test]
async fn the_first_station_on_an_empty_switch_is_seen_at_once() {
    let mut story = Story::begun(switch(4), "type: ports").await;
    for _ in 0..3 {
        assert_eq!(story.notices_after(60).await, [""; 0]);
    }
    story.change(|device| device.new_station(STATION, 1));
    assert_eq!(story.notices_after(60).await.len(), 1);
    story.change(|device| device.station_leaves(STATION));
    assert_eq!(story.notices_after(60).await, [""; 0]);
    story.change(|device| device.new_station(mac(1), 2));
    assert_eq!(
        story.notices_after(60).await,
        [format!(
            "PORT MAC CHANGE: GigabitEthernet0/2 MAC change appeared=[{ONE}]"
        )]
    );
}

#[tokio::test]
async fn a_station_that_moves_is_one_message() {
    let mut device = switch(4);
    device.new_station(STATION, 1);
    let mut story = Story::begun(device, "type: ports, mac_changes: all").await;
    story.change(|device| device.station_moves(STATION, 3));
    let observation = story.after(30).await;
    assert_eq!(
        notices(&observation),
        ["PORT MAC CHANGE: MAC AA:BB:CC:DD:EE:FF moved from GigabitEthernet0/1 to GigabitEthernet0/3"]
    );
    assert_eq!(
        changes(&observation),
        [
            "GigabitEthernet0/1 stations: AA:BB:CC:DD:EE:FF -> -",
            "GigabitEthernet0/3 stations: - -> AA:BB:CC:DD:EE:FF",
        ]
    );
}

#[tokio::test]
async fn a_station_that_ages_out_is_reported_with_the_next_one_that_appears() {
    let mut device = switch(4);
    device.new_station(mac(1), 1);
    let mut story = Story::begun(device, "type: ports").await;
    story.change(|device| device.station_leaves(mac(1)));
    let observation = story.after(30).await;
    assert_eq!(notices(&observation), [""; 0]);
    assert_eq!(
        changes(&observation),
        [format!("GigabitEthernet0/1 stations: {ONE} -> - (not reported)")]
    );
    story.change(|device| device.new_station(mac(2), 1));
    assert_eq!(
        story.notices_after(30).await,
        [format!(
            "PORT MAC CHANGE: GigabitEthernet0/1 MAC change appeared=[{TWO}] gone=[{ONE}]"
        )]
    );
}

#[tokio::test]
async fn a_station_that_comes_back_to_its_port_is_not_reported() {
    let mut device = switch(4);
    device.new_station(mac(1), 1);
    let mut story = Story::begun(device, "type: ports").await;
    story.change(|device| device.station_leaves(mac(1)));
    assert_eq!(story.notices_after(300).await, [""; 0]);
    story.change(|device| device.new_station(mac(1), 1));
    assert_eq!(story.notices_after(300).await, [""; 0]);
}

#[tokio::test]
async fn with_mac_changes_all_a_departure_is_reported() {
    let mut device = switch(4);
    device.new_station(mac(1), 1);
    let mut story = Story::begun(device, "type: ports, mac_changes: all").await;
    story.change(|device| device.station_leaves(mac(1)));
    assert_eq!(
        story.notices_after(30).await,
        [format!(
            "PORT MAC CHANGE: GigabitEthernet0/1 MAC change gone=[{ONE}]"
        )]
    );
}

#[tokio::test]
async fn with_mac_changes_no_only_port_changes_are_reported() {
    let mut device = switch(4);
    device.new_station(mac(1), 1);
    let mut story = Story::begun(device, "type: ports, mac_changes: no").await;
    story.change(|device| {
        device.station_leaves(mac(1));
        device.new_station(mac(2), 3);
        device.port_down(1);
    });
    let observation = story.after(30).await;
    assert_eq!(
        notices(&observation),
        ["PORT CHANGE: GigabitEthernet0/1 oper=down admin=up (was oper=up admin=up)"]
    );
    assert_eq!(
        observation.changes.len(),
        3,
        "the changes of stations are in the history nevertheless"
    );
}

#[tokio::test]
async fn a_station_that_is_not_on_the_list_is_reported_as_new() {
    let mut device = switch(4);
    device.new_station(mac(1), 1);
    let options = format!("type: ports, allow_macs: ['{ONE}', '{}']", TWO.to_lowercase());
    let mut story = Story::begun(device, &options).await;
    story.change(|device| device.new_station(mac(2), 1));
    assert_eq!(
        story.notices_after(30).await,
        [format!(
            "PORT MAC CHANGE: GigabitEthernet0/1 MAC change appeared=[{TWO}]"
        )]
    );
    story.change(|device| device.new_station(STATION, 2));
    assert_eq!(
        story.notices_after(30).await,
        [
            "PORT MAC CHANGE: GigabitEthernet0/2 MAC change appeared=[AA:BB:CC:DD:EE:FF]",
            "NEW STATION: GigabitEthernet0/2 new station AA:BB:CC:DD:EE:FF is not allowed",
        ]
    );
    assert_eq!(story.notices_after(3_600).await, [""; 0], "once");
}

#[tokio::test]
async fn allowed_stations_can_be_listed_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("stations"),
        format!("# of the office\n{ONE} the printer\n\n02-1a-b0-00-00-02\n"),
    )
    .unwrap();
    let mut device = switch(4);
    device.new_station(mac(1), 1);
    let site = directory.path().join("site.yaml");
    let mut story = Story::from_file(site, device, "type: ports, mac_changes: no, allow_macs: stations");
    assert_eq!(story.notices_after(0).await, [""; 0]);
    story.change(|device| {
        device.new_station(mac(2), 1);
        device.new_station(mac(3), 2);
        device.new_station(mac(4), 2);
    });
    assert_eq!(
        story.notices_after(30).await,
        ["NEW STATION: GigabitEthernet0/2 new stations 02:1A:B0:00:00:03, 02:1A:B0:00:00:04 are not allowed"]
    );
}

#[tokio::test]
async fn too_many_stations_on_a_port_are_reported_once() {
    let mut device = switch(4);
    device.new_station(mac(1), 1);
    let mut story = Story::begun(device, "type: ports, mac_changes: no, max_macs_per_port: 2").await;
    story.change(|device| device.new_station(mac(2), 1));
    assert_eq!(story.notices_after(30).await, [""; 0]);
    story.change(|device| device.new_station(mac(3), 1));
    assert_eq!(
        story.notices_after(30).await,
        ["TOO MANY STATIONS: GigabitEthernet0/1 has 3 stations, more than 2"]
    );
    story.change(|device| device.new_station(mac(4), 1));
    assert_eq!(story.notices_after(3_600).await, [""; 0]);
}

#[tokio::test]
async fn group_addresses_and_the_switch_itself_are_not_stations() {
    let mut story = Story::begun(switch(4), "type: ports").await;
    story.change(|device| {
        // A group address, and the address of the switch's first port.
        device.new_station([0x01, 0, 0x5e, 0, 0, 1], 1);
        device.new_station([0x02, 0xff, 0, 0, 0x27, 0x75], 1);
    });
    assert_eq!(story.notices_after(30).await, [""; 0]);
}

#[tokio::test]
async fn stations_of_a_bridge_without_vlans_are_announced_at_once() {
    const PORT: [u32; 11] = [1, 3, 6, 1, 2, 1, 17, 4, 3, 1, 2];
    const STATUS: [u32; 11] = [1, 3, 6, 1, 2, 1, 17, 4, 3, 1, 3];
    let mut story = Story::begun(switch(4), "type: ports").await;
    let learn = |story: &Story, station: u8, port: i64| {
        let index = mac(station).map(u32::from);
        story.change(|device| {
            device
                .table
                .retain(|oid, _| oid.below(&PORT).is_none() && oid.below(&STATUS).is_none());
            device.set(&PORT, &index, Value::Integer(port));
            device.set(&STATUS, &index, Value::Integer(3));
        });
    };
    learn(&story, 1, 1);
    assert_eq!(
        story.notices_after(60).await,
        [format!(
            "PORT MAC CHANGE: GigabitEthernet0/1 MAC change appeared=[{ONE}]"
        )]
    );
    story.change(|device| device.table.retain(|oid, _| oid.below(&PORT).is_none()));
    assert_eq!(story.notices_after(60).await, [""; 0]);
    learn(&story, 2, 2);
    assert_eq!(
        story.notices_after(60).await,
        [format!(
            "PORT MAC CHANGE: GigabitEthernet0/2 MAC change appeared=[{TWO}]"
        )]
    );
}
