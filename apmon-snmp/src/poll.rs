//! Polling a device: which objects are requested, and what the answers amount to.

mod device_cache;
mod device_client;
mod device_profile;
mod error;
mod host_poll;
mod polled_device;
mod ports_poll;
mod remembered_table;
mod table;
mod vlan;

use std::{collections::BTreeSet, time::Duration};

use apmon_core::{Check, Device, Failure, Reach, Services, Warning};
use apmon_snmp_client::Session;
use tokio::time::Instant;

pub(crate) use self::{
    device_cache::DeviceCache,
    device_client::{DeviceClient, OpenDevice},
    device_profile::DeviceProfile,
    host_poll::{host_name, poll_host},
    polled_device::{PolledDevice, Recorded},
    ports_poll::Extent,
};
use crate::target::Target;

/// The longest that an interactive command waits for the names of stations.
const NAMES_PATIENCE: Duration = Duration::from_secs(2);

/// Polls a device once and returns everything known about its ports, and warnings about what
/// could not be read or reached. For interactive commands; monitors poll on their own.
///
/// # Errors
/// If the device cannot be read, or does not show all of its interfaces.
pub async fn device(
    target: &Target,
    reach: Reach,
    services: &Services,
    check: &Check,
) -> Result<(Device, Vec<Warning>), Failure> {
    let client = DeviceClient::new(target.clone(), reach, services);
    let mut open = client.open(check).await?;
    let polled = DeviceCache::default()
        .poll(&client, &mut open, Extent::Device, &BTreeSet::new())
        .await
        .map_err(|failure| open.failure(failure))?;
    let mut warnings = polled.station_warnings();
    warnings.extend(open.notes());
    let mut device = polled.device;
    let deadline = check.deadline().min(Instant::now() + NAMES_PATIENCE);
    device_cache::name_stations(&client, &mut device, deadline).await;
    Ok((device, warnings))
}

/// Opens a session with a device, at the first of its addresses that answers. For interactive
/// commands.
///
/// # Errors
/// If no address can be reached.
pub async fn session(
    target: &Target,
    reach: Reach,
    services: &Services,
    check: &Check,
) -> Result<Session, Failure> {
    let client = DeviceClient::new(target.clone(), reach, services);
    Ok(client.open(check).await?.session)
}
