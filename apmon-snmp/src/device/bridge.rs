//! The stations on each port, from the forwarding tables of a switch.

use std::collections::{BTreeMap, BTreeSet};

use apmon_core::Mac;
use apmon_snmp_client::Value;

use crate::{
    device::{
        interface::Interface,
        sanitize::{is_station, mac},
    },
    mib::{self, Object, index::octets_of},
    poll_data::PollData,
};

#[cfg(test)]
mod tests;

/// The value of dot1dTpFdbStatus and dot1qTpFdbStatus for a learned station. Other
/// entries are the switch's own addresses, or were configured.
const LEARNED: i64 = 3;

/// The stations of a switch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Stations {
    /// The stations on each interface, by ifIndex.
    pub on: BTreeMap<u32, BTreeSet<Mac>>,
    /// The number of learned entries, as the switch counts them: a station in two VLANs
    /// counts twice.
    pub learned: usize,
    /// Stations whose interface is unknown.
    pub unplaced: BTreeSet<Mac>,
    /// Whether a table with entries was read to its end, or all tables are empty.
    /// Otherwise a station that was not seen may be present all the same.
    pub is_readable: bool,
    /// The reason why stations may be missing from `on`.
    pub failure: Option<String>,
    /// Whether the same stations are missing from every poll, so that none of them was ever
    /// seen.
    pub is_lasting: bool,
}

/// The table of stations that a Cisco device keeps for one VLAN.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct VlanTable {
    /// The number of the VLAN.
    pub vlan: u32,
    /// The BRIDGE-MIB as the device shows it for this VLAN.
    pub data: PollData,
}

/// The stations on each interface: from Q-BRIDGE-MIB or, if that has no learned
/// entries, from BRIDGE-MIB and `vlans`.
pub(crate) fn stations(data: &PollData, vlans: &[VlanTable], interfaces: &[Interface]) -> Stations {
    let bridge_ports = BridgePorts::of(data, interfaces);
    let by_vlan = ForwardingTable::read(data, &BY_VLAN, &bridge_ports);
    if !by_vlan.entries.is_empty() {
        return Stations::of(vec![by_vlan], data, interfaces);
    }
    let mut tables = Vec::new();
    for vlan in vlans {
        let bridge_ports = BridgePorts::of(&vlan.data, interfaces);
        let mut table = ForwardingTable::read(&vlan.data, &PLAIN, &bridge_ports);
        table.failure = table
            .failure
            .map(|failure| format!("VLAN {}: {failure}", vlan.vlan));
        tables.push(table);
    }
    // Without a VLAN in the community, a Cisco device shows the table of VLAN 1.
    let mut plain = ForwardingTable::read(data, &PLAIN, &bridge_ports);
    let of_vlans: BTreeSet<Entry> = tables.iter().flat_map(|table| &table.entries).copied().collect();
    plain.entries.retain(|entry| !of_vlans.contains(entry));
    tables.push(plain);
    tables.push(by_vlan);
    Stations::of(tables, data, interfaces)
}

/// The columns of a forwarding table.
struct FdbColumns {
    port: Object,
    status: Object,
    /// The count of numbers that precede the MAC address in the index.
    prefix: usize,
}

const BY_VLAN: FdbColumns = FdbColumns {
    port: mib::DOT1Q_TP_FDB_PORT,
    status: mib::DOT1Q_TP_FDB_STATUS,
    prefix: 1,
};

const PLAIN: FdbColumns = FdbColumns {
    port: mib::DOT1D_TP_FDB_PORT,
    status: mib::DOT1D_TP_FDB_STATUS,
    prefix: 0,
};

/// A station and the ifIndex of its interface, if that is known.
type Entry = (Mac, Option<u32>);

/// The learned entries of a forwarding table.
struct ForwardingTable {
    entries: Vec<Entry>,
    failure: Option<String>,
}

impl ForwardingTable {
    fn read(data: &PollData, columns: &FdbColumns, bridge_ports: &BridgePorts) -> Self {
        let statuses = data.by_index(columns.status);
        let failure = [columns.port, columns.status]
            .into_iter()
            .find_map(|column| data.failure(column));
        // An agent without statuses lists only stations. If other rows have a status, a
        // row without one is about to disappear.
        let has_statuses = !statuses.is_empty() || data.failure(columns.status).is_some();
        let mut entries = Vec::new();
        // An entry may occur twice: some agents repeat rows.
        for row in data.rows(columns.port) {
            let status = statuses.get(row.index.as_slice());
            let is_learned = match status.and_then(|status| status.number()) {
                Some(status) => status == LEARNED,
                None => !has_statuses,
            };
            let mac = row
                .index
                .get(columns.prefix..)
                .and_then(octets_of::<6>)
                .map(Mac::new);
            if let Some(mac) = mac.filter(|_| is_learned) {
                entries.push((mac, bridge_ports.of_port(&row.value)));
            }
        }
        let failure = failure.map(str::to_owned);
        let failure = match entries.is_empty() {
            true => failure,
            false => failure.or_else(|| bridge_ports.failure.clone()),
        };
        Self { entries, failure }
    }
}

impl Stations {
    fn of(tables: Vec<ForwardingTable>, data: &PollData, interfaces: &[Interface]) -> Self {
        let mut own: BTreeSet<Mac> = interfaces.iter().filter_map(|one| one.own_mac).collect();
        own.extend(data.scalar(mib::DOT1D_BASE_BRIDGE_ADDRESS).and_then(mac));
        let is_whole = |table: &ForwardingTable| table.failure.is_none();
        // An empty table looks like a missing one, but a bridge has ports.
        let has_any = tables.iter().any(|table| !table.entries.is_empty());
        let mut stations = Self {
            is_readable: (has_any || is_bridge(data))
                && (tables.iter().all(is_whole)
                    || tables
                        .iter()
                        .any(|table| is_whole(table) && !table.entries.is_empty())),
            ..Self::default()
        };
        for table in tables {
            stations.learned += table.entries.len();
            for (mac, place) in table.entries {
                if !is_station(mac) || own.contains(&mac) {
                    continue;
                }
                match place {
                    Some(index) => {
                        stations.on.entry(index).or_default().insert(mac);
                    }
                    None => _ = stations.unplaced.insert(mac),
                }
            }
            stations.failure = stations.failure.or(table.failure);
        }
        stations
    }
}

/// Whether the device shows a bridge.
pub(crate) fn is_bridge(data: &PollData) -> bool {
    let ports = data.scalar(mib::DOT1D_BASE_NUM_PORTS);
    ports.and_then(Value::unsigned).is_some_and(|ports| ports > 0) || data.has(mib::DOT1D_BASE_PORT_IF_INDEX)
}

/// The interfaces of the bridge ports.
pub(crate) struct BridgePorts {
    by_port: BTreeMap<u32, u32>,
    failure: Option<String>,
}

impl BridgePorts {
    /// Reads dot1dBasePortIfIndex. If it is useless (a Juniper MX reports 0 for all ports),
    /// the numbers of bridge ports are taken for ifIndexes, provided that is unambiguous:
    /// the Ethernet interfaces are numbered from 1 without a gap, and the bridge has
    /// exactly as many ports.
    pub(crate) fn of(data: &PollData, interfaces: &[Interface]) -> Self {
        let rows = data.rows(mib::DOT1D_BASE_PORT_IF_INDEX).iter();
        // 0 means none, unless an interface has that number, contrary to the standard.
        let has_zero = interfaces.iter().any(|one| one.index == 0);
        let index = |value: &Value| -> Option<u32> {
            let index = value.number()?.try_into().ok()?;
            (index > 0 || has_zero).then_some(index)
        };
        let by_port: BTreeMap<u32, u32> = rows
            .filter_map(|row| match row.index.as_slice() {
                [port] => Some((*port, index(&row.value)?)),
                _ => None,
            })
            .collect();
        let failure = data.failure(mib::DOT1D_BASE_PORT_IF_INDEX);
        let ports = data.scalar(mib::DOT1D_BASE_NUM_PORTS).and_then(Value::unsigned);
        let is_mapped = !by_port.is_empty() || failure.is_some();
        Self {
            by_port: match is_mapped {
                true => by_port,
                false => same_numbers(ports, interfaces),
            },
            failure: failure.map(str::to_owned),
        }
    }

    /// The ifIndex of a bridge port.
    pub(crate) fn of_number(&self, port: u32) -> Option<u32> {
        self.by_port.get(&port).copied()
    }

    /// The ifIndex of the bridge port in a row's value. On most devices 0 means none.
    fn of_port(&self, port: &Value) -> Option<u32> {
        self.of_number(port.number()?.try_into().ok()?)
    }
}

fn same_numbers(ports: Option<u64>, interfaces: &[Interface]) -> BTreeMap<u32, u32> {
    let ethernets: BTreeSet<u32> = interfaces
        .iter()
        .filter(|one| one.is_ethernet())
        .map(|one| one.index)
        .collect();
    let has_no_gap = (1u32..).zip(&ethernets).all(|(number, index)| number == *index);
    match ports == u64::try_from(ethernets.len()).ok() && has_no_gap {
        true => ethernets.iter().map(|index| (*index, *index)).collect(),
        false => BTreeMap::new(),
    }
}
