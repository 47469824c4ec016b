//! The tables that polls read, and how many of their rows.

use apmon_snmp_client::{Group, Oid, Session, SnmpError};

use crate::{
    mib::{self, Object, Table},
    poll_data::PollData,
};

/// The most rows read of a table of interfaces, more than any device has.
const MOST_PORTS: usize = 20_000;
/// The most rows read of a table of stations, as many as the largest switches on the
/// market hold.
const MOST_STATIONS: usize = 131_072;
/// The most rows read of any other table.
const MOST_ROWS: usize = 10_000;

/// The state and traffic of each interface.
pub(super) const STATES: Table = &[
    mib::IF_OPER_STATUS,
    mib::IF_ADMIN_STATUS,
    mib::IF_IN_ERRORS,
    mib::IF_OUT_ERRORS,
    mib::IF_HC_IN_OCTETS,
    mib::IF_HC_OUT_OCTETS,
];
pub(super) const PACKETS: Table = &[
    mib::IF_HC_IN_UCAST_PKTS,
    mib::IF_HC_IN_MULTICAST_PKTS,
    mib::IF_HC_IN_BROADCAST_PKTS,
    mib::IF_HC_OUT_UCAST_PKTS,
    mib::IF_HC_OUT_MULTICAST_PKTS,
    mib::IF_HC_OUT_BROADCAST_PKTS,
];
/// The 32-bit counters of octets.
const OLD_OCTETS: Table = &[mib::IF_IN_OCTETS, mib::IF_OUT_OCTETS];
/// The 32-bit counters of packets.
const OLD_PACKETS: Table = &[
    mib::IF_IN_UCAST_PKTS,
    mib::IF_IN_N_UCAST_PKTS,
    mib::IF_OUT_UCAST_PKTS,
    mib::IF_OUT_N_UCAST_PKTS,
];
pub(super) const NAMES: Table = &[
    mib::IF_DESCR,
    mib::IF_NAME,
    mib::IF_ALIAS,
    mib::IF_HIGH_SPEED,
    mib::IF_SPEED,
    mib::IF_PHYS_ADDRESS,
    mib::IF_TYPE,
];
pub(super) const VLAN_STATIONS: Table = &[mib::DOT1Q_TP_FDB_PORT, mib::DOT1Q_TP_FDB_STATUS];
pub(super) const STATIONS: Table = &[mib::DOT1D_TP_FDB_PORT, mib::DOT1D_TP_FDB_STATUS];
/// The tables of stations with their addresses, for agents that number the rows. All columns
/// are read side by side, as rows get other numbers when a station leaves.
const VLAN_STATIONS_BY_ROW: Table = &[
    mib::DOT1Q_TP_FDB_ADDRESS,
    mib::DOT1Q_TP_FDB_PORT,
    mib::DOT1Q_TP_FDB_STATUS,
];
pub(super) const STATIONS_BY_ROW: Table = &[
    mib::DOT1D_TP_FDB_ADDRESS,
    mib::DOT1D_TP_FDB_PORT,
    mib::DOT1D_TP_FDB_STATUS,
];
pub(super) const BRIDGE_PORTS: Table = &[mib::DOT1D_BASE_PORT_IF_INDEX];
/// The addresses of stations. On many devices this newer table has only IPv6 addresses.
pub(super) const ADDRESSES: Table = &[mib::IP_NET_TO_PHYSICAL_PHYS_ADDRESS];
pub(super) const OLD_ADDRESSES: Table = &[mib::IP_NET_TO_MEDIA_PHYS_ADDRESS];
pub(super) const LLDP: Table = &[
    mib::LLDP_REM_CHASSIS_ID,
    mib::LLDP_REM_PORT_ID_SUBTYPE,
    mib::LLDP_REM_PORT_ID,
    mib::LLDP_REM_PORT_DESC,
    mib::LLDP_REM_SYS_NAME,
];
pub(super) const LLDP_PORTS: Table = &[
    mib::LLDP_LOC_PORT_ID_SUBTYPE,
    mib::LLDP_LOC_PORT_ID,
    mib::LLDP_LOC_PORT_DESC,
];
pub(super) const CDP: Table = &[mib::CDP_CACHE_DEVICE_ID, mib::CDP_CACHE_DEVICE_PORT];
pub(super) const ENTITIES: Table = &[
    mib::ENT_PHYSICAL_DESCR,
    mib::ENT_PHYSICAL_CONTAINED_IN,
    mib::ENT_PHYSICAL_CLASS,
    mib::ENT_PHYSICAL_NAME,
];
pub(super) const ENTITY_PORTS: Table = &[mib::ENT_ALIAS_MAPPING_IDENTIFIER];
pub(super) const VLANS: Table = &[mib::VTP_VLAN_STATE];

/// The 64-bit counters in both directions, each with the table to read if a port lacks
/// them.
pub(super) const WIDE: &[([Object; 2], Table)] = &[
    ([mib::IF_HC_IN_OCTETS, mib::IF_HC_OUT_OCTETS], OLD_OCTETS),
    ([mib::IF_HC_IN_UCAST_PKTS, mib::IF_HC_OUT_UCAST_PKTS], OLD_PACKETS),
];

/// Columns that every interface has. An agent that has just started may lack them for
/// a while.
pub(super) const ESSENTIAL: &[Object] = &[mib::IF_OPER_STATUS, mib::IF_ADMIN_STATUS, mib::IF_DESCR];

/// Columns that hold the names by which a site file can refer to a port.
pub(super) const PORT_NAMES: &[Object] = &[mib::IF_DESCR, mib::IF_NAME, mib::IF_ALIAS];

/// Whether a column belongs to a table of stations.
pub(super) fn is_of_stations(column: Object) -> bool {
    VLAN_STATIONS_BY_ROW.contains(&column) || STATIONS_BY_ROW.contains(&column)
}

/// A table of stations with their addresses; any other table as it is.
pub(super) fn with_addresses(table: Table) -> Table {
    match table {
        VLAN_STATIONS => VLAN_STATIONS_BY_ROW,
        STATIONS => STATIONS_BY_ROW,
        _ => table,
    }
}

/// Reads scalars and tables at the same time into `data`.
pub(super) async fn read(
    session: &mut Session,
    scalars: &[Object],
    tables: &[Vec<Object>],
    data: &mut PollData,
) -> Result<(), SnmpError> {
    let scalars: Vec<Oid> = scalars.iter().map(|object| Oid::join(object, &[0])).collect();
    let group = |table: &Vec<Object>| {
        let roots = table.iter().map(|column| Oid::from(*column));
        Group::new(roots, limit(table)).with_index_octets(index_octets(table))
    };
    let groups = tables.iter().map(group).collect();
    let (values, columns) = session.read(&scalars, groups).await?;
    for varbind in values {
        data.put(varbind);
    }
    for (object, column) in tables.iter().flatten().zip(columns.into_iter().flatten()) {
        data.put_column(object, column);
    }
    Ok(())
}

/// The estimated length of the table's indexes, in octets. A number below 128 takes one
/// octet, half of the octets of an address take two.
fn index_octets(table: &[Object]) -> usize {
    match table[0] {
        // A filtering database and a MAC address, or a MAC address alone.
        column if is_of_stations(column) => 12,
        // An ifIndex and an IPv4 address, or an address of either kind.
        mib::IP_NET_TO_MEDIA_PHYS_ADDRESS => 10,
        mib::IP_NET_TO_PHYSICAL_PHYS_ADDRESS => 20,
        _ => 3,
    }
}

fn limit(table: &[Object]) -> usize {
    let first = table[0];
    if is_of_stations(first) {
        MOST_STATIONS
    } else if first.starts_with(mib::IF_TABLE) || first.starts_with(mib::IF_X_TABLE) {
        MOST_PORTS
    } else {
        MOST_ROWS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_indexes_of_every_column_of_stations_are_estimated_alike() {
        for table in [VLAN_STATIONS, STATIONS] {
            for column in with_addresses(table) {
                assert_eq!(index_octets(&[*column]), 12);
            }
            assert_eq!(index_octets(with_addresses(table)), index_octets(table));
        }
        assert_eq!(index_octets(STATES), 3);
    }
}
