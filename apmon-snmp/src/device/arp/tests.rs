use super::*;
use apmon_snmp_client::{Column, Row};

use crate::recorded;

fn octets(octets: &[u8]) -> Value {
    Value::Octets(octets.to_vec())
}

fn shown(data: &PollData) -> Vec<String> {
    let one = |(mac, addresses): (Mac, BTreeSet<IpAddr>)| {
        let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        format!("{mac} {}", addresses.join(" "))
    };
    addresses(data).into_iter().map(one).collect()
}

#[test]
fn a_linux_host_s_neighbours_have_addresses_of_both_kinds() {
    let data = recorded::linux();
    assert_eq!(
        shown(&data),
        [
            "00:50:56:01:01:66 10.3.19.53",
            "00:50:56:97:2F:01 10.3.19.51",
            "00:50:56:97:58:94 10.3.19.166",
            "00:50:56:97:68:3C 10.3.19.55",
            "00:50:56:97:7F:4E 10.3.19.163",
            "74:25:8A:D6:DC:A7 10.3.19.1 2001:da8:215:4079::1 fe80::7625:8aff:fed6:dca7",
        ]
    );
    assert_eq!(arp_count(&data), Some(17), "each interface has its own entries");
}

#[test]
fn addresses_are_read_from_the_older_table_alone() {
    let data = recorded::cisco_3750();
    assert_eq!(arp_count(&data), Some(9));
    assert!(shown(&data).contains(&"00:18:B9:14:F9:C1 172.25.2.4".to_owned()));
}

#[test]
fn a_zone_is_not_part_of_an_address() {
    let mac = octets(&[2, 0, 0, 0, 0, 1]);
    let mut v6z = vec![1, 4, 20, 0xfe, 0x80];
    v6z.extend([0; 13]);
    v6z.extend([1, 0, 0, 0, 7]);
    let data = PollData::of(&[(
        mib::IP_NET_TO_PHYSICAL_PHYS_ADDRESS,
        &[(&[1, 3, 8, 192, 168, 1, 9, 0, 0, 0, 7], mac.clone()), (&v6z, mac)],
    )]);
    assert_eq!(shown(&data), ["02:00:00:00:00:01 192.168.1.9 fe80::1"]);
}

#[test]
fn malformed_indexes_and_groups_are_left_out() {
    let mac = octets(&[2, 0, 0, 0, 0, 1]);
    let data = PollData::of(&[
        (
            mib::IP_NET_TO_PHYSICAL_PHYS_ADDRESS,
            &[
                (&[1, 1, 4, 10, 0, 0, 1], mac.clone()),
                (&[1, 1, 4, 10, 0, 0], mac.clone()),
                (&[1, 1, 3, 10, 0, 0, 2], mac.clone()),
                (&[1, 1, 4, 10, 0, 0, 256], mac.clone()),
                (&[1, 9, 4, 10, 0, 0, 3], mac.clone()),
                (&[1], mac.clone()),
                (&[1, 1, 4, 10, 0, 0, 4], octets(&[])),
                (&[1, 1, 4, 10, 0, 0, 255], octets(&[255; 6])),
            ],
        ),
        (
            mib::IP_NET_TO_MEDIA_PHYS_ADDRESS,
            &[(&[1, 10, 0, 0, 1], mac.clone()), (&[10, 0, 0, 9], mac)],
        ),
    ]);
    assert_eq!(shown(&data), ["02:00:00:00:00:01 10.0.0.1"]);
    assert_eq!(
        arp_count(&data),
        Some(3),
        "entries without a station count as well"
    );
}

#[test]
fn a_table_that_could_not_be_read_is_not_counted() {
    let mut data = recorded::linux();
    let rows: Vec<Row> = data.rows(mib::IP_NET_TO_PHYSICAL_PHYS_ADDRESS).to_vec();
    let failure = Some("no answer".to_owned());
    let column = Column { rows, failure };
    data.put_column(mib::IP_NET_TO_PHYSICAL_PHYS_ADDRESS, column);
    assert_eq!(arp_count(&data), None);
    assert_eq!(addresses(&data).len(), 6);
    assert_eq!(arp_count(&PollData::default()), Some(0));
}
