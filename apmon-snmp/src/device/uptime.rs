//! The uptimes of a device and of its agent.

use apmon_snmp_client::Value;

use crate::{
    mib::{HR_SYSTEM_UPTIME, Object, SYS_UP_TIME},
    poll_data::PollData,
    rule::restart::Uptimes,
};

/// Reads the uptimes of a device and of its agent.
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
