//! Kind `port`: judging a pinned port. The truth table and reasons are APMonitor's, with the
//! cases that it leaves open:
//!
//! | the port | `always_up: yes` | `always_up: no` |
//! |---|---|---|
//! | the device has no such interface | Down | Down |
//! | is not up | Down | Up, whatever the table says |
//! | has another station, with or without the pinned one | Down | Down |
//! | has no station, and the table was read completely | Down | Up |
//! | has no station but the pinned one, as far as the table could be read | Unknown | Unknown |
//! | has only the pinned station | Up | Up |
//!
//! If several rows apply, the first one counts. So a wrong station takes precedence over an
//! absent one and is reported even if the rest of the table is missing, and a port that is
//! not up is reported as down even if it has stations. A table that could not be read, wholly
//! or in part, says nothing about who is absent.

use std::collections::BTreeSet;

use apmon_core::{Failure, FailureClass, Mac, PortState, PortStatus};

/// The most wrong stations that a message names; the others are only counted.
const MOST_NAMED: usize = 5;

/// The pinned port as a poll found it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PortCheck<'a> {
    /// The port as the site file names it.
    pub requested: RequestedPort<'a>,
    /// The port's state; `None` if the device has no such interface.
    pub state: Option<PortState>,
    /// The stations on the port, as far as the table was read.
    pub stations: BTreeSet<Mac>,
    /// The reason why other stations may be on the port; `None` if every row of the table
    /// could be read and placed.
    pub failure: Option<String>,
}

/// The port that the site file names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RequestedPort<'a> {
    /// The port with this ifIndex.
    Index(u32),
    /// The port with this name, and its ifIndex, if the port was found.
    Name(&'a str, Option<u32>),
}

impl RequestedPort<'_> {
    /// The ifIndex, if it is known.
    pub(crate) fn index(self) -> Option<u32> {
        match self {
            Self::Index(index) => Some(index),
            Self::Name(_, index) => index,
        }
    }

    /// The port in reasons: `port ifIndex=0`, `port Gi0/3 (ifIndex=10103)`.
    fn port(self) -> String {
        match self {
            Self::Index(index) => format!("port ifIndex={index}"),
            Self::Name(name, Some(index)) => format!("port {name} (ifIndex={index})"),
            Self::Name(name, None) => format!("port {name}"),
        }
    }

    fn missing(self) -> String {
        match self {
            Self::Index(index) => format!("no interface with ifIndex {index}"),
            Self::Name(name, _) => format!("no interface named {name}"),
        }
    }
}

/// Judges the port by the pinned station and `always_up`.
///
/// # Errors
/// If the port is not as it should be; [`FailureClass::Unreadable`] if that cannot be
/// determined.
pub(crate) fn judge(always_up: bool, pinned: Mac, check: &PortCheck<'_>) -> Result<(), Failure> {
    let Some(state) = check.state else {
        return Err(Failure::new(FailureClass::Content, check.requested.missing()));
    };
    let port = check.requested.port();
    if state.oper != PortStatus::Up {
        // The seed always says "is down"; the actual state is more precise.
        let reason = format!("{port} {pinned} is {} (admin={})", state.oper, state.admin);
        return match always_up {
            true => Err(Failure::new(FailureClass::Status, reason)),
            false => Ok(()),
        };
    }
    let wrong: Vec<Mac> = check
        .stations
        .iter()
        .copied()
        .filter(|mac| *mac != pinned)
        .collect();
    if !wrong.is_empty() {
        let reason = format!("{port} wrong MAC: expected {pinned}, got {}", named(&wrong));
        return Err(Failure::new(FailureClass::Pin, reason));
    }
    if let Some(failure) = &check.failure {
        return Err(Failure::new(
            FailureClass::Unreadable,
            format!("{port}: MAC table could not be read: {failure}"),
        ));
    }
    match check.stations.contains(&pinned) {
        false if always_up => Err(Failure::new(
            FailureClass::Pin,
            format!("{port} is up but pinned MAC {pinned} absent"),
        )),
        _ => Ok(()),
    }
}

/// Formats the state file's `port_state`, in APMonitor's format: `{"oper": "up", "mac":
/// null}`. The station is the pinned one if it is present, or else the lowest of the
/// others.
pub(crate) fn port_state(pinned: Mac, check: &PortCheck<'_>) -> Option<String> {
    let state = check.state?;
    let mac = match check.stations.contains(&pinned) {
        true => Some(pinned),
        false => check.stations.first().copied(),
    };
    Some(serde_json::json!({ "oper": state.oper.as_str(), "mac": mac }).to_string())
}

/// Lists the stations, at most [`MOST_NAMED`] of them by name.
fn named(macs: &[Mac]) -> String {
    let shown: Vec<String> = macs.iter().take(MOST_NAMED).map(Mac::to_string).collect();
    let shown = shown.join(", ");
    match macs.len().saturating_sub(MOST_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use apmon_core::Domain;

    use super::*;

    const PINNED: Mac = Mac::new([0x18, 0xe8, 0x29, 0x45, 0xf8, 0xf7]);
    const OTHER: Mac = Mac::new([0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]);
    const UP: PortState = PortState {
        oper: PortStatus::Up,
        admin: PortStatus::Up,
    };

    fn down(oper: PortStatus) -> PortState {
        PortState { oper, ..UP }
    }

    fn check(state: PortState, stations: &[Mac]) -> PortCheck<'static> {
        PortCheck {
            requested: RequestedPort::Index(0),
            state: Some(state),
            stations: stations.iter().copied().collect(),
            failure: None,
        }
    }

    fn unread(stations: &[Mac]) -> PortCheck<'static> {
        PortCheck {
            failure: Some("no answer within 20 secs".to_owned()),
            ..check(UP, stations)
        }
    }

    /// The reasons why the port is not up, with `always_up: yes` and with `no`.
    fn reasons(check: &PortCheck<'_>) -> [Option<String>; 2] {
        [true, false].map(|always_up| judge(always_up, PINNED, check).err().map(|it| it.reason))
    }

    #[test]
    fn each_row_of_the_seeds_truth_table_holds() {
        let is_down = Some("port ifIndex=0 18:E8:29:45:F8:F7 is down (admin=up)");
        let absent = Some("port ifIndex=0 is up but pinned MAC 18:E8:29:45:F8:F7 absent");
        let wrong = Some("port ifIndex=0 wrong MAC: expected 18:E8:29:45:F8:F7, got AA:BB:CC:DD:EE:FF");
        let table = [
            ("port not up", check(down(PortStatus::Down), &[]), [is_down, None]),
            ("pinned MAC absent from port", check(UP, &[]), [absent, None]),
            ("wrong MAC present on port", check(UP, &[OTHER]), [wrong, wrong]),
            (
                "the pinned one is not the only one",
                check(UP, &[PINNED, OTHER]),
                [wrong, wrong],
            ),
            ("all clear", check(UP, &[PINNED]), [None, None]),
        ];
        for (condition, check, expected) in table {
            assert_eq!(
                reasons(&check),
                expected.map(|it| it.map(str::to_owned)),
                "{condition}"
            );
        }
    }

    #[test]
    fn a_port_that_is_not_up_is_judged_without_its_stations() {
        for stations in [&[][..], &[PINNED], &[OTHER]] {
            let [yes, no] = reasons(&check(down(PortStatus::Dormant), stations));
            assert_eq!(
                yes.unwrap(),
                "port ifIndex=0 18:E8:29:45:F8:F7 is dormant (admin=up)"
            );
            assert_eq!(no, None);
        }
        let off = PortState {
            oper: PortStatus::Down,
            admin: PortStatus::Down,
        };
        let [yes, _] = reasons(&check(off, &[]));
        assert_eq!(
            yes.unwrap(),
            "port ifIndex=0 18:E8:29:45:F8:F7 is down (admin=down)"
        );
    }

    #[test]
    fn a_missing_interface_is_down_with_and_without_always_up() {
        let gone = PortCheck {
            state: None,
            ..check(UP, &[])
        };
        for reason in reasons(&gone) {
            assert_eq!(reason.unwrap(), "no interface with ifIndex 0");
        }
        let gone = PortCheck {
            requested: RequestedPort::Name("Gi0/3", None),
            ..gone
        };
        for reason in reasons(&gone) {
            assert_eq!(reason.unwrap(), "no interface named Gi0/3");
        }
        assert_eq!(port_state(PINNED, &gone), None);
    }

    #[test]
    fn an_unreadable_table_is_unknown_with_and_without_always_up() {
        for stations in [&[][..], &[PINNED]] {
            for always_up in [true, false] {
                let unsure = judge(always_up, PINNED, &unread(stations)).unwrap_err();
                assert_eq!(
                    unsure.reason,
                    "port ifIndex=0: MAC table could not be read: no answer within 20 secs"
                );
                assert_eq!(unsure.class, FailureClass::Unreadable);
                assert_eq!(unsure.class.domain(), Domain::Own);
            }
        }
        let dark = PortCheck {
            state: Some(down(PortStatus::Down)),
            ..unread(&[])
        };
        assert_eq!(judge(false, PINNED, &dark), Ok(()), "the port is not up");
        assert_eq!(
            judge(true, PINNED, &dark).unwrap_err().class,
            FailureClass::Status
        );
    }

    #[test]
    fn a_wrong_station_in_a_partial_table_is_an_outage() {
        for always_up in [true, false] {
            let wrong = judge(always_up, PINNED, &unread(&[OTHER])).unwrap_err();
            assert_eq!(wrong.class, FailureClass::Pin, "{wrong}");
            let unsure = judge(always_up, PINNED, &unread(&[PINNED])).unwrap_err();
            assert_eq!(unsure.class, FailureClass::Unreadable, "{unsure}");
        }
    }

    #[test]
    fn a_port_given_by_name_is_shown_with_its_number() {
        let named = PortCheck {
            requested: RequestedPort::Name("Gi0/3", Some(10_103)),
            ..check(UP, &[])
        };
        assert_eq!(
            judge(true, PINNED, &named).unwrap_err().reason,
            "port Gi0/3 (ifIndex=10103) is up but pinned MAC 18:E8:29:45:F8:F7 absent"
        );
    }

    #[test]
    fn five_wrong_stations_are_named_and_the_rest_counted() {
        let stations = |count: u8| -> Vec<Mac> {
            (1..=count)
                .rev()
                .map(|last| Mac::new([2, 0, 0, 0, 0, last]))
                .collect()
        };
        let five = "02:00:00:00:00:01, 02:00:00:00:00:02, 02:00:00:00:00:03, 02:00:00:00:00:04, \
                    02:00:00:00:00:05";
        for (count, expected) in [(5, five.to_owned()), (6, format!("{five} and 1 more"))] {
            let [reason, _] = reasons(&check(UP, &stations(count)));
            let reason = reason.unwrap();
            let (_, got) = reason.split_once("got ").unwrap();
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn the_stored_port_state_has_the_seeds_format() {
        let table = [
            (check(UP, &[]), r#"{"oper":"up","mac":null}"#),
            (
                check(UP, &[PINNED, Mac::new([0; 6])]),
                r#"{"oper":"up","mac":"18:E8:29:45:F8:F7"}"#,
            ),
            (
                check(down(PortStatus::LowerLayerDown), &[OTHER]),
                r#"{"oper":"lowerLayerDown","mac":"AA:BB:CC:DD:EE:FF"}"#,
            ),
        ];
        for (check, expected) in table {
            assert_eq!(port_state(PINNED, &check).unwrap(), expected);
        }
    }
}
