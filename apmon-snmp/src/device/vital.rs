//! A device's processor load and memory use.
//!
//! Each vendor has its own objects for these; HOST-RESOURCES-MIB serves for devices that
//! have none of them. Impossible figures are ignored: more than 100 %, more in use than
//! the size, a size of 0.

mod cpu;
mod memory;

pub(crate) use cpu::cpu_load;
pub(crate) use memory::memory_pct;

use crate::{device::vendor::Vendor, mib::*};

pub(crate) const STORAGE: Table = &[
    HR_STORAGE_TYPE,
    HR_STORAGE_DESCR,
    HR_STORAGE_ALLOCATION_UNITS,
    HR_STORAGE_SIZE,
    HR_STORAGE_USED,
];
const PROCESSORS: Table = &[HR_PROCESSOR_LOAD];
const CISCO_PROCESSORS: Table = &[
    CPM_CPU_TOTAL_5_SEC_REV,
    CPM_CPU_TOTAL_1_MIN_REV,
    CPM_CPU_TOTAL_5_MIN_REV,
    CPM_CPU_TOTAL_5_SEC,
    CPM_CPU_TOTAL_1_MIN,
    CPM_CPU_TOTAL_5_MIN,
    CPM_CPU_MEMORY_USED,
    CPM_CPU_MEMORY_FREE,
];
const CISCO_MEMORY: Table = &[CISCO_MEMORY_POOL_USED, CISCO_MEMORY_POOL_FREE];
const HP_MEMORY: Table = &[HP_LOCAL_MEM_TOTAL_BYTES, HP_LOCAL_MEM_FREE_BYTES];
const JUNIPER_ENGINES: Table = &[JNX_OPERATING_CPU, JNX_OPERATING_BUFFER];

/// The memory objects of UCD-SNMP-MIB.
const UCD_MEMORY: &[Object] = &[MEM_TOTAL_REAL, MEM_AVAIL_REAL, MEM_BUFFER, MEM_CACHED];

/// Adds the objects that [`cpu_load`], [`memory_pct`] and
/// [`nvram_flash_bytes`](crate::device::storage::nvram_flash_bytes) need for a device of
/// this vendor. A device of unknown vendor (`None`) is asked only for objects that belong
/// to no vendor.
pub(crate) fn ask(vendor: Option<Vendor>, scalars: &mut Vec<Object>, tables: &mut Vec<Table>) {
    tables.extend([STORAGE, PROCESSORS]);
    match vendor.unwrap_or(Vendor::Other) {
        Vendor::Cisco => tables.extend([CISCO_PROCESSORS, CISCO_MEMORY]),
        Vendor::Hp => {
            // HP's servers and enclosures run net-snmp.
            scalars.push(HP_SWITCH_CPU_STAT);
            scalars.extend(UCD_MEMORY);
            tables.push(HP_MEMORY);
        }
        Vendor::Juniper => tables.push(JUNIPER_ENGINES),
        Vendor::Ubiquiti => {
            scalars.extend([AIR_OS_MEM_TOTAL, AIR_OS_MEM_FREE]);
            scalars.extend(UCD_MEMORY);
        }
        Vendor::Other => scalars.extend(UCD_MEMORY),
    }
}

#[cfg(test)]
mod tests;
