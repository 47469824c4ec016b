//! A device's disks, flash memory and swap space, from HOST-RESOURCES-MIB (RFC 2790,
//! hrStorageTable).

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

/// The most characters of a file system's name. A mount point may be longer, but no
/// chart's title has room for it.
const NAME: usize = 128;

/// The kind of storage that a row describes, from the last number of hrStorageType.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StorageType {
    /// Main memory.
    Ram,
    /// Virtual memory: swap space or, on Arista devices, the parts of a RAM disk.
    Virtual,
    /// A file system that can fill up.
    FileSystem,
    /// A CD, which is always full, or a floppy disk.
    Medium,
    /// Any other type, or one that the MIB does not define.
    Other,
}

/// A row of hrStorageTable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Storage {
    pub kind: StorageType,
    /// The description as the device reports it.
    pub descr: String,
    /// The size in bytes, if it is not zero.
    pub size: Option<u64>,
    /// The bytes in use.
    pub used: Option<u64>,
}

impl Storage {
    /// Whether the description is one of these names, ignoring case.
    pub(crate) fn is_one_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.descr.eq_ignore_ascii_case(name))
    }

    /// The part in use, in percent. `None` without a size, and if more is in use than the
    /// size: then one of the two numbers has wrapped.
    fn used_pct(&self) -> Option<f64> {
        used_pct(self.used?, self.size?)
    }

    /// The mount point or drive. This is usually the whole description, but the name of
    /// `/dev/ad0s1f: var file system, mounted on: /var` is `/var`, and that of
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

    /// Whether the name is a path from `/` or a drive of Windows.
    fn is_mount_point(&self) -> bool {
        let name = self.name();
        name.starts_with('/') || name.get(1..3) == Some(":\\")
    }
}

/// The rows that have a description, in the order of their indexes.
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
                    // Fixed and removable disks, RAM disks, flash memory, network disks.
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

/// The bytes of NVRAM and flash memory in use, in all rows whose description contains
/// one of these words, as `bootflash` does; `None` if there is no such row.
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

/// The file systems that have a size, each name once, without memory and swap space. A
/// file system that uses more than its size is left out: its numbers have overflowed 32
/// bits, and its use is unknown.
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

/// The use of the root file system, in percent. The root is `/`, or else `root`, or else
/// a description that begins with `C:\`, or else `c:`.
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

/// The swap space in use, in bytes: from the row `Swap space`, or else from UCD-SNMP-MIB,
/// or else from the row `Virtual memory`. The last is not used with net-snmp, whose
/// virtual memory is RAM plus swap space.
pub(crate) fn swap_used_bytes(data: &PollData) -> Option<u64> {
    let rows = storages(data);
    let row = |name| rows.iter().find(|row| row.is_one_of(&[name]))?.used;
    let swap = row("swap space").or_else(|| ucd_swap_used(data));
    if swap.is_some() || is_net_snmp(data) {
        return swap;
    }
    row("virtual memory")
}

/// The swap space in use, in bytes, from memTotalSwap and memAvailSwap, which are in kB.
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
