//! The rows of a forwarding table, in all the shapes in which agents show them.
//!
//! By the standard, the index is a MAC address (BRIDGE-MIB), or the number of a filtering
//! database and a MAC address (Q-BRIDGE-MIB). Some agents put the length of the address, 6,
//! before it, some of them with further numbers before that; others number the rows and have
//! the MAC address in a column.

use std::collections::BTreeSet;

use apmon_core::{Mac, text::excerpt};
use apmon_snmp_client::Value;

use crate::{
    device::sanitize::{is_station, mac},
    mib::{self, Object, index::octets_of},
    poll_data::PollData,
};

/// The values of dot1dTpFdbStatus and dot1qTpFdbStatus for entries that are not learned
/// stations: other, invalid, self, mgmt. 3 is learned.
const NOT_LEARNED: [i64; 4] = [1, 2, 4, 5];
/// The most characters of the index of a row in a warning.
const LONGEST_INDEX: usize = 60;

/// The columns of a forwarding table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FdbColumns {
    address: Object,
    port: Object,
    status: Object,
    /// The beginning of the columns' names.
    name: &'static str,
    /// The count of numbers that precede the MAC address in the index.
    prefix: usize,
}

/// The table of Q-BRIDGE-MIB.
pub(crate) const BY_VLAN: FdbColumns = FdbColumns {
    address: mib::DOT1Q_TP_FDB_ADDRESS,
    port: mib::DOT1Q_TP_FDB_PORT,
    status: mib::DOT1Q_TP_FDB_STATUS,
    name: "dot1qTpFdb",
    prefix: 1,
};

/// The table of BRIDGE-MIB.
pub(crate) const PLAIN: FdbColumns = FdbColumns {
    address: mib::DOT1D_TP_FDB_ADDRESS,
    port: mib::DOT1D_TP_FDB_PORT,
    status: mib::DOT1D_TP_FDB_STATUS,
    name: "dot1dTpFdb",
    prefix: 0,
};

/// A learned row of a forwarding table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct LearnedRow {
    /// The station.
    pub mac: Mac,
    /// The number in the column of ports; `None` if there is none.
    pub port: Option<i64>,
}

/// The learned rows of a forwarding table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ForwardingTable {
    /// The rows whose MAC address is known.
    pub rows: Vec<LearnedRow>,
    /// The number of the other rows.
    pub unread: usize,
    /// One of the other rows: `dot1dTpFdbPort.54 = 0`.
    pub example: Option<String>,
    /// The reason why the table was not read to its end.
    pub failure: Option<String>,
}

impl ForwardingTable {
    /// Reads the learned rows, and those that may be learned.
    pub(crate) fn read(data: &PollData, columns: &FdbColumns) -> Self {
        let statuses = data.by_index(columns.status);
        let addresses = data.by_index(columns.address);
        let ports = data.by_index(columns.port);
        let failure = [columns.port, columns.status, columns.address]
            .into_iter()
            .find_map(|column| data.failure(column));
        let mut table = Self {
            failure: failure.map(str::to_owned),
            ..Self::default()
        };
        // The statuses of rows without one may be among those that were not read.
        let lacks_statuses = data.failure(columns.status).is_some();
        // Some agents repeat rows: a station on two ports has two rows with one index.
        let with_port = data
            .rows(columns.port)
            .iter()
            .map(|row| (row.index.as_slice(), Some(&row.value)));
        let without: BTreeSet<&[u32]> = statuses.keys().chain(addresses.keys()).copied().collect();
        // Where ports are missing, nothing is known of the rows without one.
        let has_ports = data.failure(columns.port).is_none();
        let without = without
            .into_iter()
            .filter(|index| has_ports && !ports.contains_key(index));
        for (index, port) in with_port.chain(without.map(|index| (index, None))) {
            let status = statuses.get(index).and_then(|status| status.number());
            let is_learned = match status {
                Some(status) => !NOT_LEARNED.contains(&status),
                None => !lacks_statuses,
            };
            if !is_learned {
                continue;
            }
            match address(index, columns.prefix, addresses.get(index).copied()) {
                Some(mac) => table.rows.push(LearnedRow {
                    mac,
                    port: port.and_then(Value::number),
                }),
                None => {
                    table.unread += 1;
                    let example = || shown(columns, index, port, statuses.get(index).copied());
                    table.example.get_or_insert_with(example);
                }
            }
        }
        table
    }

    /// Whether the table has no learned rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.unread == 0
    }

    /// The rows of stations: neither groups nor the device's `own` addresses.
    pub(super) fn stations<'a>(&'a self, own: &'a BTreeSet<Mac>) -> impl Iterator<Item = &'a LearnedRow> {
        self.rows.iter().filter(|row| row.is_station(own))
    }
}

impl LearnedRow {
    /// Whether it is neither a group nor one of the device's `own` addresses.
    pub(super) fn is_station(&self, own: &BTreeSet<Mac>) -> bool {
        is_station(self.mac) && !own.contains(&self.mac)
    }
}

/// The MAC address of a row, from its index or from its column of addresses; `None` if
/// neither has one, or if they contradict each other.
fn address(index: &[u32], prefix: usize, column: Option<&Value>) -> Option<Mac> {
    let column = column.and_then(|value| match value.octets() {
        Some([0, 0, 0, 0, 0, 0]) => Some(Mac::new([0; 6])),
        _ => mac(value),
    });
    match (in_index(index, prefix), column) {
        (Some(index), Some(column)) if index != column && column.bytes() != [0; 6] => None,
        (index, column) => index.or(column),
    }
}

/// Whether a table has rows, was read to its end, and has the MAC address of each row in its
/// index.
pub(super) fn has_addresses_in_indexes(data: &PollData, columns: &FdbColumns) -> bool {
    let all = [columns.port, columns.status];
    let is_read = all.iter().all(|column| data.failure(column).is_none());
    let mut rows = all.iter().flat_map(|column| data.rows(column));
    let has_rows = all.iter().any(|column| data.has(column));
    is_read && has_rows && rows.all(|row| in_index(&row.index, columns.prefix).is_some())
}

/// The MAC address in an index: after as many numbers as the standard says, or at the end and
/// after its length.
fn in_index(index: &[u32], prefix: usize) -> Option<Mac> {
    let (before, last) = index.split_at_checked(index.len().checked_sub(6)?)?;
    let is_marked = before.len() == prefix || before.last() == Some(&6);
    octets_of(last).filter(|_| is_marked).map(Mac::new)
}

fn shown(columns: &FdbColumns, index: &[u32], port: Option<&Value>, status: Option<&Value>) -> String {
    let (column, value) = match (port, status) {
        (Some(port), _) => ("Port", port.number()),
        (None, Some(status)) => ("Status", status.number()),
        (None, None) => ("Address", None),
    };
    let index: Vec<String> = index.iter().map(u32::to_string).collect();
    let index = excerpt(&index.join("."), LONGEST_INDEX);
    let value = value.map(|value| format!(" = {value}")).unwrap_or_default();
    format!("{}{column}.{index}{value}", columns.name)
}
