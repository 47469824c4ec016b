//! Polling a host.

use apmon_snmp_client::{Session, SnmpError};

use super::device_profile::DeviceProfile;
use crate::{
    device::{
        host_figures,
        sanitize::{NAME, sanitized},
        vital,
    },
    mib,
    poll_data::PollData,
};

/// Reads a host's load, memory and disks.
///
/// # Errors
/// If the host cannot be read.
pub(crate) async fn poll_host(
    session: &mut Session,
    profile: &mut DeviceProfile,
) -> Result<PollData, SnmpError> {
    profile.begin_host();
    let mut data = PollData::default();
    let mut scalars = vec![
        mib::SYS_OBJECT_ID,
        mib::SYS_UP_TIME,
        mib::HR_SYSTEM_UPTIME,
        mib::SYS_NAME,
    ];
    let mut tables = Vec::new();
    if profile.has_unknown_vendor() || profile.rare_parts(false).names {
        profile.read(session, &scalars, &[], &mut data).await?;
        profile.set_vendor(&data);
        scalars.clear();
    }
    vital::ask(profile.vendor(), &mut scalars, &mut tables);
    host_figures::ask(&mut scalars, &mut tables);
    profile.read(session, &scalars, &tables, &mut data).await?;
    profile.accept_host();
    Ok(data)
}

/// The host's name, safe to display.
pub(crate) fn host_name(data: &PollData) -> Option<String> {
    sanitized(data.scalar(mib::SYS_NAME)?, NAME)
}
