//! The tables of stations that a Cisco keeps for each VLAN.

use std::{mem, net::IpAddr, time::Duration};

use apmon_core::Check;
use apmon_snmp_client::{Column, Session, SnmpError};
use tokio::time::Instant;

use super::{
    device_client::DeviceClient,
    table::{self, BRIDGE_PORTS, STATIONS},
};
use crate::{device::bridge::VlanTable, mib, poll_data::PollData};

/// VLANs whose stations are read.
const MOST_VLANS: usize = 256;
/// How long to wait for a VLAN: an agent without a table for it does not answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The number of unreadable VLANs after which the others are skipped.
const MOST_FAILED: usize = 2;

/// What is known of a device's tables of VLANs from earlier polls.
#[derive(Debug, Default)]
pub(super) struct VlanProfile {
    /// Why its tables could not be read, from that VLAN on.
    pub(super) lacking: Option<(u32, String)>,
    /// The last poll could not read the first of them.
    missed: bool,
}

/// Answers and retries that reading the tables took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct VlanCost {
    pub(super) round_trips: u32,
    pub(super) retries: u32,
}

impl VlanProfile {
    /// Reads the table of each VLAN, if `data` is of a Cisco that keeps them so.
    /// A table that could not be read says so.
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
            let read = match client.vlan_session(to, vlan, deadline).await {
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
                    // It keeps no such tables, or none that we may read.
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

    /// The VLANs of a Cisco that has a table of stations for each.
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

    /// Notes that the table of the first VLAN could not be read. After the second
    /// poll in a row the device is taken to have none, and is rarely asked again.
    fn miss(&mut self, vlan: u32, reason: String) {
        if mem::replace(&mut self.missed, true) {
            self.lacking = Some((vlan, reason));
        }
    }

    /// The table of the VLAN that could not be read, as one that says so.
    fn unread_table(&self) -> Option<VlanTable> {
        let (vlan, reason) = self.lacking.as_ref()?;
        Some(unread_table(*vlan, reason))
    }
}

/// The table of a VLAN that was not read, for that `reason`.
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
