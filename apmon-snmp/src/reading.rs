//! What is asked of a device, and in which order: as little as says what there
//! is to know, and nothing that it was found not to have.

use std::collections::BTreeSet;

use crate::{
    error::SnmpError,
    get::Gets,
    harvest::Harvest,
    mib::*,
    oid::Oid,
    session::Session,
    walk::{Group, Walks},
};

/// More interfaces than any device has.
const MOST_PORTS: usize = 20_000;
/// The largest tables of stations that are sold hold so many.
const MOST_STATIONS: usize = 131_072;
/// Rows of any other table.
const MOST_ROWS: usize = 10_000;

/// What changes rarely is read again every so many polls, and so is what was
/// not there.
const RARELY: u64 = 10;

/// Columns that are read side by side.
type Table = &'static [Object];

const STATES: Table = &[
    IF_OPER_STATUS,
    IF_ADMIN_STATUS,
    IF_IN_ERRORS,
    IF_OUT_ERRORS,
    IF_HC_IN_OCTETS,
    IF_HC_OUT_OCTETS,
];
const PACKETS: Table = &[
    IF_HC_IN_UCAST_PKTS,
    IF_HC_IN_MULTICAST_PKTS,
    IF_HC_IN_BROADCAST_PKTS,
    IF_HC_OUT_UCAST_PKTS,
    IF_HC_OUT_MULTICAST_PKTS,
    IF_HC_OUT_BROADCAST_PKTS,
];
/// Without 64-bit counters.
const OLD_OCTETS: Table = &[IF_IN_OCTETS, IF_OUT_OCTETS];
const OLD_PACKETS: Table = &[
    IF_IN_UCAST_PKTS,
    IF_IN_N_UCAST_PKTS,
    IF_OUT_UCAST_PKTS,
    IF_OUT_N_UCAST_PKTS,
];
const NAMES: Table = &[
    IF_DESCR,
    IF_NAME,
    IF_ALIAS,
    IF_HIGH_SPEED,
    IF_SPEED,
    IF_PHYS_ADDRESS,
];
const VLAN_STATIONS: Table = &[DOT1Q_TP_FDB_PORT, DOT1Q_TP_FDB_STATUS];
const STATIONS: Table = &[DOT1D_TP_FDB_PORT, DOT1D_TP_FDB_STATUS];
const BRIDGE_PORTS: Table = &[DOT1D_BASE_PORT_IF_INDEX];
const ADDRESSES: Table = &[IP_NET_TO_PHYSICAL_PHYS_ADDRESS];
const OLD_ADDRESSES: Table = &[IP_NET_TO_MEDIA_PHYS_ADDRESS];
const LLDP: Table = &[LLDP_REM_SYS_NAME, LLDP_REM_PORT_DESC, LLDP_REM_PORT_ID];
const LLDP_PORTS: Table = &[LLDP_LOC_PORT_ID];
const CDP: Table = &[CDP_CACHE_DEVICE_ID, CDP_CACHE_DEVICE_PORT];
const ENTITIES: Table = &[ENT_PHYSICAL_DESCR, ENT_PHYSICAL_CONTAINED_IN, ENT_PHYSICAL_CLASS];
const ENTITY_PORTS: Table = &[ENT_ALIAS_MAPPING_IDENTIFIER];

/// Scalars of every poll.
const CLOCKS: &[Object] = &[
    SYS_OBJECT_ID,
    SYS_UP_TIME,
    HR_SYSTEM_UPTIME,
    SYS_NAME,
    TCP_RETRANS_SEGS,
    IF_TABLE_LAST_CHANGE,
];
/// Those that change rarely.
const ABOUT: &[Object] = &[SYS_DESCR, SYS_LOCATION, SYS_CONTACT, DOT1D_BASE_BRIDGE_ADDRESS];
