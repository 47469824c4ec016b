//! The sentences of messages about ports: APMonitor's own, where it has one.

use std::time::Duration;

use apmon_core::{Mac, Notice, PortState, rule::wording::duration};

use super::{
    label::Label,
    station_change::{Move, StationChanges},
};
use crate::rule::restart::Restart;

/// The most stations that a message names; the others are only counted.
const MOST_STATIONS: usize = 10;
/// The most ports that a message names; the others are only counted.
const MOST_PORTS: usize = 5;

fn notice(label: &str, text: String) -> Notice {
    Notice {
        label: label.to_owned(),
        text,
    }
}

pub(super) fn port_change(text: String) -> Notice {
    notice("PORT CHANGE", text)
}

pub(super) fn mac_change(text: String) -> Notice {
    notice("PORT MAC CHANGE", text)
}

/// The sentence for several ports at once: `24 ports vanished: Gi2/0/1, Gi2/0/2, Gi2/0/3,
/// Gi2/0/4, Gi2/0/5 and 19 more`.
pub(super) fn together(names: &[String], what: &str) -> String {
    format!("{} ports {what}: {}", names.len(), list(names, MOST_PORTS))
}

/// The sentence for a port that appeared, with its stations.
pub(super) fn appeared(port: &Label, state: PortState, changes: &StationChanges) -> String {
    let mut text = format!("{port} appeared {state}");
    if !changes.appeared.is_empty() {
        text += &format!(" stations={}", bracketed(&changes.appeared));
    }
    with_moves(Some(text), port, &changes.moved).unwrap_or_default()
}

/// The sentence for stations that appeared, left or moved; `None` without changes.
pub(super) fn stations(port: &Label, changes: &StationChanges) -> Option<String> {
    let mut text = None;
    if !changes.appeared.is_empty() || !changes.gone.is_empty() {
        let mut change = format!("{port} MAC change");
        for (what, macs) in [("appeared", &changes.appeared), ("gone", &changes.gone)] {
            if !macs.is_empty() {
                change += &format!(" {what}={}", bracketed(macs));
            }
        }
        text = Some(change);
    }
    with_moves(text, port, &changes.moved)
}

/// Appends `; MAC AA:.. moved from X to Y` for each port from which stations came.
fn with_moves(text: Option<String>, port: &Label, moved: &[Move]) -> Option<String> {
    let mut parts: Vec<String> = text.into_iter().collect();
    let mut origins: Vec<(usize, &Label, Vec<Mac>)> = Vec::new();
    for Move { mac, from, label } in moved {
        match origins.iter_mut().find(|(origin, ..)| origin == from) {
            Some((.., macs)) => macs.push(*mac),
            None => origins.push((*from, label, vec![*mac])),
        }
    }
    parts.extend(origins.into_iter().map(|(_, from, macs)| {
        let many = if macs.len() == 1 { "MAC" } else { "MACs" };
        format!("{many} {} moved from {from} to {port}", listed(&macs))
    }));
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The message about stations that are not allowed; `None` if their port is not known.
pub(super) fn new_stations(port: Option<&Label>, macs: &[Mac]) -> Notice {
    let text = match macs {
        [mac] => format!("new station {mac} is not allowed"),
        _ => format!("new stations {} are not allowed", listed(macs)),
    };
    let text = match port {
        Some(port) => format!("{port} {text}"),
        None => format!("{text} (port not known)"),
    };
    notice("NEW STATION", text)
}

pub(super) fn too_many(port: &Label, count: usize, most: u32) -> Notice {
    let text = format!("{port} has {count} stations, more than {most}");
    notice("TOO MANY STATIONS", text)
}

/// The sentence for a restart: `restarted, up for 3 mins 0 secs`. If only the agent was
/// restarted while the device kept running, its uptime does not matter.
pub(super) fn restarted(what: Restart, up_for: Duration) -> Notice {
    let text = match what {
        Restart::Agent => "its SNMP agent was restarted".to_owned(),
        Restart::AgentAtLeast => format!("its SNMP agent was restarted, up for {}", duration(up_for)),
        Restart::Device | Restart::No => format!("restarted, up for {}", duration(up_for)),
    };
    notice("RESTARTED", text)
}

fn bracketed(macs: &[Mac]) -> String {
    format!("[{}]", listed(macs))
}

fn listed(macs: &[Mac]) -> String {
    let names: Vec<String> = macs.iter().map(Mac::to_string).collect();
    list(&names, MOST_STATIONS)
}

fn list(names: &[String], most: usize) -> String {
    let shown = &names[..names.len().min(most)];
    let shown = shown.join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
