//! How long a device has been running.

use apmon_snmp_client::Value;

use crate::{
    mib::{HR_SYSTEM_UPTIME, Object, SYS_UP_TIME},
    poll_data::PollData,
    rule::restart::Uptimes,
};

/// How long a device, and its agent, have been running, as the device says.
pub(crate) fn uptimes(data: &PollData) -> Uptimes {
    let ticks = |object: Object| match data.scalar(object) {
        Some(Value::TimeTicks(ticks)) => Some(*ticks),
        _ => None,
    };
    Uptimes {
        host: ticks(HR_SYSTEM_UPTIME),
        agent: ticks(SYS_UP_TIME),
    }
}
