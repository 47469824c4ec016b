//! The shapes in which agents show the rows of a forwarding table.

use super::*;

/// A switch whose bridge ports 1 and 2 are the interfaces 101 and 102, with the tables
/// `columns`.
fn switch(columns: &[(Object, Rows<'_>)]) -> PollData {
    let ports: (Object, Rows<'_>) = (mib::DOT1D_BASE_PORT_IF_INDEX, &[(&[1], 101), (&[2], 102)]);
    let all: Vec<_> = [ports].into_iter().chain(columns.iter().copied()).collect();
    data(&all)
}

/// Adds a column of MAC addresses.
fn with_addresses(data: &mut PollData, object: Object, rows: &[(&[u32], &[u8])]) {
    let rows = rows.iter().map(|(index, octets)| Row {
        index: index.to_vec(),
        value: Value::Octets(octets.to_vec()),
    });
    let rows = rows.collect();
    data.put_column(object, Column { rows, failure: None });
}

/// What is shown of one learned row with this index and port 2.
fn one(by_vlan: bool, index: &[u32]) -> (Vec<String>, String) {
    let (port, status) = match by_vlan {
        true => (mib::DOT1Q_TP_FDB_PORT, mib::DOT1Q_TP_FDB_STATUS),
        false => (mib::DOT1D_TP_FDB_PORT, mib::DOT1D_TP_FDB_STATUS),
    };
    let stations = read(&switch(&[(port, &[(index, 2)]), (status, &[(index, 3)])]));
    assert_eq!(stations.learned, stations.on.len());
    (shown(&stations), gap(&stations))
}

const PLACED: &str = "102: 02:00:00:00:00:0A";

#[test]
fn a_length_before_the_address_is_read() {
    for (by_vlan, index) in [
        (false, &[2, 0, 0, 0, 0, 10][..]),
        (false, &[6, 2, 0, 0, 0, 0, 10]),
        (false, &[77, 6, 2, 0, 0, 0, 0, 10]),
        (false, &[6, 6, 2, 0, 0, 0, 0, 10]),
        (true, &[1, 2, 0, 0, 0, 0, 10]),
        (true, &[1, 6, 2, 0, 0, 0, 0, 10]),
        (true, &[6, 2, 0, 0, 0, 0, 10]),
        (true, &[4_000, 1, 6, 2, 0, 0, 0, 0, 10]),
        (true, &[0, 1, 2, 3, 6, 2, 0, 0, 0, 0, 10]),
    ] {
        assert_eq!(
            one(by_vlan, index),
            (vec![PLACED.to_owned()], String::new()),
            "{index:?}"
        );
    }
}

#[test]
fn any_other_index_is_unreadable_and_counted() {
    for (by_vlan, index) in [
        (false, &[][..]),
        (false, &[54]),
        (false, &[1, 2, 0, 0, 0, 0, 10]),
        (false, &[6, 2, 0, 0, 0, 0, 10, 1]),
        (false, &[6, 2, 0, 0, 0, 0, 256]),
        (true, &[2, 0, 0, 0, 0, 10]),
        (true, &[1, 2, 0, 0, 0, 0, 256]),
        (true, &[1, 2, 2, 0, 0, 0, 0, 10]),
        (true, &[1, 2, 0, 0, 0, 0, 10, 101]),
    ] {
        let (on, gap) = one(by_vlan, index);
        assert_eq!(on, [""; 0], "{index:?}");
        assert!(
            gap.starts_with("1 row of the MAC table is unreadable: dot1"),
            "{gap}"
        );
        let number: Vec<_> = index.iter().map(u32::to_string).collect();
        assert!(
            gap.ends_with(&format!("TpFdbPort.{} = 2", number.join("."))),
            "{gap}"
        );
    }
}

#[test]
fn the_addresses_of_numbered_rows_are_in_their_column() {
    for (address, port, status, by_vlan) in [
        (
            mib::DOT1D_TP_FDB_ADDRESS,
            mib::DOT1D_TP_FDB_PORT,
            mib::DOT1D_TP_FDB_STATUS,
            false,
        ),
        (
            mib::DOT1Q_TP_FDB_ADDRESS,
            mib::DOT1Q_TP_FDB_PORT,
            mib::DOT1Q_TP_FDB_STATUS,
            true,
        ),
    ] {
        let rows: Rows<'_> = &[(&[1], 1), (&[2], 2), (&[3], 2), (&[4], 0)];
        let mut data = switch(&[
            (port, rows),
            (status, &[(&[1], 3), (&[2], 3), (&[3], 4), (&[4], 3)]),
        ]);
        assert!(lacks_addresses(&data, by_vlan));
        assert!(!lacks_addresses(&data, !by_vlan));
        assert_eq!(
            read(&data).gap.map(|gap| gap.unread),
            Some(3),
            "the third is not learned"
        );
        let text = b"02-00-00-00-00-0c";
        with_addresses(
            &mut data,
            address,
            &[
                (&[1], &[2, 0, 0, 0, 0, 10]),
                (&[2], text),
                (&[3], &[2, 0, 0, 0, 0, 11]),
                (&[4], &[0; 6]),
            ],
        );
        assert!(!lacks_addresses(&data, by_vlan));
        let stations = read(&data);
        assert_eq!(
            shown(&stations),
            ["101: 02:00:00:00:00:0A", "102: 02:00:00:00:00:0C"]
        );
        assert_eq!(gap(&stations), "", "the fourth row is empty");
    }
}

#[test]
fn addresses_need_not_be_read_once_every_index_has_one() {
    let port = mib::DOT1D_TP_FDB_PORT;
    let mut data = switch(&[(port, &[(A, 1), (&[2], 2)])]);
    with_addresses(
        &mut data,
        mib::DOT1D_TP_FDB_ADDRESS,
        &[(&[2], &[2, 0, 0, 0, 0, 11])],
    );
    assert!(!lacks_addresses(&data, false));
    assert!(!has_addresses_in_indexes(&data, false), "the second row needs it");
    let mut data = switch(&[(port, &[(A, 1), (B, 2)])]);
    assert!(has_addresses_in_indexes(&data, false));
    assert!(
        !has_addresses_in_indexes(&data, true),
        "an empty table says nothing"
    );
    let column = Column {
        rows: Vec::new(),
        failure: Some("no answer".into()),
    };
    data.put_column(mib::DOT1D_TP_FDB_STATUS, column);
    assert!(!has_addresses_in_indexes(&data, false), "not read to its end");
}

#[test]
fn an_address_column_that_contradicts_the_index_makes_the_row_unreadable() {
    let columns: &[(Object, Rows<'_>)] = &[(mib::DOT1D_TP_FDB_PORT, &[(A, 1), (B, 1), (C, 2)])];
    let mut data = switch(columns);
    with_addresses(
        &mut data,
        mib::DOT1D_TP_FDB_ADDRESS,
        &[(A, &[2, 0, 0, 0, 0, 10]), (B, &[2, 0, 0, 0, 0, 99]), (C, &[0; 6])],
    );
    let stations = read(&data);
    assert_eq!(
        shown(&stations),
        ["101: 02:00:00:00:00:0A", "102: 02:00:00:00:00:0C"]
    );
    assert_eq!(
        gap(&stations),
        "1 row of the MAC table is unreadable: dot1dTpFdbPort.2.0.0.0.0.11 = 1"
    );
}

#[test]
fn a_row_without_a_port_is_on_no_known_port() {
    let columns: &[(Object, Rows<'_>)] = &[
        (mib::DOT1D_TP_FDB_PORT, &[(A, 1)]),
        (mib::DOT1D_TP_FDB_STATUS, &[(A, 3), (B, 3), (C, 4)]),
    ];
    let stations = read(&switch(columns));
    assert_eq!(shown(&stations), ["101: 02:00:00:00:00:0A"]);
    assert_eq!(
        gap(&stations),
        "1 row of the MAC table is on no known port: 02:00:00:00:00:0B without a port"
    );
}

#[test]
fn a_row_without_a_status_counts_as_learned_unless_statuses_are_missing() {
    let columns: &[(Object, Rows<'_>)] = &[
        (mib::DOT1D_TP_FDB_PORT, &[(A, 1), (B, 1), (C, 1)]),
        (mib::DOT1D_TP_FDB_STATUS, &[(A, 3), (B, 5)]),
    ];
    let mut data = switch(columns);
    assert_eq!(shown(&read(&data)), ["101: 02:00:00:00:00:0A 02:00:00:00:00:0C"]);
    broken(&mut data, mib::DOT1D_TP_FDB_STATUS);
    let stations = read(&data);
    assert_eq!(
        shown(&stations),
        ["101: 02:00:00:00:00:0A"],
        "it may be a static entry"
    );
    assert!(!stations.is_readable);
}

#[test]
fn only_learned_rows_of_others_are_counted_on_port_0() {
    let own: &[u32] = &[2, 0, 0, 0, 0, 99];
    let columns: &[(Object, Rows<'_>)] = &[
        (mib::DOT1D_TP_FDB_PORT, &[(own, 0), (A, 0), (B, 0), (C, 1)]),
        (mib::DOT1D_TP_FDB_STATUS, &[(own, 3), (A, 4), (B, 5), (C, 3)]),
    ];
    let mut data = switch(columns);
    data.put(apmon_snmp_client::Varbind::new(
        apmon_snmp_client::Oid::join(mib::DOT1D_BASE_BRIDGE_ADDRESS, &[0]),
        Value::Octets(vec![2, 0, 0, 0, 0, 99]),
    ));
    let stations = read(&data);
    assert_eq!(shown(&stations), ["101: 02:00:00:00:00:0C"]);
    assert_eq!(stations.gap, None);

    let columns: &[(Object, Rows<'_>)] = &[
        (mib::DOT1D_TP_FDB_PORT, &[(A, 0), (C, 1)]),
        (mib::DOT1D_TP_FDB_STATUS, &[(A, 3), (C, 3)]),
    ];
    assert_eq!(
        gap(&read(&switch(columns))),
        "1 row of the MAC table is on no known port: 02:00:00:00:00:0A with port 0"
    );
}

#[test]
fn a_bridge_port_on_an_interface_that_does_not_exist_places_nothing() {
    let mut data = switch(&[(mib::DOT1D_TP_FDB_PORT, &[(A, 1), (B, 2)])]);
    let rows = vec![Row {
        index: vec![101],
        value: Value::Integer(1),
    }];
    let column = Column { rows, failure: None };
    data.put_column(mib::IF_OPER_STATUS, column);
    let stations = stations(
        &data,
        &[],
        &interfaces(&data, &Names::default()),
        &EarlierTables::default(),
    );
    assert_eq!(shown(&stations), ["101: 02:00:00:00:00:0A"]);
    assert_eq!(
        gap(&stations),
        "1 row of the MAC table is on no known port: 02:00:00:00:00:0B with port 2"
    );
}
