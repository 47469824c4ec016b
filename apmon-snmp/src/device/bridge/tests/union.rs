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
    assert!(!is_plain_redundant(&data));
    assert!(misses_any(&data, &[Mac::new([2, 0, 0, 0, 0, 11])].into()));
    assert!(!misses_any(&data, &[Mac::new([2, 0, 0, 0, 0, 10])].into()));
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
fn a_table_with_the_same_rows_or_none_is_redundant() {
    for (by_vlan, plain, is) in [
        (&[(A_IN_1, 1), (A_IN_2, 2)][..], &[(A, 1)][..], true),
        (&[(A_IN_1, 1)], &[], true),
        (&[(A_IN_1, 1)], &[(A, 2)], false),
        (&[(A_IN_1, 1)], &[(&[54], 1)], false),
        (&[], &[], false),
        (&[], &[(A, 2)], false),
    ] {
        assert_eq!(
            is_plain_redundant(&both(by_vlan, plain)),
            is,
            "{by_vlan:?} {plain:?}"
        );
    }
    let mut data = both(&[(A_IN_1, 1)], &[]);
    broken(&mut data, mib::DOT1D_TP_FDB_PORT);
    assert!(!is_plain_redundant(&data), "it may have rows");
}
