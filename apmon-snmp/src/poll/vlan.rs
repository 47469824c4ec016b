//! The tables of stations that Cisco devices keep per VLAN.

use std::{mem, net::IpAddr, time::Duration};

use apmon_core::Check;
use apmon_snmp_client::{Column, Session, SnmpError};
use tokio::time::Instant;

use super::{
    device_client::DeviceClient,
    table::{self, BRIDGE_PORTS, STATIONS},
};
use crate::{device::bridge::VlanTable, mib, poll_data::PollData};

/// The most VLANs whose stations are read.
const MOST_VLANS: usize = 256;
/// The longest wait for a VLAN's table: an agent without one does not answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The number of unreadable VLANs after which the others are skipped.
const MOST_FAILED: usize = 2;

/// The knowledge about a device's VLAN tables from earlier polls.
#[derive(Debug, Default)]
pub(super) struct VlanProfile {
    /// The first VLAN whose table could not be read, and the reason, if the device is taken
    /// to have no such tables.
    pub(super) lacking: Option<(u32, String)>,
    /// Whether the last poll could not read the first VLAN's table.
    missed: bool,
}

/// The answers and retries that reading the tables took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct VlanCost {
    pub(super) round_trips: u32,
    pub(super) retries: u32,
}

impl VlanProfile {
    /// Reads the table of each VLAN, if `data` is from a Cisco device that keeps them
    /// separately. A table that could not be read carries its failure.
    pub(super) async fn read(
        &mut self,
        client: &DeviceClient,
        check: &Check,
        to: IpAddr,
        data: &PollData,
    ) -> (Vec<VlanTable>, VlanCost) {
        let mut tables = Vec::new();
        let mut cost = VlanCost::default();
        let (mut failed, mut has_any) = (0, false);
        let vlans = self.vlans(data);
        for (i, vlan) in vlans.iter().copied().enumerate() {
            if i >= MOST_VLANS {
                let reason = format!("skipped: only {MOST_VLANS} VLANs are read");
                tables.push(unread_table(vlan, &reason));
                break;
            }
            if failed >= MOST_FAILED {
                let reason = format!("skipped: {failed} other VLANs could not be read");
                tables.push(unread_table(vlan, &reason));
                break;
            }
            let deadline = check.deadline().min(Instant::now() + PATIENCE);
            let read = match client.vlan_session(check, to, vlan, deadline).await {
                None => Err("no session could be opened".to_owned()),
                Some(mut session) => {
                    let read = read_table(&mut session).await;
                    cost.round_trips += session.stats().round_trips;
                    cost.retries += session.stats().retries;
                    read.map_err(|error| error.to_string())
                }
            };
            match read {
                Ok(data) => {
                    has_any = true;
                    self.missed = false;
                    tables.push(VlanTable { vlan, data });
                }
                Err(reason) => {
                    check.step("vlan", || format!("{vlan}: {reason}"));
                    failed += 1;
                    tables.push(unread_table(vlan, &reason));
                    // The device has no such tables, or none that we may read.
                    if !has_any && (failed >= MOST_FAILED || failed == vlans.len()) {
                        self.miss(vlan, reason);
                        break;
                    }
                }
            }
        }
        if vlans.is_empty() {
            tables.extend(self.unread_table());
        }
        (tables, cost)
    }

    /// The VLANs to read, if the device has a separate table of stations for each.
    fn vlans(&self, data: &PollData) -> Vec<u32> {
        if self.lacking.is_some() || data.has(mib::DOT1Q_TP_FDB_PORT) {
            return Vec::new();
        }
        let rows = data.rows(mib::VTP_VLAN_STATE).iter();
        let operational = rows.filter(|row| row.value.number() == Some(1));
        let numbers = operational.filter_map(|row| row.index.last().copied());
        // The table of VLAN 1 is read anyway; VLANs from 1002 on are for token
        // ring and FDDI, which no bridge has had for decades.
        let others = numbers.filter(|vlan| *vlan != 1 && !(1002..=1005).contains(vlan));
        others.collect()
    }

    /// Records that the table of the first VLAN could not be read. After two such polls in
    /// a row, the device is taken to have no VLAN tables and is rarely asked again.
    fn miss(&mut self, vlan: u32, reason: String) {
        if mem::replace(&mut self.missed, true) {
            self.lacking = Some((vlan, reason));
        }
    }

    /// An empty table that carries the failure of the VLAN that could not be read.
    fn unread_table(&self) -> Option<VlanTable> {
        let (vlan, reason) = self.lacking.as_ref()?;
        Some(unread_table(*vlan, reason))
    }
}

/// An empty table that carries the `reason` why a VLAN was not read.
fn unread_table(vlan: u32, reason: &str) -> VlanTable {
    let mut data = PollData::default();
    let column = Column {
        rows: Vec::new(),
        failure: Some(reason.to_owned()),
    };
    data.put_column(mib::DOT1D_TP_FDB_PORT, column);
    VlanTable { vlan, data }
}

/// Reads the table of a session's VLAN.
async fn read_table(session: &mut Session) -> Result<PollData, SnmpError> {
    let mut data = PollData::default();
    let tables = [STATIONS.to_vec(), BRIDGE_PORTS.to_vec()];
    table::read(session, &[], &tables, &mut data).await?;
    Ok(data)
}
