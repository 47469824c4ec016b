//! What HOST-RESOURCES-MIB says of a device's storage: its disks, its flash
//! memory, its swap space (RFC 2790, hrStorageTable).

use std::collections::BTreeSet;

use apmon_core::{DeviceDisk, text::excerpt};

use crate::{
    device::percent::used_pct,
    mib::{
        HR_STORAGE_ALLOCATION_UNITS, HR_STORAGE_DESCR, HR_STORAGE_SIZE, HR_STORAGE_TYPE, HR_STORAGE_TYPES,
        HR_STORAGE_USED, MEM_AVAIL_SWAP, MEM_TOTAL_SWAP, NET_SNMP, SYS_OBJECT_ID,
    },
    poll_data::PollData,
};

/// Characters of a file system's name. A mount point may be longer, no chart's
/// title is.
const NAME: usize = 128;

/// What a row of the table is, by the last number of its type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StorageType {
    /// RAM.
    Ram,
    /// Virtual memory: swap space, and on Arista the parts of a RAM disk.
    Virtual,
    /// A file system that may fill up.
    FileSystem,
    /// A CD, full by nature, or a floppy disk.
    Medium,
    /// Anything else, or nothing that the MIB knows.
    Other,
}

/// A row of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Storage {
    pub kind: StorageType,
    /// As the device has it.
    pub descr: String,
    /// Bytes, where it has any.
    pub size: Option<u64>,
    /// Bytes in use.
    pub used: Option<u64>,
}

impl Storage {
    /// Its description is one of these, in either case.
    pub(crate) fn is_one_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.descr.eq_ignore_ascii_case(name))
    }

    /// How much of it is in use, percent. `None` where it has no size, and where
    /// more is in use than there is: one of the two has wrapped then.
    fn used_pct(&self) -> Option<f64> {
        used_pct(self.used?, self.size?)
    }

    /// Where it is mounted, or its drive: all of the description, but
    /// `/dev/ad0s1f: var file system, mounted on: /var` is `/var`, and
    /// `C:\ Label:  Serial Number 1848504c` is `C:\`.
    fn name(&self) -> &str {
        if let Some((_, place)) = self.descr.split_once("mounted on:") {
            return place.trim();
        }
        match self.descr.split_once(" Label:") {
            Some((drive, _)) if drive.contains(':') => drive.trim_end(),
            _ => &self.descr,
        }
    }

    /// A drive of Windows, `/`, or something below it.
    fn is_mount_point(&self) -> bool {
        let name = self.name();
        name.starts_with('/') || name.get(1..3) == Some(":\\")
    }
}

/// All rows that have a description, by their index.
pub(crate) fn storages(data: &PollData) -> Vec<Storage> {
    let types = data.by_index(HR_STORAGE_TYPE);
    let units = data.by_index(HR_STORAGE_ALLOCATION_UNITS);
    let sizes = data.by_index(HR_STORAGE_SIZE);
    let used = data.by_index(HR_STORAGE_USED);
    let descrs = data.by_index(HR_STORAGE_DESCR).into_iter();
    descrs
        .filter_map(|(index, descr)| {
            let unit = units
                .get(index)
                .and_then(|value| value.unsigned())
                .filter(|unit| *unit > 0);
            let bytes = |count: Option<u64>| count?.checked_mul(unit?);
            let storage_type = types.get(index).and_then(|value| value.oid());
            Some(Storage {
                kind: storage_type.map_or(StorageType::Other, |oid| match oid.below(HR_STORAGE_TYPES) {
                    Some([2]) => StorageType::Ram,
                    Some([3]) => StorageType::Virtual,
                    // Fixed and removable disks, RAM disks, flash, of a network.
                    Some([4 | 5 | 8 | 9 | 10]) => StorageType::FileSystem,
                    Some([6 | 7]) => StorageType::Medium,
                    _ => StorageType::Other,
                }),
                descr: descr.text()?,
                size: bytes(sizes.get(index).and_then(|value| value.natural())).filter(|size| *size > 0),
                used: bytes(used.get(index).and_then(|value| value.natural())),
            })
        })
        .collect()
}

/// Bytes in use of NVRAM and flash: all rows with one of these words in their
/// description (`bootflash` is one, too); `None` where there is none.
pub(crate) fn nvram_flash_bytes(data: &PollData) -> Option<u64> {
    let is_flash = |storage: &Storage| {
        let descr = storage.descr.to_ascii_lowercase();
        descr.contains("nvram") || descr.contains("flash")
    };
    let rows = storages(data).into_iter();
    rows.filter(is_flash)
        .filter_map(|storage| storage.used)
        .reduce(u64::saturating_add)
}

/// The file systems that have a size, each name once; not memory, not swap
/// space. One that uses more than it has is left out: that is an agent whose
/// 32 bits were too few, and nobody knows how full it is.
pub(crate) fn disks(data: &PollData) -> Vec<DeviceDisk> {
    let is_file_system = |storage: &Storage| match storage.kind {
        StorageType::FileSystem => true,
        StorageType::Other => storage.is_mount_point(),
        StorageType::Ram | StorageType::Virtual | StorageType::Medium => false,
    };
    let mut seen = BTreeSet::new();
    let rows = storages(data).into_iter();
    rows.filter(is_file_system)
        .filter_map(|storage| {
            storage.used_pct()?;
            Some(DeviceDisk {
                name: excerpt(storage.name(), NAME),
                size: storage.size?,
                used: storage.used?,
            })
        })
        .filter(|disk| seen.insert(disk.name.clone()))
        .collect()
}

/// How full the root file system is, percent: that of `/`, else of `root`, else
/// of a description that begins with `C:\`, else of `c:`.
pub(crate) fn root_pct(data: &PollData) -> Option<f64> {
    let rows = storages(data);
    let is_root: [fn(&Storage) -> bool; 4] = [
        |storage| storage.name() == "/",
        |storage| storage.is_one_of(&["root"]),
        |storage| matches!(storage.descr.get(..3), Some("C:\\" | "c:\\")),
        |storage| storage.is_one_of(&["c:"]),
    ];
    is_root
        .iter()
        .find_map(|is_root| rows.iter().filter(|row| is_root(row)).find_map(Storage::used_pct))
}

/// Swap space in use, bytes: the row `Swap space`, else what UCD-SNMP-MIB says,
/// else the row `Virtual memory`. Not that of net-snmp: its virtual memory is
/// RAM and swap space.
pub(crate) fn swap_used_bytes(data: &PollData) -> Option<u64> {
    let rows = storages(data);
    let row = |name| rows.iter().find(|row| row.is_one_of(&[name]))?.used;
    let swap = row("swap space").or_else(|| ucd_swap_used(data));
    if swap.is_some() || is_net_snmp(data) {
        return swap;
    }
    row("virtual memory")
}

/// memTotalSwap and memAvailSwap are kB.
fn ucd_swap_used(data: &PollData) -> Option<u64> {
    let total = data.scalar(MEM_TOTAL_SWAP)?.natural()?;
    let available = data.scalar(MEM_AVAIL_SWAP)?.natural()?;
    total.checked_sub(available)?.checked_mul(1024)
}

fn is_net_snmp(data: &PollData) -> bool {
    let object_id = data.scalar(SYS_OBJECT_ID).and_then(|value| value.oid());
    object_id.is_some_and(|oid| oid.starts_with(NET_SNMP)) || data.scalar(MEM_TOTAL_SWAP).is_some()
}

#[cfg(test)]
mod tests;
