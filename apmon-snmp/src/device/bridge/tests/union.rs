//! The tables of Q-BRIDGE-MIB and BRIDGE-MIB together.

use super::*;

/// A switch whose bridge ports 1 and 2 are the interfaces 101 and 102, with rows of both tables.
fn both(by_vlan: Rows<'_>, plain: Rows<'_>) -> PollData {
    data(&[
        (mib::DOT1D_BASE_PORT_IF_INDEX, &[(&[1], 101), (&[2], 102)]),
        (mib::DOT1Q_TP_FDB_PORT, by_vlan),
        (mib::DOT1D_TP_FDB_PORT, plain),
    ])
}

const A_IN_1: &[u32] = &[1, 2, 0, 0, 0, 0, 10];
const A_IN_2: &[u32] = &[2, 2, 0, 0, 0, 0, 10];

#[test]
fn each_table_adds_the_stations_that_the_other_lacks() {
    let data = both(&[(A_IN_1, 1)], &[(A, 1), (B, 2), (C, 2)]);
    let stations = read(&data);
    assert_eq!(
        shown(&stations),
        [
            "101: 02:00:00:00:00:0A",
            "102: 02:00:00:00:00:0B 02:00:00:00:00:0C"
        ]
    );
    assert_eq!((stations.learned, stations.gap), (3, None));
    assert_eq!(stations.plain, PlainTable::Adds);
    assert_eq!(macs(&data, true), [Mac::new([2, 0, 0, 0, 0, 10])].into());
    assert_eq!(macs(&data, false).len(), 3);
}

#[test]
fn a_row_that_one_table_places_is_placed() {
    for (by_vlan, plain) in [(0, 2), (2, 0)] {
        let stations = read(&both(&[(A_IN_1, by_vlan)], &[(A, plain)]));
        assert_eq!(shown(&stations), ["102: 02:00:00:00:00:0A"]);
        assert_eq!((stations.learned, stations.gap), (1, None));
    }
    let stations = read(&both(&[(A_IN_1, 0)], &[(A, 0)]));
    assert_eq!(
        gap(&stations),
        "the device does not report which ports its stations are on: 1 row of the MAC table is on no known port: \
         02:00:00:00:00:0A with port 0"
    );
    // In another VLAN the station may be on another port.
    let stations = read(&both(&[(A_IN_1, 1), (A_IN_2, 0)], &[]));
    assert_eq!(stations.gap.map(|gap| gap.unplaced), Some(1));
}

#[test]
fn what_the_second_table_adds_is_decided_by_the_interfaces_that_it_means() {
    use PlainTable::{Adds, AddsNothing, Alone};
    for (by_vlan, plain, expected) in [
        (&[(A_IN_1, 1), (A_IN_2, 2)][..], &[(A, 1)][..], AddsNothing),
        (&[(A_IN_1, 1)], &[], AddsNothing),
        // The same interface, as a bridge port and as an ifIndex.
        (&[(A_IN_1, 1)], &[(A, 101)], AddsNothing),
        (&[(A_IN_1, 102)], &[(A, 2)], AddsNothing),
        // Only one table knows the port.
        (&[(A_IN_1, 1)], &[(A, 0)], AddsNothing),
        (&[(A_IN_1, 0)], &[(A, 1)], Adds),
        (&[(A_IN_1, 1)], &[(A, 2)], Adds),
        (&[(A_IN_1, 1)], &[(B, 2)], Adds),
        (&[(A_IN_1, 1)], &[(&[54], 1)], Adds),
        (&[], &[], Alone),
        (&[], &[(A, 2)], Alone),
    ] {
        let stations = read(&both(by_vlan, plain));
        assert_eq!(stations.plain, expected, "{by_vlan:?} {plain:?}");
    }
}

#[test]
fn a_remembered_row_of_a_station_that_moved_or_left_places_nobody() {
    let mac = |last| Mac::new([2, 0, 0, 0, 0, last]);
    let both_places = &[
        "101: 02:00:00:00:00:0A",
        "102: 02:00:00:00:00:0A 02:00:00:00:00:0B",
    ][..];
    for (by_vlan, in_vlans, outdated, expected) in [
        // As it was when both tables were read.
        (&[(A_IN_1, 1)][..], &[(mac(10), 101)][..], &[][..], both_places),
        // It moved, appeared, left, or had done so before.
        (
            &[(A_IN_1, 1)],
            &[(mac(10), 102)],
            &[],
            &["101: 02:00:00:00:00:0A", "102: 02:00:00:00:00:0B"],
        ),
        (
            &[(A_IN_1, 1)],
            &[],
            &[],
            &["101: 02:00:00:00:00:0A", "102: 02:00:00:00:00:0B"],
        ),
        (&[], &[(mac(10), 101)], &[], &["102: 02:00:00:00:00:0B"]),
        (
            &[(A_IN_1, 1)],
            &[(mac(10), 101)],
            &[mac(10), mac(11)],
            &["101: 02:00:00:00:00:0A"],
        ),
        // Q-BRIDGE-MIB does not know where it is.
        (
            &[(A_IN_1, 0)],
            &[],
            &[],
            &["102: 02:00:00:00:00:0A 02:00:00:00:00:0B"],
        ),
    ] {
        let data = both(by_vlan, &[(A, 2), (B, 2)]);
        let (in_vlans, outdated) = (
            in_vlans.iter().copied().collect(),
            outdated.iter().copied().collect(),
        );
        let earlier = EarlierTables {
            plain: Some(EarlierPlain {
                in_vlans: &in_vlans,
                outdated: &outdated,
            }),
            ..EarlierTables::default()
        };
        let stations = stations(&data, &[], &found(&data), &earlier);
        assert_eq!(
            shown(&stations),
            expected,
            "{by_vlan:?} {in_vlans:?} {outdated:?}"
        );
        assert_eq!(stations.gap, None);
    }
}
