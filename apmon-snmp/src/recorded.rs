//! Recorded answers of real devices, for tests: `tests/recorded/*.snmprec`.

use apmon_snmp_client::{Column, Oid, Row, Value, Varbind};

use crate::{
    mib::{self, Object},
    poll_data::PollData,
};

macro_rules! recorded {
    ($($name:ident = $file:literal;)*) => {
        $(pub(crate) fn $name() -> PollData {
            read(include_str!(concat!("../tests/recorded/", $file, ".snmprec")))
        })*
    };
}

recorded! {
    cisco_3750 = "cisco-c3750";
    cisco_nexus = "cisco-n5000";
    dlink = "dlink-des3038";
    h3c = "h3c-comware-7";
    juniper_mx = "juniper-mx960";
    linux = "linux";
    procurve = "hpe-procurve";
}

/// The columns and scalars that the modules below `device` interpret.
pub(crate) const OBJECTS: &[Object] = &[
    mib::IF_DESCR,
    mib::IF_TYPE,
    mib::IF_SPEED,
    mib::IF_PHYS_ADDRESS,
    mib::IF_ADMIN_STATUS,
    mib::IF_OPER_STATUS,
    mib::IF_IN_OCTETS,
    mib::IF_IN_UCAST_PKTS,
    mib::IF_IN_N_UCAST_PKTS,
    mib::IF_IN_ERRORS,
    mib::IF_OUT_OCTETS,
    mib::IF_OUT_UCAST_PKTS,
    mib::IF_OUT_N_UCAST_PKTS,
    mib::IF_OUT_ERRORS,
    mib::IF_NAME,
    mib::IF_HC_IN_OCTETS,
    mib::IF_HC_IN_UCAST_PKTS,
    mib::IF_HC_IN_MULTICAST_PKTS,
    mib::IF_HC_IN_BROADCAST_PKTS,
    mib::IF_HC_OUT_OCTETS,
    mib::IF_HC_OUT_UCAST_PKTS,
    mib::IF_HC_OUT_MULTICAST_PKTS,
    mib::IF_HC_OUT_BROADCAST_PKTS,
    mib::IF_HIGH_SPEED,
    mib::IF_ALIAS,
    mib::IP_NET_TO_MEDIA_PHYS_ADDRESS,
    mib::IP_NET_TO_PHYSICAL_PHYS_ADDRESS,
    mib::DOT1D_BASE_BRIDGE_ADDRESS,
    mib::DOT1D_BASE_NUM_PORTS,
    mib::DOT1D_BASE_PORT_IF_INDEX,
    mib::DOT1D_TP_FDB_PORT,
    mib::DOT1D_TP_FDB_STATUS,
    mib::DOT1Q_TP_FDB_PORT,
    mib::DOT1Q_TP_FDB_STATUS,
    mib::LLDP_LOC_PORT_ID_SUBTYPE,
    mib::LLDP_LOC_PORT_ID,
    mib::LLDP_LOC_PORT_DESC,
    mib::LLDP_REM_CHASSIS_ID,
    mib::LLDP_REM_PORT_ID_SUBTYPE,
    mib::LLDP_REM_PORT_ID,
    mib::LLDP_REM_PORT_DESC,
    mib::LLDP_REM_SYS_NAME,
    mib::CDP_CACHE_DEVICE_ID,
    mib::CDP_CACHE_DEVICE_PORT,
    mib::ENT_PHYSICAL_DESCR,
    mib::ENT_PHYSICAL_CONTAINED_IN,
    mib::ENT_PHYSICAL_CLASS,
    mib::ENT_PHYSICAL_NAME,
    mib::ENT_ALIAS_MAPPING_IDENTIFIER,
    mib::SYS_NAME,
    mib::SYS_LOCATION,
    mib::SYS_CONTACT,
    mib::SYS_DESCR,
    mib::SYS_UP_TIME,
    mib::HR_SYSTEM_UPTIME,
];

/// Parses lines `OID|tag|value`. The tag is BER's; an `x` after it means that the value
/// is in hexadecimal digits.
fn read(text: &str) -> PollData {
    let lines: Vec<(Oid, Value)> = text.lines().map(line).collect();
    let mut data = PollData::default();
    for object in OBJECTS {
        let mut rows = Vec::new();
        for (oid, value) in &lines {
            match oid.below(object) {
                Some([0]) => data.put(Varbind::new(oid.clone(), value.clone())),
                Some(index) => rows.push(Row {
                    index: index.to_vec(),
                    value: value.clone(),
                }),
                None => {}
            }
        }
        if !rows.is_empty() {
            data.put_column(object, Column { rows, failure: None });
        }
    }
    data
}

fn line(line: &str) -> (Oid, Value) {
    let mut fields = line.splitn(3, '|');
    let mut field = || {
        fields
            .next()
            .unwrap_or_else(|| panic!("not three fields: {line}"))
    };
    let (oid, tag, text) = (field().parse().unwrap(), field(), field());
    let octets = match tag.strip_suffix('x') {
        Some(_) => hex(text),
        None => text.as_bytes().to_vec(),
    };
    let value = match tag.trim_end_matches('x') {
        "2" => Value::Integer(text.parse().unwrap()),
        "4" => Value::Octets(octets),
        "6" => Value::Oid(text.parse().unwrap()),
        "65" => Value::Counter32(text.parse().unwrap()),
        "66" => Value::Gauge32(text.parse().unwrap()),
        "67" => Value::TimeTicks(text.parse().unwrap()),
        "70" => Value::Counter64(text.parse().unwrap()),
        other => panic!("tag {other}"),
    };
    (oid, value)
}

fn hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
