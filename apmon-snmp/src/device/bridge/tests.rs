use super::*;
use apmon_snmp_client::{Column, Row};

use crate::{
    device::interface::{Names, interfaces},
    mib::Object,
    recorded,
};

mod number;
mod property;
mod shape;
mod union;

type Rows<'a> = &'a [(&'a [u32], i64)];

fn data(columns: &[(Object, Rows<'_>)]) -> PollData {
    let mut data = PollData::default();
    for (object, rows) in columns {
        let rows = rows.iter().map(|(index, value)| Row {
            index: index.to_vec(),
            value: Value::Integer(*value),
        });
        let rows = rows.collect();
        data.put_column(object, Column { rows, failure: None });
    }
    data
}

fn broken(data: &mut PollData, object: Object) {
    let column = Column {
        rows: data.rows(object).to_vec(),
        failure: Some("no answer".into()),
    };
    data.put_column(object, column);
}

/// The interfaces of the data and of its bridge ports: most recordings have only some interfaces.
fn found(data: &PollData) -> Vec<Interface> {
    let mut all = data.clone();
    let mut rows = data.rows(mib::IF_OPER_STATUS).to_vec();
    for row in data.rows(mib::DOT1D_BASE_PORT_IF_INDEX) {
        let index = row.value.number().and_then(|index| u32::try_from(index).ok());
        rows.extend(index.filter(|index| *index > 0).map(|index| Row {
            index: vec![index],
            value: Value::Integer(1),
        }));
    }
    all.put_column(mib::IF_OPER_STATUS, Column { rows, failure: None });
    interfaces(&all, &Names::default())
}

fn read(data: &PollData) -> Stations {
    stations(data, &[], &found(data), &EarlierTables::default())
}

/// The text of the gap; empty without one.
fn gap(stations: &Stations) -> String {
    stations.gap.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn shown(stations: &Stations) -> Vec<String> {
    let one = |(index, macs): (&u32, &BTreeSet<Mac>)| {
        let macs: Vec<String> = macs.iter().map(Mac::to_string).collect();
        format!("{index}: {}", macs.join(" "))
    };
    stations.on.iter().map(one).collect()
}

const A: &[u32] = &[2, 0, 0, 0, 0, 10];
const B: &[u32] = &[2, 0, 0, 0, 0, 11];
const C: &[u32] = &[2, 0, 0, 0, 0, 12];

#[test]
fn a_cisco_s_bridge_ports_are_its_interfaces() {
    let stations = read(&recorded::cisco_3750());
    assert_eq!(
        shown(&stations),
        [
            "10101: 60:0B:03:EE:16:47 60:0B:03:EE:16:60",
            "10106: 00:18:B9:23:D7:31 58:66:BA:CB:2F:D2 60:0B:03:ED:D7:97 60:0B:03:EE:24:E3",
            "10107: 00:11:21:E7:F1:17 58:66:BA:CB:28:C8 60:0B:03:EE:1B:DB",
            "10109: 00:18:B9:14:4D:01 58:6A:B1:83:A8:2B 58:6A:B1:83:A8:7D 60:0B:03:EE:18:45",
            "10111: 58:6A:B1:83:A5:DD 60:0B:03:EE:15:59",
        ]
    );
    assert_eq!((stations.learned, stations.unplaced.len()), (15, 0));
    assert!(stations.is_readable);
    assert_eq!(stations.failure, None);
}

#[test]
fn a_procurve_s_own_addresses_are_not_stations() {
    let stations = read(&recorded::procurve());
    let counts: Vec<_> = stations
        .on
        .iter()
        .map(|(index, macs)| (*index, macs.len()))
        .collect();
    assert_eq!(counts, [(9, 2), (11, 1), (17, 8)]);
    assert_eq!((stations.learned, stations.unplaced.len()), (11, 0));
}

#[test]
fn a_d_link_s_stations_are_on_its_ports() {
    let stations = read(&recorded::dlink());
    assert_eq!(shown(&stations)[0], "7: 44:8A:5B:4B:1F:5D");
    let counts: Vec<_> = stations
        .on
        .iter()
        .map(|(index, macs)| (*index, macs.len()))
        .collect();
    assert_eq!(counts, [(7, 1), (16, 1), (17, 1), (21, 2), (25, 3), (28, 4)]);
    assert_eq!(stations.learned, 12);
}

#[test]
fn a_juniper_s_stations_are_not_placed_on_wrong_ports() {
    let data = recorded::juniper_mx();
    let stations = read(&data);
    assert_eq!(shown(&stations), [""; 0]);
    assert_eq!((stations.learned, stations.unplaced.len()), (14, 14));
    assert!(stations.is_readable);
}

#[test]
fn a_station_that_an_h3c_lists_twice_is_on_both_ports() {
    let stations = read(&recorded::h3c());
    assert_eq!(
        shown(&stations),
        [
            "4: 74:85:C4:B2:5E:01",
            "6: 2C:9D:1E:97:E1:7A",
            "193: 74:85:C4:DF:B1:01 74:85:C4:DF:C1:01",
            "2210: 00:0C:86:24:E4:00",
            "2401: 74:85:C4:DF:B1:01 74:85:C4:DF:C1:01",
        ]
    );
    assert_eq!(stations.learned, 8);
}

#[test]
fn only_learned_entries_are_stations() {
    let group = &[1, 0, 94, 0, 0, 1][..];
    let own = &[2, 0, 0, 0, 0, 99][..];
    let data = {
        let mut data = data(&[
            (mib::DOT1D_BASE_PORT_IF_INDEX, &[(&[1], 101), (&[2], 102)]),
            (
                mib::DOT1D_TP_FDB_PORT,
                &[(A, 1), (B, 1), (C, 2), (group, 2), (own, 2), (&[0; 6], 2)],
            ),
            (
                mib::DOT1D_TP_FDB_STATUS,
                &[(A, 3), (B, 4), (C, 5), (group, 3), (own, 3), (&[0; 6], 3)],
            ),
        ]);
        let rows = vec![Row {
            index: vec![101],
            value: Value::Octets(vec![2, 0, 0, 0, 0, 99]),
        }];
        let column = Column { rows, failure: None };
        data.put_column(mib::IF_PHYS_ADDRESS, column);
        let rows = vec![Row {
            index: vec![101],
            value: Value::Integer(1),
        }];
        let column = Column { rows, failure: None };
        data.put_column(mib::IF_OPER_STATUS, column);
        data
    };
    let stations = read(&data);
    assert_eq!(shown(&stations), ["101: 02:00:00:00:00:0A"]);
    assert_eq!((stations.learned, stations.unplaced.len()), (4, 0));
}

#[test]
fn a_station_in_two_vlans_is_one_on_its_port_and_two_entries() {
    let (first, second) = (&[10, 2, 0, 0, 0, 0, 10][..], &[20, 2, 0, 0, 0, 0, 10][..]);
    let third = &[30, 2, 0, 0, 0, 0, 10][..];
    let stations = read(&data(&[
        (mib::DOT1D_BASE_PORT_IF_INDEX, &[(&[1], 101), (&[2], 102)]),
        (mib::DOT1Q_TP_FDB_PORT, &[(first, 1), (second, 1), (third, 2)]),
        (mib::DOT1Q_TP_FDB_STATUS, &[(first, 3), (second, 3), (third, 3)]),
    ]));
    assert_eq!(
        shown(&stations),
        ["101: 02:00:00:00:00:0A", "102: 02:00:00:00:00:0A"]
    );
    assert_eq!(stations.learned, 3);
}

#[test]
fn the_vlan_tables_of_a_cisco_are_combined() {
    let plain = |ports: Rows<'_>, fdb: Rows<'_>| {
        let learned: Vec<_> = fdb.iter().map(|(mac, _)| (*mac, 3)).collect();
        data(&[
            (mib::DOT1D_BASE_PORT_IF_INDEX, ports),
            (mib::DOT1D_TP_FDB_PORT, fdb),
            (mib::DOT1D_TP_FDB_STATUS, &learned),
        ])
    };
    let of = |vlan, data| VlanTable { vlan, data };
    let of_vlans = found(&data(&[(mib::IF_OPER_STATUS, &[(&[101], 1), (&[102], 1)])]));
    let main = plain(&[(&[1], 101)], &[(A, 1)]);
    let vlans = [
        of(1, plain(&[(&[1], 101)], &[(A, 1)])),
        of(20, plain(&[(&[2], 102)], &[(A, 2), (B, 2)])),
        // The bridge ports of other VLANs are not used.
        of(30, plain(&[], &[(C, 2)])),
    ];
    let stations = stations(&main, &vlans, &of_vlans, &EarlierTables::default());
    assert_eq!(
        shown(&stations),
        [
            "101: 02:00:00:00:00:0A",
            "102: 02:00:00:00:00:0A 02:00:00:00:00:0B"
        ]
    );
    assert_eq!(
        (stations.learned, stations.unplaced.len()),
        (4, 1),
        "VLAN 1 is not counted twice"
    );
    assert!(stations.is_readable);

    let mut vlans = vlans;
    broken(&mut vlans[1].data, mib::DOT1D_TP_FDB_PORT);
    let stations = super::stations(&main, &vlans, &of_vlans, &EarlierTables::default());
    assert!(stations.is_readable, "some of the tables are complete");
    assert_eq!(stations.failure.as_deref(), Some("VLAN 20: no answer"));
}

#[test]
fn bridge_port_numbers_serve_as_indexes_only_if_unambiguous() {
    let device = |types: &[i64], ports: i64, base: Rows<'_>| {
        let indexes: Vec<[u32; 1]> = (1..).take(types.len()).map(|index| [index]).collect();
        let types: Vec<_> = indexes
            .iter()
            .zip(types)
            .map(|(index, kind)| (&index[..], *kind))
            .collect();
        let mut data = data(&[
            (mib::IF_TYPE, &types),
            (mib::IF_OPER_STATUS, &types),
            (mib::DOT1D_BASE_PORT_IF_INDEX, base),
            (mib::DOT1D_TP_FDB_PORT, &[(A, 2), (B, 4)]),
            (mib::DOT1D_TP_FDB_STATUS, &[(A, 3), (B, 3)]),
        ]);
        let oid = apmon_snmp_client::Oid::join(mib::DOT1D_BASE_NUM_PORTS, &[0]);
        data.put(apmon_snmp_client::Varbind::new(oid, Value::Integer(ports)));
        let stations = read(&data);
        (
            stations.on.keys().copied().collect::<Vec<_>>(),
            stations.unplaced.len(),
        )
    };
    let none = (vec![], 2);
    // Three ports and a VLAN's interface after them: port 4 does not exist.
    assert_eq!(device(&[6, 6, 117, 53], 3, &[]), (vec![2], 1));
    assert_eq!(device(&[6, 6, 6, 53], 3, &[(&[1], 0), (&[2], 0)]), (vec![2], 1));
    assert_eq!(device(&[6, 6, 6, 6], 4, &[]), (vec![2, 4], 0));
    // One of the four is a management port.
    assert_eq!(device(&[6, 6, 6, 6], 3, &[]), none);
    // A VLAN's interface is the first.
    assert_eq!(device(&[53, 6, 6, 6], 3, &[]), none);
    // Some ports are mapped: then the others are unknown.
    assert_eq!(device(&[6, 6, 6, 6], 4, &[(&[4], 3), (&[2], 0)]), (vec![3], 1));
}

#[test]
fn an_unreadable_table_is_not_taken_for_an_empty_one() {
    let nothing = read(&PollData::default());
    assert!(
        !nothing.is_readable,
        "there is no bridge, or none that we may see"
    );
    assert_eq!(nothing.failure, None);

    let ports = &[(&[1][..], Value::Integer(10_101))];
    let empty = read(&PollData::of(&[(mib::DOT1D_BASE_PORT_IF_INDEX, ports)]));
    assert!(empty.is_readable, "the table was read, and is empty");
    assert_eq!(empty.failure, None);

    let mut silent = PollData::default();
    broken(&mut silent, mib::DOT1Q_TP_FDB_PORT);
    broken(&mut silent, mib::DOT1D_TP_FDB_PORT);
    let stations = read(&silent);
    assert!(!stations.is_readable);
    assert_eq!(stations.failure.as_deref(), Some("no answer"));

    let mut midway = recorded::procurve();
    broken(&mut midway, mib::DOT1Q_TP_FDB_STATUS);
    let stations = read(&midway);
    assert!(!stations.is_readable, "missing stations may be present");
    assert_eq!(stations.on.len(), 3, "the stations that were read are kept");

    // Only the newer table cannot be read.
    let mut other = recorded::cisco_3750();
    broken(&mut other, mib::DOT1Q_TP_FDB_PORT);
    let stations = read(&other);
    assert!(stations.is_readable);
    assert_eq!(stations.learned, 15);
    assert!(stations.failure.is_some());

    let mut unmapped = recorded::cisco_3750();
    broken(&mut unmapped, mib::DOT1D_BASE_PORT_IF_INDEX);
    assert!(!read(&unmapped).is_readable, "stations may be on unknown ports");
}

#[test]
fn malformed_rows_are_counted() {
    let stations = read(&data(&[
        (
            mib::DOT1D_BASE_PORT_IF_INDEX,
            &[(&[1], 101), (&[2, 2], 102), (&[3], -1)],
        ),
        (
            mib::DOT1D_TP_FDB_PORT,
            &[
                (A, 1),
                (&[2, 0, 0, 0, 0], 1),
                (&[2, 0, 0, 0, 0, 256], 1),
                (&[], 1),
                (B, -1),
                (C, 1 << 40),
            ],
        ),
    ]));
    assert_eq!(shown(&stations), ["101: 02:00:00:00:00:0A"]);
    assert_eq!((stations.learned, stations.unplaced.len()), (3, 2));
    assert_eq!(
        gap(&stations),
        "3 rows of the MAC table are unreadable, for example dot1dTpFdbPort.2.0.0.0.0 = 1; \
         2 rows of the MAC table are on no known port, for example 02:00:00:00:00:0B with port -1"
    );
}
