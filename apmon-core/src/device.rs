//! What a device says of itself: its ports, who is on them, its disks. Typed,
//! so that history, archive, dashboard and embedders read the same thing.

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::mac::Mac;

/// A device as it was at one look.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Device {
    /// Its name (sysName).
    pub name: Option<String>,
    /// Where it stands (sysLocation).
    pub location: Option<String>,
    /// Whom to call (sysContact).
    pub contact: Option<String>,
    /// What it is (sysDescr).
    pub description: Option<String>,
    /// Its maker, where that is one of those apmon knows (`Cisco`).
    pub vendor: Option<&'static str>,
    /// How long it has been running.
    pub up_for: Option<Duration>,
    /// Its interfaces, by ifIndex.
    pub ports: Vec<DevicePort>,
    /// Its file systems.
    pub disks: Vec<DeviceDisk>,
}

/// An interface.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct DevicePort {
    /// Its number in the device's interface table (ifIndex).
    pub index: u32,
    /// Its name (ifDescr).
    pub name: String,
    /// Its short name (ifName), where that is another one.
    pub short_name: Option<String>,
    /// What an operator wrote to it (ifAlias).
    pub alias: Option<String>,
    /// Its speed, bit/s.
    pub speed: Option<u64>,
    /// Whether it is up, and meant to be.
    pub state: PortState,
    /// The slot it is in, as the device has it (`Switch 1 slot 0`).
    pub slot: Option<String>,
    /// Who says that it is at the other end.
    pub neighbours: Vec<Neighbour>,
    /// Who was learned there.
    pub stations: Vec<Station>,
}

/// A device at the other end of a cable, as it says itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Neighbour {
    /// By which protocol: `LLDP` or `CDP`.
    pub protocol: &'static str,
    /// Its name.
    pub name: String,
    /// The port it is connected by.
    pub port: Option<String>,
}

/// A station that was learned on a port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Station {
    /// Its address.
    pub mac: Mac,
    /// Its IP addresses, as far as the device knows them.
    pub addresses: Vec<IpAddr>,
    /// The names of these addresses.
    pub names: Vec<String>,
}

/// A file system.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeviceDisk {
    /// Where it is mounted, or its drive.
    pub name: String,
    /// Bytes in all.
    pub size: u64,
    /// Bytes in use.
    pub used: u64,
}

impl DeviceDisk {
    /// How much of it is in use, in percent; `None` where it has no size.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // of percent
    pub fn used_pct(&self) -> Option<f64> {
        (self.size > 0).then(|| self.used as f64 * 100.0 / self.size as f64)
    }
}

/// Whether a port is up, and meant to be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct PortState {
    /// Whether it is (ifOperStatus).
    pub oper: PortStatus,
    /// Whether it is meant to be (ifAdminStatus).
    pub admin: PortStatus,
}

/// `oper=down admin=up`, as in seed 003.
impl fmt::Display for PortState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oper={} admin={}", self.oper, self.admin)
    }
}

/// The states of RFC 2863's ifOperStatus and ifAdminStatus.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PortStatus {
    /// Ready to pass packets.
    Up,
    /// Not.
    Down,
    /// Passes none but in a test.
    Testing,
    /// Cannot be determined.
    #[default]
    Unknown,
    /// Waits for something from outside.
    Dormant,
    /// A component is missing.
    NotPresent,
    /// Down for what is below it.
    LowerLayerDown,
}

impl PortStatus {
    const ALL: [(i64, Self, &'static str); 7] = [
        (1, Self::Up, "up"),
        (2, Self::Down, "down"),
        (3, Self::Testing, "testing"),
        (4, Self::Unknown, "unknown"),
        (5, Self::Dormant, "dormant"),
        (6, Self::NotPresent, "notPresent"),
        (7, Self::LowerLayerDown, "lowerLayerDown"),
    ];

    /// From its number in IF-MIB; another one is `Unknown`.
    #[must_use]
    pub fn from_number(number: i64) -> Self {
        let mut all = Self::ALL.iter();
        all.find(|(n, ..)| *n == number)
            .map_or(Self::Unknown, |(_, status, _)| *status)
    }

    /// Its name in IF-MIB.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(_, status, _)| *status == self)
            .map_or("unknown", |(.., name)| name)
    }
}

impl fmt::Display for PortStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no state of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a state of a port")]
pub struct NotAPortStatus;

impl FromStr for PortStatus {
    type Err = NotAPortStatus;

    fn from_str(text: &str) -> Result<Self, NotAPortStatus> {
        let mut all = Self::ALL.iter();
        all.find(|(.., name)| *name == text)
            .map(|(_, status, _)| *status)
            .ok_or(NotAPortStatus)
    }
}

/// What is otherwise at a port than at the last look.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PortChange {
    /// Its ifIndex now, or the last one it had.
    pub index: u32,
    /// Its name.
    pub port: String,
    /// What happened.
    pub event: PortEvent,
}

/// What can happen to a port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PortEvent {
    /// It is in another state.
    State {
        /// Before.
        was: PortState,
        /// Now.
        is: PortState,
    },
    /// Other stations are on it.
    Stations {
        /// Were not seen there before.
        appeared: Vec<Mac>,
        /// Are not seen there now.
        gone: Vec<Mac>,
    },
    /// The device has a port more.
    Added {
        /// Its state.
        is: PortState,
    },
    /// The device has a port less.
    Removed {
        /// Its last state.
        was: PortState,
    },
}
