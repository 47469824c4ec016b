//! What the numbers of ports in a forwarding table mean.

use super::*;

/// The stations of a switch with these interfaces, bridge ports and numbers in its table: one
/// station for each number, 02:00:00:00:00:01 for the first.
fn placed(interfaces: &[u32], ports: &[(u32, u32)], numbers: &[i64]) -> Stations {
    again(interfaces, ports, numbers, false)
}

fn again(interfaces: &[u32], ports: &[(u32, u32)], numbers: &[i64], uses_if_indexes: bool) -> Stations {
    let interfaces: Vec<[u32; 1]> = interfaces.iter().map(|index| [*index]).collect();
    let states: Vec<_> = interfaces.iter().map(|index| (&index[..], 1)).collect();
    let keys: Vec<[u32; 1]> = ports.iter().map(|(port, _)| [*port]).collect();
    let base: Vec<_> = keys
        .iter()
        .zip(ports)
        .map(|(key, (_, index))| (&key[..], i64::from(*index)))
        .collect();
    let macs: Vec<[u32; 7]> = (1..)
        .take(numbers.len())
        .map(|last| [1, 2, 0, 0, 0, 0, last])
        .collect();
    let rows: Vec<_> = macs
        .iter()
        .zip(numbers)
        .map(|(mac, number)| (&mac[..], *number))
        .collect();
    let learned: Vec<_> = macs.iter().map(|mac| (&mac[..], 3)).collect();
    let data = data(&[
        (mib::IF_OPER_STATUS, &states),
        (mib::DOT1D_BASE_PORT_IF_INDEX, &base),
        (mib::DOT1Q_TP_FDB_PORT, &rows),
        (mib::DOT1Q_TP_FDB_STATUS, &learned),
    ]);
    let earlier = EarlierTables {
        uses_if_indexes,
        ..EarlierTables::default()
    };
    stations(&data, &[], &super::interfaces(&data, &Names::default()), &earlier)
}

/// The ifIndex of each number; 0 if it has none.
fn indexes(stations: &Stations, count: usize) -> Vec<u32> {
    let of = |last: u8| {
        let mac = Mac::new([2, 0, 0, 0, 0, last]);
        let mut on = stations.on.iter();
        on.find(|(_, macs)| macs.contains(&mac))
            .map_or(0, |(index, _)| *index)
    };
    (1..).take(count).map(of).collect()
}

#[track_caller]
fn check(interfaces: &[u32], ports: &[(u32, u32)], numbers: &[i64], expected: &[u32], is_certain: bool) {
    let stations = placed(interfaces, ports, numbers);
    assert_eq!(indexes(&stations, numbers.len()), expected);
    assert_eq!(stations.doubt.is_none(), is_certain, "{:?}", stations.doubt);
    let lost = expected.iter().filter(|index| **index == 0).count();
    assert_eq!(
        stations.gap.map_or(0, |gap| gap.unplaced),
        lost,
        "the others are counted"
    );
}

#[test]
fn numbers_that_can_only_be_if_indexes_are() {
    let ports = &[(1, 101), (2, 102), (3, 103)];
    check(&[101, 102, 103], ports, &[101, 103], &[101, 103], true);
    // Rows without a port do not count.
    check(&[101, 102, 103], ports, &[0, 102], &[0, 102], true);
    // 5 is neither, so nothing is certain about the others.
    check(&[101, 102, 103], ports, &[101, 5], &[0, 0], true);
    check(&[101, 102, 103], ports, &[1, 3], &[101, 103], true);
}

#[test]
fn a_table_is_not_read_row_by_row() {
    // 1 and 2 could be bridge ports, 3 can only be an ifIndex: so all are.
    let (interfaces, ports) = (&[1, 2, 3], &[(0, 1), (1, 2), (2, 3)]);
    check(interfaces, ports, &[1, 2, 3], &[1, 2, 3], false);
    // All can be bridge ports: the standard's reading counts.
    check(interfaces, ports, &[1, 2], &[2, 3], true);
    // 7 is neither: 1 and 2 could be either, and 3 is an ifIndex, but not for sure.
    check(interfaces, ports, &[1, 2, 3, 7], &[0, 0, 0, 0], true);
    // 101 is an ifIndex and 2 a bridge port only.
    check(&[101, 102], &[(1, 101), (2, 102)], &[101, 2], &[0, 102], true);
    // 5 and 6 are interfaces outside the bridge: not every number of the table is an ifIndex.
    check(
        &[5, 6, 101, 102],
        &[(5, 101), (6, 102)],
        &[5, 6, 9],
        &[101, 102, 0],
        true,
    );
}

#[test]
fn a_device_with_if_indexes_is_remembered() {
    let (interfaces, ports) = (&[1, 2, 3], &[(0, 1), (1, 2), (2, 3)]);
    let first = placed(interfaces, ports, &[1, 2, 3]);
    assert!(first.uses_if_indexes);
    let next = again(interfaces, ports, &[1, 2], first.uses_if_indexes);
    assert_eq!(indexes(&next, 2), [1, 2], "not 2 and 3, as for any other device");
    assert!(next.uses_if_indexes && next.doubt.is_some());
}

#[test]
fn interfaces_outside_the_bridge_are_if_indexes_where_no_number_contradicts() {
    // Bridge ports have the numbers of their interfaces, and 465 is an aggregate of them.
    check(&[1, 2, 465], &[(1, 1), (2, 2)], &[1, 2, 465], &[1, 2, 465], true);
    check(&[1, 2], &[(1, 1), (2, 2)], &[1, 2, 465], &[1, 2, 0], true);
    check(
        &[101, 102, 300],
        &[(1, 101), (2, 102)],
        &[101, 300],
        &[101, 300],
        false,
    );
}

#[test]
fn positions_are_counted_from_the_first_bridge_port() {
    let ports = &[(49_153, 49_153), (49_154, 49_154), (49_155, 49_155)];
    let interfaces = &[1, 49_153, 49_154, 49_155];
    // From the first to the last port, no other offset fits.
    check(&interfaces[1..], ports, &[1, 3], &[49_153, 49_155], true);
    check(&interfaces[1..], ports, &[2, 3], &[49_154, 49_155], false);
    // An interface outside the bridge has the number 1: an offset is more likely.
    check(interfaces, ports, &[1], &[49_153], false);
    check(interfaces, ports, &[1, 2, 3], &[49_153, 49_154, 49_155], true);
    // One number lies beyond the ports, or is a bridge port itself, or there is a gap.
    check(&interfaces[1..], ports, &[1, 4], &[0, 0], true);
    check(&interfaces[1..], ports, &[1, 49_154], &[0, 49_154], true);
    check(&interfaces[1..], &[ports[0], ports[2]], &[1, 2], &[0, 0], true);
}

#[test]
fn without_bridge_ports_only_high_numbers_are_if_indexes() {
    check(&[101, 102], &[], &[101, 102], &[101, 102], true);
    check(&[101, 102], &[], &[101, 103], &[0, 0], true);
    check(&[1, 2], &[], &[1, 2], &[0, 0], true);
    // Their interfaces are not reported.
    check(&[101, 102], &[(101, 0), (102, 0)], &[101, 102], &[0, 0], true);
}

#[test]
fn a_doubtful_reading_is_explained_by_an_example() {
    let stations = placed(&[1, 9, 10], &[(9, 9), (10, 10)], &[1]);
    assert_eq!(
        stations.doubt.as_deref(),
        Some(
            "the ports in the MAC table are read as positions among the bridge ports, which is not certain: \
                 02:00:00:00:00:01 with port 1 is shown on ifIndex 9"
        )
    );
}
