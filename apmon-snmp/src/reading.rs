//! What is asked of a device, and in which order: as little as says what there
//! is to know, and nothing that it was found not to have.

use std::collections::BTreeSet;

use crate::{
    error::SnmpError,
    get::Gets,
    harvest::Harvest,
    host_figures,
    mib::*,
    oid::Oid,
    said::{NAME, said},
    session::Session,
    value::Value,
    vendor::Vendor,
    vital,
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
    IF_TYPE,
];
const VLAN_STATIONS: Table = &[DOT1Q_TP_FDB_PORT, DOT1Q_TP_FDB_STATUS];
const STATIONS: Table = &[DOT1D_TP_FDB_PORT, DOT1D_TP_FDB_STATUS];
const BRIDGE_PORTS: Table = &[DOT1D_BASE_PORT_IF_INDEX];
/// Who has which address. Many devices have IPv6 alone in the newer table.
const ADDRESSES: Table = &[IP_NET_TO_PHYSICAL_PHYS_ADDRESS];
const OLD_ADDRESSES: Table = &[IP_NET_TO_MEDIA_PHYS_ADDRESS];
const LLDP: Table = &[
    LLDP_REM_CHASSIS_ID,
    LLDP_REM_PORT_ID_SUBTYPE,
    LLDP_REM_PORT_ID,
    LLDP_REM_PORT_DESC,
    LLDP_REM_SYS_NAME,
];
const LLDP_PORTS: Table = &[LLDP_LOC_PORT_ID_SUBTYPE, LLDP_LOC_PORT_ID, LLDP_LOC_PORT_DESC];
const CDP: Table = &[CDP_CACHE_DEVICE_ID, CDP_CACHE_DEVICE_PORT];
const ENTITIES: Table = &[
    ENT_PHYSICAL_DESCR,
    ENT_PHYSICAL_CONTAINED_IN,
    ENT_PHYSICAL_CLASS,
    ENT_PHYSICAL_NAME,
];
const ENTITY_PORTS: Table = &[ENT_ALIAS_MAPPING_IDENTIFIER];
const VLANS: Table = &[VTP_VLAN_STATE];

/// Scalars of every poll.
const CLOCKS: &[Object] = &[
    SYS_OBJECT_ID,
    SYS_UP_TIME,
    HR_SYSTEM_UPTIME,
    SYS_NAME,
    TCP_RETRANS_SEGS,
    IF_TABLE_LAST_CHANGE,
    DOT1D_BASE_BRIDGE_ADDRESS,
    DOT1D_BASE_NUM_PORTS,
];
/// Those that change rarely.
const ABOUT: &[Object] = &[SYS_DESCR, SYS_LOCATION, SYS_CONTACT];

/// What stands in for what, where the first is not there.
const INSTEAD: &[(Table, Table)] = &[
    (&[IF_HC_IN_OCTETS], OLD_OCTETS),
    (&[IF_HC_IN_UCAST_PKTS], OLD_PACKETS),
    (VLAN_STATIONS, STATIONS),
];

/// What is known of a device from the polls before.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Polls so far.
    polls: u64,
    /// What it is.
    object_id: Option<Oid>,
    /// Columns that it does not have.
    absent: BTreeSet<Object>,
    /// It has a bridge, so stations may be learned.
    has_bridge: bool,
    /// The table that had stations last.
    stations: Option<Table>,
    /// Some of its interfaces have no 64-bit counters.
    lacks_wide: bool,
    /// It keeps no table of stations for each VLAN.
    lacks_vlans: bool,
    /// The interfaces of the last poll, and when their table had changed.
    ports: Vec<Vec<u32>>,
    last_change: Option<Value>,
}

/// One poll of a device's ports.
#[derive(Debug, Default)]
pub(crate) struct PortsReading {
    /// What was read.
    pub(crate) harvest: Harvest,
    /// Names, aliases and speeds were read, too.
    pub(crate) has_names: bool,
    /// So were the slots.
    pub(crate) has_slots: bool,
    /// So were the neighbours, and what the device says of itself.
    pub(crate) has_neighbours: bool,
}

impl Found {
    /// Whether that is read now which is read rarely: each kind of it at a turn
    /// of its own, all of it at the first poll.
    fn is_turn(&self, turn: u64) -> bool {
        self.polls == 0 || self.polls % RARELY == turn
    }

    fn is_absent(&self, table: Table) -> bool {
        table.iter().all(|column| self.absent.contains(column))
    }

    /// A column that may be empty for a while, and matters the moment it is not:
    /// nobody is on a switch at night, and who comes first must not be overlooked.
    fn is_awaited(&self, column: Object) -> bool {
        match self.stations {
            Some(table) => table.contains(&column),
            None => self.has_bridge && [VLAN_STATIONS, STATIONS].concat().contains(&column),
        }
    }

    /// What was not there may be there after all: it did not tell all.
    pub(crate) fn doubt(&mut self) {
        self.absent.clear();
    }

    /// Reads scalars and tables at the same time. What is known to be absent is
    /// not asked for.
    async fn read(
        &mut self,
        session: &mut Session,
        scalars: &[Object],
        tables: &[Table],
        harvest: &mut Harvest,
    ) -> Result<(), SnmpError> {
        let scalars: Vec<Oid> = scalars.iter().map(|object| Oid::join(object, &[0])).collect();
        let present = |table: &Table| {
            let columns = table
                .iter()
                .copied()
                .filter(|column| !self.absent.contains(column) || self.is_awaited(column));
            columns.collect::<Vec<Object>>()
        };
        let tables: Vec<Vec<Object>> = tables
            .iter()
            .map(present)
            .filter(|table| !table.is_empty())
            .collect();
        let group =
            |table: &Vec<Object>| Group::new(table.iter().map(|column| Oid::from(*column)), limit(table));
        let mut gets = Gets::new(&scalars);
        let mut walks = Walks::new(tables.iter().map(group).collect());
        session.run(&mut [&mut gets, &mut walks]).await?;
        for varbind in gets.finish() {
            harvest.put(varbind);
        }
        for (table, columns) in tables.into_iter().zip(walks.finish()) {
            for (object, column) in table.into_iter().zip(columns) {
                if !column.rows.is_empty() {
                    self.absent.remove(&object);
                } else if column.trouble.is_none() {
                    self.absent.insert(object);
                }
                harvest.put_column(object, column);
            }
        }
        Ok(())
    }
}

fn limit(table: &[Object]) -> usize {
    let first = table[0];
    if first == DOT1Q_TP_FDB_PORT || first == DOT1D_TP_FDB_PORT {
        MOST_STATIONS
    } else if first.starts_with(IF_TABLE) || first.starts_with(IF_X_TABLE) {
        MOST_PORTS
    } else {
        MOST_ROWS
    }
}

/// How much is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    /// All that is known of a device.
    Device,
    /// What one of its ports needs, and the device's traffic and load.
    Port,
}

/// Reads a device's ports: their states and counts, and who was learned there.
///
/// # Errors
/// When it could not be asked. A table that was not read to its end is no error
/// here: its columns say so.
pub(crate) async fn ports(
    session: &mut Session,
    found: &mut Found,
    extent: Extent,
) -> Result<PortsReading, SnmpError> {
    let is_device = extent == Extent::Device;
    if found.is_turn(RARELY - 1) {
        found.absent.clear();
        found.lacks_vlans = false;
    }
    let mut reading = PortsReading {
        has_names: found.is_turn(0),
        has_slots: is_device && found.is_turn(3),
        has_neighbours: is_device && found.is_turn(6),
        ..PortsReading::default()
    };
    let harvest = &mut reading.harvest;
    let mut scalars = CLOCKS.to_vec();
    if reading.has_neighbours {
        scalars.extend(ABOUT);
    }
    if found.object_id.is_none() || reading.has_names {
        // What it is says what to ask it for.
        found.read(session, &scalars, &[], harvest).await?;
        found.object_id = harvest.scalar(SYS_OBJECT_ID).and_then(Value::oid).cloned();
        scalars.clear();
    }
    let vendor = found.object_id.as_ref().map(Vendor::of);
    let mut tables = vec![STATES, PACKETS, VLAN_STATIONS, BRIDGE_PORTS];
    if is_device {
        tables.extend([ADDRESSES, OLD_ADDRESSES]);
    }
    for (first, instead) in INSTEAD {
        if found.is_absent(first) || (*instead == OLD_OCTETS && found.lacks_wide) {
            tables.push(instead);
        }
    }
    if reading.has_names {
        tables.push(NAMES);
    }
    if reading.has_slots {
        tables.extend([ENTITIES, ENTITY_PORTS]);
    }
    if reading.has_neighbours {
        tables.extend([LLDP, LLDP_PORTS, CDP]);
    }
    if vendor == Some(Vendor::Cisco) && !found.lacks_vlans {
        tables.push(VLANS);
    }
    vital::ask(vendor, &mut scalars, &mut tables);
    found.read(session, &scalars, &tables, harvest).await?;

    // What turned out to be otherwise than it was, or than it is elsewhere.
    let mut more: Vec<Table> = Vec::new();
    for (first, instead) in INSTEAD {
        if found.is_absent(first) && !tables.contains(instead) {
            more.push(instead);
        }
    }
    let ports: Vec<Vec<u32>> = harvest
        .rows(IF_OPER_STATUS)
        .iter()
        .map(|row| row.index.clone())
        .collect();
    let last_change = harvest.scalar(IF_TABLE_LAST_CHANGE).cloned();
    let has_wide = harvest.by_index(IF_HC_IN_OCTETS);
    let lacks_wide =
        !has_wide.is_empty() && ports.iter().any(|index| !has_wide.contains_key(index.as_slice()));
    if lacks_wide && !tables.contains(&OLD_OCTETS) {
        more.push(OLD_OCTETS);
    }
    if !reading.has_names && (found.ports != ports || found.last_change != last_change) {
        reading.has_names = true;
        more.push(NAMES);
    }
    found.read(session, &[], &more, &mut reading.harvest).await?;
    still_the_same(session, &reading.harvest).await?;
    found.has_bridge |= reading.harvest.has(DOT1D_BASE_PORT_IF_INDEX);
    if reading.harvest.has(DOT1Q_TP_FDB_PORT) {
        found.stations = Some(VLAN_STATIONS);
    } else if reading.harvest.has(DOT1D_TP_FDB_PORT) && found.stations.is_none() {
        found.stations = Some(STATIONS);
    }
    found.lacks_wide = lacks_wide;
    found.ports = ports;
    found.last_change = last_change;
    found.polls += 1;
    Ok(reading)
}

/// The agent was not restarted while it was read: its tables may be half empty
/// when it has just begun.
async fn still_the_same(session: &mut Session, harvest: &Harvest) -> Result<(), SnmpError> {
    let Some(Value::TimeTicks(before)) = harvest.scalar(SYS_UP_TIME) else {
        return Ok(());
    };
    let now = session.get(&[Oid::join(SYS_UP_TIME, &[0])]).await?;
    match now.first().map(|varbind| &varbind.value) {
        // It starts anew after 497 days.
        Some(Value::TimeTicks(now)) if now < before && before - now < u32::MAX / 2 => {
            Err(SnmpError::Restarted)
        }
        _ => Ok(()),
    }
}

impl Found {
    /// The VLANs of a Cisco that has a table of stations for each.
    pub(crate) fn vlans(&self, harvest: &Harvest) -> Vec<u32> {
        if self.lacks_vlans || harvest.has(DOT1Q_TP_FDB_PORT) {
            return Vec::new();
        }
        let rows = harvest.rows(VTP_VLAN_STATE).iter();
        let operational = rows.filter(|row| row.value.number() == Some(1));
        let numbers = operational.filter_map(|row| row.index.last().copied());
        // Token ring and FDDI, which no bridge has had for decades.
        numbers.filter(|vlan| !(1002..=1005).contains(vlan)).collect()
    }

    /// It keeps none, or does not tell us.
    pub(crate) fn lacks_vlans(&mut self) {
        self.lacks_vlans = true;
    }
}

/// Reads a Cisco's table of one VLAN.
///
/// # Errors
/// When it was not answered.
pub(crate) async fn vlan(session: &mut Session) -> Result<Harvest, SnmpError> {
    let mut harvest = Harvest::default();
    let mut found = Found::default();
    found
        .read(session, &[], &[STATIONS, BRIDGE_PORTS], &mut harvest)
        .await?;
    Ok(harvest)
}

/// Reads a host's load, memory and disks.
///
/// # Errors
/// When it could not be asked.
pub(crate) async fn host(session: &mut Session, found: &mut Found) -> Result<Harvest, SnmpError> {
    if found.is_turn(RARELY - 1) {
        found.absent.clear();
    }
    let mut harvest = Harvest::default();
    let mut scalars = vec![SYS_OBJECT_ID, SYS_UP_TIME, HR_SYSTEM_UPTIME, SYS_NAME];
    let mut tables = Vec::new();
    if found.object_id.is_none() || found.is_turn(0) {
        found.read(session, &scalars, &[], &mut harvest).await?;
        found.object_id = harvest.scalar(SYS_OBJECT_ID).and_then(Value::oid).cloned();
        scalars.clear();
    }
    vital::ask(
        found.object_id.as_ref().map(Vendor::of),
        &mut scalars,
        &mut tables,
    );
    host_figures::ask(&mut scalars, &mut tables);
    found.read(session, &scalars, &tables, &mut harvest).await?;
    found.polls += 1;
    Ok(harvest)
}

/// The device's name, safe to show.
pub(crate) fn said_name(harvest: &Harvest) -> Option<String> {
    said(harvest.scalar(SYS_NAME)?, NAME)
}
