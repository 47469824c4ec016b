//! How busy a device is: its processors and its memory.
//!
//! Each maker has objects of its own for that; HOST-RESOURCES-MIB is what stands
//! in where a device has none of them. An impossible figure (more than 100 %,
//! more in use than there is, a size of 0) is ignored.

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

/// Memory by UCD-SNMP-MIB.
const UCD_MEMORY: &[Object] = &[MEM_TOTAL_REAL, MEM_AVAIL_REAL, MEM_BUFFER, MEM_CACHED];

/// What [`cpu_load`], [`memory_pct`] and
/// [`nvram_flash_bytes`](crate::device::storage::nvram_flash_bytes) need of a device of
/// this maker. One that does not say what it is (`None`) is asked for what
/// belongs to no maker.
pub(crate) fn ask(vendor: Option<Vendor>, scalars: &mut Vec<Object>, tables: &mut Vec<Table>) {
    tables.extend([STORAGE, PROCESSORS]);
    match vendor.unwrap_or(Vendor::Other) {
        Vendor::Cisco => tables.extend([CISCO_PROCESSORS, CISCO_MEMORY]),
        Vendor::Hp => {
            // HP's servers and enclosures have net-snmp.
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
