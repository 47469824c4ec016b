//! The interfaces of the bridge ports, from dot1dBasePortIfIndex.

use std::collections::{BTreeMap, BTreeSet};

use apmon_snmp_client::Value;

use crate::{device::interface::Interface, mib, poll_data::PollData};

/// The interfaces of the bridge ports.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct BridgePorts {
    /// The ifIndex of each bridge port; `None` if the device does not report it.
    by_port: BTreeMap<u32, Option<u32>>,
    /// Whether the device reports no bridge ports, so that they were derived from its interfaces.
    pub(super) is_derived: bool,
    /// The reason why bridge ports may be missing.
    pub(super) failure: Option<String>,
}

impl BridgePorts {
    /// Reads dot1dBasePortIfIndex. If it is useless (a Juniper MX reports 0 for all ports),
    /// the numbers of bridge ports are taken for ifIndexes, provided that is unambiguous:
    /// the Ethernet interfaces are numbered from 1 without a gap, and the bridge has
    /// exactly as many ports.
    pub(crate) fn of(data: &PollData, interfaces: &[Interface]) -> Self {
        let rows = data.rows(mib::DOT1D_BASE_PORT_IF_INDEX).iter();
        // 0 means none, unless an interface has that number, contrary to the standard.
        let has_zero = interfaces.iter().any(|one| one.index == 0);
        let index = |value: &Value| -> Option<u32> {
            let index = value.number()?.try_into().ok()?;
            (index > 0 || has_zero).then_some(index)
        };
        let by_port: BTreeMap<u32, Option<u32>> = rows
            .filter_map(|row| match row.index.as_slice() {
                [port] => Some((*port, index(&row.value))),
                _ => None,
            })
            .collect();
        let failure = data.failure(mib::DOT1D_BASE_PORT_IF_INDEX);
        let ports = data.scalar(mib::DOT1D_BASE_NUM_PORTS).and_then(Value::unsigned);
        let is_mapped = by_port.values().any(Option::is_some) || failure.is_some();
        let derived = match is_mapped {
            true => BTreeMap::new(),
            false => same_numbers(ports, interfaces),
        };
        let is_derived = by_port.is_empty() || !derived.is_empty();
        Self {
            by_port: if derived.is_empty() { by_port } else { derived },
            is_derived: is_derived && failure.is_none(),
            failure: failure.map(str::to_owned),
        }
    }

    /// The ifIndex of a bridge port.
    pub(crate) fn of_number(&self, port: u32) -> Option<u32> {
        self.by_port.get(&port).copied().flatten()
    }

    /// Whether the bridge has a port of that number, on a known interface or not.
    pub(super) fn contains(&self, port: u32) -> bool {
        self.by_port.contains_key(&port)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_port.is_empty()
    }

    /// The ifIndexes of all ports.
    pub(super) fn interfaces(&self) -> BTreeSet<u32> {
        self.by_port.values().flatten().copied().collect()
    }

    /// The number of the first port and the count of ports, if they are numbered without a gap
    /// and the interfaces of all of them are known.
    pub(super) fn contiguous(&self) -> Option<(u32, u32)> {
        let (first, last) = (*self.by_port.keys().next()?, *self.by_port.keys().last()?);
        let count = u32::try_from(self.by_port.len()).ok()?;
        let is_whole = self.failure.is_none() && self.by_port.values().all(Option::is_some);
        (is_whole && last - first == count - 1).then_some((first, count))
    }
}

fn same_numbers(ports: Option<u64>, interfaces: &[Interface]) -> BTreeMap<u32, Option<u32>> {
    let ethernets: BTreeSet<u32> = interfaces
        .iter()
        .filter(|one| one.is_ethernet())
        .map(|one| one.index)
        .collect();
    let has_no_gap = (1u32..).zip(&ethernets).all(|(number, index)| number == *index);
    match ports == u64::try_from(ethernets.len()).ok() && has_no_gap {
        true => ethernets.iter().map(|index| (*index, Some(*index))).collect(),
        false => BTreeMap::new(),
    }
}
