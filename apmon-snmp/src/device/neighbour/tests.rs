use super::*;
use crate::{
    device::interface::{Names, interfaces},
    recorded,
};

fn text(text: &str) -> Value {
    Value::Octets(text.as_bytes().to_vec())
}

fn shown(data: &PollData) -> Vec<String> {
    let found = neighbours(data, &interfaces(data, &Names::default()));
    let one = |(index, all): (u32, Vec<Neighbour>)| {
        let show = move |one: Neighbour| {
            let port = one.port.map_or_else(String::new, |port| format!(" {port}"));
            format!("{index} {} {}{port}", one.protocol, one.name)
        };
        all.into_iter().map(show)
    };
    found.into_iter().flat_map(one).collect()
}

#[test]
fn a_local_port_may_be_a_mac_in_text() {
    assert_eq!(
        shown(&recorded::cisco_nexus()),
        [
            "83886080 LLDP NWPU-CA-5548-02 mgmt0",
            "83886080 CDP NWPU-CA-5548-02(SSI183706KA) mgmt0",
            "436207616 LLDP H3C-1 Ten-GigabitEthernet1/0/49 Interface",
            "436211712 LLDP H3C-2 Ten-GigabitEthernet1/0/49 Interface",
            "436289536 CDP NWPU-CA-5548-02(SSI183706KA) Ethernet1/21",
        ]
    );
}

#[test]
fn a_local_port_may_be_a_number() {
    assert_eq!(
        shown(&recorded::juniper_mx()),
        [
            "563 LLDP SNNU-YT-Agg-BGQ-TJB-0 Ten-GigabitEthernet1/0/28",
            "611 LLDP re0-SNNU-CA-CORE-1 Connect to SNNU-YT-CORE-1::xe-1/2/0",
        ]
    );
}

#[test]
fn a_neighbour_without_a_name_is_shown_by_its_address() {
    assert_eq!(
        shown(&recorded::procurve()),
        [
            "8 LLDP E8:39:35:1A:CA:99 E8:39:35:1A:CA:99",
            "8 CDP E8:39:35:1A:CA:99 E8:39:35:1A:CA:99",
        ],
        "port 15 was cut out of the interfaces"
    );
}

#[test]
fn cdp_neighbours_are_indexed_by_interface() {
    assert_eq!(
        shown(&recorded::cisco_3750()),
        [
            "10101 CDP E-DJ-1F-101indoor GigabitEthernet0",
            "10101 CDP E-DJ-1F-102indoor GigabitEthernet0",
        ]
    );
}

/// A device with three ports, of which the bridge numbers the first two the other way
/// round, with a neighbour on local port 1.
fn device(local: &[(Object, Value)]) -> Vec<String> {
    let mac = |last| Value::Octets(vec![2, 0, 0, 0, 0, last]);
    let local: Vec<_> = local
        .iter()
        .map(|(object, value)| (*object, [(&[1u32][..], value.clone())]))
        .collect();
    let mut columns: Vec<_> = local.iter().map(|(object, rows)| (*object, &rows[..])).collect();
    let names = [
        (&[1][..], text("Gi0/1")),
        (&[2], text("Gi0/2")),
        (&[3], text("Gi0/3")),
    ];
    let aliases = [
        (&[1][..], text("-")),
        (&[2], text("-")),
        (&[3], text("to the roof")),
    ];
    let macs = [(&[1][..], mac(1)), (&[2], mac(2)), (&[3], mac(2))];
    let ports = [(&[1][..], Value::Integer(2)), (&[2], Value::Integer(1))];
    let states = [1, 2, 3].map(|_| Value::Integer(1));
    let states: Vec<_> = [&[1][..], &[2], &[3]].into_iter().zip(states).collect();
    columns.extend([
        (mib::IF_OPER_STATUS, &states[..]),
        (mib::IF_DESCR, &names[..]),
        (mib::IF_ALIAS, &aliases),
        (mib::IF_PHYS_ADDRESS, &macs),
        (mib::DOT1D_BASE_PORT_IF_INDEX, &ports),
    ]);
    let remote = [(&[77, 1, 5][..], text("core"))];
    columns.push((mib::LLDP_REM_SYS_NAME, &remote));
    shown(&PollData::of(&columns))
}

#[test]
fn a_local_port_is_found_by_its_name_then_by_its_number() {
    let id = mib::LLDP_LOC_PORT_ID;
    let description = mib::LLDP_LOC_PORT_DESC;
    let kind = |kind| (mib::LLDP_LOC_PORT_ID_SUBTYPE, Value::Integer(kind));
    let mac = |last| Value::Octets(vec![2, 0, 0, 0, 0, last]);
    for (local, index) in [
        (&[(id, text("Gi0/1"))][..], 1),
        (&[(id, text("to the roof"))], 3),
        (&[(id, mac(1)), kind(3)], 1),
        (&[(id, text("02:00:00:00:00:01"))], 1),
        // Two interfaces have this address: the number decides.
        (&[(id, mac(2)), kind(3)], 2),
        // Two have this alias.
        (&[(id, text("-"))], 2),
        (&[(id, text("x")), (description, text("Gi0/3"))], 3),
        // A number other than the local port's own is an ifIndex.
        (&[(id, text("3"))], 3),
        // The local port's own number is that of a bridge port.
        (&[(id, text("1"))], 2),
        (&[], 2),
    ] {
        assert_eq!(device(local), [format!("{index} LLDP core")], "{local:?}");
    }
}

#[test]
fn neighbours_of_unknown_interfaces_are_left_out() {
    let remote = [
        (&[0, 9, 1][..], text("elsewhere")),
        (&[0, 1], text("short")),
        (&[0, 1, 1], text("here")),
        (&[0, 1, 2], text("")),
    ];
    let data = PollData::of(&[
        (mib::IF_DESCR, &[(&[1], text("eth0"))]),
        (mib::IF_OPER_STATUS, &[(&[1], Value::Integer(1))]),
        (mib::LLDP_REM_SYS_NAME, &remote),
        (mib::CDP_CACHE_DEVICE_ID, &[(&[1], text("short"))]),
    ]);
    assert_eq!(shown(&data), ["1 LLDP here"]);
}
