//! The profile of a device: which objects it has, and which of its tables are worth
//! reading.

use std::collections::BTreeSet;

use apmon_snmp_client::{Oid, Session, SnmpError, Value};

use super::{
    table::{self, ESSENTIAL, PORT_NAMES, STATIONS},
    vlan::VlanProfile,
};
use crate::{
    device::vendor::Vendor,
    mib::{self, Object, Table},
    poll_data::PollData,
};

/// The interval, in polls, at which rarely changing and absent objects are read again.
const RARELY: u64 = 10;

/// The knowledge about a device from earlier polls that decides what to read next.
#[derive(Debug, Default)]
pub(crate) struct DeviceProfile {
    /// The number of polls so far.
    polls: u64,
    /// The device's sysObjectID.
    object_id: Option<Oid>,
    /// Columns that the device does not have.
    absent: BTreeSet<Object>,
    /// Columns that have had rows: if they are empty now, they may fill again.
    seen: BTreeSet<Object>,
    /// Tables that the last poll read instead of others.
    pub(super) substitutes: Vec<Table>,
    /// Tables whose content other tables have as well, or that are remembered.
    pub(super) redundant: BTreeSet<Table>,
    /// Tables of stations that are read with the column of addresses.
    with_addresses: BTreeSet<Table>,
    pub(super) vlans: VlanProfile,
    /// The numbering of the interfaces at the last poll.
    numbering: Numbering,
    /// Whether the next poll must read the names of interfaces.
    pub(super) needs_names: bool,
}

/// Evidence of whether interfaces have kept their names and numbers.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Numbering {
    /// The ifIndexes of the interfaces.
    pub(super) ports: Vec<Vec<u32>>,
    /// The time at which the table of interfaces last changed.
    change: Option<Value>,
    /// The uptimes of the device and of its agent.
    uptimes: [Option<u64>; 2],
}

impl Numbering {
    pub(super) fn of(data: &PollData) -> Self {
        let ticks = |object| data.scalar(object).and_then(Value::unsigned);
        let rows = data.rows(mib::IF_OPER_STATUS).iter();
        Self {
            ports: rows.map(|row| row.index.clone()).collect(),
            change: data.scalar(mib::IF_TABLE_LAST_CHANGE).cloned(),
            uptimes: [ticks(mib::HR_SYSTEM_UPTIME), ticks(mib::SYS_UP_TIME)],
        }
    }

    /// Whether interfaces were added, removed or possibly renumbered since `before`.
    fn differs(&self, before: &Self) -> bool {
        let pairs = self.uptimes.iter().zip(before.uptimes);
        let was_restarted = pairs.into_iter().any(|(now, before)| *now < before);
        self.ports != before.ports || self.change != before.change || was_restarted
    }
}

/// The parts that a poll reads besides the state of the ports, each only at every tenth
/// poll.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct RareParts {
    /// Names, aliases and speeds of interfaces.
    pub(crate) names: bool,
    /// Slots of the chassis.
    pub(crate) slots: bool,
    /// Neighbours by LLDP and CDP.
    pub(crate) neighbours: bool,
    /// The device's description of itself.
    pub(crate) about: bool,
}

impl DeviceProfile {
    /// Starts a poll of a device's ports. Every tenth poll requests absent objects again.
    pub(super) fn begin(&mut self, session: &Session) {
        if self.is_turn(RARELY - 1) {
            self.forget_absences();
            self.vlans.lacking = None;
            session.agent().retry_bulk();
        }
    }

    /// Starts a poll of a host.
    pub(super) fn begin_host(&mut self) {
        if self.is_turn(RARELY - 1) {
            self.absent.clear();
        }
    }

    /// The parts that the next poll reads besides the state of the ports, for a whole
    /// device (`is_device`) or for one of its ports.
    pub(super) fn rare_parts(&self, is_device: bool) -> RareParts {
        RareParts {
            names: self.is_turn(0) || self.needs_names,
            slots: is_device && self.is_turn(3),
            neighbours: is_device && self.is_turn(6),
            about: is_device && self.is_turn(6),
        }
    }

    /// Whether this poll reads the rarely read part that has this turn. Each part has its
    /// own turn among ten polls; the first poll reads all parts.
    fn is_turn(&self, turn: u64) -> bool {
        self.polls == 0 || self.polls % RARELY == turn
    }

    /// Whether the vendor must be read before anything else.
    pub(super) fn has_unknown_vendor(&self) -> bool {
        self.object_id.is_none()
    }

    /// Sets the vendor from the data of a poll.
    pub(super) fn set_vendor(&mut self, data: &PollData) {
        self.object_id = data.scalar(mib::SYS_OBJECT_ID).and_then(Value::oid).cloned();
    }

    pub(super) fn vendor(&self) -> Option<Vendor> {
        self.object_id.as_ref().map(Vendor::of)
    }

    /// Reads scalars and tables at the same time, except columns that the device is known
    /// not to have.
    pub(super) async fn read(
        &mut self,
        session: &mut Session,
        scalars: &[Object],
        tables: &[Table],
        data: &mut PollData,
    ) -> Result<(), SnmpError> {
        let present = |table: &Table| -> Vec<Object> {
            let table = match self.with_addresses.contains(table) {
                true => table::with_addresses(table),
                false => *table,
            };
            let columns = table.iter().filter(|column| !self.absent.contains(*column));
            columns.copied().collect()
        };
        let tables: Vec<Vec<Object>> = tables
            .iter()
            .map(present)
            .filter(|table| !table.is_empty())
            .collect();
        table::read(session, scalars, &tables, data).await?;
        for column in tables.into_iter().flatten() {
            self.note(column, data);
        }
        Ok(())
    }

    /// Records whether the device has the column that was just read.
    fn note(&mut self, column: Object, data: &PollData) {
        if data.has(column) {
            self.seen.insert(column);
        } else if data.failure(column).is_none()
            && !self.seen.contains(column)
            && !ESSENTIAL.contains(&column)
        {
            self.absent.insert(column);
        }
    }

    /// Requests the tables of stations again even if they were empty: the next poll may
    /// find stations.
    pub(super) fn expect_stations(&mut self) {
        self.absent.retain(|column| !table::is_of_stations(column));
    }

    /// Reads the column of addresses with a table of stations from now on. Returns whether it
    /// was not read before.
    pub(super) fn read_addresses(&mut self, table: Table) -> bool {
        self.with_addresses.insert(table)
    }

    /// Reads a table of stations without the column of addresses from the next poll on.
    pub(super) fn leave_addresses(&mut self, table: Table) {
        self.with_addresses.remove(table);
    }

    /// Sets whether the table of BRIDGE-MIB is read only at every tenth poll.
    pub(super) fn rest_plain(&mut self, rests: bool) {
        match rests {
            true => _ = self.redundant.insert(STATIONS),
            false => _ = self.redundant.remove(STATIONS),
        }
        self.substitutes.retain(|table| !self.redundant.contains(table));
    }

    /// Accepts a poll as complete, so that the next one continues from it. Otherwise the
    /// next poll requests the same objects again.
    pub(super) fn accept(&mut self, data: &PollData, parts: RareParts, numbering: &Numbering) {
        if parts.names {
            self.needs_names = PORT_NAMES.iter().any(|column| data.failure(column).is_some());
        }
        self.numbering = numbering.clone();
        self.polls += 1;
    }

    /// Accepts a poll of a host, which has no ports.
    pub(super) fn accept_host(&mut self) {
        self.polls += 1;
    }

    /// Forgets which columns are absent and which tables are redundant: a discarded poll
    /// is not trusted about these either.
    pub(super) fn forget_absences(&mut self) {
        self.absent.clear();
        self.redundant.clear();
    }

    /// Whether interfaces may have changed their names or numbers since the last poll.
    pub(super) fn is_renumbered(&self, numbering: &Numbering) -> bool {
        numbering.differs(&self.numbering)
    }

    /// The number of interfaces shown and their total (ifNumber), if fewer are shown than
    /// the total and than at the last poll.
    pub(super) fn missing_ports(&self, data: &PollData, numbering: &Numbering) -> Option<(usize, usize)> {
        let number = data.scalar(mib::IF_NUMBER).and_then(Value::unsigned);
        let number = usize::try_from(number?).ok()?;
        let shown = numbering.ports.len();
        (shown < number && shown < self.numbering.ports.len()).then_some((shown, number))
    }
}

#[cfg(test)]
mod tests {
    use super::{DeviceProfile, STATIONS};

    #[test]
    fn addresses_that_were_left_are_read_again_when_they_are_needed() {
        let mut profile = DeviceProfile::default();
        assert!(profile.read_addresses(STATIONS));
        assert!(!profile.read_addresses(STATIONS));
        profile.leave_addresses(STATIONS);
        assert!(profile.with_addresses.is_empty());
        assert!(profile.read_addresses(STATIONS));
    }
}
