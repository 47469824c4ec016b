//! A device's ports as a table that fits the terminal.

#[cfg(test)]
mod tests;

use apmon_core::{Device, DevicePort, PortStatus, rule::wording, text::printable};

use crate::{
    plural,
    table::{self, cut},
};

const HEAD: [&str; 7] = ["PORT", "NAME", "STATE", "SPEED", "ALIAS", "STATIONS", "NEIGHBOUR"];
const NAME: usize = 1;
const ALIAS: usize = 4;
const NEIGHBOUR: usize = 6;
/// The columns that are cut if the table is too wide, and their least widths.
const CUT: [(usize, usize); 3] = [(NAME, 8), (ALIAS, 6), (NEIGHBOUR, 10)];
/// The gap between two columns.
const GAP: usize = 2;

/// How many stations of a port are shown.
const STATIONS_SHOWN: usize = 3;

/// Renders a header and a table no wider than `width`, as far as possible. `None` cuts
/// nothing.
pub(super) fn render(device: &Device, width: Option<usize>) -> String {
    let header = header(device, width).join("\n");
    if device.ports.is_empty() {
        return format!("{header}\n\nno ports");
    }
    format!("{header}\n\n{}", table(device, width))
}

fn header(device: &Device, width: Option<usize>) -> Vec<String> {
    let name = device.name.as_deref().filter(|name| !name.is_empty());
    let name = printable(name.unwrap_or("(a device without a name)"));
    let title = match &device.vendor {
        Some(vendor) => format!("{name} ({})", printable(vendor)),
        None => name.into_owned(),
    };
    let described = device.description.as_deref().and_then(|text| {
        let mut lines = text.lines().map(str::trim);
        lines.find(|line| !line.is_empty()).map(str::to_owned)
    });
    let rows = [
        ("", described),
        ("location", device.location.clone()),
        ("contact", device.contact.clone()),
        ("up for", device.up_for.map(wording::duration)),
        ("ports", (!device.ports.is_empty()).then(|| counts(device))),
    ];
    let rows = rows.into_iter().filter_map(|(label, text)| {
        let text = text.filter(|text| !text.is_empty())?;
        Some(match label {
            "" => printable(&text).into_owned(),
            label => format!("{label:<10}{}", printable(&text)),
        })
    });
    let fit = |line: String| width.map_or_else(|| line.clone(), |width| cut(&line, width));
    std::iter::once(title).chain(rows).map(fit).collect()
}

/// The number of ports by state, `52: 14 up, 36 down, 2 off; 100 stations`: the usual
/// states first.
fn counts(device: &Device) -> String {
    let mut counts = vec![("up", 0), ("down", 0), ("off", 0)];
    for port in &device.ports {
        let word = state(port);
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    let parts: Vec<_> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    let stations: usize = device.ports.iter().map(|port| port.stations.len()).sum();
    let stations = match stations {
        0 => String::new(),
        stations => format!("; {}", plural::count(stations, "station")),
    };
    format!("{}: {}{stations}", device.ports.len(), parts.join(", "))
}

fn table(device: &Device, width: Option<usize>) -> String {
    let has_short = device.ports.iter().any(|port| port.short_name.is_some());
    // What loses least is tried first.
    let mut rows = rows(device, false, STATIONS_SHOWN);
    for (short, stations) in [(true, STATIONS_SHOWN), (true, 2), (true, 1), (true, 0)] {
        if fits(&rows, width) {
            break;
        }
        rows = self::rows(device, short && has_short, stations);
    }
    if let Some(width) = width {
        shrink(&mut rows, width);
    }
    table::render_filled(&HEAD, &rows)
}

fn rows(device: &Device, short: bool, stations: usize) -> Vec<Vec<String>> {
    let row = |port: &DevicePort| {
        vec![
            port.index.to_string(),
            name(port, short),
            state(port).to_owned(),
            port.speed.map(speed).unwrap_or_default(),
            text(port.alias.as_deref()),
            self::stations(port, stations),
            neighbours(port),
        ]
    };
    device.ports.iter().map(row).collect()
}

fn text(text: Option<&str>) -> String {
    printable(text.unwrap_or_default().trim()).into_owned()
}

fn name(port: &DevicePort, short: bool) -> String {
    match &port.short_name {
        Some(name) if short && name.chars().count() < port.name.chars().count() => text(Some(name)),
        _ => text(Some(&port.name)),
    }
}

/// The state shown for a port; `off` if its administrator has disabled it.
fn state(port: &DevicePort) -> &'static str {
    match (port.state.oper, port.state.admin) {
        (PortStatus::Up, _) => "up",
        (_, PortStatus::Down) => "off",
        (PortStatus::LowerLayerDown, _) => "down",
        (PortStatus::NotPresent, _) => "absent",
        (other, _) => other.as_str(),
    }
}

/// A speed in bits per second, `10M` or `2.5G`; empty for 0.
fn speed(bits: u64) -> String {
    let units = [
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (1_000, "k"),
    ];
    for (unit, letter) in units {
        if bits >= unit {
            let tenths = bits / (unit / 10);
            return match tenths % 10 {
                0 => format!("{}{letter}", tenths / 10),
                tenth => format!("{}.{tenth}{letter}", tenths / 10),
            };
        }
    }
    match bits {
        0 => String::new(),
        bits => bits.to_string(),
    }
}

/// The first `shown` stations and the number of others; with 0, only the number of
/// several stations.
fn stations(port: &DevicePort, shown: usize) -> String {
    let shown = match (port.stations.len(), shown) {
        (count @ 2.., 0) => return format!("{count} stations"),
        (_, shown) => shown.max(1),
    };
    let macs = port
        .stations
        .iter()
        .take(shown)
        .map(|station| station.mac.to_string());
    let mut words: Vec<_> = macs.collect();
    if port.stations.len() > shown {
        words.push(format!("+{}", port.stations.len() - shown));
    }
    words.join(" ")
}

/// The first neighbour, `core-1 Gi1/0/1`, and the number of others.
fn neighbours(port: &DevicePort) -> String {
    let Some(first) = port.neighbours.first() else {
        return String::new();
    };
    let port_there = text(first.port.as_deref());
    let shown = format!("{} {port_there}", text(Some(&first.name)));
    let shown = shown.trim();
    match port.neighbours.len() {
        1 => shown.to_owned(),
        count => format!("{shown} +{}", count - 1),
    }
}

/// The width of a column with its header; 0 if it is left out.
fn column_width(rows: &[Vec<String>], at: usize) -> usize {
    let cells = rows.iter().map(|row| row[at].chars().count());
    match cells.max().unwrap_or(0) {
        0 => 0,
        width => width.max(HEAD[at].len()),
    }
}

fn table_width(widths: &[usize]) -> usize {
    let shown = widths.iter().filter(|width| **width > 0);
    (shown.map(|width| width + GAP).sum::<usize>()).saturating_sub(GAP)
}

fn fits(rows: &[Vec<String>], width: Option<usize>) -> bool {
    let widths: Vec<_> = (0..HEAD.len()).map(|at| column_width(rows, at)).collect();
    width.is_none_or(|width| table_width(&widths) <= width)
}

/// Cuts the widest of the columns that can be cut, until the table fits or no column
/// can be cut further.
fn shrink(rows: &mut [Vec<String>], width: usize) {
    let mut widths: Vec<_> = (0..HEAD.len()).map(|at| column_width(rows, at)).collect();
    while table_width(&widths) > width {
        let least = |at: usize, least: usize| least.max(HEAD[at].len());
        let candidates = CUT.iter().filter(|(at, end)| widths[*at] > least(*at, *end));
        let Some((at, _)) = candidates.max_by_key(|(at, _)| widths[*at]) else {
            break;
        };
        widths[*at] -= 1;
    }
    for row in rows {
        for (at, _) in CUT {
            row[at] = cut(&row[at], widths[at]);
        }
    }
}
