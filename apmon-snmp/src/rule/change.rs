//! Kind `ports`: what is otherwise at a device's ports than before, and who is
//! to hear of it.
//!
//! Two things are remembered of each port: how it was at the last look (the
//! baseline: seed 003's `ports_state`, which advances at every good look) and
//! what was told of it last. Changes, for the history, are differences to the
//! baseline. Messages are differences to what was told: after a message about a
//! port nothing is told of it for a while ([`window`]), and when that is over
//! one message tells how it is now, if that is otherwise than was told. So
//! nobody's last word is wrong, and what went and came back meanwhile is no news.
//!
//! Only complete polls come here: a port that was not read is not gone.
//!
//! Decided where seed 003 is silent:
//! - The first good look tells nothing. Only what the site file forbids
//!   (`allow_macs`, `max_macs_per_port`) is told even if it was so from the
//!   start, from the second look on.
//! - Of one port, one look tells at most one message of each label. `PORT
//!   CHANGE` and `PORT MAC CHANGE` share one window; `NEW STATION` and `TOO MANY
//!   STATIONS` another: plugging a cable in must not hide who is at its end.
//! - Ports are followed by name ([`crate::follow`]). One more, or one less, is a
//!   `PORT CHANGE`: `appeared` with the stations on it, `vanished`. More than
//!   [`MOST_APART`] of a kind in one look are one message: a member of a stack
//!   was lost, or is back.
//! - A station that is on another port than was told is told once, there. It is
//!   not told as gone while the port it is on waits to tell it.
//! - `mac_changes: appeared`: who went is told with the next appearance on that
//!   port. Who comes back to the port where it was told last is no news, for a
//!   device forgets stations that are silent; after a week's absence it is.
//! - A station that is not allowed is told once for each port; again after a
//!   week's absence. One that came and went during the silence is told after it.
//! - For five minutes after a restart nobody is told as gone: the device has to
//!   learn its stations again.
//! - Where the table of stations could not be read, they are as they were.

mod label;
mod state;
mod station;
mod station_change;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use apmon_core::{Mac, Notice, Policy, PortChange, PortEvent, PortState, rule::window};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::state::State;
use self::{
    label::{Label, labels},
    state::{AnnouncedRestart, Baseline, Tracked},
    station_change::Move,
};
use crate::rule::{
    follow::{Identity, follow},
    pattern::Pattern,
    restart::{Restart, Uptimes},
};

/// So many ports that appear, or vanish, in one look are told each by itself.
const MOST_APART: usize = 10;
/// Who was away for so long is news again.
const LONG_ABSENCE: Duration = Duration::from_secs(7 * 86_400);
/// So long after a restart nobody is told as gone.
const LEARNING: Duration = Duration::from_secs(300);
/// Two restarts closer together than this are the same one, seen twice.
const SAME_RESTART: Duration = Duration::from_secs(120);

/// A port as a look saw it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct PolledPort {
    /// ifIndex.
    pub index: u32,
    /// ifDescr.
    pub name: String,
    /// ifName.
    pub short_name: Option<String>,
    /// ifAlias.
    pub alias: Option<String>,
    /// Its state.
    pub state: PortState,
    /// The stations learned there; `None` where the table could not be read.
    pub macs: Option<BTreeSet<Mac>>,
    /// The table was read in part: who is not in `macs` may be there.
    pub is_partial: bool,
}

/// One complete poll of a device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PolledPorts<'a> {
    /// Its ports.
    pub ports: &'a [PolledPort],
    /// What was restarted since the last look.
    pub restart: Restart,
    /// How long it has been running.
    pub uptimes: Uptimes,
}

/// What the operator wants to hear.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct PortAlertOptions {
    /// Nothing is told of these ports, by name, short name or alias.
    pub ignore_ports: Vec<Pattern>,
    /// Which stations that come and go are told.
    pub mac_changes: MacChanges,
    /// All others are told as new stations; `None`: nobody is.
    pub allow_macs: Option<BTreeSet<Mac>>,
    /// More stations than that on a port are told.
    pub max_macs_per_port: Option<u32>,
}

/// Which stations that come and go are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MacChanges {
    /// Those that appear on a port; those that went from it along with the next
    /// one that appears there. Switches forget silent stations after some 300 s.
    #[default]
    Appeared,
    /// Those that go, too.
    All,
    /// None.
    No,
}

/// What a poll means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Comparison {
    /// To be remembered.
    pub state: State,
    /// All that is otherwise, told or not, by ifIndex.
    pub changes: Vec<PortChange>,
    /// What is to be told.
    pub notices: Vec<Notice>,
}

/// A port then and now.
struct PortPair<'a> {
    /// As it is remembered; its baseline is that of now.
    port: Tracked,
    was: Option<Baseline>,
    is: Option<&'a PolledPort>,
    label: Label,
    is_ignored: bool,
    may_notify: bool,
    /// Something of these was told in this look.
    state_announced: bool,
    stations_announced: bool,
    /// A message about another port says where its stations are.
    announced_elsewhere: bool,
}

/// Compares a poll with what is remembered; `None` at the first good one.
pub(crate) fn compare(
    before: Option<State>,
    poll: &PolledPorts<'_>,
    options: &PortAlertOptions,
    policy: &Policy,
    now: Timestamp,
) -> Comparison {
    let Some(before) = before else {
        let mut ports: Vec<Tracked> = poll.ports.iter().map(Tracked::at_first).collect();
        ports.sort_by_key(|port| port.index);
        return Comparison {
            state: State { ports, restart: None },
            changes: Vec::new(),
            notices: Vec::new(),
        };
    };
    let mut notices = Vec::new();
    let restart = restarted(before.restart, poll, now, &mut notices);
    let is_learning = restart.is_some_and(|it| age(it.seen_at, now) < LEARNING);
    let mut pairs = pairs(before.ports, poll.ports, options);
    for pair in &mut pairs {
        let window = &mut pair.port.window;
        *window = window
            .map(|it| it.anchored(now))
            .filter(|it| !window::is_over(it, policy, now));
        // What nobody hears is not told: it is when alarms are on again.
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
    let changes = pairs.iter().flat_map(changes).collect();
    let ports = pairs.into_iter().map(|pair| pair.port);
    let ports = ports.filter(|port| !port.is_over()).collect();
    Comparison {
        state: State { ports, restart },
        changes,
        notices,
    }
}

fn pairs<'a>(known: Vec<Tracked>, ports: &'a [PolledPort], options: &PortAlertOptions) -> Vec<PortPair<'a>> {
    let (here, away): (Vec<_>, Vec<_>) = known.into_iter().partition(|port| port.baseline.is_some());
    let seen: Vec<Identity<'_>> = ports.iter().map(PolledPort::identity).collect();
    let found = follow(&identities(&here), &seen);
    let rest: Vec<usize> = (0..ports.len()).filter(|i| found[*i].is_none()).collect();
    let missing: Vec<Identity<'_>> = rest.iter().map(|i| seen[*i]).collect();
    let back = follow(&identities(&away), &missing);
    let back: BTreeMap<usize, usize> = rest
        .into_iter()
        .zip(back)
        .filter_map(|(i, at)| Some((i, at?)))
        .collect();

    let (mut here, mut away) = (some(here), some(away));
    let mut all: Vec<(Tracked, Option<&PolledPort>)> = Vec::with_capacity(ports.len());
    for (i, port) in ports.iter().enumerate() {
        let known = match (found[i], back.get(&i)) {
            (Some(at), _) => here[at].take(),
            (None, Some(at)) => away[*at].take(),
            (None, None) => None,
        };
        all.push((known.unwrap_or_else(|| Tracked::new(port)), Some(port)));
    }
    let gone = here.into_iter().chain(away).flatten();
    all.extend(gone.map(|port| (port, None)));
    all.sort_by_key(|(port, is)| (is.is_none(), is.map_or(port.index, |is| is.index)));

    let labels = labels(
        all.iter()
            .map(|(port, is)| is.map_or(port.identity(), PolledPort::identity)),
    );
    // Who is seen somewhere is not elsewhere, however little was read.
    let anywhere: BTreeSet<Mac> = ports
        .iter()
        .filter_map(|port| port.macs.as_ref())
        .flatten()
        .copied()
        .collect();
    let pairs = all.into_iter().zip(labels).map(|((mut port, is), label)| {
        let mut was = port.baseline.take();
        port.observe(is, was.as_mut(), &anywhere);
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

fn some<T>(all: Vec<T>) -> Vec<Option<T>> {
    all.into_iter().map(Some).collect()
}

fn identities(ports: &[Tracked]) -> Vec<Identity<'_>> {
    ports.iter().map(Tracked::identity).collect()
}

/// Tells states, ports that appeared and vanished, and stations.
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
            notices.push(words::port_change(words::together(names, what)));
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
                notices.push(words::port_change(text));
            }
            (Some(announced), None) if !vanish_together => {
                let text = format!("{} vanished (was {announced})", pair.label);
                notices.push(words::port_change(text));
            }
            (None, Some(is)) if !appear_together => {
                let text = words::appeared(&pair.label, is, &station_changes);
                notices.push(words::port_change(text));
            }
            _ => {}
        }
        pair.port.announced.state = is;
        match (announced, is) {
            (_, None) => pair.port.forget_stations(),
            // Said with the port.
            (None, Some(_)) if appear_together => pair.port.mark_stations_announced(),
            (None, Some(_)) => {
                pair.port.announce_stations(&station_changes);
                moved.extend(station_changes.moved);
            }
            (Some(_), Some(_)) => {
                if let Some(text) = words::stations(&pair.label, &station_changes) {
                    notices.push(words::mac_change(text));
                    pair.stations_announced = true;
                    pair.port.announce_stations(&station_changes);
                    moved.extend(station_changes.moved);
                }
            }
        }
    }
    for Move { mac, from, .. } in moved {
        pairs[from].announced_elsewhere |= pairs[from].has_lost(mac);
        pairs[from].port.announced.macs.remove(&mac);
        pairs[from].port.gone.remove(&mac);
    }
}

/// What is otherwise than at the last look.
fn changes(pair: &PortPair<'_>) -> Vec<PortChange> {
    let change = |event, notified| PortChange {
        index: pair.port.index,
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

/// The restart that was told last, that of now among them.
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
    notices.push(words::restarted(poll.restart, up_for));
    // A device that has gone on has forgotten nobody.
    let seen_at = match poll.restart.is_of_counts() {
        true => now,
        false => before.map_or(Timestamp::UNIX_EPOCH, |it| it.seen_at),
    };
    Some(AnnouncedRestart { began_at, seen_at })
}

impl PolledPort {
    fn identity(&self) -> Identity<'_> {
        Identity {
            index: self.index,
            name: &self.name,
            short_name: self.short_name.as_deref(),
        }
    }
}

impl PortAlertOptions {
    fn ignores(&self, names: [Option<&str>; 3]) -> bool {
        let matches = |pattern: &Pattern| names.iter().flatten().any(|name| pattern.matches(name));
        self.ignore_ports.iter().any(matches)
    }
}

impl PortPair<'_> {
    /// The stations that are on it now.
    fn present(&self) -> Option<&BTreeSet<Mac>> {
        self.port.baseline.as_ref().map(|baseline| &baseline.macs)
    }

    fn has(&self, mac: Mac) -> bool {
        self.present().is_some_and(|macs| macs.contains(&mac))
    }

    /// It was there at the last look.
    fn has_lost(&self, mac: Mac) -> bool {
        self.was.as_ref().is_some_and(|was| was.macs.contains(&mac))
    }
}

/// Zero where it lies in the future.
fn age(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
