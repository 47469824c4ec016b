use super::*;
use crate::recorded;

fn text(text: &str) -> Value {
    Value::Octets(text.as_bytes().to_vec())
}

fn read(data: &PollData) -> Vec<Interface> {
    interfaces(data, &Names::default())
}

fn one(data: &PollData, index: u32) -> Interface {
    let mut found = read(data).into_iter();
    found.find(|one| one.index == index).unwrap()
}

fn counted(value: u64, is_64: bool) -> Option<CounterValue> {
    Some(CounterValue { value, is_64 })
}

#[test]
fn an_interface_of_a_cisco_is_read_completely() {
    let port = one(&recorded::cisco_3750(), 10101);
    assert_eq!(port.name, "GigabitEthernet1/0/1");
    assert_eq!(port.short_name.as_deref(), Some("Gi1/0/1"));
    assert_eq!(port.alias.as_deref(), Some("DJ_200_POE"));
    assert_eq!(port.speed, Some(1_000_000_000));
    assert_eq!(port.own_mac.unwrap().to_string(), "F4:7F:35:93:AF:81");
    assert_eq!(port.state.to_string(), "oper=up admin=up");
    assert!(port.is_ethernet());
    let counts = port.counts;
    assert_eq!(counts.in_octets, counted(4_377_757_100_764, true));
    assert_eq!(counts.out_octets, counted(37_940_036_623_733, true));
    assert_eq!(counts.in_ucast, counted(17_803_408_877, true));
    assert_eq!(counts.in_multicast, counted(14_861_173, true));
    assert_eq!(counts.out_broadcast, counted(6_948_863_570, true));
    assert_eq!(
        counts.in_non_ucast, None,
        "multicast and broadcast are counted separately"
    );
    assert!(counts.in_errors.is_some_and(|errors| !errors.is_64));
}

#[test]
fn states_and_interface_types_are_read() {
    let data = recorded::cisco_3750();
    let shown: Vec<String> = read(&data)
        .iter()
        .map(|one| format!("{} {} ethernet={}", one.index, one.state, one.is_ethernet()))
        .collect();
    assert_eq!(
        shown,
        [
            "1 oper=up admin=up ethernet=false",
            "10101 oper=up admin=up ethernet=true",
            "10102 oper=down admin=up ethernet=true",
            "10108 oper=down admin=up ethernet=true",
        ]
    );
}

#[test]
fn stuck_64_bit_counters_give_way_to_32_bit_ones() {
    let port = one(&recorded::dlink(), 2);
    assert_eq!(port.counts.in_octets, counted(77_308_537, false));
    assert_eq!(port.counts.out_ucast, counted(23_705_681, false));
    assert_eq!(port.counts.in_multicast, None);
    assert_eq!(port.counts.in_non_ucast, counted(3_080, false));
    // If the 32-bit counters are zero as well, the 64-bit ones are used.
    let data = PollData::of(&[
        (mib::IF_OPER_STATUS, &[(&[2], Value::Integer(1))]),
        (mib::IF_HC_IN_OCTETS, &[(&[2], Value::Counter64(0))]),
        (mib::IF_HC_OUT_OCTETS, &[(&[2], Value::Counter64(0))]),
        (mib::IF_IN_OCTETS, &[(&[2], Value::Counter32(0))]),
        (mib::IF_OUT_OCTETS, &[(&[2], Value::Counter32(0))]),
    ]);
    assert_eq!(one(&data, 2).counts.in_octets, counted(0, true));
}

#[test]
fn counters_of_32_bits_are_used_if_there_are_no_others() {
    let data = PollData::of(&[
        (mib::IF_OPER_STATUS, &[(&[2], Value::Integer(1))]),
        (mib::IF_IN_OCTETS, &[(&[2], Value::Counter32(7))]),
        (mib::IF_IN_UCAST_PKTS, &[(&[2], Value::Counter32(8))]),
        (mib::IF_IN_N_UCAST_PKTS, &[(&[2], Value::Counter32(9))]),
        // Some agents report a 32-bit counter in the 64-bit object.
        (mib::IF_HC_OUT_OCTETS, &[(&[2], Value::Counter32(10))]),
    ]);
    let counts = one(&data, 2).counts;
    assert_eq!(counts.in_octets, counted(7, false));
    assert_eq!(counts.in_ucast, counted(8, false));
    assert_eq!(counts.in_non_ucast, counted(9, false));
    assert_eq!(counts.out_octets, counted(10, false));
}

#[test]
fn a_speed_is_read_from_either_object_in_either_unit() {
    let (gauge, max) = (Value::Gauge32, u32::MAX);
    for (high, low, speed) in [
        (Some(10_000), Some(max), Some(10_000_000_000)),
        (Some(0), Some(9_600), Some(9_600)),
        (Some(0), Some(max), None),
        (Some(0), Some(0), None),
        (None, Some(100_000_000), Some(100_000_000)),
        (None, Some(max), None),
        (Some(max), Some(10), Some(10)),
        // bit/s in the object for Mbit/s.
        (Some(100_000_000), Some(100_000_000), Some(100_000_000)),
        (None, None, None),
    ] {
        let row = |value: Option<u32>| value.map(|value| (&[2][..], gauge(value)));
        let (high_row, low_row): (Vec<_>, Vec<_>) =
            (row(high).into_iter().collect(), row(low).into_iter().collect());
        let data = PollData::of(&[
            (mib::IF_OPER_STATUS, &[(&[2], Value::Integer(1))]),
            (mib::IF_HIGH_SPEED, &high_row),
            (mib::IF_SPEED, &low_row),
        ]);
        assert_eq!(one(&data, 2).speed, speed, "{high:?} {low:?}");
    }
    assert_eq!(one(&recorded::dlink(), 2).speed, Some(100_000_000));
}

#[test]
fn an_interface_without_a_description_is_named_by_ifname_or_number() {
    let data = PollData::of(&[
        // The fifth has only a name: it was added while the others were read.
        (
            mib::IF_DESCR,
            &[(&[1], text("eth0")), (&[2], text("")), (&[5], text("veth0"))],
        ),
        (mib::IF_NAME, &[(&[2], text("e\u{1b}[2J"))]),
        (mib::IF_ADMIN_STATUS, &[(&[3], Value::Integer(2))]),
        (
            mib::IF_OPER_STATUS,
            &[
                (&[1], Value::Integer(1)),
                (&[2], Value::Integer(1)),
                (&[4], Value::Integer(99)),
                (&[4, 1], Value::Integer(1)),
            ],
        ),
    ]);
    let found = read(&data);
    let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["eth0", "e\\u{1b}[2J", "if3", "if4"]);
    assert_eq!(found[3].state, PortState::default());
    let long = PollData::of(&[
        (mib::IF_DESCR, &[(&[1], text(&"x".repeat(500)))]),
        (mib::IF_OPER_STATUS, &[(&[1], Value::Integer(1))]),
    ]);
    assert_eq!(read(&long)[0].name.len(), NAME + "...".len());
}

#[test]
fn names_missing_from_a_poll_are_taken_from_an_earlier_one() {
    let names = Names::of(&read(&recorded::cisco_3750()));
    let state = |index: &'static [u32]| (index, Value::Integer(1));
    let rows = [state(&[10101]), state(&[10102]), state(&[77])];
    let data = PollData::of(&[
        (mib::IF_OPER_STATUS, &rows),
        (mib::IF_ALIAS, &[(&[10101], text(""))]),
        (mib::IF_IN_OCTETS, &[(&[10102], Value::Counter32(1))]),
    ]);
    let found = interfaces(&data, &names);
    let shown: Vec<_> = found.iter().map(|one| (one.index, one.name.as_str())).collect();
    let port = &found[1];
    assert_eq!(
        shown,
        [
            (77, "if77"),
            (10101, "GigabitEthernet1/0/1"),
            (10102, "GigabitEthernet1/0/2")
        ]
    );
    assert_eq!(port.alias, None, "the alias was removed since");
    assert_eq!(port.speed, Some(1_000_000_000));
    assert!(port.is_ethernet() && port.own_mac.is_some());
    assert_eq!(port.counts, PortCounts::default(), "counts are not remembered");
    assert_eq!(found[2].counts.in_octets, counted(1, false));
}

#[test]
fn a_row_that_vanished_midway_has_no_counts() {
    let found = read(&recorded::linux());
    assert_eq!(found[0].name, "lo");
    assert_eq!(found[0].own_mac, None);
    assert_eq!(found[0].counts, PortCounts::default());
    assert_ne!(found[1].counts, PortCounts::default());
}
