//! Assembling a device from the interpreted parts of a poll.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use apmon_core::{Device, DevicePort, Mac, Neighbour, Station};
use apmon_snmp_client::Value;

use crate::{
    device::{
        bridge::Stations,
        interface::Interface,
        sanitize::{DESCRIPTION, NAME, sanitized},
    },
    mib::{self, Object},
    poll_data::PollData,
};

#[cfg(test)]
mod tests;

/// The interpreted parts of a device. Neighbours and slots may be from an earlier poll.
pub(crate) struct Parts<'a> {
    pub interfaces: &'a [Interface],
    pub stations: &'a Stations,
    pub addresses: &'a BTreeMap<Mac, BTreeSet<IpAddr>>,
    pub neighbours: &'a BTreeMap<u32, Vec<Neighbour>>,
    pub slots: &'a BTreeMap<u32, String>,
    pub vendor: Option<&'static str>,
}

/// Assembles the device, without the names of stations and without disks.
pub(crate) fn device(data: &PollData, parts: &Parts<'_>) -> Device {
    let text = |object, max| sanitized(data.scalar(object)?, max);
    let mut device = Device::default();
    device.name = text(mib::SYS_NAME, NAME);
    device.location = text(mib::SYS_LOCATION, NAME);
    device.contact = text(mib::SYS_CONTACT, NAME);
    device.description = text(mib::SYS_DESCR, DESCRIPTION);
    device.vendor = parts.vendor.map(Into::into);
    device.up_for = up_for(data);
    device.ports = parts.interfaces.iter().map(|one| parts.port(one)).collect();
    device
}

/// The uptime of the host, or else of its agent.
fn up_for(data: &PollData) -> Option<Duration> {
    let ticks = |object: Object| data.scalar(object).and_then(Value::unsigned);
    let ticks = ticks(mib::HR_SYSTEM_UPTIME).or_else(|| ticks(mib::SYS_UP_TIME))?;
    Some(Duration::from_millis(ticks.saturating_mul(10)))
}

impl Parts<'_> {
    fn port(&self, one: &Interface) -> DevicePort {
        let stations = self.stations.on.get(&one.index).into_iter().flatten();
        let mut port = DevicePort::default();
        port.index = one.index;
        port.name.clone_from(&one.name);
        port.short_name = one.short_name.clone().filter(|short| *short != one.name);
        port.alias.clone_from(&one.alias);
        port.speed = one.speed;
        port.state = one.state;
        port.slot = self.slots.get(&one.index).cloned();
        port.neighbours = self.neighbours.get(&one.index).cloned().unwrap_or_default();
        port.stations = stations.map(|mac| self.station(*mac)).collect();
        port
    }

    fn station(&self, mac: Mac) -> Station {
        let addresses = self.addresses.get(&mac).into_iter().flatten();
        Station {
            mac,
            addresses: addresses.copied().collect(),
            names: Vec::new(),
        }
    }
}
