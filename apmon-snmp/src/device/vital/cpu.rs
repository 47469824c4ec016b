//! The processor load of a device.

use apmon_snmp_client::{Row, Value};

use crate::{
    device::vendor::Vendor,
    mib::{
        CPM_CPU_TOTAL_1_MIN, CPM_CPU_TOTAL_1_MIN_REV, CPM_CPU_TOTAL_5_MIN, CPM_CPU_TOTAL_5_MIN_REV,
        CPM_CPU_TOTAL_5_SEC, CPM_CPU_TOTAL_5_SEC_REV, HP_SWITCH_CPU_STAT, HR_PROCESSOR_LOAD,
        JNX_OPERATING_CPU, Object,
    },
    poll_data::PollData,
};

/// Cisco's averages, the shortest first. Each has two objects, of which the newer is
/// preferred: its range is 0 to 100, that of the older one 1 to 100.
const CISCO: [Object; 6] = [
    CPM_CPU_TOTAL_5_SEC_REV,
    CPM_CPU_TOTAL_5_SEC,
    CPM_CPU_TOTAL_1_MIN_REV,
    CPM_CPU_TOTAL_1_MIN,
    CPM_CPU_TOTAL_5_MIN_REV,
    CPM_CPU_TOTAL_5_MIN,
];

/// The processor load in percent, the mean of all processors: from the vendor's objects,
/// or else from hrProcessorLoad; `None` if the device does not report it.
pub(crate) fn cpu_load(data: &PollData) -> Option<f64> {
    let own = match Vendor::read(data) {
        Vendor::Cisco => CISCO.iter().find_map(|object| mean(data, object)),
        Vendor::Hp => data.scalar(HP_SWITCH_CPU_STAT).and_then(percent).map(f64::from),
        Vendor::Juniper => routing_engine(data, JNX_OPERATING_CPU, 0).map(f64::from),
        // airOS reports only load averages, which count processes.
        Vendor::Ubiquiti | Vendor::Other => None,
    };
    own.or_else(|| mean(data, HR_PROCESSOR_LOAD))
}

/// The mean of the valid percentages in a column.
fn mean(data: &PollData, object: Object) -> Option<f64> {
    let rows = data.rows(object).iter();
    let loads: Vec<u32> = rows
        .filter_map(|row| percent(&row.value))
        .map(u32::from)
        .collect();
    let count = u32::try_from(loads.len()).ok().filter(|count| *count > 0)?;
    Some(f64::from(loads.iter().sum::<u32>()) / f64::from(count))
}

/// Juniper's figure for the first routing engine, if it is at least `least`. Otherwise the
/// first figure other than 0 of another engine, or else of any part of the chassis; parts
/// without a processor report 0.
pub(super) fn routing_engine(data: &PollData, object: Object, least: u8) -> Option<u8> {
    let first = data.instance(object, &[9, 1, 0, 0]).and_then(percent);
    let other = |is_one: fn(&Row) -> bool| {
        let mut rows = data.rows(object).iter().filter(|row| is_one(row));
        rows.find_map(|row| percent(&row.value).filter(|value| *value > 0))
    };
    first
        .filter(|value| *value >= least)
        .or_else(|| other(|row| row.index.first() == Some(&9)))
        .or_else(|| other(|_| true))
}

/// A value from 0 to 100.
fn percent(value: &Value) -> Option<u8> {
    let value = value.unsigned().filter(|value| *value <= 100)?;
    u8::try_from(value).ok()
}
