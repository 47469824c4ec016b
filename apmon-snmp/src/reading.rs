//! What is asked of a device, and in which order: as little as says what there
//! is to know, and nothing that it was found not to have.

use std::collections::BTreeSet;

use crate::{
    arp,
    bridge::{self, VlanTable},
    error::SnmpError,
    get::Gets,
    harvest::{Column, Harvest},
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
    IF_NUMBER,
    IF_TABLE_LAST_CHANGE,
    DOT1D_BASE_BRIDGE_ADDRESS,
    DOT1D_BASE_NUM_PORTS,
];
/// Those that change rarely.
const ABOUT: &[Object] = &[SYS_DESCR, SYS_LOCATION, SYS_CONTACT];

/// 64-bit counters both ways, and what stands in for them where a port has none.
const WIDE: &[([Object; 2], Table)] = &[
    ([IF_HC_IN_OCTETS, IF_HC_OUT_OCTETS], OLD_OCTETS),
    ([IF_HC_IN_UCAST_PKTS, IF_HC_OUT_UCAST_PKTS], OLD_PACKETS),
];

/// What is known of a device from the polls before.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Polls so far.
    polls: u64,
    /// What it is.
    object_id: Option<Oid>,
    /// Columns that it has not.
    absent: BTreeSet<Object>,
    /// Columns that had rows once: they may be empty, and fill again.
    seen: BTreeSet<Object>,
    /// Tables that stood in for others at the last poll.
    instead: Vec<Table>,
    /// Tables that say nothing that others do not say as well.
    in_vain: Vec<Table>,
    /// Why its tables of stations of each VLAN could not be read, from that VLAN
    /// on.
    lacks_vlans: Option<(u32, String)>,
    /// The last poll could not read the first of them.
    missed_vlans: bool,
    /// What said at the last poll whether names are still what they were.
    last: Basis,
    /// Names must be read, whatever else is.
    wants_names: bool,
}

/// What says whether the names of interfaces are still what they were.
#[derive(Clone, PartialEq, Debug, Default)]
struct Basis {
    /// The interfaces.
    ports: Vec<Vec<u32>>,
    /// When their table changed last.
    change: Option<Value>,
    /// How long the device, and its agent, have been running.
    uptimes: [Option<u64>; 2],
}

impl Basis {
    fn of(harvest: &Harvest) -> Self {
        let ticks = |object| harvest.scalar(object).and_then(Value::unsigned);
        let rows = harvest.rows(IF_OPER_STATUS).iter();
        Self {
            ports: rows.map(|row| row.index.clone()).collect(),
            change: harvest.scalar(IF_TABLE_LAST_CHANGE).cloned(),
            uptimes: [ticks(HR_SYSTEM_UPTIME), ticks(SYS_UP_TIME)],
        }
    }

    /// Interfaces came, went, or may have been numbered anew.
    fn differs(&self, before: &Self) -> bool {
        let pairs = self.uptimes.iter().zip(before.uptimes);
        let was_restarted = pairs.into_iter().any(|(now, before)| *now < before);
        self.ports != before.ports || self.change != before.change || was_restarted
    }
}

/// Without these there is no interface. An agent that has just been started may
/// have none of them for a while.
const ESSENTIAL: &[Object] = &[IF_OPER_STATUS, IF_ADMIN_STATUS, IF_DESCR];

/// By these a port is known.
pub(crate) const KNOWN_BY: &[Object] = &[IF_DESCR, IF_NAME, IF_ALIAS];

/// One poll of a device's ports.
#[derive(Debug, Default)]
pub(crate) struct PortsReading {
    /// What was read.
    pub(crate) harvest: Harvest,
    /// Names, aliases and speeds were read, too.
    pub(crate) has_names: bool,
    /// So were the slots.
    pub(crate) has_slots: bool,
    /// So were the neighbours.
    pub(crate) has_neighbours: bool,
    /// So was what the device says of itself.
    pub(crate) has_about: bool,
    basis: Basis,
}

impl Found {
    /// What a poll read was taken as it is: the next one goes on from there.
    /// Until this is called the next one asks for all that this one did.
    pub(crate) fn settle(&mut self, reading: &PortsReading) {
        let trouble = |column: &Object| reading.harvest.trouble(column).is_some();
        if reading.has_names {
            self.wants_names = KNOWN_BY.iter().any(trouble);
        }
        self.last = reading.basis.clone();
        self.polls += 1;
    }

    /// The interfaces may be others than at the last poll.
    pub(crate) fn is_changed(&self, reading: &PortsReading) -> bool {
        reading.basis.differs(&self.last)
    }

    /// There are fewer interfaces than at the last poll, and fewer than the device
    /// says that it has: so many, of how many.
    pub(crate) fn lacks(&self, reading: &PortsReading) -> Option<(usize, usize)> {
        let number = reading.harvest.scalar(IF_NUMBER).and_then(Value::unsigned);
        let number = usize::try_from(number?).ok()?;
        let shown = reading.basis.ports.len();
        (shown < number && shown < self.last.ports.len()).then_some((shown, number))
    }

    /// It was not: nor is it believed about what is not there.
    pub(crate) fn unsettle(&mut self) {
        self.absent.clear();
        self.in_vain.clear();
    }

    /// Whether that is read now which is read rarely: each kind of it at a turn
    /// of its own, all of it at the first poll.
    fn is_turn(&self, turn: u64) -> bool {
        self.polls == 0 || self.polls % RARELY == turn
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
                .filter(|column| !self.absent.contains(column));
            columns.collect::<Vec<Object>>()
        };
        let tables: Vec<Vec<Object>> = tables
            .iter()
            .map(present)
            .filter(|table| !table.is_empty())
            .collect();
        let group = |table: &Vec<Object>| {
            let roots = table.iter().map(|column| Oid::from(*column));
            Group::new(roots, limit(table)).indexed(index(table))
        };
        let mut gets = Gets::new(&scalars);
        let mut walks = Walks::new(tables.iter().map(group).collect());
        session.run(&mut [&mut gets, &mut walks]).await?;
        for varbind in gets.finish() {
            harvest.put(varbind);
        }
        for (table, columns) in tables.into_iter().zip(walks.finish()) {
            for (object, column) in table.into_iter().zip(columns) {
                if !column.rows.is_empty() {
                    self.seen.insert(object);
                } else if column.trouble.is_none()
                    && !self.seen.contains(object)
                    && !ESSENTIAL.contains(&object)
                {
                    self.absent.insert(object);
                }
                harvest.put_column(object, column);
            }
        }
        Ok(())
    }
}

/// Octets that an index of the table takes. A number in it below 128 takes one,
/// an octet of an address two as often as not.
fn index(table: &[Object]) -> usize {
    match table[0] {
        // A database, an address of six octets.
        DOT1Q_TP_FDB_PORT | DOT1Q_TP_FDB_STATUS => 12,
        DOT1D_TP_FDB_PORT | DOT1D_TP_FDB_STATUS => 12,
        // An ifIndex and an address of four octets, or of up to sixteen.
        IP_NET_TO_MEDIA_PHYS_ADDRESS => 10,
        IP_NET_TO_PHYSICAL_PHYS_ADDRESS => 20,
        _ => 3,
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
        found.in_vain.clear();
        found.lacks_vlans = None;
        session.agent().may_know_bulk();
    }
    let mut reading = PortsReading {
        has_names: found.is_turn(0) || found.wants_names,
        has_slots: is_device && found.is_turn(3),
        has_neighbours: is_device && found.is_turn(6),
        has_about: is_device && found.is_turn(6),
        ..PortsReading::default()
    };
    let harvest = &mut reading.harvest;
    let mut scalars = CLOCKS.to_vec();
    if reading.has_about {
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
    tables.extend(&found.instead);
    tables.retain(|table| !found.in_vain.contains(table));
    if reading.has_names {
        tables.push(NAMES);
    }
    if vendor == Some(Vendor::Cisco) && found.lacks_vlans.is_none() {
        tables.push(VLANS);
    }
    vital::ask(vendor, &mut scalars, &mut tables);
    found.read(session, &scalars, &tables, harvest).await?;

    // What turned out to be otherwise than it was, or than it is elsewhere.
    let basis = Basis::of(harvest);
    found.instead = instead(harvest, &basis.ports);
    found.instead.retain(|table| !found.in_vain.contains(table));
    let mut more = found.instead.clone();
    more.retain(|table| !tables.contains(table));
    if !reading.has_names && basis.differs(&found.last) {
        // However often it takes until they are read.
        found.wants_names = true;
        reading.has_names = true;
        more.push(NAMES);
    }
    found.read(session, &[], &more, harvest).await?;
    if bridge::is_bridge(harvest) {
        // Nobody may be there now, and somebody at the next poll.
        found.absent.retain(|column| !is_of_stations(column));
    }
    let stands_still = WIDE.iter().any(|(wide, _)| stands_still(harvest, *wide));
    for (wide, old) in WIDE {
        let is_asked = found.instead.contains(old) && !stands_still;
        if is_asked && says_nothing_more(harvest, wide[0], old) {
            found.in_vain.push(old);
        }
    }
    found.instead.retain(|table| !found.in_vain.contains(table));
    if arp::is_old_table_in_vain(harvest) {
        found.in_vain.push(OLD_ADDRESSES);
    }
    still_the_same(session, &reading.harvest).await?;
    // What can be done without comes last: an agent may never answer for it.
    let mut rare: Vec<Table> = Vec::new();
    if reading.has_slots {
        rare.extend([ENTITIES, ENTITY_PORTS]);
    }
    if reading.has_neighbours {
        rare.extend([LLDP, LLDP_PORTS, CDP]);
    }
    if !rare.is_empty() {
        session.hurry();
        if found
            .read(session, &[], &rare, &mut reading.harvest)
            .await
            .is_err()
        {
            (reading.has_slots, reading.has_neighbours) = (false, false);
        }
    }
    reading.basis = basis;
    Ok(reading)
}

/// Tables that must stand in for others, by what was read of these.
fn instead(harvest: &Harvest, ports: &[Vec<u32>]) -> Vec<Table> {
    let mut tables = Vec::new();
    // Whose octets stand still is not believed about packets.
    let stands_still = WIDE.iter().any(|(wide, _)| stands_still(harvest, *wide));
    for (wide, old) in WIDE {
        let has = harvest.by_index(wide[0]);
        let is_missing = ports.iter().any(|index| !has.contains_key(index.as_slice()));
        if harvest.trouble(wide[0]).is_none() && (is_missing || stands_still) {
            tables.push(*old);
        }
    }
    if !harvest.has(DOT1Q_TP_FDB_PORT) && harvest.trouble(DOT1Q_TP_FDB_PORT).is_none() {
        tables.push(STATIONS);
    }
    tables
}

/// The device has 64-bit counters and does not count by them (recorded: D-Link
/// DES-3028), or has just begun to count.
fn stands_still(harvest: &Harvest, wide: [Object; 2]) -> bool {
    let has_any = wide.iter().any(|column| harvest.has(column));
    let mut counts = wide.iter().flat_map(|column| harvest.rows(column));
    has_any && counts.all(|row| row.value.unsigned() == Some(0))
}

/// No port has a count in `old` that lacks it in `wide`: on some devices those
/// without are interfaces that count nothing.
fn says_nothing_more(harvest: &Harvest, wide: Object, old: Table) -> bool {
    let has = harvest.by_index(wide);
    let mut rows = old.iter().flat_map(|column| harvest.rows(column));
    let is_read = old.iter().all(|column| harvest.trouble(column).is_none());
    is_read && rows.all(|row| has.contains_key(row.index.as_slice()))
}

fn is_of_stations(column: Object) -> bool {
    VLAN_STATIONS.contains(&column) || STATIONS.contains(&column)
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
        if self.lacks_vlans.is_some() || harvest.has(DOT1Q_TP_FDB_PORT) {
            return Vec::new();
        }
        let rows = harvest.rows(VTP_VLAN_STATE).iter();
        let operational = rows.filter(|row| row.value.number() == Some(1));
        let numbers = operational.filter_map(|row| row.index.last().copied());
        // The table of VLAN 1 is the one that is read anyway; those from 1002 on
        // are for token ring and FDDI, which no bridge has had for decades.
        let others = numbers.filter(|vlan| *vlan != 1 && !(1002..=1005).contains(vlan));
        others.collect()
    }

    /// The table of the first VLAN could not be read. At the second poll in a row
    /// it is believed that there are none, and they are asked for rarely.
    pub(crate) fn lacks_vlans(&mut self, vlan: u32, reason: String) {
        if std::mem::replace(&mut self.missed_vlans, true) {
            self.lacks_vlans = Some((vlan, reason));
        }
    }

    /// There are such tables.
    pub(crate) fn has_vlans(&mut self) {
        self.missed_vlans = false;
    }

    /// The table of the VLAN that could not be read, as one that says so.
    pub(crate) fn missing_vlan(&self) -> Option<VlanTable> {
        let (vlan, reason) = self.lacks_vlans.as_ref()?;
        Some(missing_vlan(*vlan, reason))
    }
}

/// The table of a VLAN that was not read, for that `reason`.
pub(crate) fn missing_vlan(vlan: u32, reason: &str) -> VlanTable {
    let mut harvest = Harvest::default();
    let column = Column {
        rows: Vec::new(),
        trouble: Some(reason.to_owned()),
    };
    harvest.put_column(DOT1D_TP_FDB_PORT, column);
    VlanTable { vlan, harvest }
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
