use super::*;
use apmon_snmp_client::Value;

use crate::{
    device::interface::{Names, interfaces},
    recorded,
};

fn shown(data: &PollData) -> Vec<String> {
    let slots = slots(data, &interfaces(data, &Names::default()));
    let one = |(index, slot)| format!("{index} {slot}");
    slots.into_iter().map(one).collect()
}

#[test]
fn a_port_s_slot_is_the_outermost_part_below_the_chassis() {
    assert_eq!(
        shown(&recorded::cisco_3750()),
        [
            "10101 Switch 1 - WS-C3750G-12S - Fixed Module 0",
            "10102 slot 1/0",
            "10108 Switch 1 - WS-C3750G-12S - Fixed Module 0",
        ],
        "10102 is not among the entities, and Vlan1 is in no slot"
    );
    assert_eq!(shown(&recorded::h3c())[0], "1 Slot 0");
}

#[test]
fn without_entities_slots_come_from_port_names() {
    assert_eq!(
        shown(&recorded::juniper_mx()),
        ["563 slot 0/0", "564 slot 0/0", "611 slot 1/2"]
    );
    assert_eq!(shown(&recorded::linux()), [""; 0]);
}

#[test]
fn a_port_s_slot_is_read_from_its_name() {
    for (name, slot) in [
        ("Gi1/0/24", Some("slot 1/0")),
        ("1/0/24", Some("slot 1/0")),
        ("ge-0/0/1", Some("slot 0/0")),
        ("ge-0/0/1.100", Some("slot 0/0")),
        ("Ethernet1/49:2", Some("slot 1")),
        ("GigabitEthernet 2/7", Some("slot 2")),
        ("40GE1/0/2", Some("slot 1/0")),
        ("Ten-GigabitEthernet2/1/0/8", Some("slot 2/1/0")),
        ("eth0", None),
        ("24", None),
        ("", None),
        ("1/", None),
        ("/1", None),
        ("Fast Ethernet 10/100", None),
        ("NIC 10/100/1000", None),
        ("vpn 10.0.0.0/8", None),
        ("a1/2/3/4/5", None),
        ("x1/20000", None),
        ("é1/2", Some("slot 1")),
    ] {
        assert_eq!(slot_in_name(name).as_deref(), slot, "{name}");
    }
}

/// The slot of port 7, which is entity 1, given the container and class of each entity.
fn chain(parts: &[(&[u32], i64, i64)]) -> Option<String> {
    let number = |value: i64| Value::Integer(value);
    let contained: Vec<_> = parts
        .iter()
        .map(|(id, within, _)| (*id, number(*within)))
        .collect();
    let classes: Vec<_> = parts.iter().map(|(id, _, class)| (*id, number(*class))).collect();
    let described: Vec<_> = parts
        .iter()
        .map(|(id, ..)| (*id, Value::Octets(format!("part {}", id[0]).into_bytes())))
        .collect();
    let port = Value::Oid(apmon_snmp_client::Oid::join(mib::IF_INDEX, &[7]));
    let data = PollData::of(&[
        (mib::ENT_ALIAS_MAPPING_IDENTIFIER, &[(&[1, 0], port)]),
        (mib::ENT_PHYSICAL_CONTAINED_IN, &contained),
        (mib::ENT_PHYSICAL_CLASS, &classes),
        (mib::ENT_PHYSICAL_DESCR, &described),
    ]);
    slots(&data, &[]).remove(&7)
}

#[test]
fn a_chain_of_containers_ends_even_if_it_loops() {
    let port = (&[1][..], 2, 10);
    // Port, cage, module, chassis, stack.
    assert_eq!(
        chain(&[port, (&[2], 3, 5), (&[3], 4, 9), (&[4], 5, 3), (&[5], 0, 11)]).as_deref(),
        Some("part 3")
    );
    // Directly in the chassis.
    assert_eq!(chain(&[port, (&[2], 0, 3)]), None);
    // No chassis.
    assert_eq!(chain(&[port, (&[2], 0, 9)]).as_deref(), Some("part 2"));
    // Contained in itself, and in a loop.
    assert_eq!(chain(&[(&[1], 1, 10)]), None);
    assert_eq!(chain(&[port, (&[2], 3, 9), (&[3], 2, 5)]), None);
    assert_eq!(chain(&[port, (&[2], -3, 9)]), None);
}
