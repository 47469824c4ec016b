//! Kind `ports` with recorded devices: the results of the first two polls.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::fmt::Write as _;

use apmon_core::{Device, DevicePort, Reading};

use lab::{LabCheck, LabMonitor, Recordings};

/// The number of ports that a snapshot shows in full; of the others, it has a checksum.
const SHOWN: usize = 12;
/// The number of stations that a snapshot shows for each port.
const STATIONS: usize = 4;
/// The most answers that a regular poll of a device of this size may take.
const MOST_ROUND_TRIPS: u32 = 40;
const MOST_INTERFACES: usize = 60;
const MOST_STATIONS: f64 = 300.0;

#[tokio::test]
async fn each_recorded_device_matches_its_snapshot() {
    let recordings = Recordings::start();
    let mut costs = String::new();
    let mut dear = Vec::new();
    for name in Recordings::names() {
        let mut monitor = LabMonitor::new(&format!(
            "type: ports, address: 'snmp://{}', community: {name}",
            recordings.address()
        ));
        let first = monitor.check().await;
        let memory = monitor.memory.clone();
        let second = monitor.check().await;
        let device = first
            .observation
            .device
            .as_deref()
            .unwrap_or_else(|| panic!("{name}: {}", first.reason()));
        let (ports, macs) = (
            device.ports.len(),
            second.metric("mac_count").map_or(0.0, |it| it.value()),
        );
        writeln!(
            costs,
            "{name:20} {ports:3} interfaces {macs:3} MACs: {:3} answers, then {:3} {:?}",
            first.round_trips(),
            second.round_trips(),
            second.steps,
        )
        .unwrap();
        if ports <= MOST_INTERFACES && macs <= MOST_STATIONS && second.round_trips() > MOST_ROUND_TRIPS {
            dear.push(name);
        }
        let text = format!(
            "{}\n{}",
            shown(&first),
            changed(&first, &second, monitor.memory.kept == memory.kept)
        );
        insta::assert_snapshot!(name, text);
    }
    println!("{costs}");
    assert!(
        dear.is_empty(),
        "more than {MOST_ROUND_TRIPS} answers: {dear:?}\n{costs}"
    );
}

#[tokio::test]
async fn rarely_changing_tables_are_read_at_every_tenth_poll() {
    let recordings = Recordings::start();
    let agent = recordings.address();
    let mut monitor = LabMonitor::new(&format!(
        "type: ports, address: 'snmp://{agent}', community: metel-poe"
    ));
    let mut costs = Vec::new();
    for _ in 0..12 {
        let seen = monitor.check().await;
        let device = seen.observation.device.as_deref().unwrap();
        assert_eq!(device.ports[0].name, "P1", "it is known all the same");
        costs.push(seen.round_trips());
    }
    let (first, tenth) = (costs[0], costs[10]);
    assert!(costs[1] < tenth && tenth < first, "{costs:?}");
    assert_eq!(costs[1], costs[11], "{costs:?}");
    assert!(
        costs[1..10].iter().all(|cost| *cost <= first / 2 + costs[1]),
        "{costs:?}"
    );
}

/// The complete result of the first poll.
fn shown(seen: &LabCheck) -> String {
    let observation = &seen.observation;
    let mut text = format!("{}\n", seen.reason());
    if let Some(warning) = observation.outcome.warning_text() {
        writeln!(text, "warning: {warning}").unwrap();
    }
    for notice in &observation.notices {
        writeln!(text, "notice: {}: {}", notice.label, notice.text).unwrap();
    }
    let device = observation.device.as_deref().unwrap();
    text += &described(device);
    text += "\nfigures\n";
    let mut interfaces = 0;
    for metric in &observation.outcome.metrics {
        let by_interface = metric.name.starts_with("if");
        interfaces += usize::from(by_interface);
        if by_interface && interfaces > 2 * SHOWN {
            continue;
        }
        let value = match metric.reading {
            Reading::Gauge(value) => format!("{}", (value * 100.0).round() / 100.0),
            Reading::Counter { value, .. } => format!("{value} (counter)"),
        };
        writeln!(text, "  {}: {value}", metric.name).unwrap();
    }
    writeln!(text, "  of {interfaces} that are an interface's").unwrap();
    let memory = observation.memory.as_ref().unwrap();
    let keys: Vec<_> = memory.kept.keys().map(String::as_str).collect();
    writeln!(
        text,
        "\nremembered: {}, counts: {}",
        keys.join(", "),
        memory.counts.is_some()
    )
    .unwrap();
    text
}

fn described(device: &Device) -> String {
    let mut text = String::new();
    for (what, value) in [
        ("name", &device.name),
        ("location", &device.location),
        ("contact", &device.contact),
        ("description", &device.description),
    ] {
        if let Some(value) = value {
            writeln!(text, "{what}: {value}").unwrap();
        }
    }
    writeln!(text, "vendor: {:?}, up for {:?}", device.vendor, device.up_for).unwrap();
    for disk in &device.disks {
        writeln!(text, "disk {}: {} of {}", disk.name, disk.used, disk.size).unwrap();
    }
    writeln!(text, "\n{} ports", device.ports.len()).unwrap();
    let lines: Vec<String> = device.ports.iter().map(port).collect();
    for line in lines.iter().take(SHOWN) {
        text += line;
    }
    // A checksum pins the ports that are not shown; those with stations or neighbours are
    // worth showing.
    let others = lines.get(SHOWN..).unwrap_or_default();
    if !others.is_empty() {
        writeln!(
            text,
            "  {} more, checksum {:016x}",
            others.len(),
            checksum(&others.concat())
        )
        .unwrap();
        let busy = device.ports[SHOWN..]
            .iter()
            .filter(|port| !port.stations.is_empty() || !port.neighbours.is_empty());
        for port in busy {
            let neighbours: Vec<_> = port.neighbours.iter().map(|it| format!("{it:?}")).collect();
            writeln!(
                text,
                "    {} {}: {} stations {}",
                port.index,
                port.short_name.as_deref().unwrap_or(&port.name),
                port.stations.len(),
                neighbours.join(" "),
            )
            .unwrap();
        }
    }
    text
}

fn port(port: &DevicePort) -> String {
    let mut text = format!("  {} {:?}", port.index, port.name);
    let mut add = |what: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(text, ", {what} {value}").unwrap();
        }
    };
    let quoted = |text: &String| format!("{text:?}");
    add("short", port.short_name.as_ref().map(quoted));
    add("alias", port.alias.as_ref().map(quoted));
    add("in", port.slot.as_ref().map(quoted));
    add(
        "at",
        port.speed.map(|speed| format!("{} Mbit/s", speed as f64 / 1e6)),
    );
    writeln!(text, ", {}", port.state).unwrap();
    for neighbour in &port.neighbours {
        writeln!(text, "    {neighbour:?}").unwrap();
    }
    for station in port.stations.iter().take(STATIONS) {
        writeln!(text, "    {} {:?}", station.mac, station.addresses).unwrap();
    }
    if let Some(more) = port.stations.len().checked_sub(STATIONS).filter(|more| *more > 0) {
        let all: String = port
            .stations
            .iter()
            .map(|station| format!("{station:?}"))
            .collect();
        writeln!(text, "    {more} more stations, checksum {:016x}", checksum(&all)).unwrap();
    }
    text
}

/// The differences of the next poll. A recording itself does not change.
fn changed(first: &LabCheck, second: &LabCheck, remembers_the_same: bool) -> String {
    let mut text = format!("at the next poll: {}\n", second.reason());
    let observation = &second.observation;
    for notice in &observation.notices {
        writeln!(text, "  notice: {}: {}", notice.label, notice.text).unwrap();
    }
    for change in &observation.changes {
        writeln!(text, "  change: {change:?}").unwrap();
    }
    let mut going_on = 0;
    let figures = &observation.outcome.metrics;
    for metric in figures {
        let before = first.metric(&metric.name);
        if before.map(|it| it.value()) != Some(metric.value()) {
            writeln!(text, "  {}: {before:?}, then {metric:?}", metric.name).unwrap();
        }
        match metric.reading {
            Reading::Counter { continues: true, .. } => going_on += 1,
            Reading::Counter { .. } => writeln!(text, "  {} does not continue", metric.name).unwrap(),
            Reading::Gauge(_) => {}
        }
    }
    writeln!(
        text,
        "  {} figures, {going_on} counters that continue",
        figures.len()
    )
    .unwrap();
    let are_same = |what: &str, same: bool| match same {
        true => format!("  the same {what}\n"),
        false => format!("  OTHER {what}\n"),
    };
    text += &are_same("device", observation.device == first.observation.device);
    text += &are_same(
        "warning",
        observation.outcome.warnings == first.observation.outcome.warnings,
    );
    text += &are_same("memory", remembers_the_same);
    text
}

/// The FNV-1a checksum, which is the same in every release of Rust.
fn checksum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
