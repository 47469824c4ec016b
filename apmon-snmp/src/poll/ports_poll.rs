//! One poll of a device's ports: no more than is needed, and nothing that the
//! device is known not to have.

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

/// Scalars of every poll.
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
/// Scalars that change rarely.
const ABOUT: &[Object] = &[mib::SYS_DESCR, mib::SYS_LOCATION, mib::SYS_CONTACT];

/// How much a poll reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    /// All that is known of a device.
    Device,
    /// What one of its ports needs, and the device's traffic and load.
    Port,
}

/// One poll of a device's ports.
#[derive(Debug, Default)]
pub(crate) struct PortsPoll {
    /// What was read.
    pub(crate) data: PollData,
    /// What was read beside the state of the ports.
    pub(crate) parts: RareParts,
    numbering: Numbering,
}

impl PortsPoll {
    /// Polls a device's ports: their states and counts, and their stations.
    ///
    /// # Errors
    /// If the device could not be read, or was restarted meanwhile. A table that
    /// was not read to its end is not an error here: its columns say so.
    pub(super) async fn read(
        session: &mut Session,
        profile: &mut DeviceProfile,
        extent: Extent,
    ) -> Result<Self, PollError> {
        profile.begin(session);
        let mut poll = Self {
            parts: profile.rare_parts(extent == Extent::Device),
            ..Self::default()
        };
        let tables = poll.read_tables(session, profile, extent).await?;
        poll.read_substitutes(session, profile, &tables).await?;
        poll.note_redundant(profile);
        check_not_restarted(session, &poll.data).await?;
        poll.read_extras(session, profile).await;
        Ok(poll)
    }

    /// Reads scalars and the tables of every poll; returns these.
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
            // The vendor decides what else to ask for.
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

    /// Reads tables in the place of others that this device lacks, and the names
    /// of interfaces if these changed.
    async fn read_substitutes(
        &mut self,
        session: &mut Session,
        profile: &mut DeviceProfile,
        tables: &[Table],
    ) -> Result<(), PollError> {
        profile.substitutes = substitutes(&self.data, &self.numbering.ports);
        profile
            .substitutes
            .retain(|table| !profile.redundant.contains(table));
        let mut more = profile.substitutes.clone();
        more.retain(|table| !tables.contains(table));
        if !self.parts.names && profile.is_renumbered(&self.numbering) {
            // The next poll reads them again if this one fails.
            profile.needs_names = true;
            self.parts.names = true;
            more.push(NAMES);
        }
        profile.read(session, &[], &more, &mut self.data).await?;
        Ok(())
    }

    /// Notes which tables have nothing that others do not have as well.
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

    /// Reads slots and neighbours if it is their turn. They come last, within a
    /// third of the time that is left: some agents never answer for them.
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

    /// Takes the poll as it is: the next one continues from there.
    pub(super) fn accept(&self, profile: &mut DeviceProfile) {
        profile.accept(&self.data, self.parts, &self.numbering);
    }

    /// Whether interfaces may have other names or numbers than at the last poll.
    pub(super) fn is_renumbered(&self, profile: &DeviceProfile) -> bool {
        profile.is_renumbered(&self.numbering)
    }

    /// How many interfaces are shown of how many there are, if some are missing.
    pub(super) fn missing_ports(&self, profile: &DeviceProfile) -> Option<(usize, usize)> {
        profile.missing_ports(&self.data, &self.numbering)
    }
}

/// The tables to read in the place of others, by what was read of those.
fn substitutes(data: &PollData, ports: &[Vec<u32>]) -> Vec<Table> {
    let mut tables = Vec::new();
    // A device whose octets stand still is not trusted about packets either.
    let stands_still = stands_still(data);
    for (wide, old) in WIDE {
        let has = data.by_index(wide[0]);
        let is_missing = ports.iter().any(|index| !has.contains_key(index.as_slice()));
        if data.failure(wide[0]).is_none() && (is_missing || stands_still) {
            tables.push(*old);
        }
    }
    if !data.has(mib::DOT1Q_TP_FDB_PORT) && data.failure(mib::DOT1Q_TP_FDB_PORT).is_none() {
        tables.push(STATIONS);
    }
    tables
}

/// Whether the device has 64-bit counters and does not count with them (recorded:
/// D-Link DES-3028), or has just begun to count.
fn stands_still(data: &PollData) -> bool {
    WIDE.iter().any(|(wide, _)| {
        let has_any = wide.iter().any(|column| data.has(column));
        let mut counts = wide.iter().flat_map(|column| data.rows(column));
        has_any && counts.all(|row| row.value.unsigned() == Some(0))
    })
}

/// Whether every port with a count in `old` has one in `wide`: on some devices
/// the others are interfaces that count nothing.
fn adds_nothing(data: &PollData, wide: Object, old: Table) -> bool {
    let has = data.by_index(wide);
    let mut rows = old.iter().flat_map(|column| data.rows(column));
    let is_read = old.iter().all(|column| data.failure(column).is_none());
    is_read && rows.all(|row| has.contains_key(row.index.as_slice()))
}

/// Checks that the agent was not restarted during the poll: the tables of one
/// that has just begun may be half empty.
async fn check_not_restarted(session: &mut Session, data: &PollData) -> Result<(), PollError> {
    let Some(Value::TimeTicks(before)) = data.scalar(mib::SYS_UP_TIME) else {
        return Ok(());
    };
    let now = session.get(&[Oid::join(mib::SYS_UP_TIME, &[0])]).await?;
    match now.first().map(|varbind| &varbind.value) {
        // It starts anew after 497 days.
        Some(Value::TimeTicks(now)) if now < before && before - now < u32::MAX / 2 => {
            Err(PollError::Restarted)
        }
        _ => Ok(()),
    }
}
