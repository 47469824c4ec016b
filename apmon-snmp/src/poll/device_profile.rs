//! What is known of a device from earlier polls: what it has, and which of its
//! tables are worth reading.

use std::collections::BTreeSet;

use apmon_snmp_client::{Oid, Session, SnmpError, Value};

use super::{
    table::{self, ESSENTIAL, PORT_NAMES},
    vlan::VlanProfile,
};
use crate::{
    device::vendor::Vendor,
    mib::{self, Object, Table},
    poll_data::PollData,
};

/// Polls between two reads of what changes rarely, or was absent.
const RARELY: u64 = 10;

/// What is known of a device from earlier polls.
#[derive(Debug, Default)]
pub(crate) struct DeviceProfile {
    /// Polls so far.
    polls: u64,
    /// Its sysObjectID.
    object_id: Option<Oid>,
    /// Columns that it does not have.
    absent: BTreeSet<Object>,
    /// Columns that have had rows: they may be empty, and fill again.
    seen: BTreeSet<Object>,
    /// Tables that the last poll read in the place of others.
    pub(super) substitutes: Vec<Table>,
    /// Tables with nothing in them that others do not have as well.
    pub(super) redundant: BTreeSet<Table>,
    pub(super) vlans: VlanProfile,
    /// What the last poll knew the interfaces by.
    numbering: Numbering,
    /// The names of interfaces must be read at the next poll.
    pub(super) needs_names: bool,
}

/// What shows whether interfaces still have the names and numbers they had.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Numbering {
    /// The indexes of the interfaces.
    pub(super) ports: Vec<Vec<u32>>,
    /// When their table last changed.
    change: Option<Value>,
    /// How long the device, and its agent, have been running.
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

    /// Whether interfaces came, went, or may have been renumbered.
    fn differs(&self, before: &Self) -> bool {
        let pairs = self.uptimes.iter().zip(before.uptimes);
        let was_restarted = pairs.into_iter().any(|(now, before)| *now < before);
        self.ports != before.ports || self.change != before.change || was_restarted
    }
}

/// What a poll reads beside the state of the ports: each part only rarely.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct RareParts {
    /// Names, aliases and speeds of interfaces.
    pub(crate) names: bool,
    /// Slots of the chassis.
    pub(crate) slots: bool,
    /// Neighbours by LLDP and CDP.
    pub(crate) neighbours: bool,
    /// What the device says about itself.
    pub(crate) about: bool,
}

impl DeviceProfile {
    /// Starts a poll. Every tenth one asks again for what was absent.
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

    /// What the next poll reads beside the state of the ports; a device as a
    /// whole, or only what one of its ports needs.
    pub(super) fn rare_parts(&self, is_device: bool) -> RareParts {
        RareParts {
            names: self.is_turn(0) || self.needs_names,
            slots: is_device && self.is_turn(3),
            neighbours: is_device && self.is_turn(6),
            about: is_device && self.is_turn(6),
        }
    }

    /// Whether this poll reads a part that is read rarely: each part has a turn
    /// of its own, and the first poll reads all of them.
    fn is_turn(&self, turn: u64) -> bool {
        self.polls == 0 || self.polls % RARELY == turn
    }

    /// Whether its vendor must be read before anything else.
    pub(super) fn has_unknown_vendor(&self) -> bool {
        self.object_id.is_none()
    }

    /// Takes the vendor from a poll.
    pub(super) fn set_vendor(&mut self, data: &PollData) {
        self.object_id = data.scalar(mib::SYS_OBJECT_ID).and_then(Value::oid).cloned();
    }

    pub(super) fn vendor(&self) -> Option<Vendor> {
        self.object_id.as_ref().map(Vendor::of)
    }

    /// Reads scalars and tables at the same time, without the columns that the
    /// device is known not to have.
    pub(super) async fn read(
        &mut self,
        session: &mut Session,
        scalars: &[Object],
        tables: &[Table],
        data: &mut PollData,
    ) -> Result<(), SnmpError> {
        let present = |table: &Table| -> Vec<Object> {
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

    /// Notes whether the device has a column that was just read.
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

    /// Asks for tables of stations again even if they were empty: nobody may be
    /// there now, and somebody at the next poll.
    pub(super) fn expect_stations(&mut self) {
        self.absent.retain(|column| !table::is_of_stations(column));
    }

    /// Takes a poll as it is: the next one continues from there. Until this is
    /// called the next one asks for all that this one did.
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

    /// Forgets which columns are absent and which tables are redundant: a poll
    /// that is discarded is not trusted about that either.
    pub(super) fn forget_absences(&mut self) {
        self.absent.clear();
        self.redundant.clear();
    }

    /// Whether interfaces may have other names or numbers than at the last poll.
    pub(super) fn is_renumbered(&self, numbering: &Numbering) -> bool {
        numbering.differs(&self.numbering)
    }

    /// How many interfaces are shown of how many there are (ifNumber), if fewer
    /// than that and fewer than at the last poll.
    pub(super) fn missing_ports(&self, data: &PollData, numbering: &Numbering) -> Option<(usize, usize)> {
        let number = data.scalar(mib::IF_NUMBER).and_then(Value::unsigned);
        let number = usize::try_from(number?).ok()?;
        let shown = numbering.ports.len();
        (shown < number && shown < self.numbering.ports.len()).then_some((shown, number))
    }
}
