//! What a device says of itself: its ports, who is on them, its disks. Typed,
//! so that history, archive, dashboard and embedders read the same thing.

use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::mac::Mac;

/// A device as it was at one look.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
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
    pub vendor: Option<Cow<'static, str>>,
    /// How long it has been running; in seconds as `up_for_secs` where written.
    #[serde(rename = "up_for_secs", with = "seconds")]
    pub up_for: Option<Duration>,
    /// Its interfaces, by ifIndex.
    pub ports: Vec<DevicePort>,
    /// Its file systems.
    pub disks: Vec<DeviceDisk>,
}

/// An interface.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
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
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Neighbour {
    /// By which protocol: `LLDP` or `CDP`.
    pub protocol: Cow<'static, str>,
    /// Its name.
    pub name: String,
    /// The port it is connected by.
    pub port: Option<String>,
}

/// A station that was learned on a port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Station {
    /// Its address.
    pub mac: Mac,
    /// Its IP addresses, as far as the device knows them.
    pub addresses: Vec<IpAddr>,
    /// The names of these addresses.
    pub names: Vec<String>,
}

/// A file system.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
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

/// A text that is no state of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a state of a port, as in oper=down admin=up")]
pub struct ParsePortStateError;

impl FromStr for PortState {
    type Err = ParsePortStateError;

    fn from_str(text: &str) -> Result<Self, ParsePortStateError> {
        let (oper, admin) = text.split_once(' ').ok_or(ParsePortStateError)?;
        let status = |text: &str, key: &str| -> Option<PortStatus> { text.strip_prefix(key)?.parse().ok() };
        let oper = status(oper, "oper=").ok_or(ParsePortStateError)?;
        let admin = status(admin, "admin=").ok_or(ParsePortStateError)?;
        Ok(Self { oper, admin })
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
pub struct ParsePortStatusError;

impl FromStr for PortStatus {
    type Err = ParsePortStatusError;

    fn from_str(text: &str) -> Result<Self, ParsePortStatusError> {
        let mut all = Self::ALL.iter();
        all.find(|(.., name)| *name == text)
            .map(|(_, status, _)| *status)
            .ok_or(ParsePortStatusError)
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
    /// A notice of the same look says so. It may be kept to itself: nobody
    /// wants to hear it, or not so soon after the last one.
    #[serde(default, rename = "told")]
    pub notified: bool,
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

impl PortEvent {
    /// The word for it in files and output.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::State { .. } => "state",
            Self::Stations { .. } => "stations",
            Self::Added { .. } => "added",
            Self::Removed { .. } => "removed",
        }
    }

    /// What was there and is no longer: a state (`oper=up admin=up`), or the
    /// stations that are gone, with a space between two.
    #[must_use]
    pub fn before(&self) -> Option<String> {
        match self {
            Self::State { was, .. } | Self::Removed { was } => Some(was.to_string()),
            Self::Stations { gone, .. } => listed(gone),
            Self::Added { .. } => None,
        }
    }

    /// What is there now and was not: a state, or the stations that appeared.
    #[must_use]
    pub fn after(&self) -> Option<String> {
        match self {
            Self::State { is, .. } | Self::Added { is } => Some(is.to_string()),
            Self::Stations { appeared, .. } => listed(appeared),
            Self::Removed { .. } => None,
        }
    }

    /// From its word and its two texts; `None` where they make no sense.
    #[must_use]
    pub fn from_texts(word: &str, before: Option<&str>, after: Option<&str>) -> Option<Self> {
        let state = |text: Option<&str>| -> Option<PortState> { text?.parse().ok() };
        Some(match word {
            "state" => Self::State {
                was: state(before)?,
                is: state(after)?,
            },
            "stations" => Self::Stations {
                appeared: stations(after)?,
                gone: stations(before)?,
            },
            "added" => Self::Added { is: state(after)? },
            "removed" => Self::Removed { was: state(before)? },
            _ => return None,
        })
    }
}

fn listed(stations: &[Mac]) -> Option<String> {
    let texts: Vec<_> = stations.iter().map(Mac::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}

fn stations(text: Option<&str>) -> Option<Vec<Mac>> {
    let texts = text.unwrap_or_default().split_whitespace();
    texts.map(|text| text.parse().ok()).collect()
}

/// A duration as a number of seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_secs_f64()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let secs = Option::<f64>::deserialize(from)?;
        secs.map(Duration::try_from_secs_f64)
            .transpose()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(last: u8) -> Mac {
        Mac::new([2, 0, 0, 0, 0, last])
    }

    fn state(oper: PortStatus, admin: PortStatus) -> PortState {
        PortState { oper, admin }
    }

    #[test]
    fn what_happened_to_a_port_is_read_from_its_texts_again() {
        let (up, down) = (PortStatus::Up, PortStatus::LowerLayerDown);
        let table = [
            (
                PortEvent::State {
                    was: state(up, up),
                    is: state(down, up),
                },
                (
                    "state",
                    Some("oper=up admin=up"),
                    Some("oper=lowerLayerDown admin=up"),
                ),
            ),
            (
                PortEvent::Stations {
                    appeared: vec![mac(1), mac(2)],
                    gone: vec![],
                },
                ("stations", None, Some("02:00:00:00:00:01 02:00:00:00:00:02")),
            ),
            (
                PortEvent::Stations {
                    appeared: vec![],
                    gone: vec![mac(3)],
                },
                ("stations", Some("02:00:00:00:00:03"), None),
            ),
            (
                PortEvent::Added { is: state(up, up) },
                ("added", None, Some("oper=up admin=up")),
            ),
            (
                PortEvent::Removed { was: state(down, up) },
                ("removed", Some("oper=lowerLayerDown admin=up"), None),
            ),
        ];
        for (event, (word, before, after)) in table {
            assert_eq!(event.as_str(), word);
            assert_eq!(
                (event.before().as_deref(), event.after().as_deref()),
                (before, after)
            );
            assert_eq!(PortEvent::from_texts(word, before, after), Some(event));
        }
    }

    #[test]
    fn texts_that_make_no_sense_are_nothing_that_happened() {
        let state = Some("oper=up admin=up");
        for (word, before, after) in [
            ("state", state, None),
            ("state", Some("up"), state),
            ("state", Some("oper=up admin=on"), state),
            ("stations", Some("02:00"), None),
            ("added", state, None),
            ("moved", state, state),
        ] {
            assert_eq!(PortEvent::from_texts(word, before, after), None, "{word}");
        }
    }

    #[test]
    fn a_device_is_read_from_its_json_again() {
        let device = Device {
            name: Some("office-switch".into()),
            vendor: Some("Cisco".into()),
            up_for: Some(Duration::from_millis(180_500)),
            ports: vec![DevicePort {
                index: 7,
                name: "Gi0/7".into(),
                state: state(PortStatus::Up, PortStatus::Up),
                neighbours: vec![Neighbour {
                    protocol: "LLDP".into(),
                    name: "attic".into(),
                    port: None,
                }],
                stations: vec![Station {
                    mac: mac(7),
                    addresses: vec!["192.0.2.7".parse().unwrap()],
                    names: vec!["nas".into()],
                }],
                ..DevicePort::default()
            }],
            disks: vec![DeviceDisk {
                name: "/".into(),
                size: 200,
                used: 50,
            }],
            ..Device::default()
        };
        let json = serde_json::to_value(&device).unwrap();
        assert_eq!(json["up_for_secs"], 180.5);
        assert_eq!(json["ports"][0]["state"]["oper"], "up");
        assert_eq!(json["location"], serde_json::Value::Null);
        assert_eq!(serde_json::from_value::<Device>(json).unwrap(), device);
    }
}
