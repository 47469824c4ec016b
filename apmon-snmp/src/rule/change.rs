//! Kind `ports`: detecting changes of a device's ports, and deciding which of them are
//! announced.
//!
//! Two states are remembered of each port: the baseline, which is the port at the last
//! successful check (APMonitor's `ports_state`), and the port as it was last announced.
//! Changes, for the history, are differences from the baseline. Messages are differences
//! from the announced state: a message about a port opens a [`window`] without messages,
//! and after it one message reports the port's current state, if that differs from the
//! announced one. Thus the last message is never wrong, and changes that were undone
//! within the window are not announced.
//!
//! Only complete polls are compared: a port that was not read is not reported as gone.
//!
//! Rules for cases that APMonitor does not define:
//! - The first successful check announces nothing. Violations of the site file
//!   (`allow_macs`, `max_macs_per_port`) are announced from the second check on, even if
//!   they were present from the start.
//! - One check sends at most one message of each label for a port. `PORT CHANGE` and
//!   `PORT MAC CHANGE` share one window; `NEW STATION` and `TOO MANY STATIONS` share
//!   another, so that plugging in a cable does not hide the station at its end.
//! - Ports are followed by name ([`follow`](mod@crate::rule::follow)). A port that is new
//!   or missing is a `PORT CHANGE`: `appeared`, with the stations on it, or `vanished`.
//!   More than [`MOST_APART`] such ports in one check share one message: a member of a
//!   stack was lost, or is back.
//! - A station that moved to another port is announced once, there. It is not announced
//!   as gone while the message about its new port is held back.
//! - `mac_changes: appeared`: departures are announced with the next appearance on that
//!   port. A station that returns to the port where it was last announced is announced
//!   only after a week's absence, because devices forget silent stations.
//! - A station that is not allowed is announced once per port, and again after a week's
//!   absence. One that came and went during the window is announced after it.
//! - For five minutes after a restart no station is announced as gone: the device has to
//!   learn its stations again.
//! - If the table of stations could not be read, the last known stations are kept. A station
//!   whose port is not known is kept where it was last seen; if it is not allowed, it is
//!   announced as `(port not known)`, in a window of the device's own.

mod label;
mod state;
mod station;
mod station_change;
mod wording;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use apmon_core::{Mac, Notice, Policy, PortChange, PortEvent, PortState};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::state::State;
use self::{
    label::{Label, labels},
    state::{AnnouncedRestart, Baseline, Elsewhere, TrackedPort},
    station_change::Move,
};
use crate::rule::{
    follow::{Identity, OwnedIdentity, follow},
    pattern::Pattern,
    restart::{Restart, Uptimes},
    window,
};

/// The most ports that appear, or vanish, in one check with a message each.
const MOST_APART: usize = 10;
/// The absence after which a returning station is announced again.
const LONG_ABSENCE: Duration = Duration::from_secs(7 * 86_400);
/// The time after a restart in which no station is announced as gone.
const LEARNING: Duration = Duration::from_secs(300);
/// The most by which two estimates of the time of one restart differ.
const SAME_RESTART: Duration = Duration::from_secs(120);

/// A port as the current poll found it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct PolledPort {
    /// The ifIndex and names.
    pub identity: OwnedIdentity,
    /// The ifAlias.
    pub alias: Option<String>,
    /// The ifOperStatus and ifAdminStatus.
    pub state: PortState,
    /// The stations on the port; `None` if the table could not be read.
    pub macs: Option<BTreeSet<Mac>>,
    /// Whether the table was read only in part: stations that are not in `macs` may be
    /// present.
    pub is_partial: bool,
}

/// The ports of one complete poll.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PolledPorts<'a> {
    /// The ports, in the order of their ifIndexes.
    pub ports: &'a [PolledPort],
    /// The stations whose port is not known.
    pub unplaced: &'a BTreeSet<Mac>,
    /// The part of the device that was restarted since the last check, if any.
    pub restart: Restart,
    /// The uptimes of the device and of its agent.
    pub uptimes: Uptimes,
}

/// The options of the site file that decide which changes are announced.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct PortAlertOptions {
    /// The ports about which nothing is announced, by name, short name or alias.
    pub ignore_ports: Vec<Pattern>,
    /// The changes of stations that are announced.
    pub mac_changes: MacChanges,
    /// The allowed stations; any other is announced as new. `None` allows all.
    pub allow_macs: Option<BTreeSet<Mac>>,
    /// The number of stations on a port above which a message is sent.
    pub max_macs_per_port: Option<u32>,
}

/// Which changes among the stations on a port are reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MacChanges {
    /// Stations that appear; those that left are reported together with the next
    /// one that appears on the port. Switches forget silent stations after about
    /// 300 s.
    #[default]
    Appeared,
    /// Stations that appear and stations that leave.
    All,
    /// No changes.
    No,
}

/// The result of comparing a poll with the remembered state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Comparison {
    /// The state to remember from now on.
    pub state: State,
    /// All changes, whether announced or not, in the order of the ports.
    pub changes: Vec<PortChange>,
    /// The messages to send.
    pub notices: Vec<Notice>,
}

/// A port before and after the current poll.
struct PortPair<'a> {
    /// The remembered port, with its new baseline.
    port: TrackedPort,
    was: Option<Baseline>,
    is: Option<&'a PolledPort>,
    label: Label,
    is_ignored: bool,
    may_notify: bool,
    /// Whether this check announces the port's state.
    state_announced: bool,
    /// Whether this check announces changes of its stations.
    stations_announced: bool,
    /// Whether a message about another port says that stations moved there from here.
    announced_elsewhere: bool,
}

/// Compares a poll with the remembered state, which is `None` at the first successful
/// poll.
pub(crate) fn compare(
    before: Option<State>,
    poll: &PolledPorts<'_>,
    options: &PortAlertOptions,
    policy: &Policy,
    now: Timestamp,
) -> Comparison {
    let Some(before) = before else {
        let mut ports: Vec<TrackedPort> = poll.ports.iter().map(TrackedPort::at_first).collect();
        ports.sort_by_key(|port| port.identity.index);
        return Comparison {
            state: State {
                ports,
                ..State::default()
            },
            changes: Vec::new(),
            notices: Vec::new(),
        };
    };
    let mut notices = Vec::new();
    let restart = restarted(before.restart, poll, now, &mut notices);
    let is_learning = restart.is_some_and(|it| age(it.seen_at, now) < LEARNING);
    let mut pairs = pairs(before.ports, poll, options);
    for pair in &mut pairs {
        let window = &mut pair.port.window;
        *window = window
            .map(|it| it.anchored(now))
            .filter(|it| !window::is_over(it, policy, now));
        // With alarms off, nothing counts as announced, so changes are announced once they
        // are on again.
        pair.may_notify =
            policy.alarms && !pair.is_ignored && window::may_notify(window.as_ref(), policy, now);
        pair.port.note_absences(now);
    }
    announce_changes(&mut pairs, options, is_learning, &mut notices);
    for pair in &mut pairs {
        if pair.state_announced || pair.stations_announced {
            let port = &mut pair.port;
            port.window = Some(window::notified(port.window, policy, now));
        }
        station::raise_alarms(pair, options, policy, now, &mut notices);
        if pair.is_ignored {
            pair.port.mark_announced();
        } else if options.mac_changes == MacChanges::No {
            pair.port.mark_stations_announced();
        }
    }
    let mut unplaced = before.unplaced;
    station::raise_unplaced(&mut unplaced, poll.unplaced, options, policy, now, &mut notices);
    let changes = pairs.iter().flat_map(changes).collect();
    let ports = pairs.into_iter().map(|pair| pair.port);
    let ports = ports.filter(|port| !port.is_over()).collect();
    Comparison {
        state: State {
            ports,
            restart,
            unplaced,
        },
        changes,
        notices,
    }
}

fn pairs<'a>(
    known: Vec<TrackedPort>,
    poll: &PolledPorts<'a>,
    options: &PortAlertOptions,
) -> Vec<PortPair<'a>> {
    let ports = poll.ports;
    let (here, away): (Vec<_>, Vec<_>) = known.into_iter().partition(|port| port.baseline.is_some());
    let seen: Vec<Identity<'_>> = ports.iter().map(|port| port.identity.borrowed()).collect();
    let found = follow(&identities(&here), &seen);
    let rest: Vec<usize> = (0..ports.len()).filter(|i| found[*i].is_none()).collect();
    let missing: Vec<Identity<'_>> = rest.iter().map(|i| seen[*i]).collect();
    let back = follow(&identities(&away), &missing);
    let back: BTreeMap<usize, usize> = rest
        .into_iter()
        .zip(back)
        .filter_map(|(i, at)| Some((i, at?)))
        .collect();

    let mut here: Vec<Option<TrackedPort>> = here.into_iter().map(Some).collect();
    let mut away: Vec<Option<TrackedPort>> = away.into_iter().map(Some).collect();
    let mut all: Vec<(TrackedPort, Option<&PolledPort>)> = Vec::with_capacity(ports.len());
    for (i, port) in ports.iter().enumerate() {
        let known = match (found[i], back.get(&i)) {
            (Some(at), _) => here[at].take(),
            (None, Some(at)) => away[*at].take(),
            (None, None) => None,
        };
        all.push((known.unwrap_or_else(|| TrackedPort::new(port)), Some(port)));
    }
    let gone = here.into_iter().chain(away).flatten();
    all.extend(gone.map(|port| (port, None)));
    let index =
        |port: &TrackedPort, is: Option<&PolledPort>| is.map_or(port.identity.index, |is| is.identity.index);
    all.sort_by_key(|(port, is)| (is.is_none(), index(port, *is)));

    let labels = labels(
        all.iter()
            .map(|(port, is)| is.map_or(&port.identity, |is| &is.identity).borrowed()),
    );
    // A station seen on one port is on no other, even if the table was read only in part.
    let anywhere: BTreeSet<Mac> = ports
        .iter()
        .filter_map(|port| port.macs.as_ref())
        .flatten()
        .copied()
        .collect();
    let elsewhere = Elsewhere {
        placed: &anywhere,
        unplaced: poll.unplaced,
    };
    let pairs = all.into_iter().zip(labels).map(|((mut port, is), label)| {
        let mut was = port.baseline.take();
        port.observe(is, was.as_mut(), elsewhere);
        let is_ignored = options.ignores(port.names());
        PortPair {
            port,
            was,
            is,
            label,
            is_ignored,
            may_notify: false,
            state_announced: false,
            stations_announced: false,
            announced_elsewhere: false,
        }
    });
    pairs.collect()
}

fn identities(ports: &[TrackedPort]) -> Vec<Identity<'_>> {
    ports.iter().map(|port| port.identity.borrowed()).collect()
}

/// Announces changed states, ports that appeared or vanished, and changes of stations.
fn announce_changes(
    pairs: &mut [PortPair<'_>],
    options: &PortAlertOptions,
    is_learning: bool,
    notices: &mut Vec<Notice>,
) {
    let is_announcing = |appears: bool| {
        move |pair: &&PortPair<'_>| {
            pair.may_notify && pair.port.announced.state.is_none() == appears && pair.is.is_some() == appears
        }
    };
    let names = |appears| -> Vec<String> {
        let announcing = pairs.iter().filter(is_announcing(appears));
        announcing.map(|pair| pair.label.to_string()).collect()
    };
    let (appearing, vanishing) = (names(true), names(false));
    let mut together = |names: &[String], what: &str| {
        let is_many = names.len() > MOST_APART;
        if is_many {
            notices.push(wording::port_change(wording::together(names, what)));
        }
        is_many
    };
    let vanish_together = together(&vanishing, "vanished");
    let appear_together = together(&appearing, "appeared");

    let station_changes = station::changes_to_announce(pairs, options, is_learning);
    let mut moved = Vec::new();
    for (pair, station_changes) in pairs.iter_mut().zip(station_changes) {
        if !pair.may_notify {
            continue;
        }
        let announced = pair.port.announced.state;
        let is = pair.is.map(|port| port.state);
        pair.state_announced = announced != is;
        match (announced, is) {
            (Some(announced), Some(is)) if announced != is => {
                let text = format!("{} {is} (was {announced})", pair.label);
                notices.push(wording::port_change(text));
            }
            (Some(announced), None) if !vanish_together => {
                let text = format!("{} vanished (was {announced})", pair.label);
                notices.push(wording::port_change(text));
            }
            (None, Some(is)) if !appear_together => {
                let text = wording::appeared(&pair.label, is, &station_changes);
                notices.push(wording::port_change(text));
            }
            _ => {}
        }
        pair.port.announced.state = is;
        match (announced, is) {
            (_, None) => pair.port.forget_stations(),
            // The stations were announced with the port.
            (None, Some(_)) if appear_together => pair.port.mark_stations_announced(),
            (None, Some(_)) => {
                pair.port.announce_stations(&station_changes);
                moved.extend(station_changes.moved);
            }
            (Some(_), Some(_)) => {
                if let Some(text) = wording::stations(&pair.label, &station_changes) {
                    notices.push(wording::mac_change(text));
                    pair.stations_announced = true;
                    pair.port.announce_stations(&station_changes);
                    moved.extend(station_changes.moved);
                }
            }
        }
    }
    for Move { mac, from, .. } in moved {
        pairs[from].announced_elsewhere |= pairs[from].had(mac);
        pairs[from].port.announced.macs.remove(&mac);
        pairs[from].port.gone.remove(&mac);
    }
}

/// The changes of a port since the last check, for the history.
fn changes(pair: &PortPair<'_>) -> Vec<PortChange> {
    let change = |event, notified| PortChange {
        index: pair.port.identity.index,
        port: pair.port.shown_name(),
        event,
        notified,
    };
    let mut changes = Vec::new();
    match (&pair.was, &pair.port.baseline) {
        (Some(was), Some(is)) => {
            if was.state != is.state {
                let event = PortEvent::State {
                    was: was.state,
                    is: is.state,
                };
                changes.push(change(event, pair.state_announced));
            }
            if was.macs != is.macs {
                let event = PortEvent::Stations {
                    appeared: is.macs.difference(&was.macs).copied().collect(),
                    gone: was.macs.difference(&is.macs).copied().collect(),
                };
                changes.push(change(event, pair.stations_announced || pair.announced_elsewhere));
            }
        }
        (None, Some(is)) => changes.push(change(PortEvent::Added { is: is.state }, pair.state_announced)),
        (Some(was), None) => {
            changes.push(change(
                PortEvent::Removed { was: was.state },
                pair.state_announced,
            ));
        }
        (None, None) => {}
    }
    changes
}

/// Announces a restart if this poll noticed one, and returns the last announced restart.
fn restarted(
    before: Option<AnnouncedRestart>,
    poll: &PolledPorts<'_>,
    now: Timestamp,
    notices: &mut Vec<Notice>,
) -> Option<AnnouncedRestart> {
    let before = before.map(|it| AnnouncedRestart {
        seen_at: it.seen_at.min(now),
        ..it
    });
    let up_for = match poll.restart {
        Restart::No => return before,
        Restart::Device => poll.uptimes.host,
        Restart::Agent | Restart::AgentAtLeast => poll.uptimes.agent,
    };
    let up_for = Duration::from_millis(u64::from(up_for.unwrap_or(0)) * 10);
    let began_at = now.checked_sub(up_for).unwrap_or(now);
    let is_same = |it: &AnnouncedRestart| {
        let apart = it.began_at.duration_since(began_at).unsigned_abs();
        apart <= SAME_RESTART
    };
    if before.as_ref().is_some_and(is_same) {
        return before;
    }
    notices.push(wording::restarted(poll.restart, up_for));
    // If the device itself was not restarted, it has not forgotten its stations.
    let seen_at = match poll.restart.resets_counters() {
        true => now,
        false => before.map_or(Timestamp::UNIX_EPOCH, |it| it.seen_at),
    };
    Some(AnnouncedRestart { began_at, seen_at })
}

impl PortAlertOptions {
    fn ignores(&self, names: [Option<&str>; 3]) -> bool {
        let matches = |pattern: &Pattern| names.iter().flatten().any(|name| pattern.matches(name));
        self.ignore_ports.iter().any(matches)
    }
}

impl PortPair<'_> {
    /// The stations on the port now.
    fn present(&self) -> Option<&BTreeSet<Mac>> {
        self.port.baseline.as_ref().map(|baseline| &baseline.macs)
    }

    fn has(&self, mac: Mac) -> bool {
        self.present().is_some_and(|macs| macs.contains(&mac))
    }

    /// Whether the station was on the port at the last check.
    fn had(&self, mac: Mac) -> bool {
        self.was.as_ref().is_some_and(|was| was.macs.contains(&mac))
    }
}

/// The time since `then`; zero if `then` is in the future.
fn age(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
