//! The meaning of a device's data: its ports, stations, load and disks.

pub(crate) mod arp;
pub(crate) mod assembly;
mod block_device;
pub(crate) mod bridge;
pub(crate) mod chassis_slot;
pub(crate) mod host_figures;
pub(crate) mod interface;
pub(crate) mod neighbour;
mod percent;
pub(crate) mod sanitize;
pub(crate) mod station_warning;
pub(crate) mod storage;
pub(crate) mod uptime;
pub(crate) mod vendor;
pub(crate) mod vital;
