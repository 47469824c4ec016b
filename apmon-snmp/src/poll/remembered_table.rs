//! The table of BRIDGE-MIB between two readings.
//!
//! It is long, and rarely has more than Q-BRIDGE-MIB, which is read at every poll. What it
//! adds must be seen at every poll all the same.

use std::collections::BTreeSet;

use apmon_core::Mac;
use apmon_snmp_client::Column;

use super::table::STATIONS_BY_ROW;
use crate::{
    device::bridge::{EarlierPlain, PlainTable, Stations, macs, moved},
    mib::Object,
    poll_data::PollData,
};

/// The table of BRIDGE-MIB as it was last read, if it adds something to Q-BRIDGE-MIB.
#[derive(Debug, Default)]
pub(super) struct RememberedTable {
    columns: Vec<(Object, Column)>,
    /// The stations of Q-BRIDGE-MIB at that time, with their ifIndexes.
    in_vlans: BTreeSet<(Mac, u32)>,
    /// The stations that have moved or left since then.
    outdated: BTreeSet<Mac>,
    /// The others in the table.
    stations: BTreeSet<Mac>,
}

impl RememberedTable {
    /// The stations that are known without reading the table.
    pub(super) fn stations(&self) -> &BTreeSet<Mac> {
        &self.stations
    }

    /// Adds the table to a poll that has not read it.
    pub(super) fn complete(&self, data: &mut PollData) {
        for (object, column) in &self.columns {
            data.put_column(object, column.clone());
        }
    }

    pub(super) fn known(&self) -> EarlierPlain<'_> {
        EarlierPlain {
            in_vlans: &self.in_vlans,
            outdated: &self.outdated,
        }
    }

    /// Records the stations of a poll that has not read the table.
    pub(super) fn note(&mut self, stations: &Stations) {
        if !self.columns.is_empty() {
            self.outdated.extend(moved(&self.in_vlans, &stations.in_vlans));
            self.stations.retain(|mac| !self.outdated.contains(mac));
        }
    }

    /// Remembers the table of a poll that has read it. Returns whether it need not be read
    /// again for a while.
    pub(super) fn remember(&mut self, data: &PollData, stations: &Stations) -> bool {
        *self = Self::default();
        let mut columns = STATIONS_BY_ROW.iter();
        let is_whole = columns.all(|column| data.failure(column).is_none());
        if stations.plain == PlainTable::Adds && is_whole {
            let columns = STATIONS_BY_ROW.iter().filter(|column| data.has(column));
            let column = |object: &Object| {
                let rows = data.rows(object).to_vec();
                (*object, Column { rows, failure: None })
            };
            self.columns = columns.map(column).collect();
            self.stations = macs(data, false);
            self.in_vlans.clone_from(&stations.in_vlans);
        }
        is_whole && stations.plain != PlainTable::Alone
    }
}
