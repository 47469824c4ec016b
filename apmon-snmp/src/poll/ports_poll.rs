//! Polling a device's ports. A poll requests only what is needed, and nothing that the
//! device is known not to have.

use std::collections::BTreeSet;

use apmon_core::Mac;
use apmon_snmp_client::{Oid, Session, Value};
use tokio::time::Instant;

use super::{
    device_profile::{DeviceProfile, Numbering, RareParts},
    error::PollError,
    table::{
        ADDRESSES, BRIDGE_PORTS, CDP, ENTITIES, ENTITY_PORTS, LLDP, LLDP_PORTS, NAMES, OLD_ADDRESSES,
        PACKETS, STATES, STATIONS, VLAN_STATIONS, VLANS, WIDE,
    },
};
use crate::{
    device::{arp, bridge, vendor::Vendor, vital},
    mib::{self, Object, Table},
    poll_data::PollData,
};

/// The scalars that every poll reads.
const SCALARS: &[Object] = &[
    mib::SYS_OBJECT_ID,
    mib::SYS_UP_TIME,
    mib::HR_SYSTEM_UPTIME,
    mib::SYS_NAME,
    mib::TCP_RETRANS_SEGS,
    mib::IF_NUMBER,
    mib::IF_TABLE_LAST_CHANGE,
    mib::DOT1D_BASE_BRIDGE_ADDRESS,
    mib::DOT1D_BASE_NUM_PORTS,
];
/// The scalars that change rarely.
const ABOUT: &[Object] = &[mib::SYS_DESCR, mib::SYS_LOCATION, mib::SYS_CONTACT];

/// The scope of a poll.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    /// Everything about a device.
    Device,
    /// The needs of one port, and the device's traffic and load.
    Port,
}

/// The result of one poll of a device's ports.
#[derive(Debug, Default)]
pub(crate) struct PortsPoll {
    /// The values that were read.
    pub(crate) data: PollData,
    /// The parts that were read besides the state of the ports.
    pub(crate) parts: RareParts,
    /// Whether the table of BRIDGE-MIB was read, or is known to be absent.
    pub(super) has_plain: bool,
    numbering: Numbering,
}

impl PortsPoll {
    /// Polls a device's ports: their states, counters and stations. If one of the stations in
    /// `expected` is missing from Q-BRIDGE-MIB, BRIDGE-MIB is read as well.
    ///
    /// # Errors
    /// If the device cannot be read, or its agent restarts meanwhile. A table that was not
    /// read to its end is not an error here: its columns carry the failure.
    pub(super) async fn read(
        session: &mut Session,
        profile: &mut DeviceProfile,
        extent: Extent,
        expected: &BTreeSet<Mac>,
    ) -> Result<Self, PollError> {
        profile.begin(session);
        let mut poll = Self {
            parts: profile.rare_parts(extent == Extent::Device),
            ..Self::default()
        };
        let tables = poll.read_tables(session, profile, extent).await?;
        poll.read_substitutes(session, profile, &tables, expected).await?;
        poll.read_addresses(session, profile).await?;
        poll.note_redundant(profile);
        check_not_restarted(session, &poll.data).await?;
        poll.read_extras(session, profile).await;
        Ok(poll)
    }

    /// Reads the scalars and tables of every poll, and returns which tables were read.
    async fn read_tables(
        &mut self,
        session: &mut Session,
        profile: &mut DeviceProfile,
        extent: Extent,
    ) -> Result<Vec<Table>, PollError> {
        let mut scalars = SCALARS.to_vec();
        if self.parts.about {
            scalars.extend(ABOUT);
        }
        if profile.has_unknown_vendor() || self.parts.names {
            // The vendor decides which other objects are requested.
            profile.read(session, &scalars, &[], &mut self.data).await?;
            profile.set_vendor(&self.data);
            scalars.clear();
        }
        let mut tables = vec![STATES, PACKETS, VLAN_STATIONS, BRIDGE_PORTS];
        if extent == Extent::Device {
            tables.extend([ADDRESSES, OLD_ADDRESSES]);
        }
        tables.extend(&profile.substitutes);
        tables.retain(|table| !profile.redundant.contains(table));
        if self.parts.names {
            tables.push(NAMES);
        }
        if profile.vendor() == Some(Vendor::Cisco) && profile.vlans.lacking.is_none() {
            tables.push(VLANS);
        }
        vital::ask(profile.vendor(), &mut scalars, &mut tables);
        profile.read(session, &scalars, &tables, &mut self.data).await?;
        self.numbering = Numbering::of(&self.data);
        Ok(tables)
    }

    /// Reads tables instead of others that this device lacks, and the names of interfaces
    /// if the interfaces changed.
    async fn read_substitutes(
        &mut self,
        session: &mut Session,
        profile: &mut DeviceProfile,
        tables: &[Table],
        expected: &BTreeSet<Mac>,
    ) -> Result<(), PollError> {
        let data = &self.data;
        // A remembered table has the numbers of the interfaces when it was read.
        if !data.has(mib::DOT1Q_TP_FDB_PORT) || profile.is_renumbered(&self.numbering) {
            profile.redundant.remove(&STATIONS);
        }
        profile.substitutes = substitutes(data, &self.numbering.ports);
        profile
            .substitutes
            .retain(|table| !profile.redundant.contains(table));
        let mut more = profile.substitutes.clone();
        if profile.redundant.contains(&STATIONS) && !expected.is_subset(&bridge::macs(data, true)) {
            more.push(STATIONS);
        }
        self.has_plain = tables.contains(&STATIONS) || more.contains(&STATIONS);
        more.retain(|table| !tables.contains(table));
        if !self.parts.names && profile.is_renumbered(&self.numbering) {
            // If this poll fails, the next one reads the names again.
            profile.needs_names = true;
            self.parts.names = true;
            more.push(NAMES);
        }
        profile.read(session, &[], &more, &mut self.data).await?;
        Ok(())
    }

    /// Reads the addresses of stations if the indexes of their rows lack them.
    async fn read_addresses(
        &mut self,
        session: &mut Session,
        profile: &mut DeviceProfile,
    ) -> Result<(), PollError> {
        let mut tables = Vec::new();
        for (table, by_vlan) in [(VLAN_STATIONS, true), (STATIONS, false)] {
            if bridge::lacks_addresses(&self.data, by_vlan) && profile.read_addresses(table) {
                tables.push(table);
            } else if bridge::has_addresses_in_indexes(&self.data, by_vlan) {
                // The agent has been replaced or updated.
                profile.leave_addresses(table);
            }
        }
        if !tables.is_empty() {
            profile.read(session, &[], &tables, &mut self.data).await?;
        }
        Ok(())
    }

    /// Records which tables add nothing to the content of others.
    fn note_redundant(&self, profile: &mut DeviceProfile) {
        let data = &self.data;
        if bridge::is_bridge(data) {
            profile.expect_stations();
        }
        let stands_still = stands_still(data);
        for (wide, old) in WIDE {
            let was_read = profile.substitutes.contains(old) && !stands_still;
            if was_read && adds_nothing(data, wide[0], old) {
                profile.redundant.insert(*old);
            }
        }
        profile
            .substitutes
            .retain(|table| !profile.redundant.contains(table));
        if arp::is_old_table_redundant(data) {
            profile.redundant.insert(OLD_ADDRESSES);
        }
    }

    /// Reads slots and neighbours if it is their turn. They come last, within a third of
    /// the remaining time: some agents never answer requests for them.
    async fn read_extras(&mut self, session: &mut Session, profile: &mut DeviceProfile) {
        let mut tables: Vec<Table> = Vec::new();
        if self.parts.slots {
            tables.extend([ENTITIES, ENTITY_PORTS]);
        }
        if self.parts.neighbours {
            tables.extend([LLDP, LLDP_PORTS, CDP]);
        }
        if tables.is_empty() {
            return;
        }
        let now = Instant::now();
        session.set_deadline(now + session.deadline().saturating_duration_since(now) / 3);
        let read = profile.read(session, &[], &tables, &mut self.data).await;
        if read.is_err() {
            (self.parts.slots, self.parts.neighbours) = (false, false);
        }
    }

    /// Accepts the poll as complete, so that the next one continues from it.
    pub(super) fn accept(&self, profile: &mut DeviceProfile) {
        profile.accept(&self.data, self.parts, &self.numbering);
    }

    /// Whether interfaces may have changed their names or numbers since the last poll.
    pub(super) fn is_renumbered(&self, profile: &DeviceProfile) -> bool {
        profile.is_renumbered(&self.numbering)
    }

    /// The number of interfaces shown and their total, if some are missing.
    pub(super) fn missing_ports(&self, profile: &DeviceProfile) -> Option<(usize, usize)> {
        profile.missing_ports(&self.data, &self.numbering)
    }
}

/// The tables to read instead of those that turned out to be missing or stuck.
fn substitutes(data: &PollData, ports: &[Vec<u32>]) -> Vec<Table> {
    let mut tables = Vec::new();
    // A device whose octet counters are stuck is not trusted about packets either.
    let stands_still = stands_still(data);
    for (wide, old) in WIDE {
        let has = data.by_index(wide[0]);
        let is_missing = ports.iter().any(|index| !has.contains_key(index.as_slice()));
        if data.failure(wide[0]).is_none() && (is_missing || stands_still) {
            tables.push(*old);
        }
    }
    // Both tables may have stations that the other one lacks.
    if data.has(mib::DOT1Q_TP_FDB_PORT) || data.failure(mib::DOT1Q_TP_FDB_PORT).is_none() {
        tables.push(STATIONS);
    }
    tables
}

/// Whether the device's 64-bit counters are all zero: it does not count with them
/// (recorded: D-Link DES-3028), or has only just started.
fn stands_still(data: &PollData) -> bool {
    WIDE.iter().any(|(wide, _)| {
        let has_any = wide.iter().any(|column| data.has(column));
        let mut counts = wide.iter().flat_map(|column| data.rows(column));
        has_any && counts.all(|row| row.value.unsigned() == Some(0))
    })
}

/// Whether every port with a counter in `old` has one in `wide` as well. On some
/// devices the remaining interfaces have no counters at all.
fn adds_nothing(data: &PollData, wide: Object, old: Table) -> bool {
    let has = data.by_index(wide);
    let mut rows = old.iter().flat_map(|column| data.rows(column));
    let is_read = old.iter().all(|column| data.failure(column).is_none());
    is_read && rows.all(|row| has.contains_key(row.index.as_slice()))
}

/// Checks that the agent was not restarted during the poll: right after its start, its
/// tables may be half empty.
async fn check_not_restarted(session: &mut Session, data: &PollData) -> Result<(), PollError> {
    let Some(Value::TimeTicks(before)) = data.scalar(mib::SYS_UP_TIME) else {
        return Ok(());
    };
    let now = session.get(&[Oid::join(mib::SYS_UP_TIME, &[0])]).await?;
    match now.first().map(|varbind| &varbind.value) {
        // sysUpTime wraps after 497 days.
        Some(Value::TimeTicks(now)) if now < before && before - now < u32::MAX / 2 => {
            Err(PollError::Restarted)
        }
        _ => Ok(()),
    }
}
