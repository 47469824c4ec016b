//! The memory use of a device.

use super::cpu::routing_engine;
use crate::{
    device::{
        percent::used_pct,
        storage::{Storage, StorageType, storages},
        vendor::Vendor,
    },
    mib::{
        AIR_OS_MEM_FREE, AIR_OS_MEM_TOTAL, CISCO_MEMORY_POOL_FREE, CISCO_MEMORY_POOL_USED,
        CPM_CPU_MEMORY_FREE, CPM_CPU_MEMORY_USED, HP_LOCAL_MEM_FREE_BYTES, HP_LOCAL_MEM_TOTAL_BYTES,
        JNX_OPERATING_BUFFER, MEM_AVAIL_REAL, MEM_BUFFER, MEM_CACHED, MEM_TOTAL_REAL, Object,
    },
    poll_data::PollData,
};

/// The names that agents give their RAM, the best first.
const RAM: [&str; 4] = ["Physical memory", "Real memory", "RAM", "Memory"];
/// The names of rows for buffers, on net-snmp, Isilon and Arista.
const BUFFERS: &[&str] = &["Memory buffers", "Memory buffer", "RAM (Buffers)"];
const CACHE: &[&str] = &["Cached memory", "RAM (Cache)"];

/// The memory in use, in percent: from the vendor's objects, or else from hrStorageTable,
/// or else from UCD-SNMP-MIB; `None` if the device does not report it. Buffers and cache
/// do not count as in use: programs get that memory when they need it.
pub(crate) fn memory_pct(data: &PollData) -> Option<f64> {
    let own = match Vendor::read(data) {
        Vendor::Cisco => cisco(data),
        Vendor::Hp => hp(data),
        // A figure of 0 belongs to a part without memory.
        Vendor::Juniper => routing_engine(data, JNX_OPERATING_BUFFER, 1).map(f64::from),
        Vendor::Ubiquiti => air_os(data),
        Vendor::Other => None,
    };
    own.or_else(|| host_resources(data)).or_else(|| ucd(data))
}

/// The use of the processor's memory pool, which is the first one, or else of the memory
/// of all processors in CISCO-PROCESS-MIB.
fn cisco(data: &PollData) -> Option<f64> {
    let (free, used) = (CISCO_MEMORY_POOL_FREE, CISCO_MEMORY_POOL_USED);
    let pool = data.rows(used).iter().find_map(|row| {
        let free = data.instance(free, &row.index)?.unsigned()?;
        let used = row.value.unsigned()?;
        used_pct(used, used.checked_add(free)?)
    });
    pool.or_else(|| {
        let used = sum(data, CPM_CPU_MEMORY_USED, CPM_CPU_MEMORY_FREE)?;
        let free = sum(data, CPM_CPU_MEMORY_FREE, CPM_CPU_MEMORY_USED)?;
        used_pct(used, used.checked_add(free)?)
    })
}

/// The memory use of all slots together.
fn hp(data: &PollData) -> Option<f64> {
    let total = sum(data, HP_LOCAL_MEM_TOTAL_BYTES, HP_LOCAL_MEM_FREE_BYTES)?;
    let free = sum(data, HP_LOCAL_MEM_FREE_BYTES, HP_LOCAL_MEM_TOTAL_BYTES)?;
    used_pct(total.checked_sub(free)?, total)
}

/// The sum of a column over the rows that `other` has as well.
fn sum(data: &PollData, object: Object, other: Object) -> Option<u64> {
    let other = data.by_index(other);
    let rows = data.rows(object).iter();
    rows.filter(|row| {
        let other = other.get(row.index.as_slice());
        other.is_some_and(|value| value.natural().is_some())
    })
    .filter_map(|row| row.value.natural())
    .reduce(u64::saturating_add)
}

fn air_os(data: &PollData) -> Option<f64> {
    let total = data.scalar(AIR_OS_MEM_TOTAL)?.unsigned()?;
    let free = data.scalar(AIR_OS_MEM_FREE)?.unsigned()?;
    used_pct(total.checked_sub(free)?, total)
}

fn host_resources(data: &PollData) -> Option<f64> {
    let rows = storages(data);
    let readable = |row: &&Storage| row.size.is_some() && row.used.is_some();
    let named = RAM
        .iter()
        .find_map(|name| rows.iter().filter(readable).find(|row| row.is_one_of(&[name])));
    let ram = named.or_else(|| {
        let mut rows = rows.iter().filter(readable);
        rows.find(|row| row.kind == StorageType::Ram && !row.is_one_of(BUFFERS) && !row.is_one_of(CACHE))
    })?;
    let part = |names: &[&str], scalar| {
        let row = rows.iter().find(|row| row.is_one_of(names));
        row.and_then(|row| row.used)
            .or_else(|| kilobytes(data, scalar))
            .unwrap_or(0)
    };
    let not_in_use = part(BUFFERS, MEM_BUFFER).saturating_add(part(CACHE, MEM_CACHED));
    used_pct(without(ram.used?, not_in_use), ram.size?)
}

fn ucd(data: &PollData) -> Option<f64> {
    let total = kilobytes(data, MEM_TOTAL_REAL)?;
    let used = total.checked_sub(kilobytes(data, MEM_AVAIL_REAL)?)?;
    let part = |object| kilobytes(data, object).unwrap_or(0);
    let not_in_use = part(MEM_BUFFER).saturating_add(part(MEM_CACHED));
    used_pct(without(used, not_in_use), total)
}

/// Subtracts buffers and cache from the memory in use. An agent that reports more of them
/// than is in use (Isilon: a cache of 1.6 TB) does not count them as memory in use.
fn without(used: u64, not_in_use: u64) -> u64 {
    used.checked_sub(not_in_use).unwrap_or(used)
}

/// The value in bytes of an object that is in kB.
fn kilobytes(data: &PollData, object: Object) -> Option<u64> {
    data.scalar(object)?.natural()?.checked_mul(1024)
}
