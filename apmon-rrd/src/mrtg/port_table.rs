//! The tables of a device's interfaces and of the stations on them.

use std::{collections::HashSet, fmt::Write as _};

use apmon_core::{DevicePort, Neighbour, PortStatus};

use super::html::{escape, or_dash};

/// The interfaces, in the order of their numbers.
pub(super) fn interfaces(out: &mut String, ports: &[DevicePort]) {
    out.push_str(
        "<h2>Interfaces</h2>\n<table>\n<tr><th>ifIndex</th><th>Slot</th><th>Name</th><th>Alias / Description</th>\
         <th>Speed</th><th>Oper</th><th>Admin</th><th>Neighbour (LLDP/CDP)</th></tr>\n",
    );
    for port in sorted(ports) {
        let class = match port.state.oper {
            PortStatus::Up => "oper-up",
            PortStatus::Down => "oper-down",
            _ => "oper-other",
        };
        let neighbours: Vec<String> = port.neighbours.iter().map(neighbour).collect();
        let neighbours = match neighbours.is_empty() {
            true => "&mdash;".to_owned(),
            false => neighbours.join("<br>"),
        };
        let _ = writeln!(
            out,
            "<tr><td class=\"mono\">{}</td><td class=\"mono\">{}</td><td class=\"mono\">{}</td><td>{}</td>\
             <td>{}</td><td class=\"{class}\">{}</td><td>{}</td><td>{neighbours}</td></tr>",
            port.index,
            or_dash(port.slot.as_deref()),
            or_dash(Some(&port.name)),
            or_dash(port.alias.as_deref()),
            speed(port.speed),
            port.state.oper,
            port.state.admin,
        );
    }
    if ports.is_empty() {
        out.push_str("<tr><td class=\"empty\" colspan=\"8\">No interface data available</td></tr>\n");
    }
    out.push_str("</table>\n");
}

/// The stations. One that several interfaces have learned is shown at the first.
pub(super) fn stations(out: &mut String, ports: &[DevicePort]) {
    out.push_str(
        "<h2>MAC / IP / Hostname</h2>\n<table>\n<tr><th>Port</th><th>MAC Address</th><th>IP Address</th>\
         <th>Hostname (PTR)</th></tr>\n",
    );
    let mut seen = HashSet::new();
    for port in sorted(ports) {
        let mut stations: Vec<_> = port.stations.iter().collect();
        stations.sort_by_key(|station| station.mac);
        for station in stations {
            if !seen.insert(station.mac) {
                continue;
            }
            let addresses: Vec<String> = station.addresses.iter().map(ToString::to_string).collect();
            let _ = writeln!(
                out,
                "<tr><td>{} <span class=\"sub\">if{}</span></td><td class=\"mono\">{}</td>\
                 <td class=\"mono\">{}</td><td>{}</td></tr>",
                or_dash(Some(&port.name)),
                port.index,
                station.mac,
                or_dash(Some(&addresses.join(", "))),
                or_dash(Some(&station.names.join(", "))),
            );
        }
    }
    if seen.is_empty() {
        out.push_str("<tr><td class=\"empty\" colspan=\"4\">No MAC/ARP data available</td></tr>\n");
    }
    out.push_str("</table>\n");
}

fn sorted(ports: &[DevicePort]) -> Vec<&DevicePort> {
    let mut sorted: Vec<_> = ports.iter().collect();
    sorted.sort_by_key(|port| port.index);
    sorted
}

fn neighbour(neighbour: &Neighbour) -> String {
    let mut html = escape(&neighbour.name);
    if let Some(port) = &neighbour.port {
        let _ = write!(html, "&nbsp;<span class=\"sub\">{}</span>", escape(port));
    }
    let _ = write!(
        html,
        " <span class=\"proto\">{}</span>",
        escape(&neighbour.protocol)
    );
    html
}

/// `1 Gbps`, `2.5 Gbps`, `100 Mbps`.
fn speed(bits: Option<u64>) -> String {
    let (unit, name) = match bits {
        None | Some(0) => return "&mdash;".to_owned(),
        Some(1_000_000_000..) => (1_000_000_000, "Gbps"),
        Some(1_000_000..) => (1_000_000, "Mbps"),
        Some(_) => (1_000, "kbps"),
    };
    let bits = bits.unwrap_or_default();
    let (whole, tenths) = (bits / unit, bits % unit * 10 / unit);
    match tenths {
        0 => format!("{whole} {name}"),
        _ => format!("{whole}.{tenths} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_has_a_tenth_where_it_needs_one() {
        for (bits, shown) in [
            (None, "&mdash;"),
            (Some(0), "&mdash;"),
            (Some(64_000), "64 kbps"),
            (Some(10_000_000), "10 Mbps"),
            (Some(1_000_000_000), "1 Gbps"),
            (Some(2_500_000_000), "2.5 Gbps"),
            (Some(100_000_000_000), "100 Gbps"),
        ] {
            assert_eq!(speed(bits), shown, "{bits:?}");
        }
    }
}
