//! Forwarding tables in other shapes than the standard's: every row is read and placed, or the
//! pinned port is unknown.

use apmon_core::{Observation, Verdict, WarningLevel};
use apmon_snmp_client::Value;

use crate::{
    lab::{Device, agent::device::Mac},
    story::{PINNED, STATION, Story, notices, switch},
};

/// dot1dTpFdbEntry and dot1qTpFdbEntry.
pub const PLAIN: [u32; 10] = [1, 3, 6, 1, 2, 1, 17, 4, 3, 1];
pub const BY_VLAN: [u32; 12] = [1, 3, 6, 1, 2, 1, 17, 7, 1, 2, 2, 1];
const BASE_PORT: [u32; 11] = [1, 3, 6, 1, 2, 1, 17, 1, 4, 1, 2];
const LEARNED: i64 = 3;

/// The monitor of the switch's second port, whose ifIndex is 10102.
pub const PORT: &str = "type: port, port: 10102, mac: '18:e8:29:45:f8:f7', always_up:";

/// An index that begins with `before` and ends with the MAC address.
pub fn index(before: &[u32], mac: Mac) -> Vec<u32> {
    before.iter().copied().chain(mac.map(u32::from)).collect()
}

pub fn row(device: &mut Device, table: &[u32], index: &[u32], port: i64) {
    let column = |column: u32| [&[column], index].concat();
    device.set(table, &column(2), Value::Integer(port));
    device.set(table, &column(3), Value::Integer(LEARNED));
}

pub fn clear(device: &mut Device) {
    device
        .table
        .retain(|oid, _| oid.below(&PLAIN).is_none() && oid.below(&BY_VLAN).is_none());
}

/// Gives the bridge ports numbers from `first` on.
fn renumber_bridge_ports(device: &mut Device, first: u32) {
    device.table.retain(|oid, _| oid.below(&BASE_PORT).is_none());
    for port in 0..4 {
        let index = Value::Integer((10_101 + port).into());
        device.set(&BASE_PORT, &[first + port], index);
    }
}

/// One of the shapes: the table in which a station is on the second port.
type Shape = (&'static str, fn(&mut Device, Mac));

/// The shapes that are read.
const SHAPES: [Shape; 6] = [
    ("a length, by VLAN", |device, mac| {
        row(device, &BY_VLAN, &index(&[1, 6], mac), 2);
    }),
    ("a length", |device, mac| {
        row(device, &PLAIN, &index(&[6], mac), 2)
    }),
    ("numbered rows", |device, mac| {
        row(device, &PLAIN, &[1], 2);
        device.set(&PLAIN, &[1, 1], Value::Octets(mac.to_vec()));
    }),
    ("numbered rows, by VLAN", |device, mac| {
        row(device, &BY_VLAN, &[1, 1], 2);
        device.set(&BY_VLAN, &[1, 1, 1], Value::Octets(mac.to_vec()));
    }),
    ("ifIndexes", |device, mac| {
        row(device, &BY_VLAN, &index(&[1], mac), 10_102)
    }),
    ("positions", |device, mac| {
        renumber_bridge_ports(device, 49_153);
        row(device, &BY_VLAN, &index(&[1], mac), 2);
        row(device, &BY_VLAN, &[1, 2, 0, 0, 0, 0, 1], 1);
        row(device, &BY_VLAN, &[1, 2, 0, 0, 0, 0, 4], 4);
    }),
];

pub fn verdict(observation: &Observation) -> (Verdict, String) {
    let outcome = &observation.outcome;
    let reason = outcome.failure().map_or("", |failure| &failure.reason);
    (outcome.verdict(), reason.to_owned())
}

fn warnings(observation: &Observation) -> Vec<String> {
    let warnings = observation.outcome.warnings.iter();
    warnings.map(|warning| warning.text.clone()).collect()
}

#[tokio::test]
async fn a_pinned_port_is_judged_in_every_shape() {
    for (shape, place) in SHAPES {
        for always_up in ["yes", "no"] {
            let mut story = Story::of(switch(4), &format!("{PORT} {always_up}"));
            story.change(|device| place(device, PINNED));
            assert_eq!(verdict(&story.after(60).await).1, "", "{shape}");
            assert_eq!(verdict(&story.after(60).await).0, Verdict::Up, "{shape}");
            story.change(|device| {
                clear(device);
                place(device, STATION);
            });
            assert_eq!(
                verdict(&story.after(60).await),
                (
                    Verdict::Down,
                    "port ifIndex=10102 wrong MAC: expected 18:E8:29:45:F8:F7, got AA:BB:CC:DD:EE:FF"
                        .to_owned()
                ),
                "{shape}"
            );
        }
    }
}

#[tokio::test]
async fn a_pinned_port_is_judged_when_the_shape_changes() {
    let mut story = Story::of(switch(4), &format!("{PORT} yes"));
    for shape in [
        "ifIndexes",
        "numbered rows",
        "ifIndexes",
        "numbered rows, by VLAN",
    ] {
        let (_, place) = SHAPES.iter().find(|(name, _)| *name == shape).unwrap();
        story.change(|device| {
            clear(device);
            place(device, PINNED);
        });
        for _ in 0..3 {
            assert_eq!(
                verdict(&story.after(60).await),
                (Verdict::Up, String::new()),
                "{shape}"
            );
        }
    }
}

#[tokio::test]
async fn a_table_that_is_read_whole_says_who_is_absent() {
    for (shape, place) in SHAPES {
        let mut story = Story::of(switch(4), &format!("{PORT} yes"));
        story.change(|device| place(device, PINNED));
        assert_eq!(verdict(&story.after(60).await).0, Verdict::Up, "{shape}");
        story.change(|device| {
            clear(device);
            // Other stations show that the table is not empty, but it has none on this port.
            row(device, &PLAIN, &index(&[], STATION), device_port(shape));
        });
        let (verdict, reason) = verdict(&story.after(60).await);
        assert_eq!(verdict, Verdict::Down, "{shape}: {reason}");
        assert!(
            reason.ends_with("pinned MAC 18:E8:29:45:F8:F7 absent"),
            "{reason}"
        );
    }
}

/// The number of the third port in this shape.
fn device_port(shape: &str) -> i64 {
    match shape {
        "positions" => 49_155,
        _ => 3,
    }
}

/// Rows that no rule reads, or that are on no known port.
const GAPS: [Shape; 5] = [
    ("unreadable: dot1dTpFdbPort.54 = 2", |device, _| {
        row(device, &PLAIN, &[54], 2)
    }),
    (
        "unreadable: dot1qTpFdbPort.1.2.24.232.41.69.248.247 = 2",
        |device, mac| {
            row(device, &BY_VLAN, &index(&[1, 2], mac), 2);
        },
    ),
    (
        "on no known port: 18:E8:29:45:F8:F7 with port 0",
        |device, mac| {
            row(device, &BY_VLAN, &index(&[1], mac), 0);
        },
    ),
    (
        "on no known port: 18:E8:29:45:F8:F7 with port 999",
        |device, mac| {
            row(device, &PLAIN, &index(&[], mac), 999);
        },
    ),
    (
        "on no known port: 18:E8:29:45:F8:F7 without a port",
        |device, mac| {
            let column = [&[3], &index(&[1], mac)[..]].concat();
            device.set(&BY_VLAN, &column, Value::Integer(LEARNED));
        },
    ),
];

#[tokio::test]
async fn a_row_that_is_not_placed_makes_a_pinned_port_unknown() {
    for (what, place) in GAPS {
        for always_up in ["yes", "no"] {
            let mut story = Story::of(switch(4), &format!("{PORT} {always_up}"));
            story.change(|device| {
                // The first port has a station of its own.
                device.new_station(STATION, 1);
                place(device, PINNED);
            });
            for _ in 0..2 {
                let (verdict, reason) = verdict(&story.after(60).await);
                assert_eq!(verdict, Verdict::Unknown, "{what}: {reason}");
                assert!(reason.contains("MAC table could not be read: 1 row"), "{reason}");
                assert!(reason.ends_with(what), "{reason}");
            }
            // A wrong station on the port is an outage all the same.
            story.change(|device| device.new_station(STATION, 2));
            assert_eq!(verdict(&story.after(60).await).0, Verdict::Down, "{what}");
            story.change(|device| {
                device.station_leaves(STATION);
                device.port_down(2);
            });
            let (found, _) = verdict(&story.after(60).await);
            assert_eq!(found == Verdict::Up, always_up == "no", "the port is not up");
        }
    }
}

#[tokio::test]
async fn rows_that_are_not_placed_can_be_ignored() {
    for (what, place) in GAPS {
        for (always_up, expected) in [("no", Verdict::Up), ("yes", Verdict::Down)] {
            let mut story = Story::of(switch(4), &format!("{PORT} {always_up}, ignore_unplaced: yes"));
            story.change(|device| place(device, STATION));
            let (found, reason) = verdict(&story.after(60).await);
            assert_eq!(found, expected, "{what}: {reason}");
            // The pinned station itself is missed.
            story.change(|device| place(device, PINNED));
            let (found, _) = verdict(&story.after(60).await);
            let is_known = what.starts_with("on no known port");
            assert_eq!(found == Verdict::Unknown, is_known, "{what}");
        }
    }
}

#[tokio::test]
async fn the_switch_warns_of_rows_that_are_not_placed() {
    let limits = "max_macs_per_port: 1, allow_macs: ['02:00:00:00:00:01']";
    for (options, unread, unplaced) in [
        ("", "", ""),
        (
            limits,
            "; allow_macs and max_macs_per_port cannot be judged",
            "; max_macs_per_port cannot be judged",
        ),
    ] {
        for (what, place) in GAPS {
            let mut story = Story::of(switch(4), &format!("type: ports, mac_changes: no, {options}"));
            story.change(|device| {
                device.new_station([2, 0, 0, 0, 0, 1], 1);
                place(device, PINNED);
            });
            let first = story.after(60).await;
            assert_eq!(notices(&first), [""; 0]);
            let second = story.after(60).await;
            let is_unplaced = what.starts_with("on no known port");
            let end = if is_unplaced { unplaced } else { unread };
            let verb = format!("stations may be missing: 1 row of the MAC table is {what}{end}");
            assert_eq!(warnings(&second), [verb.as_str()], "{what}");
            assert_eq!(warnings(&first), warnings(&second));
            assert_eq!(second.outcome.warnings[0].level, WarningLevel::Degrades);
            let expected: &[&str] = match is_unplaced && !options.is_empty() {
                true => &["NEW STATION: new station 18:E8:29:45:F8:F7 is not allowed (port not known)"],
                false => &[],
            };
            assert_eq!(notices(&second), expected, "{what}");
            story.restart_apmon();
            assert_eq!(notices(&story.after(3_600).await), [""; 0], "once");
        }
    }
}

#[tokio::test]
async fn a_switch_whose_rows_are_ignored_says_nothing_of_them() {
    for (what, place) in GAPS {
        let options =
            "type: ports, max_macs_per_port: 1, allow_macs: ['02:00:00:00:00:01'], ignore_unplaced: yes";
        let mut story = Story::of(switch(4), options);
        story.change(|device| place(device, PINNED));
        for _ in 0..2 {
            let observation = story.after(60).await;
            assert_eq!(warnings(&observation), [""; 0], "{what}");
            assert_eq!(notices(&observation), [""; 0], "{what}");
        }
    }
}

#[tokio::test]
async fn limits_of_stations_are_not_silently_off_on_a_device_without_a_bridge() {
    for (options, expected) in [
        ("", None),
        (", max_macs_per_port: 1", Some("max_macs_per_port")),
        (", allow_macs: ['02:00:00:00:00:01']", Some("allow_macs")),
    ] {
        let mut story = Story::of(switch(1), &format!("type: ports{options}"));
        story.change(|device| device.table.retain(|oid, _| oid.below(&BASE_PORT).is_none()));
        let expected: Vec<_> = expected
            .iter()
            .map(|option| {
                format!("stations may be missing: the device shows no bridge; {option} cannot be judged")
            })
            .collect();
        assert_eq!(warnings(&story.after(60).await), expected);
    }
}

#[tokio::test]
async fn an_offset_that_is_not_certain_is_a_note() {
    for options in ["type: ports".to_owned(), format!("{PORT} yes")] {
        let mut story = Story::of(switch(4), &options);
        story.change(|device| {
            renumber_bridge_ports(device, 49_153);
            row(device, &BY_VLAN, &index(&[1], PINNED), 2);
        });
        let observation = story.after(60).await;
        assert_eq!(verdict(&observation), (Verdict::Up, String::new()));
        assert_eq!(
            warnings(&observation),
            [
                "the ports in the MAC table are read as positions among the bridge ports, which is not certain: \
                 18:E8:29:45:F8:F7 with port 2 is shown on ifIndex 10102"
            ]
        );
        assert_eq!(observation.outcome.warnings[0].level, WarningLevel::Note);
    }
}
