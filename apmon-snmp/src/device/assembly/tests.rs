use std::fmt::Write as _;

use proptest::{collection::vec, prelude::*};

use super::*;
use apmon_snmp_client::{Column, Oid, Row, Varbind};

use crate::{
    device::{
        arp::{addresses, arp_count},
        bridge::{EarlierTables, VlanTable, stations},
        chassis_slot::slots,
        interface::{Names, interfaces},
        neighbour::neighbours,
    },
    recorded::{self, OBJECTS},
};

fn assembly(data: &PollData, vlans: &[VlanTable]) -> Device {
    let interfaces = interfaces(data, &Names::default());
    let parts = Parts {
        interfaces: &interfaces,
        stations: &stations(data, vlans, &interfaces, &EarlierTables::default()),
        addresses: &addresses(data),
        neighbours: &neighbours(data, &interfaces),
        slots: &slots(data, &interfaces),
        vendor: Some("Cisco"),
    };
    device(data, &parts)
}

#[test]
fn a_recorded_device_is_assembled_completely() {
    let device = assembly(&recorded::cisco_3750(), &[]);
    assert_eq!(device.name.as_deref(), Some("DUMSYS-90"));
    assert_eq!((device.location, device.contact), (None, None));
    assert!(
        device
            .description
            .unwrap()
            .starts_with("Cisco IOS Software, C3750")
    );
    assert_eq!(device.vendor.as_deref(), Some("Cisco"));
    assert_eq!(device.up_for, Some(Duration::from_millis(38_969_789_210)));
    let mut shown = String::new();
    for port in &device.ports {
        let (name, short) = (&port.name, port.short_name.as_deref().unwrap_or("-"));
        let (slot, alias) = (
            port.slot.as_deref().unwrap_or("-"),
            port.alias.as_deref().unwrap_or("-"),
        );
        let (neighbours, stations) = (port.neighbours.len(), port.stations.len());
        writeln!(
            shown,
            "{name} {short} {alias} ({slot}) neighbours={neighbours} stations={stations}"
        )
        .unwrap();
    }
    assert_eq!(
        shown,
        "Vlan1 Vl1 - (-) neighbours=0 stations=0\n\
         GigabitEthernet1/0/1 Gi1/0/1 DJ_200_POE (Switch 1 - WS-C3750G-12S - Fixed Module 0) neighbours=2 stations=2\n\
         GigabitEthernet1/0/2 Gi1/0/2 - (slot 1/0) neighbours=0 stations=0\n\
         GigabitEthernet1/0/8 Gi1/0/8 link_loufeng (Switch 1 - WS-C3750G-12S - Fixed Module 0) neighbours=0 stations=0\n"
    );
}

#[test]
fn a_station_has_the_addresses_that_the_device_knows() {
    let mac = "02:00:00:00:00:01".parse().unwrap();
    let address: IpAddr = "192.168.1.9".parse().unwrap();
    let data = recorded::cisco_3750();
    let parts = Parts {
        interfaces: &interfaces(&data, &Names::default()),
        stations: &Stations {
            on: BTreeMap::from([(10108, BTreeSet::from([mac]))]),
            ..Stations::default()
        },
        addresses: &BTreeMap::from([(mac, BTreeSet::from([address]))]),
        neighbours: &BTreeMap::new(),
        slots: &BTreeMap::new(),
        vendor: None,
    };
    let device = device(&data, &parts);
    let expected = Station {
        mac,
        addresses: vec![address],
        names: vec![],
    };
    assert_eq!(device.ports.last().unwrap().stations, [expected]);
}

#[test]
fn the_uptime_of_the_host_is_preferred_to_that_of_the_agent() {
    let device = assembly(&recorded::linux(), &[]);
    assert_eq!(device.up_for, Some(Duration::from_millis(762_802_950)));
    assert_eq!(assembly(&PollData::default(), &[]), {
        let mut nothing = Device::default();
        nothing.vendor = Some("Cisco".into());
        nothing
    });
}

#[test]
fn a_repeated_name_is_reported_once() {
    let device = assembly(&recorded::cisco_nexus(), &[]);
    assert_eq!(device.ports[0].name, "mgmt0");
    assert_eq!(device.ports[0].short_name, None);
}

fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![-2i64..5, any::<i64>()];
    prop_oneof![
        4 => number.prop_map(Value::Integer),
        3 => vec(any::<u8>(), 0..12).prop_map(Value::Octets),
        1 => vec(any::<u8>(), 300).prop_map(Value::Octets),
        2 => "[A-Za-z]{0,3}[0-9/.:]{0,9}".prop_map(|text| Value::Octets(text.into_bytes())),
        1 => any::<u32>().prop_map(Value::Counter32),
        1 => any::<u32>().prop_map(Value::Gauge32),
        1 => any::<u64>().prop_map(Value::Counter64),
        1 => index().prop_map(|index| Value::Oid(Oid::join(mib::IF_INDEX, &index))),
        1 => Just(Value::Null),
        1 => Just(Value::NoSuchInstance),
        1 => any::<u8>().prop_map(Value::Unreadable),
    ]
}

/// Indexes of small numbers, so that rows of several columns coincide.
fn index() -> impl Strategy<Value = Vec<u32>> {
    let number = prop_oneof![5 => 0u32..6, 1 => any::<u32>()];
    prop_oneof![
        4 => vec(number.clone(), 1..3),
        4 => vec(0u32..6, 6..8),
        1 => vec(number, 0..24),
        1 => vec(any::<u8>().prop_map(u32::from), 4).prop_map(|ip| [&[1, 1, 4][..], &ip].concat()),
        1 => vec(any::<u8>().prop_map(u32::from), 20).prop_map(|ip| [&[1, 4, 20][..], &ip].concat()),
    ]
}

fn data(objects: &'static [Object]) -> impl Strategy<Value = PollData> {
    let row = (index(), value()).prop_map(|(index, value)| Row { index, value });
    let failure = proptest::option::weighted(0.2, Just("no answer".to_owned()));
    let column = (vec(row, 0..8), failure).prop_map(|(rows, failure)| Column { rows, failure });
    vec((column, value()), objects.len()).prop_map(move |columns| {
        let mut data = PollData::default();
        for (object, (column, scalar)) in objects.iter().zip(columns) {
            data.put(Varbind::new(Oid::join(object, &[0]), scalar));
            data.put_column(object, column);
        }
        data
    })
}

const OF_A_VLAN: &[Object] = &[
    mib::DOT1D_BASE_PORT_IF_INDEX,
    mib::DOT1D_TP_FDB_PORT,
    mib::DOT1D_TP_FDB_STATUS,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_answer_of_an_agent_causes_a_panic(data in data(OBJECTS), of_a_vlan in data(OF_A_VLAN)) {
        let vlans = [VlanTable { vlan: 20, data: of_a_vlan }];
        let device = assembly(&data, &vlans);
        arp_count(&data);
        for port in &device.ports {
            prop_assert!(port.name.chars().count() <= NAME + 3);
            prop_assert!(!port.name.chars().any(char::is_control));
        }
        let found = interfaces(&data, &Names::default());
        let again = interfaces(&data, &Names::of(&found));
        prop_assert_eq!(&found, &again, "values that were read take precedence over known ones");
        let stations = stations(&data, &vlans, &found, &EarlierTables::default());
        let placed: usize = stations.on.values().map(BTreeSet::len).sum();
        prop_assert!(placed + stations.unplaced.len() <= stations.learned);
        let is_reported = stations.failure.is_some() || !crate::device::bridge::is_bridge(&data);
        prop_assert!(stations.is_readable || is_reported);
    }
}
