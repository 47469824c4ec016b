use proptest::prelude::*;

use super::*;

fn value(octets: &[u8]) -> Result<Value> {
    Reader::new(octets).value()
}

fn written(value: &Value) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.value(value);
    writer.finish()
}

#[test]
fn numbers_are_written_in_their_shortest_form() {
    for (number, octets) in [
        (0, &[2, 1, 0][..]),
        (127, &[2, 1, 127]),
        (128, &[2, 2, 0, 128]),
        (-1, &[2, 1, 0xff]),
        (-128, &[2, 1, 0x80]),
        (-129, &[2, 2, 0xff, 0x7f]),
        (i64::MAX, &[2, 8, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
    ] {
        assert_eq!(written(&Value::Integer(number)), octets, "{number}");
    }
    assert_eq!(
        written(&Value::Counter64(u64::MAX)),
        [0x46, 9, 0, 255, 255, 255, 255, 255, 255, 255, 255]
    );
}

#[test]
fn numbers_of_agents_that_break_the_rules_are_read() {
    // Without the zero octet before a first bit that is set.
    assert_eq!(
        value(&[0x41, 4, 0xff, 0xff, 0xff, 0xfe]),
        Ok(Value::Counter32(0xffff_fffe))
    );
    assert_eq!(
        value(&[0x46, 8, 0xff, 255, 255, 255, 255, 255, 255, 254]),
        Ok(Value::Counter64(u64::MAX - 1))
    );
    // With superfluous octets.
    assert_eq!(value(&[0x42, 6, 0, 0, 0, 0, 1, 2]), Ok(Value::Gauge32(258)));
    assert_eq!(value(&[2, 0x81, 1, 5]), Ok(Value::Integer(5)));
    assert_eq!(
        value(&[2, 9, 0xff, 0xff, 255, 255, 255, 255, 255, 255, 0xfe]),
        Ok(Value::Integer(-2))
    );
}

#[test]
fn an_unreadable_value_does_not_affect_other_values() {
    // A counter without octets, then one with octets.
    let list = [
        &[0x30, 16][..],
        &[0x30, 5, 6, 1, 0x2b, 0x41, 0],
        &[0x30, 7, 6, 2, 0x2b, 1, 0x41, 1, 7],
    ]
    .concat();
    let varbinds = Reader::new(&list).varbinds().unwrap();
    assert_eq!(varbinds[0].value, Value::Unreadable(0x41));
    assert_eq!(varbinds[1].value, Value::Counter32(7));
    for octets in [
        &[0x41, 5, 1, 0, 0, 0, 0][..],
        &[0x46, 0],
        &[0x40, 3, 1, 2, 3],
        &[6, 0],
        &[6, 1, 0x80],
        &[0x45, 1, 1],
    ] {
        assert_eq!(value(octets), Ok(Value::Unreadable(octets[0])), "{octets:?}");
    }
}

#[test]
fn a_message_that_is_cut_short_is_refused() {
    for octets in [
        &[][..],
        &[2],
        &[2, 2, 1],
        &[2, 0x80],
        &[2, 0x82, 1],
        &[2, 0x84, 255, 255, 255, 255],
        &[2, 0x89, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &[0x1f, 1, 1],
    ] {
        assert!(value(octets).is_err(), "{octets:?}");
    }
}

#[test]
fn the_first_octet_of_an_oid_holds_two_parts() {
    for (text, octets) in [
        ("1.3.6.1.2.1", &[6, 5, 0x2b, 6, 1, 2, 1][..]),
        ("0.0", &[6, 1, 0]),
        ("1.0.8802.1", &[6, 4, 0x28, 0xc4, 0x62, 1]),
        ("2.999.3", &[6, 3, 0x88, 0x37, 3]),
        ("1.3.4294967295", &[6, 6, 0x2b, 0x8f, 0xff, 0xff, 0xff, 0x7f]),
    ] {
        let oid: Oid = text.parse().unwrap();
        assert_eq!(written(&Value::Oid(oid.clone())), octets, "{text}");
        assert_eq!(value(octets), Ok(Value::Oid(oid)), "{text}");
    }
    assert_eq!(
        value(&[6, 6, 0x2b, 0x9f, 0xff, 0xff, 0xff, 0x7f]),
        Ok(Value::Unreadable(6))
    );
}

pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::Integer),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::Octets),
        Just(Value::Null),
        any_oid().prop_map(Value::Oid),
        any::<[u8; 4]>().prop_map(|ip| Value::IpAddress(ip.into())),
        any::<u32>().prop_map(Value::Counter32),
        any::<u32>().prop_map(Value::Gauge32),
        any::<u32>().prop_map(Value::TimeTicks),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Opaque),
        any::<u64>().prop_map(Value::Counter64),
        Just(Value::NoSuchObject),
        Just(Value::NoSuchInstance),
        Just(Value::EndOfMibView),
    ]
}

pub(crate) fn any_oid() -> impl Strategy<Value = Oid> {
    let head = prop_oneof![(0_u32..2, 0_u32..40), (Just(2_u32), 0_u32..1_000_000)];
    let tail = prop::collection::vec(prop_oneof![0_u32..300, any::<u32>()], 0..30);
    (head, tail).prop_map(|((first, second), tail)| Oid::join(&[first, second], &tail))
}

proptest! {
    #[test]
    fn what_is_written_is_read(varbinds in prop::collection::vec((any_oid(), any_value()), 0..20)) {
        let varbinds: Vec<Varbind> = varbinds.into_iter().map(|(oid, value)| Varbind { oid, value }).collect();
        let mut writer = Writer::default();
        writer.varbinds(&varbinds);
        let octets = writer.finish();
        prop_assert_eq!(Reader::new(&octets).varbinds().unwrap(), varbinds);
    }

    #[test]
    fn no_octets_make_the_reader_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Reader::new(&octets).varbinds();
        let _ = Reader::new(&octets).value();
    }
}

#[test]
fn an_unreadable_name_does_not_affect_values() {
    // A sub-identifier of 36 bits, as agents write a number that they take for negative.
    let list = [
        &[0x30, 19][..],
        &[0x30, 10, 6, 5, 0x2b, 0x9f, 0xff, 0xff, 0x7f, 2, 1, 5],
        &[0x30, 5, 6, 1, 0x2b, 5, 0],
    ]
    .concat();
    let varbinds = Reader::new(&list).varbinds().unwrap();
    assert_eq!(varbinds[0].value, Value::Integer(5));
    assert_eq!(varbinds[1], Varbind::new(Oid::from([1, 3]), Value::Null));
    let nameless = [Varbind::new(Oid::default(), Value::Null)];
    let mut writer = Writer::default();
    writer.varbinds(&nameless);
    assert_eq!(Reader::new(&writer.finish()).varbinds(), Ok(nameless.to_vec()));
}
