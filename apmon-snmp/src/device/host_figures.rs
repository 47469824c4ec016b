//! A host's figures of load, disks and swap space, as its agent reports them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    device::{
        block_device::whole_disks,
        storage::{root_pct, swap_used_bytes},
    },
    mib::*,
    poll_data::PollData,
    rule::counter_value::CounterValue,
};

const SCALARS: &[Object] = &[
    SS_RAW_CONTEXTS,
    SS_RAW_INTERRUPTS,
    SS_RAW_SWAP_IN,
    SS_RAW_SWAP_OUT,
    MEM_TOTAL_SWAP,
    MEM_AVAIL_SWAP,
];

const DISK_IO: &[Object] = &[
    DISK_IO_DEVICE,
    DISK_IO_N_READ_X,
    DISK_IO_N_WRITTEN_X,
    DISK_IO_N_READ,
    DISK_IO_N_WRITTEN,
];

/// Adds the objects that [`HostFigures`] needs, besides those of
/// [`vital::ask`](crate::device::vital::ask).
pub(crate) fn ask(scalars: &mut Vec<Object>, tables: &mut Vec<&'static [Object]>) {
    scalars.extend(SCALARS);
    tables.push(DISK_IO);
}

/// A host's figures at one check. Counters are as the agent reports them; their growth
/// is computed by [`counting`](crate::rule::counting).
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct HostFigures {
    pub context_switches: Option<CounterValue>,
    pub interrupts: Option<CounterValue>,
    /// The number of pages read from swap space.
    pub swap_in: Option<CounterValue>,
    /// The number of pages written to swap space.
    pub swap_out: Option<CounterValue>,
    /// The bytes read from and written to each whole disk, by the disk's name.
    pub disks: BTreeMap<String, DiskBytes>,
    /// The use of the root file system, in percent.
    pub disk_space_pct: Option<f64>,
    /// The swap space in use, in bytes.
    pub swap_used: Option<u64>,
}

/// The bytes read from and written to a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct DiskBytes {
    pub read: Option<CounterValue>,
    pub written: Option<CounterValue>,
}

impl HostFigures {
    pub(crate) fn read(data: &PollData) -> Self {
        let read = |object| data.scalar(object).and_then(CounterValue::of);
        // No running kernel has switched no contexts: net-snmp first reads the counters
        // after 5 s and reports zeros until then, which would cause a spike at the next
        // check.
        let has_checked = read(SS_RAW_CONTEXTS).is_none_or(|count| count.value > 0);
        let count = |object| read(object).filter(|_| has_checked);
        Self {
            context_switches: count(SS_RAW_CONTEXTS),
            interrupts: count(SS_RAW_INTERRUPTS),
            swap_in: count(SS_RAW_SWAP_IN),
            swap_out: count(SS_RAW_SWAP_OUT),
            disks: disk_bytes(data),
            disk_space_pct: root_pct(data),
            swap_used: swap_used_bytes(data),
        }
    }
}

/// The bytes of each disk, from diskIONReadX and diskIONWrittenX in 64 bits, or else from
/// diskIONRead and diskIONWritten. (diskIOReads and diskIOWrites, .5 and .6, count
/// accesses.)
fn disk_bytes(data: &PollData) -> BTreeMap<String, DiskBytes> {
    let devices = data.by_index(DISK_IO_DEVICE).into_iter();
    let devices: Vec<(&[u32], String)> = devices
        .filter_map(|(index, name)| Some((index, name.text()?)))
        .collect();
    let names: BTreeSet<&str> = devices.iter().map(|(_, name)| name.as_str()).collect();
    let wholes = whole_disks(&names);
    let columns = |wide, narrow| {
        let (wide, narrow) = (data.by_index(wide), data.by_index(narrow));
        move |index: &[u32]| {
            let wide = wide.get(index).and_then(|value| CounterValue::of(value));
            wide.or_else(|| narrow.get(index).and_then(|value| CounterValue::of(value)))
        }
    };
    let read = columns(DISK_IO_N_READ_X, DISK_IO_N_READ);
    let written = columns(DISK_IO_N_WRITTEN_X, DISK_IO_N_WRITTEN);
    let disks = devices.iter().filter(|(_, name)| wholes.contains(name.as_str()));
    disks
        .map(|(index, name)| {
            let bytes = DiskBytes {
                read: read(index),
                written: written(index),
            };
            (name.clone(), bytes)
        })
        .collect()
}

#[cfg(test)]
mod tests;
