//! A device's own description of itself: its ports, the stations on them, its disks. Typed, so
//! that history, archive, dashboard and embedders read the same data.

use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::mac::Mac;

/// A device at the time of one check.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Device {
    /// Its name (sysName).
    pub name: Option<String>,
    /// Its location (sysLocation).
    pub location: Option<String>,
    /// Its contact (sysContact).
    pub contact: Option<String>,
    /// Its description (sysDescr).
    pub description: Option<String>,
    /// Its vendor, if apmon knows it (`Cisco`).
    pub vendor: Option<Cow<'static, str>>,
    /// How long it has been running; written in seconds as `up_for_secs`.
    #[serde(rename = "up_for_secs", with = "seconds")]
    pub up_for: Option<Duration>,
    /// Its interfaces, by ifIndex.
    pub ports: Vec<DevicePort>,
    /// Its file systems.
    pub disks: Vec<DeviceDisk>,
}

/// An interface of a device.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DevicePort {
    /// Its number in the device's interface table (ifIndex).
    pub index: u32,
    /// Its name (ifDescr).
    pub name: String,
    /// Its short name (ifName), if different.
    pub short_name: Option<String>,
    /// The description that an operator gave it (ifAlias).
    pub alias: Option<String>,
    /// Its speed in bit/s.
    pub speed: Option<u64>,
    /// Its operational and administrative state.
    pub state: PortState,
    /// The slot it is in, in the device's words (`Switch 1 slot 0`).
    pub slot: Option<String>,
    /// The devices that announce themselves at the other end.
    pub neighbours: Vec<Neighbour>,
    /// The stations learned on it.
    pub stations: Vec<Station>,
}

/// A device at the other end of a cable, by its own announcement.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Neighbour {
    /// The protocol: `LLDP` or `CDP`.
    pub protocol: Cow<'static, str>,
    /// Its name.
    pub name: String,
    /// The port on its side.
    pub port: Option<String>,
}

/// A station that was learned on a port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Station {
    /// Its MAC address.
    pub mac: Mac,
    /// Its IP addresses, as far as they are known.
    pub addresses: Vec<IpAddr>,
    /// The names of these IP addresses.
    pub names: Vec<String>,
}

/// A file system.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DeviceDisk {
    /// Its mount point or drive.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Bytes in use.
    pub used: u64,
}

impl DeviceDisk {
    /// The share in use, in percent; `None` without a size.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // a percentage
    pub fn used_pct(&self) -> Option<f64> {
        (self.size > 0).then(|| self.used as f64 * 100.0 / self.size as f64)
    }
}

/// The operational and administrative state of a port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct PortState {
    /// The operational state (ifOperStatus).
    pub oper: PortStatus,
    /// The administrative state (ifAdminStatus).
    pub admin: PortStatus,
}

/// Formats as APMonitor does: `oper=down admin=up`.
impl fmt::Display for PortState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oper={} admin={}", self.oper, self.admin)
    }
}

/// The error for a text that is not a port state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a port state such as oper=down admin=up")]
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

/// A state of RFC 2863's ifOperStatus and ifAdminStatus.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PortStatus {
    /// Ready to pass packets.
    Up,
    /// Not ready.
    Down,
    /// In a test mode; no operational packets pass.
    Testing,
    /// The state cannot be determined.
    #[default]
    Unknown,
    /// Waiting for an external event.
    Dormant,
    /// A component is missing, typically hardware.
    NotPresent,
    /// Down because a lower layer is down.
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

    /// Converts the number of IF-MIB; any other number is `Unknown`.
    #[must_use]
    pub fn from_number(number: i64) -> Self {
        let mut all = Self::ALL.iter();
        all.find(|(n, ..)| *n == number)
            .map_or(Self::Unknown, |(_, status, _)| *status)
    }

    /// The name in IF-MIB.
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

/// The error for a text that is not a status of IF-MIB.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a port status of IF-MIB")]
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

/// A change at a port since the last check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PortChange {
    /// Its current ifIndex, or the last one it had.
    pub index: u32,
    /// Its name.
    pub port: String,
    /// What happened.
    pub event: PortEvent,
    /// Whether a notice of the same check reports it. It may be suppressed: by an option,
    /// or because the last one was too recent.
    #[serde(default, rename = "told")]
    pub notified: bool,
}

/// An event at a port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PortEvent {
    /// Its state changed.
    State {
        /// The previous state.
        was: PortState,
        /// The current state.
        is: PortState,
    },
    /// Its stations changed.
    Stations {
        /// The stations that were not there before.
        appeared: Vec<Mac>,
        /// The stations that are no longer there.
        gone: Vec<Mac>,
    },
    /// The port is new on the device.
    Added {
        /// Its state.
        is: PortState,
    },
    /// The port is no longer on the device.
    Removed {
        /// Its last state.
        was: PortState,
    },
}

impl PortEvent {
    /// The name used in files and output.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::State { .. } => "state",
            Self::Stations { .. } => "stations",
            Self::Added { .. } => "added",
            Self::Removed { .. } => "removed",
        }
    }

    /// The previous situation: a state (`oper=up admin=up`), or the stations that are gone,
    /// separated by spaces.
    #[must_use]
    pub fn before(&self) -> Option<String> {
        match self {
            Self::State { was, .. } | Self::Removed { was } => Some(was.to_string()),
            Self::Stations { gone, .. } => listed(gone),
            Self::Added { .. } => None,
        }
    }

    /// The current situation: a state, or the stations that appeared.
    #[must_use]
    pub fn after(&self) -> Option<String> {
        match self {
            Self::State { is, .. } | Self::Added { is } => Some(is.to_string()),
            Self::Stations { appeared, .. } => listed(appeared),
            Self::Removed { .. } => None,
        }
    }

    /// Reads an event from its name and its two texts; `None` if they do not fit.
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

/// Serializes a duration as a number of seconds.
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
    fn an_event_is_read_back_from_its_texts() {
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
    fn invalid_texts_give_no_event() {
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
    fn a_device_is_read_back_from_its_json() {
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
