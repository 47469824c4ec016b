//! For any table, either every row is placed, or the verdicts that need them are unknown and
//! somebody is notified.

use apmon_core::{FailureClass, PortState, PortStatus};
use proptest::prelude::*;

use super::*;
use crate::{
    device::station_warning::StationLimits,
    rule::pinning::{PortCheck, RequestedPort, judge},
};

const STRANGER: Mac = Mac::new([2, 9, 9, 9, 9, 9]);
const OWN: u8 = 7;

/// A row of a table: the station, the shape of the index, the port and the status.
type AnyRow = (u8, usize, Option<i64>, Option<i64>);

fn row() -> impl Strategy<Value = AnyRow> {
    let port = prop_oneof![
        6 => (0_i64..8).prop_map(Some),
        2 => (100_i64..106).prop_map(Some),
        1 => Just(None),
        1 => prop_oneof![Just(-1), Just(i64::MAX)].prop_map(Some),
    ];
    let status = prop_oneof![6 => Just(Some(3)), 1 => Just(None), 2 => (0_i64..7).prop_map(Some)];
    let shape = prop_oneof![8 => 0_usize..2, 1 => 2_usize..7];
    (0_u8..9, shape, port, status)
}

fn bridge_ports() -> impl Strategy<Value = Vec<(u32, i64)>> {
    prop_oneof![
        Just((1..5).map(|port| (port, i64::from(port))).collect()),
        Just((1..5).map(|port| (port, i64::from(port) + 100)).collect()),
        Just((0..4).map(|port| (port, i64::from(port) + 1)).collect()),
        Just((101..105).map(|port| (port, i64::from(port))).collect()),
        Just(Vec::new()),
        prop::collection::vec((0_u32..8, -1_i64..8), 0..6),
    ]
}

/// The index of a row in one of several shapes, readable or not. The last two numbers of
/// unreadable ones keep them apart.
fn index(by_vlan: bool, station: u8, shape: usize, at: usize) -> Vec<u32> {
    let mac = [2, 0, 0, 0, 0, u32::from(station)];
    let at = u32::try_from(at).unwrap();
    let before: &[u32] = match (by_vlan, shape) {
        (true, 0) => &[at],
        (false, 0) => &[],
        (_, 1) => &[at, 6],
        (_, 2) => return vec![at],
        (_, 3) => &[at, 9, 8],
        (_, 4) => return vec![1, 2, 3, 4, at],
        (_, 5) => return [&mac[..], &[300, at, at]].concat(),
        _ => return vec![300, 300, 300, 300, 300, 300, at, 300],
    };
    [before, &mac].concat()
}

fn table(data: &mut PollData, by_vlan: bool, rows: &[AnyRow]) {
    let (port, status) = match by_vlan {
        true => (mib::DOT1Q_TP_FDB_PORT, mib::DOT1Q_TP_FDB_STATUS),
        false => (mib::DOT1D_TP_FDB_PORT, mib::DOT1D_TP_FDB_STATUS),
    };
    let column = |value: fn(&AnyRow) -> Option<i64>| {
        let rows = rows.iter().enumerate().filter_map(|(at, row)| {
            Some(Row {
                index: index(by_vlan, row.0, row.1, at),
                value: Value::Integer(value(row)?),
            })
        });
        Column {
            rows: rows.collect(),
            failure: None,
        }
    };
    data.put_column(port, column(|row| row.2));
    data.put_column(status, column(|row| row.3));
}

/// Whether a row may be a station's: it is learned, and not the device's own.
fn counts(row: &AnyRow) -> bool {
    let is_there = row.2.is_some() || row.3.is_some();
    let is_learned = row.3.is_none_or(|status| ![1, 2, 4, 5].contains(&status));
    is_there && is_learned && (row.0 != OWN || row.1 > 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn every_row_is_placed_or_the_verdict_is_unknown_and_somebody_is_notified(
        by_vlan in prop::collection::vec(row(), 0..6),
        plain in prop::collection::vec(row(), 0..6),
        ports in bridge_ports(),
        interfaces in prop_oneof![
            Just(vec![1, 2, 3, 4]), Just(vec![1, 2, 101, 102, 103, 104, 105]), Just(vec![0, 5, 6, 101, 102]),
        ],
        uses_if_indexes: bool,
    ) {
        // The index by the standard is unique.
        let mut standard = BTreeSet::new();
        let plain: Vec<AnyRow> = plain.into_iter().filter(|row| row.1 > 0 || standard.insert(row.0)).collect();
        let keys: Vec<[u32; 1]> = interfaces.iter().map(|index| [*index]).collect();
        let states: Vec<_> = keys.iter().map(|index| (&index[..], 1)).collect();
        let port_keys: Vec<[u32; 1]> = ports.iter().map(|(port, _)| [*port]).collect();
        let base: Vec<_> = port_keys.iter().zip(&ports).map(|(key, (_, index))| (&key[..], *index)).collect();
        let mut data = data(&[(mib::IF_OPER_STATUS, &states), (mib::DOT1D_BASE_PORT_IF_INDEX, &base)]);
        table(&mut data, true, &by_vlan);
        table(&mut data, false, &plain);
        data.put(apmon_snmp_client::Varbind::new(
            apmon_snmp_client::Oid::join(mib::DOT1D_BASE_BRIDGE_ADDRESS, &[0]),
            Value::Octets(vec![2, 0, 0, 0, 0, OWN]),
        ));
        let earlier = EarlierTables { uses_if_indexes, ..EarlierTables::default() };
        let stations = stations(&data, &[], &super::interfaces(&data, &Names::default()), &earlier);

        let rows = || by_vlan.iter().chain(&plain).filter(|row| counts(row));
        let unread = rows().filter(|row| row.1 > 1).count();
        let readable: BTreeSet<Mac> = rows()
            .filter(|row| row.1 <= 1)
            .map(|row| Mac::new([2, 0, 0, 0, 0, row.0]))
            .collect();
        let known: BTreeSet<Mac> = stations.all().copied().collect();
        prop_assert_eq!(&known, &readable, "no station is lost, and none invented");
        prop_assert_eq!(stations.gap.as_ref().map_or(0, |gap| gap.unread), unread);
        let placed: BTreeSet<u32> = stations.on.keys().copied().collect();
        prop_assert!(placed.is_subset(&interfaces.iter().copied().collect()), "on existing interfaces");

        let everybody_is_placed = unread == 0 && stations.unplaced.is_empty();
        let limits = StationLimits { allowed: true, most: true };
        let is_warned = !stations.warnings(limits, false).is_empty();
        prop_assert!(everybody_is_placed || is_warned);
        for (index, always_up) in interfaces.iter().flat_map(|index| [(*index, true), (*index, false)]) {
            let on = stations.on.get(&index).cloned().unwrap_or_default();
            for pinned in on.iter().copied().chain([STRANGER]) {
                let check = PortCheck {
                    requested: RequestedPort::Index(index),
                    state: Some(PortState { oper: PortStatus::Up, admin: PortStatus::Up }),
                    stations: on.clone(),
                    failure: stations.missing(pinned, false),
                };
                let verdict = judge(always_up, pinned, &check);
                let is_alone = on.iter().all(|mac| *mac == pinned);
                let class = verdict.as_ref().err().map(|failure| failure.class);
                if !is_alone {
                    prop_assert_eq!(class, Some(FailureClass::Pin), "a wrong station is reported in any case");
                } else if !everybody_is_placed || !stations.is_readable {
                    prop_assert_eq!(class, Some(FailureClass::Unreadable));
                } else {
                    let is_fine = on.contains(&pinned) || !always_up;
                    prop_assert_eq!(class, (!is_fine).then_some(FailureClass::Pin));
                }
            }
        }
    }
}
