//! The forwarding tables of Q-BRIDGE-MIB and BRIDGE-MIB together: which is requested when, and
//! that nobody is overlooked meanwhile.

use apmon_core::Verdict;
use apmon_snmp_client::{Oid, Value};

use crate::{
    forwarding::{BY_VLAN, PLAIN, PORT, clear, index, row, verdict},
    lab::{Device, agent::device::Mac},
    story::{PINNED, STATION, Story, notices, switch},
};

#[tokio::test]
async fn stations_of_both_tables_are_seen_at_every_check() {
    let mut story = Story::of(switch(4), &format!("{PORT} no"));
    story.change(|device| {
        device.new_station([2, 0, 0, 0, 0, 1], 1);
        row(device, &PLAIN, &index(&[], STATION), 2);
    });
    for _ in 0..12 {
        assert_eq!(verdict(&story.after(60).await).0, Verdict::Down);
    }
}

#[tokio::test]
async fn a_second_table_with_the_same_stations_is_read_at_every_tenth_check() {
    let mut device = switch(4);
    for number in 0..4 {
        device.new_station([2, 0, 0, 0, 0, number], 3);
    }
    row(&mut device, &PLAIN, &index(&[], [2, 0, 0, 0, 0, 1]), 3);
    device.new_station(PINNED, 2);
    let mut story = Story::of(device, &format!("{PORT} no"));
    assert_eq!(verdict(&story.after(60).await).0, Verdict::Up);
    // A stranger is in the second table only.
    story.change(|device| row(device, &PLAIN, &index(&[], STATION), 2));
    let mut found = Vec::new();
    for _ in 0..12 {
        found.push(verdict(&story.after(60).await).0);
    }
    let first = found.iter().position(|verdict| *verdict == Verdict::Down);
    assert!(first.is_some_and(|at| (1..10).contains(&at)), "{found:?}");
    assert!(
        found[first.unwrap_or(0)..]
            .iter()
            .all(|verdict| *verdict == Verdict::Down)
    );

    // If the pinned station is missed, the table is read at once.
    story.restart_apmon();
    story.change(|device| {
        device
            .table
            .remove(&Oid::join(&PLAIN, &[&[2], &index(&[], STATION)[..]].concat()));
        device
            .table
            .remove(&Oid::join(&PLAIN, &[&[3], &index(&[], STATION)[..]].concat()));
    });
    assert_eq!(verdict(&story.after(60).await).0, Verdict::Up);
    story.change(|device| {
        device.station_leaves(PINNED);
        row(device, &PLAIN, &index(&[], STATION), 2);
    });
    assert_eq!(verdict(&story.after(60).await).0, Verdict::Down);
}

#[tokio::test]
async fn an_allowed_station_that_is_missed_is_looked_for_in_the_second_table() {
    let allowed = "allow_macs: ['18:e8:29:45:f8:f7', '02:00:00:00:00:01']";
    let mut device = switch(4);
    device.new_station(PINNED, 2);
    row(&mut device, &PLAIN, &index(&[], PINNED), 2);
    let mut story = Story::begun(device, &format!("type: ports, mac_changes: all, {allowed}")).await;
    story.change(|device| {
        device.station_leaves(PINNED);
        device.new_station([2, 0, 0, 0, 0, 1], 3);
    });
    let found = notices(&story.after(60).await);
    assert_eq!(found.len(), 1, "only the other one appeared: {found:?}");
}

/// The columns of BRIDGE-MIB's table that are read, and the column of addresses of both
/// tables.
const PLAIN_PORTS: [u32; 11] = [1, 3, 6, 1, 2, 1, 17, 4, 3, 1, 2];
const PLAIN_ADDRESSES: [u32; 11] = [1, 3, 6, 1, 2, 1, 17, 4, 3, 1, 1];
const VLAN_ADDRESSES: [u32; 13] = [1, 3, 6, 1, 2, 1, 17, 7, 1, 2, 2, 1, 1];

/// Runs checks, and returns in which of them something below `root` was requested.
async fn requested(story: &mut Story, checks: usize, root: &[u32]) -> Vec<usize> {
    let mut requested = Vec::new();
    for check in 0..checks {
        story.agent.count_anew();
        story.after(60).await;
        if story.agent.requests_below(root) > 0 {
            requested.push(check);
        }
    }
    requested
}

/// Stations that both tables have, by bridge port and by ifIndex, and one that only BRIDGE-MIB
/// has, if it is given.
fn in_both_tables(more: Option<Mac>) -> Device {
    let mut device = switch(4);
    for number in 1..=20_u8 {
        let mac = [2, 0, 0, 0, 1, number];
        let port = u32::from(number) % 2 + 3;
        device.new_station(mac, port);
        row(&mut device, &PLAIN, &index(&[], mac), i64::from(10_100 + port));
    }
    if let Some(mac) = more {
        row(&mut device, &PLAIN, &index(&[], mac), 10_101);
    }
    device
}

#[tokio::test]
async fn a_second_table_with_other_numbers_is_requested_at_every_tenth_check() {
    for options in ["type: ports, mac_changes: all".to_owned(), format!("{PORT} no")] {
        for more in [None, Some(STATION)] {
            let mut device = in_both_tables(more);
            device.new_station(PINNED, 2);
            let mut story = Story::of(device, &options);
            let requests = requested(&mut story, 22, &PLAIN_PORTS).await;
            assert_eq!(requests, [0, 9, 19], "{options} {more:?}");
        }
    }
}

#[tokio::test]
async fn a_station_of_the_second_table_alone_is_seen_at_every_check() {
    let allowed = "allow_macs: ['aa:bb:cc:dd:ee:ff', '02:00:00:00:00:09']";
    let mut story = Story::of(
        in_both_tables(Some(STATION)),
        &format!("type: ports, mac_changes: all, {allowed}"),
    );
    for check in 0..12 {
        story.agent.count_anew();
        let observation = story.after(60).await;
        let device = observation.device.unwrap();
        let stations: Vec<_> = device.ports[0].stations.iter().map(|one| one.mac).collect();
        assert_eq!(stations, [apmon_core::Mac::new(STATION)], "{check}");
        assert_eq!(observation.changes, [], "{check}");
        // It is not missed, although Q-BRIDGE-MIB lacks it.
        let is_requested = story.agent.requests_below(&PLAIN_PORTS) > 0;
        assert_eq!(is_requested, check % 10 == 9 || check == 0, "{check}");
    }
}

#[tokio::test]
async fn a_station_that_has_moved_and_left_is_not_where_the_second_table_had_it() {
    let mut story = Story::of(in_both_tables(Some(STATION)), "type: ports");
    let device = story.after(60).await.device.unwrap();
    assert_eq!(device.ports[0].stations.len(), 1);
    // It moves to a port where Q-BRIDGE-MIB shows it.
    story.change(|device| device.new_station(STATION, 2));
    let device = story.after(60).await.device.unwrap();
    let counts: Vec<_> = device.ports.iter().map(|port| port.stations.len()).collect();
    assert_eq!(counts, [0, 1, 10, 10]);
    story.change(|device| device.station_leaves(STATION));
    let device = story.after(60).await.device.unwrap();
    assert_eq!(device.ports[0].stations.len(), 0, "it has left");
}

#[tokio::test]
async fn a_pinned_port_with_a_stranger_in_the_second_table_recovers_at_once() {
    let mut device = in_both_tables(None);
    device.new_station(PINNED, 2);
    row(&mut device, &PLAIN, &index(&[], STATION), 10_102);
    let mut story = Story::of(device, &format!("{PORT} yes"));
    for _ in 0..3 {
        assert_eq!(verdict(&story.after(60).await).0, Verdict::Down);
    }
    let stranger = index(&[], STATION);
    story.change(|device| {
        for column in [2, 3] {
            device
                .table
                .remove(&Oid::join(&PLAIN, &[&[column], &stranger[..]].concat()));
        }
    });
    assert_eq!(verdict(&story.after(60).await).0, Verdict::Up);
    assert_eq!(requested(&mut story, 4, &PLAIN_PORTS).await, [0; 0]);
}

#[tokio::test]
async fn the_column_of_addresses_is_requested_only_while_rows_are_numbered() {
    for (table, addresses, numbered, standard) in [
        (&PLAIN[..], &PLAIN_ADDRESSES[..], vec![7], index(&[], PINNED)),
        (&BY_VLAN[..], &VLAN_ADDRESSES[..], vec![1, 7], index(&[1], PINNED)),
    ] {
        let mut story = Story::of(switch(4), &format!("{PORT} yes"));
        let by_row = |device: &mut Device| {
            clear(device);
            row(device, table, &numbered, 2);
            device.set(
                table,
                &[&[1], &numbered[..]].concat(),
                Value::Octets(PINNED.to_vec()),
            );
        };
        story.change(by_row);
        assert_eq!(requested(&mut story, 3, addresses).await, [0, 1, 2]);
        // The agent is updated, and has the address in each index.
        story.change(|device| {
            clear(device);
            row(device, table, &standard, 2);
        });
        assert_eq!(
            requested(&mut story, 4, addresses).await,
            [0],
            "left after one check"
        );
        assert_eq!(verdict(&story.after(60).await).0, Verdict::Up);
        // It is downgraded again.
        story.change(by_row);
        assert_eq!(requested(&mut story, 3, addresses).await, [0, 1, 2]);
        assert_eq!(verdict(&story.after(60).await).0, Verdict::Up);
    }
}
