//! The stations on each port, from the forwarding tables of a switch.
//!
//! Whatever a table looks like, each of its learned rows is placed on an interface or counted
//! in [`Stations::gap`]: a row that cannot be read must never pass for an empty port.

mod bridge_ports;
mod forwarding_table;
mod placement;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use apmon_core::Mac;
use apmon_snmp_client::Value;

pub(crate) use self::bridge_ports::BridgePorts;
use self::{
    forwarding_table::{BY_VLAN, FdbColumns, ForwardingTable, LearnedRow, PLAIN},
    placement::{Ground, Placement, PortScheme},
};
use crate::{
    device::{interface::Interface, sanitize::mac},
    mib,
    poll_data::PollData,
};

#[cfg(test)]
mod tests;

/// The stations of a switch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Stations {
    /// The stations on each interface, by ifIndex.
    pub on: BTreeMap<u32, BTreeSet<Mac>>,
    /// The number of learned entries, as the switch counts them: a station in two VLANs
    /// counts twice.
    pub learned: usize,
    /// Stations whose interface is unknown, at least in one VLAN.
    pub unplaced: BTreeSet<Mac>,
    /// The rows that could not be read, or not be placed on an interface.
    pub gap: Option<Gap>,
    /// The reason why stations may be placed on wrong interfaces.
    pub doubt: Option<String>,
    /// Whether a table with entries was read to its end, or all tables are empty.
    /// Otherwise a station that was not seen may be present all the same.
    pub is_readable: bool,
    /// The reason why stations may be missing from `on`, other than `gap`.
    pub failure: Option<String>,
    /// Whether the same stations are missing from every poll, so that none of them was ever
    /// seen.
    pub is_lasting: bool,
    /// Whether a table contains ifIndexes that are the numbers of other bridge ports.
    pub uses_if_indexes: bool,
    /// What the table of BRIDGE-MIB adds to that of Q-BRIDGE-MIB.
    pub plain: PlainTable,
    /// The stations of Q-BRIDGE-MIB with their ifIndexes.
    pub in_vlans: BTreeSet<(Mac, u32)>,
}

/// What the table of BRIDGE-MIB adds to that of Q-BRIDGE-MIB.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum PlainTable {
    /// Everything: Q-BRIDGE-MIB has no learned rows.
    #[default]
    Alone,
    /// Rows that Q-BRIDGE-MIB lacks.
    Adds,
    /// Nothing.
    AddsNothing,
}

/// What earlier polls of a device know about its forwarding tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct EarlierTables<'a> {
    /// Whether one of them could only be read as one of ifIndexes.
    pub uses_if_indexes: bool,
    /// If the table of BRIDGE-MIB was read in an earlier poll.
    pub plain: Option<EarlierPlain<'a>>,
}

/// What is known about a table of BRIDGE-MIB that was read in an earlier poll.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EarlierPlain<'a> {
    /// The stations of Q-BRIDGE-MIB when it was read, with their ifIndexes.
    pub in_vlans: &'a BTreeSet<(Mac, u32)>,
    /// The stations that have moved or left since then.
    pub outdated: &'a BTreeSet<Mac>,
}

impl EarlierPlain<'_> {
    /// The stations that have moved or left until now, as far as Q-BRIDGE-MIB knows.
    fn outdated(&self, now: &BTreeSet<(Mac, u32)>) -> BTreeSet<Mac> {
        moved(self.in_vlans, now)
            .chain(self.outdated.iter().copied())
            .collect()
    }
}

/// The stations that differ between two tables, in place or presence.
pub(crate) fn moved<'a>(
    before: &'a BTreeSet<(Mac, u32)>,
    now: &'a BTreeSet<(Mac, u32)>,
) -> impl Iterator<Item = Mac> {
    before.symmetric_difference(now).map(|(mac, _)| *mac)
}

/// The learned rows of forwarding tables that are missing from the interfaces. Anybody may
/// be behind them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Gap {
    /// The number of rows whose MAC address is unknown.
    pub unread: usize,
    /// One of these rows.
    unread_example: Option<String>,
    /// The number of rows whose interface is unknown.
    pub unplaced: usize,
    /// One of these rows.
    unplaced_example: Option<String>,
    /// Whether no row was placed.
    is_total: bool,
}

/// The table of stations that a Cisco device keeps for one VLAN.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct VlanTable {
    /// The number of the VLAN.
    pub vlan: u32,
    /// The BRIDGE-MIB as the device shows it for this VLAN.
    pub data: PollData,
}

/// The stations on each interface: from Q-BRIDGE-MIB, BRIDGE-MIB and `vlans`.
pub(crate) fn stations(
    data: &PollData,
    vlans: &[VlanTable],
    interfaces: &[Interface],
    earlier: &EarlierTables<'_>,
) -> Stations {
    let mut own: BTreeSet<Mac> = interfaces.iter().filter_map(|one| one.own_mac).collect();
    own.extend(own_address(data));
    let indexes: BTreeSet<u32> = interfaces.iter().map(|one| one.index).collect();
    let place = |data: &PollData, columns: &FdbColumns| {
        let bridge_ports = BridgePorts::of(data, interfaces);
        let ground = Ground {
            bridge_ports: &bridge_ports,
            interfaces: &indexes,
            uses_if_indexes: earlier.uses_if_indexes,
        };
        PlacedTable::of(ForwardingTable::read(data, columns), &own, &ground)
    };
    let mut of_vlans = Vec::new();
    for vlan in vlans {
        let mut table = place(&vlan.data, &PLAIN);
        table.failure = table
            .failure
            .map(|failure| format!("VLAN {}: {failure}", vlan.vlan));
        of_vlans.push(table);
    }
    let mut by_vlan = place(data, &BY_VLAN);
    let mut plain = place(data, &PLAIN);
    let in_vlans = by_vlan.entries.iter();
    let in_vlans = in_vlans
        .filter_map(|entry| Some((entry.mac, entry.index?)))
        .collect();
    if let Some(known) = earlier.plain {
        let outdated = known.outdated(&in_vlans);
        plain.entries.retain(|entry| !outdated.contains(&entry.mac));
    }
    // Without a VLAN in the community, a Cisco device shows the table of VLAN 1.
    plain.drop_known(&of_vlans);
    let is_alone = by_vlan.is_empty();
    unite(&mut by_vlan, &mut plain);
    let adds = match plain.is_empty() {
        _ if is_alone => PlainTable::Alone,
        true => PlainTable::AddsNothing,
        false => PlainTable::Adds,
    };
    of_vlans.extend([plain, by_vlan]);
    Stations {
        plain: adds,
        in_vlans,
        ..Stations::of(of_vlans, data)
    }
}

/// Unites the table of Q-BRIDGE-MIB with that of BRIDGE-MIB, which has the same stations
/// without their VLANs, or others. A row that only one of them can place is placed.
fn unite(by_vlan: &mut PlacedTable, plain: &mut PlacedTable) {
    let (in_vlan, in_plain) = (by_vlan.placed(), plain.placed());
    plain.drop_known([&*by_vlan]);
    let keep = |others: BTreeSet<Mac>| {
        move |entry: &Entry| entry.index.is_some() || !entry.is_station || !others.contains(&entry.mac)
    };
    by_vlan.entries.retain(keep(in_plain));
    plain.entries.retain(keep(in_vlan));
}

/// Whether rows of the table of Q-BRIDGE-MIB (`by_vlan`) or BRIDGE-MIB lack their MAC address,
/// so that the column of addresses must be read.
pub(crate) fn lacks_addresses(data: &PollData, by_vlan: bool) -> bool {
    let columns = if by_vlan { &BY_VLAN } else { &PLAIN };
    // The usual table is long, and has them.
    !forwarding_table::has_addresses_in_indexes(data, columns)
        && ForwardingTable::read(data, columns).unread > 0
}

/// Whether the table of Q-BRIDGE-MIB (`by_vlan`) or BRIDGE-MIB was read to its end and the index
/// of each of its rows has the MAC address, so that the column of addresses need not be read.
pub(crate) fn has_addresses_in_indexes(data: &PollData, by_vlan: bool) -> bool {
    forwarding_table::has_addresses_in_indexes(data, if by_vlan { &BY_VLAN } else { &PLAIN })
}

/// The learned MAC addresses in the table of Q-BRIDGE-MIB (`by_vlan`) or BRIDGE-MIB.
pub(crate) fn macs(data: &PollData, by_vlan: bool) -> BTreeSet<Mac> {
    let table = ForwardingTable::read(data, if by_vlan { &BY_VLAN } else { &PLAIN });
    table.rows.iter().map(|row| row.mac).collect()
}

fn own_address(data: &PollData) -> Option<Mac> {
    data.scalar(mib::DOT1D_BASE_BRIDGE_ADDRESS).and_then(mac)
}

/// A learned row of a forwarding table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    mac: Mac,
    /// Whether it is neither a group nor the device itself.
    is_station: bool,
    /// The number that the row has for a port.
    number: Option<i64>,
    /// The ifIndex of its interface, if that is known.
    index: Option<u32>,
}

/// A forwarding table whose rows have interfaces.
struct PlacedTable {
    entries: Vec<Entry>,
    /// The number of rows whose MAC address is unknown, and one of them.
    unread: usize,
    example: Option<String>,
    placement: Placement,
    failure: Option<String>,
}

impl PlacedTable {
    fn of(table: ForwardingTable, own: &BTreeSet<Mac>, ground: &Ground<'_>) -> Self {
        let number = |row: &LearnedRow| -> Option<u32> {
            let number = row.port?.try_into().ok()?;
            // 0 means that the port is unknown, unless the bridge has a port 0.
            (number > 0 || ground.bridge_ports.contains(0)).then_some(number)
        };
        let numbers: BTreeSet<u32> = table.stations(own).filter_map(number).collect();
        let placement = ground.decide(&numbers);
        let entries = table.rows.iter().map(|row| Entry {
            mac: row.mac,
            is_station: row.is_station(own),
            number: row.port,
            index: number(row).and_then(|number| ground.interface(number, placement.scheme)),
        });
        let entries = entries.collect();
        let failure = match table.is_empty() {
            true => table.failure,
            false => table.failure.or_else(|| ground.bridge_ports.failure.clone()),
        };
        Self {
            entries,
            unread: table.unread,
            example: table.example,
            placement,
            failure,
        }
    }

    /// The MAC addresses on known interfaces.
    fn placed(&self) -> BTreeSet<Mac> {
        let placed = self.entries.iter().filter(|entry| entry.index.is_some());
        placed.map(|entry| entry.mac).collect()
    }

    /// Drops the entries that other tables have as well.
    fn drop_known<'a>(&mut self, others: impl IntoIterator<Item = &'a Self>) {
        let others = others.into_iter().flat_map(|table| &table.entries);
        let known: BTreeSet<(Mac, Option<u32>)> = others.map(|entry| (entry.mac, entry.index)).collect();
        self.entries
            .retain(|entry| !known.contains(&(entry.mac, entry.index)));
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.unread == 0
    }
}

impl Stations {
    fn of(tables: Vec<PlacedTable>, data: &PollData) -> Self {
        let is_whole = |table: &PlacedTable| table.failure.is_none();
        // An empty table looks like a missing one, but a bridge has ports.
        let has_any = tables.iter().any(|table| !table.is_empty());
        let mut stations = Self {
            is_readable: (has_any || is_bridge(data))
                && (tables.iter().all(is_whole)
                    || tables.iter().any(|table| is_whole(table) && !table.is_empty())),
            ..Self::default()
        };
        let mut gap = Gap::default();
        for table in tables {
            stations.learned += table.entries.len();
            gap.unread += table.unread;
            gap.unread_example = gap.unread_example.or(table.example);
            for entry in table.entries.iter().filter(|entry| entry.is_station) {
                match entry.index {
                    Some(index) => _ = stations.on.entry(index).or_default().insert(entry.mac),
                    None => {
                        stations.unplaced.insert(entry.mac);
                        gap.unplaced += 1;
                        gap.unplaced_example.get_or_insert_with(|| entry.to_string());
                    }
                }
            }
            stations.failure = stations.failure.or(table.failure);
            stations.doubt = stations.doubt.or_else(|| doubt(table.placement, &table.entries));
            stations.uses_if_indexes |=
                table.placement.scheme == PortScheme::IfIndex && !table.placement.is_certain;
        }
        gap.is_total = stations.on.is_empty();
        stations.gap = (gap.unread + gap.unplaced > 0).then_some(gap);
        stations
    }

    /// All stations, whether their interface is known or not.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Mac> {
        self.on.values().flatten().chain(&self.unplaced)
    }
}

/// The reason why the stations of a table may be on wrong interfaces, with an example.
fn doubt(placement: Placement, entries: &[Entry]) -> Option<String> {
    let scheme = match placement.scheme {
        _ if placement.is_certain => return None,
        PortScheme::IfIndex => "ifIndexes",
        PortScheme::Position(_) => "positions among the bridge ports",
        PortScheme::BridgePort | PortScheme::Mixed => return None,
    };
    let entry = entries
        .iter()
        .find(|entry| entry.is_station && entry.index.is_some())?;
    let index = entry.index?;
    Some(format!(
        "the ports in the MAC table are read as {scheme}, which is not certain: {entry} is shown on ifIndex {index}"
    ))
}

/// Formats as `02:00:00:00:00:11 with port 0`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "{} with port {number}", self.mac),
            None => write!(f, "{} without a port", self.mac),
        }
    }
}

/// Formats as `2 rows of the MAC table cannot be read, for example dot1dTpFdbPort.54 = 0`.
impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |f: &mut fmt::Formatter<'_>, count: usize, what: &str, example: Option<&String>| {
            let rows = if count == 1 { "row" } else { "rows" };
            let verb = if count == 1 { "is" } else { "are" };
            let example = example.map_or("", String::as_str);
            let intro = if count == 1 { ":" } else { ", for example" };
            write!(
                f,
                "{count} {rows} of the MAC table {verb} {what}{intro} {example}"
            )
        };
        if self.unread > 0 {
            part(f, self.unread, "unreadable", self.unread_example.as_ref())?;
        }
        if self.unread > 0 && self.unplaced > 0 {
            f.write_str("; ")?;
        }
        if self.unplaced > 0 && self.is_total && self.unread == 0 {
            f.write_str("the device does not report which ports its stations are on: ")?;
        }
        if self.unplaced > 0 {
            part(
                f,
                self.unplaced,
                "on no known port",
                self.unplaced_example.as_ref(),
            )?;
        }
        Ok(())
    }
}

/// Whether the device shows a bridge.
pub(crate) fn is_bridge(data: &PollData) -> bool {
    let ports = data.scalar(mib::DOT1D_BASE_NUM_PORTS);
    ports.and_then(Value::unsigned).is_some_and(|ports| ports > 0) || data.has(mib::DOT1D_BASE_PORT_IF_INDEX)
}
